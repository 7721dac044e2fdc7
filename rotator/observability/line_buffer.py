"""Writes finished lines of the log. A reader that does not read delays no work."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable

READER_TIMEOUT = 1.0
"""Seconds that a line waits for a reader who does not read; then it is lost, and lines after it do
not wait at all."""


MAX_WAITING = 10_000
"""Lines that wait for the thread that writes; older ones are lost."""


_AT_ONCE = 4096
"""Bytes that a pipe which is ready for writing takes without blocking (PIPE_BUF)."""


class LineBuffer:
    """Where finished lines go. Never raises, never blocks for long, and makes no thread wait for
    another.

    One thread at a time writes, and it writes the lines of others that come meanwhile. What cannot
    be written is lost and counted; ``confess`` makes the line that tells how many, which goes
    before the next one that can be written. ``put`` writes a line and waits for its reader no
    longer than the seconds that it is given; then it raises ``OSError``.
    """

    def __init__(self, put: Callable[[str, float], None], confess: Callable[[int], str]) -> None:
        self._put = put
        self._confess = confess
        self._waiting: deque[str] = deque()
        self._writing = threading.Lock()
        self.lost = 0

    def write(self, line: str) -> None:
        """Write one line, or leave it to the thread that writes now, or lose it."""
        self._waiting.append(line)
        # A line that came after the writer's last look and before its release is found by the next
        # turn.
        while self._waiting and self._writing.acquire(blocking=False):
            try:
                self._write_waiting()
            finally:
                self._writing.release()

    def _write_waiting(self) -> None:
        while self._waiting:
            if (surplus := len(self._waiting) - MAX_WAITING) > 0:
                self.lost += surplus
                for _ in range(surplus):
                    self._waiting.popleft()
            line = self._waiting.popleft()
            patience = 0.0 if self.lost else READER_TIMEOUT
            try:
                if self.lost:
                    self._put(self._confess(self.lost), patience)
                    self.lost = 0
                self._put(line, patience)
            except (OSError, ValueError):
                self.lost += 1


class Descriptor:
    """A file descriptor that takes lines."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False

    def put(self, line: str, patience: float) -> None:
        """Write the whole line; the reader may delay the call by so many seconds between its
        parts."""
        data = line.encode(errors="backslashreplace") + b"\n"
        if self._torn:
            data = b"\n" + data  # what was cut off in the middle must not swallow this line as well
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        rest = memoryview(data)
        while rest:
            if not poll.poll(patience * 1000):
                raise BlockingIOError
            written = os.write(self._descriptor, rest[:_AT_ONCE])
            rest = rest[written:]
            self._torn = bool(rest)
