"""A bounded queue of events from the threads that emit them to one caller on a socket.

`put` never waits. A caller that reads too slowly misses events and gets their number.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

MAX_EVENTS = 1000
"""Events that may wait for one caller."""

KEEPALIVE_INTERVAL = 3.0
"""Seconds without an event after which an empty line is sent, which shows the caller that the
daemon still runs."""

Line = Mapping[str, Any]


class EventStream:
    """The queue of one caller, filled from any thread and emptied in the event loop that made
    it."""

    def __init__(self, most: int = MAX_EVENTS) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._lock = threading.Lock()
        self._waiting: deque[Line] = deque()
        self._most = most
        self._lost = 0
        self._closed = False

    def put(self, line: Line) -> None:
        """Append one event. Never waits, never raises."""
        with self._lock:
            if len(self._waiting) < self._most:
                self._waiting.append(line)
            else:
                self._lost += 1
        self._wake()

    def close(self) -> None:
        """End the stream after what is queued."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, so no caller is left
            self._loop.call_soon_threadsafe(self._ready.set)

    async def lines(self) -> AsyncIterator[Line]:
        """Every event until the stream is closed, and an empty one after each `KEEPALIVE_INTERVAL`
        of silence.

        After a gap comes ``{"event": "events.lost", "lines": …}``.
        """
        while True:
            self._ready.clear()
            closed = self._closed
            with self._lock:
                queued, lost = list(self._waiting), self._lost
                self._waiting.clear()
                self._lost = 0
            for line in queued:
                yield line
            if lost:
                yield {"event": "events.lost", "lines": lost}
            if closed:
                return
            try:
                async with asyncio.timeout(KEEPALIVE_INTERVAL):
                    await self._ready.wait()
            except TimeoutError:
                yield {}
