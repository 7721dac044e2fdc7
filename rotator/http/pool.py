"""A pool of connections to one service; each serves one request at a time."""

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
    """A slot for one connection. ``generation``: of the certificates that it was opened with."""

    def __init__(self) -> None:
        self._connection: tuple[Origin, Connection] | None = None
        self.generation = 0

    def connection(self, origin: Origin, make: Callable[[Origin], Connection]) -> Connection:
        """The connection to the service. A slot has one at a time: one to another service is
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
        """Whether it has a connection that the next request may use."""
        return self._connection is not None and self._connection[1].usable

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection[1].close()
            self._connection = None


class ConnectionPool:
    """At most ``limit`` connections; the last used is reused first.

    Requests share no lock: a queue has a token for each free slot, and both the queue and the deque
    are atomic. A lock would stop every thread while its holder is not running.
    """

    def __init__(self, limit: int, generation: Callable[[], int]) -> None:
        self._generation = generation
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(limit):
            self._free.put(None)
        self.idle: deque[Lane] = deque()
        self.closed = False

    def take(self, seconds: float) -> Lane:
        """A free slot, within ``seconds``. Closes a connection that was opened with earlier
        certificates first."""
        if self.closed:
            # A worker that outlasts the shutdown timeout may still request one: it was interrupted,
            # which is no error of the program.
            raise HttpFailure("the client was closed", kind="closed", sent="no")
        try:
            self._free.get(timeout=seconds)
        except queue.Empty:
            raise httpcore.PoolTimeout("every connection is in use") from None
        try:
            lane = self.idle.pop()
        except IndexError:  # slots are created on demand
            lane = Lane()
        generation = self._generation()
        if lane.generation != generation:
            lane.close()
            lane.generation = generation
        return lane

    def give_back(self, lane: Lane) -> None:
        """Returns the slot after its request."""
        self._drop_expired()
        self.idle.append(lane)
        self._free.put(None)
        if self.closed:  # checked last: the pool may be closed meanwhile, and would miss this slot
            lane.close()

    def _drop_expired(self) -> None:
        """Closes the connection that has been idle longest if it has expired, so that a busy period
        leaves none open."""
        try:
            oldest = self.idle.popleft()
        except IndexError:
            return
        if oldest.expired:
            oldest.close()
        else:
            self.idle.appendleft(oldest)

    def close(self) -> None:
        """Closes every idle connection now, and every other one after its request."""
        self.closed = True
        for lane in list(self.idle):
            lane.close()
