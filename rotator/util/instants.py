"""The times that the program computes with. Whatever comes from outside is held against these
bounds where it is parsed.

A datetime ends with the year 9999, and adding a duration to one near that end raises
``OverflowError``. Durations are at most a hundred years, so a time within the bounds leaves room
for every sum and difference that the program makes of it.
"""

from __future__ import annotations

from datetime import UTC, datetime

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""No key and no document is older."""

LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""A time that is never reached, with room for durations behind it."""


def is_in_range(moment: datetime) -> bool:
    """Whether an aware time lies within the bounds."""
    return EARLIEST <= moment <= LATEST


def clamp(moment: datetime) -> datetime:
    """The aware time in UTC, moved to the nearer bound where it lies outside."""
    return min(max(moment, EARLIEST), LATEST).astimezone(UTC)
