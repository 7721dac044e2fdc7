"""Writes text to a terminal with control characters made visible.

Names, reasons, access keys and messages can contain any character. While a command runs, a
``PlainStream`` replaces standard output and standard error, and a ``StyledConsole`` filters the
texts that rich lays out. JSON output has only escaped characters already and passes unchanged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

_MAY_ACT = re.compile(r"[^ -~\n]")


def visible(text: str) -> str:
    """``text`` with every character that controls a terminal, or is invisible, as its Python
    escape."""
    return _MAY_ACT.sub(_escape, text)


def visible_line(text: str) -> str:
    """The same for a text that has to stay on one line."""
    return visible(text).replace("\n", "\\n")


def _escape(found: re.Match[str]) -> str:
    letter = found.group()
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


class PlainStream:
    """A text stream that writes only visible characters. It has no ``buffer``, so nothing bypasses
    it."""

    def __init__(self, stream: IO[str]) -> None:
        self.styled = stream

    def write(self, text: str) -> int:
        """Writes the text with everything in it made visible."""
        self.styled.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.styled, name)


def styled(stream: Any) -> Any:
    """The underlying stream, for styled text whose foreign parts are visible already."""
    return stream.styled if isinstance(stream, PlainStream) else stream


@contextmanager
def plain_streams() -> Iterator[None]:
    """Makes standard output and standard error write visible characters only, while a command
    runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (PlainStream(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
