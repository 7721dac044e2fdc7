"""How often the main loop goes over all applications: at a share of its thread's processor time
that does not grow with their number."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHARE = 1 / 300
"""The most that going over all applications may take of one core."""

LONGEST = 30.0
"""Seconds from one time to the next at most."""


class BoundedShare:
    """When something is due again that is to be done every ``interval`` seconds, and less often
    where it takes long: at 10,000 applications 40 ms, so every 12 seconds. ``processor`` is the
    clock of the thread's own processor time."""

    def __init__(self, interval: float, processor: Callable[[], float] = time.thread_time) -> None:
        self._interval = interval
        self._processor = processor
        self._due = 0.0

    def due(self, now: float) -> bool:
        """Whether it is time, by the monotonic clock."""
        return now >= self._due

    @contextmanager
    def measured(self, now: float) -> Iterator[None]:
        """Do it inside: what it takes decides when it is due again."""
        began = self._processor()
        try:
            yield
        finally:
            used = self._processor() - began
            self._due = now + min(max(self._interval, used / SHARE), LONGEST)
