"""The range of times that the program computes with. Times from outside are clamped where they are
parsed.

A datetime ends with the year 9999, and adding a duration to one near that end raises
``OverflowError``. Durations are at most a hundred years, so a time in this range permits every sum
and difference that the program computes.
"""

from __future__ import annotations

from datetime import UTC, datetime

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""No key and no document is older."""

LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Never reached, with room for durations after it."""


def is_in_range(moment: datetime) -> bool:
    """Whether an aware time is in the range."""
    return EARLIEST <= moment <= LATEST


def clamp(moment: datetime) -> datetime:
    """The aware time in UTC, clamped to the range."""
    return min(max(moment, EARLIEST), LATEST).astimezone(UTC)
