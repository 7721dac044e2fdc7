"""The clock of a service, from the Date headers of its answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache

SHORTEST_STEP = timedelta(seconds=1)
"""A smaller change of this machine's clock is no step: a Date is cut to whole seconds anyway."""

PLAUSIBLE_YEARS = range(1970, 9000)
"""A Date header outside of these is ignored; computing with it could leave the range of dates."""


class ServiceClock:
    """The difference between a service's clock and this machine's. ``now`` reads this machine's
    clock; ``monotonic`` counts seconds independently of it.

    A difference is as old as the answer that showed it. If this machine's clock was set since, the
    difference changes by that step, which the monotonic clock shows, and no deadline passes because
    of it.
    """

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._monotonic = monotonic
        self._latest: tuple[timedelta, datetime, float] | None = None

    def answered(self, date: str | None, sent: float) -> None:
        """Records the ``date`` header of the answer to a request that was ``sent`` at that
        monotonic time."""
        after, now = self._monotonic(), self._now()
        difference = clock_difference(date, now - timedelta(seconds=max(0.0, after - sent)), now)
        if difference is not None:
            self._latest = (difference, now, after)

    def offset(self) -> timedelta:
        """The service's clock minus this machine's, from the latest answer with a Date; zero before
        the first."""
        if self._latest is None:
            return timedelta(0)
        difference, then, at = self._latest
        step = self._now() - then - timedelta(seconds=self._monotonic() - at)
        return difference - step if abs(step) >= SHORTEST_STEP else difference


_parsed = lru_cache(16)(parsedate_to_datetime)
"""All answers of one second have the same Date."""


def clock_difference(date: str | None, before: datetime, after: datetime) -> timedelta | None:
    """The smallest difference (the service's minus this machine's) that explains a Date header;
    None without a usable one.

    A Date is cut to whole seconds and was written at some time between ``before`` and ``after`` on
    this machine's clock. So zero is reported if it is possible.
    """
    try:
        theirs = _parsed(date) if date else None
        if theirs is None or theirs.tzinfo is None or theirs.year not in PLAUSIBLE_YEARS:
            return None
        lowest = theirs - max(before, after)
        highest = theirs + timedelta(seconds=1) - min(before, after)
    except (ValueError, OverflowError):
        return None
    return max(lowest, min(highest, timedelta(0)))
