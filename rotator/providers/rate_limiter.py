"""Limits the rate of requests of an account over all threads, with a share reserved for
emergencies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RESERVE = 0.25
"""The share of the rate that only urgent requests may use."""


class RateLimiter:
    """At most ``rate`` requests per second, after a burst of one second's worth.

    Ordinary requests get three quarters of it, first come, first served. Urgent ones get the rest,
    or an ordinary turn if that is sooner, so a queue of 1,000 requests does not delay an emergency.
    """

    def __init__(
        self, rate: float, *, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._lock = threading.Lock()
        self._ordinary = _Turns(rate * (1 - RESERVE))
        self._reserve = _Turns(rate * RESERVE)

    def wait(self, *, until: float, urgent: bool) -> bool:
        """Waits for a turn. Returns False at once, without taking one, if there is none before
        ``until``."""
        with self._lock:
            now = self._now()
            turns = min(self._ordinary, self._reserve, key=lambda turns: turns.wait(now)) if urgent else self._ordinary
            delay = turns.wait(now)
            if now + delay > until:
                return False
            turns.take(now)
        if delay > 0:
            self._sleep(delay)
        return True

    def no_burst(self) -> None:
        """Cancels the burst: the service answered that the rate is too high."""
        with self._lock:
            self._ordinary.drain(self._now())


class _Turns:
    """Evenly spaced turns; those of up to one unused second may be taken together."""

    def __init__(self, rate: float) -> None:
        self._every = 1 / rate
        self._ahead = max(0.0, 1.0 - self._every)
        self._next = 0.0
        """The time of the next turn, if all are spaced evenly."""

    def wait(self, now: float) -> float:
        return max(0.0, self._next - self._ahead - now)

    def take(self, now: float) -> None:
        self._next = max(self._next, now) + self._every

    def drain(self, now: float) -> None:
        self._next = max(self._next, now + self._ahead + self._every)
