"""Keeps a standard stream that is closed, full or broken from stopping a command.

What a command says stands beside what it does: a line that cannot be written is dropped, and the
order is carried out.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TextIO

LOST: set[str] = set()
"""The streams that lost output for another reason than a reader that ended."""


class _Lossy(io.FileIO):
    """A file that takes every write; what cannot be written is lost."""

    def __init__(self, descriptor: int, title: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._title = title

    def write(self, data: object) -> int:
        """Write all of it, or lose it."""
        view = memoryview(data)  # type: ignore[arg-type]  # the buffer above gives bytes
        written = 0
        while written < len(view):
            try:
                written += super().write(view[written:]) or 0
            except OSError as error:
                if error.errno != errno.EPIPE:
                    LOST.add(self._title)
                break
        return len(view)


def protect() -> None:
    """Make the standard streams of this process safe to use. Called before anything else is opened:
    a descriptor of a closed stream would be given to the next file or socket, and what is printed
    would go there."""
    closed = set[int]()
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            closed.add(descriptor)
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free descriptor, which is this one
    if sys.stdin is None or 0 in closed:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process runs
    sys.stdout, sys.stderr = _lossy(1, sys.stdout, "output"), _lossy(2, sys.stderr, "error")
    LOST.update({title for descriptor, title in ((1, "output"), (2, "error")) if descriptor in closed})


def _lossy(descriptor: int, stream: TextIO | None, title: str) -> TextIO:
    file = _Lossy(descriptor, title)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding,
        "backslashreplace",
        line_buffering=file.isatty(),
        write_through=descriptor == 2,
    )


def output_is_lost() -> bool:
    """Whether standard output lost something, or is a pipe that is no longer read, so that a
    command without an end should end."""
    if "output" in LOST:
        return True
    poll = select.poll()
    poll.register(1, 0)
    return bool(poll.poll(0))
