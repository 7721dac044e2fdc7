"""A limit on the rate of requests, shared by all threads of an account, of which a share is kept
for emergencies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

RESERVE = 0.25
"""The share of the rate that only urgent requests may use."""


class RateLimiter:
    """At most ``rate`` requests a second, after a first second's worth at once.

    Ordinary requests get three quarters of it in the order in which they ask. Urgent ones get the
    rest to themselves, or an ordinary turn if that comes sooner, so a queue of a thousand does not
    stand before an emergency.
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
        """Wait for a turn; False, at once and without taking one, when there is none before
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
        """Take back what may go at once: the other side has just said that it is too much."""
        with self._lock:
            self._ordinary.drain(self._now())


class _Turns:
    """Evenly spaced turns, of which those of about one unused second may be taken together."""

    def __init__(self, rate: float) -> None:
        self._every = 1 / rate
        self._ahead = max(0.0, 1.0 - self._every)
        self._next = 0.0
        """When the next turn is, if all of them are spaced evenly."""

    def wait(self, now: float) -> float:
        return max(0.0, self._next - self._ahead - now)

    def take(self, now: float) -> None:
        self._next = max(self._next, now) + self._every

    def drain(self, now: float) -> None:
        self._next = max(self._next, now + self._ahead + self._every)
