"""The connections to one service, each lent to one request at a time."""

from __future__ import annotations

import queue
from collections import deque
from typing import TYPE_CHECKING

import httpcore

from rotator.http.connection import Connection
from rotator.http.failures import HttpFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from rotator.http.connection import Origin


class Lane:
    """Room for one connection. ``generation`` is of the certificates that it was opened with."""

    def __init__(self) -> None:
        self._connection: tuple[Origin, Connection] | None = None
        self.generation = 0

    def connection(self, origin: Origin, make: Callable[[Origin], Connection]) -> Connection:
        """The connection to the service. There is one at a time: one to another service is
        closed."""
        if self._connection is None or self._connection[0] != origin:
            self.close()
            self._connection = origin, make(origin)
        return self._connection[1]

    @property
    def expired(self) -> bool:
        """Whether its connection has been idle for too long, or there is none."""
        return self._connection is None or self._connection[1].expired

    @property
    def usable(self) -> bool:
        """Whether there is a connection that the next request may use."""
        return self._connection is not None and self._connection[1].usable

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None


class ConnectionPool:
    """At most ``limit`` connections, of which the last used is lent first.

    Requests share no lock: a token in a queue stands for each lane that is free, and both the queue
    and the deque of lanes are atomic. A lock would stop every thread whenever its holder is not
    running.
    """

    def __init__(self, limit: int, generation: Callable[[], int]) -> None:
        self._generation = generation
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(limit):
            self._free.put(None)
        self.idle: deque[Lane] = deque()
        self.closed = False

    def take(self, seconds: float) -> Lane:
        """A free lane, within so many seconds. A connection that was opened with earlier
        certificates is closed first."""
        if self.closed:
            # A worker that outlasts the stop timeout may still ask: it was cut short, and the
            # program is not at fault.
            raise HttpFailure("the client was closed", kind="closed", sent="no")
        try:
            self._free.get(timeout=seconds)
        except queue.Empty:
            raise httpcore.PoolTimeout("every connection is in use") from None
        try:
            lane = self.idle.pop()
        except IndexError:  # as many lanes are made as are in use at once
            lane = Lane()
        generation = self._generation()
        if lane.generation != generation:
            lane.close()
            lane.generation = generation
        return lane

    def give_back(self, lane: Lane) -> None:
        """The request on the lane is over."""
        self._drop_expired()
        self.idle.append(lane)
        self._free.put(None)
        if self.closed:  # asked last: the pool may be closed meanwhile, and would not find this lane
            lane.close()

    def _drop_expired(self) -> None:
        """Close the connection that has been idle for longest if it has expired: a busy moment
        leaves none open for good."""
        try:
            oldest = self.idle.popleft()
        except IndexError:
            return
        if oldest.expired:
            oldest.close()
        else:
            self.idle.appendleft(oldest)

    def close(self) -> None:
        """Close every idle connection now, and every other one after its request."""
        self.closed = True
        for lane in list(self.idle):
            lane.close()
