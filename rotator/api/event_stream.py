"""What passes by: events on their way from the threads that emit them to those who listen on a socket.

Nobody who emits ever waits. Who listens too slowly misses events, and is told how many.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

MOST = 1000
"""Events that wait for a listener."""

Line = Mapping[str, Any]


class EventStream:
    """One listener's queue, filled from any thread and emptied in the event loop that made it."""

    def __init__(self, most: int = MOST) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._lock = threading.Lock()
        self._waiting: deque[Line] = deque()
        self._most = most
        self._lost = 0
        self._over = False

    def put(self, line: Line) -> None:
        """Hand over one line. Never waits, never raises."""
        with self._lock:
            if len(self._waiting) < self._most:
                self._waiting.append(line)
            else:
                self._lost += 1
        self._wake()

    def close(self) -> None:
        """Nothing more will come."""
        self._over = True
        self._wake()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._ready.set)

    async def lines(self) -> AsyncIterator[Line]:
        """Everything, until it is over. After a gap comes ``{"event": "events.lost", "lines": …}``."""
        while True:
            self._ready.clear()
            over = self._over
            with self._lock:
                found, lost = list(self._waiting), self._lost
                self._waiting.clear()
                self._lost = 0
            for line in found:
                yield line
            if lost:
                yield {"event": "events.lost", "lines": lost}
            if over:
                return
            await self._ready.wait()
