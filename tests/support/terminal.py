"""A real terminal of a given size: a command runs on a pseudo-terminal, and the test reads what stands on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds that a command has to end, or a text to appear."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")


def unstyled(text: str) -> str:
    """The text without colours, line ends as one letter."""
    return _STYLE.sub("", text).replace("\r\n", "\n")


def without_control(text: str) -> str:
    """The same without movements of the cursor either."""
    return _CONTROL.sub("", unstyled(text))


@dataclass
class Picture:
    """What a command left on the terminal, and its exit code."""

    raw: str
    exit_code: int
    columns: int

    @property
    def text(self) -> str:
        return unstyled(self.raw)

    @property
    def lines(self) -> list[str]:
        return self.text.rstrip("\n").split("\n")

    @property
    def widest(self) -> int:
        return max(map(len, self.lines))


class Terminal:
    """One command on a terminal of its own."""

    def __init__(self, words: list[str], *, columns: int, rows: int = 50, env: Mapping[str, str] | None = None) -> None:
        self.columns = columns
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {
            "PATH": os.environ["PATH"],
            "TERM": "xterm",
            "LANG": "C.UTF-8",
            "NO_PAGER": "1",
            "TZ": "UTC",
            **(env or {}),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rotator", *words],
            cwd=ROOT,
            env=environment,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        os.close(follower)
        self.raw = b""

    def read(self) -> bool:
        """Read what has come, or wait a little; False at the end."""
        if not select.select([self._leader], [], [], 0.1)[0]:
            return True
        try:
            part = os.read(self._leader, 65536)
        except OSError:  # the other end is closed
            part = b""
        self.raw += part
        return bool(part)

    def type(self, text: str) -> None:
        """Keys that a person presses."""
        os.write(self._leader, text.encode())

    def until(self, condition: Callable[[str], object]) -> str:
        """What stands on the terminal once the condition holds of it."""
        end = time.monotonic() + PATIENCE
        while not condition(self.raw.decode(errors="replace")):
            assert time.monotonic() < end, f"waited in vain; the terminal shows: {self.raw.decode(errors='replace')}"
            assert self.read(), f"it ended: {self.raw.decode(errors='replace')}"
        return self.raw.decode(errors="replace")

    def finish(self) -> Picture:
        """Wait for the end of the command."""
        end = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < end, f"it does not end: {self.raw.decode(errors='replace')}"
        code = self.process.wait(PATIENCE)
        os.close(self._leader)
        return Picture(self.raw.decode(errors="replace"), code, self.columns)


def picture(words: list[str], *, columns: int, rows: int = 50, env: Mapping[str, str] | None = None) -> Picture:
    """What the command leaves on a terminal of that size."""
    return Terminal(words, columns=columns, rows=rows, env=env).finish()
