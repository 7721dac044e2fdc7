"""Writes finished log lines. A reader that does not read delays no work."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Callable

READER_TIMEOUT = 1.0
"""Seconds that a line waits for a slow reader; then it is dropped, and the next lines do not
wait."""


MAX_WAITING = 10_000
"""Lines that wait for the writing thread; beyond it the oldest are dropped."""


_AT_ONCE = 4096
"""Bytes that a pipe ready for writing takes without blocking (PIPE_BUF)."""


class LineBuffer:
    """Writes finished lines. Never raises, blocks for at most ``READER_TIMEOUT`` a line, and makes
    no thread wait for another.

    One thread at a time writes, including lines that other threads add meanwhile. Lines that cannot
    be written are dropped and counted; ``report_lost`` makes the line with their number, which
    precedes the next line. ``put`` writes a line and waits for its reader for the given seconds at
    most; then it raises ``OSError``.
    """

    def __init__(self, put: Callable[[str, float], None], report_lost: Callable[[int], str]) -> None:
        self._put = put
        self._report_lost = report_lost
        self._waiting: deque[str] = deque()
        self._writing = threading.Lock()
        self.lost = 0

    def write(self, line: str) -> None:
        """Writes one line, leaves it to the thread that is writing, or drops it."""
        self._waiting.append(line)
        # A line added between the writer's last check and its release is found by the next
        # iteration.
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
            timeout = 0.0 if self.lost else READER_TIMEOUT
            try:
                if self.lost:
                    self._put(self._report_lost(self.lost), timeout)
                    self.lost = 0
                self._put(line, timeout)
            except (OSError, ValueError):
                self.lost += 1


class Descriptor:
    """Writes lines to a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False

    def put(self, line: str, timeout: float) -> None:
        """Writes the whole line; waits at most ``timeout`` seconds between its parts."""
        data = line.encode(errors="backslashreplace") + b"\n"
        if self._torn:
            data = b"\n" + data  # a cut-off line must not swallow this one
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        rest = memoryview(data)
        while rest:
            if not poll.poll(timeout * 1000):
                raise BlockingIOError
            written = os.write(self._descriptor, rest[:_AT_ONCE])
            rest = rest[written:]
            self._torn = bool(rest)
