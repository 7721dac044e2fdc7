"""The one way of text to a terminal: what others wrote is shown, and never obeyed.

Names, reasons, access keys and messages can hold any character. A ``PlainStream`` stands in the
place of standard output and standard error while a command runs, and a ``StyledConsole`` filters
the texts that rich lays out, so no command has to think of it. What a command writes as JSON has
only escaped characters already, and passes unchanged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

_MAY_ACT = re.compile(r"[^ -~\n]")


def visible(text: str) -> str:
    """``text`` with every character that a terminal may obey, or that is not seen, as its escape in
    Python."""
    return _MAY_ACT.sub(_escape, text)


def visible_line(text: str) -> str:
    """The same of a text that has to stay on one line."""
    return visible(text).replace("\n", "\\n")


def _escape(found: re.Match[str]) -> str:
    letter = found.group()
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


class PlainStream:
    """A stream of text that writes what is visible only. It has no ``buffer``, so nothing goes past
    it."""

    def __init__(self, stream: IO[str]) -> None:
        self.styled = stream

    def write(self, text: str) -> int:
        """Write the text with everything in it made visible."""
        self.styled.write(visible(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.styled, name)


def styled(stream: Any) -> Any:
    """The stream itself, for text with styles whose foreign parts are visible already."""
    return stream.styled if isinstance(stream, PlainStream) else stream


@contextmanager
def plain_streams() -> Iterator[None]:
    """Standard output and standard error write what is visible, for as long as a command runs."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (PlainStream(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
