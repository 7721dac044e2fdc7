"""Shares one call among all threads that need its result at the same time. No lock is held during
the call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """One thread calls; the others wait for its result or exception, and make no call themselves.

    So a slow call costs each of them at most one duration. A failure is raised again for
    ``failure_ttl`` seconds without a new call. The call itself must have a deadline.
    """

    def __init__(self, *, failure_ttl: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self._failure_ttl = failure_ttl
        self._now = now
        self._lock = threading.Lock()
        self._flight: tuple[float, Future[T]] | None = None
        self._failed: tuple[float, Exception] | None = None

    def ask(self, call: Callable[[], T], *, since: float | None = None) -> T:
        """The result of ``call``, or of another thread's call. With ``since``, only of one that
        started at that time or later."""
        while True:
            with self._lock:
                if self._failed is not None and self._now() < self._failed[0]:
                    raise self._failed[1].with_traceback(None)
                if self._flight is None:
                    own: Future[T] = Future()
                    self._flight = self._now(), own
                    break
                begun, flight = self._flight
            if since is None or begun >= since:
                return flight.result()
            flight.exception()  # too old, and there is only one at a time: wait for its end
        return self._call(call, own)

    def _call(self, call: Callable[[], T], flight: Future[T]) -> T:
        try:
            answer = call()
        except BaseException as error:
            with self._lock:
                self._flight = None
                if isinstance(error, Exception):
                    self._failed = (self._now() + self._failure_ttl, error)
            flight.set_exception(error)
            raise
        with self._lock:
            self._flight = None
        flight.set_result(answer)
        return answer
