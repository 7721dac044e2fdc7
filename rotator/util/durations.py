"""Parses and formats durations such as 90s, 24h or 1d12h."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

SECOND = timedelta(seconds=1)


MAX_DURATION = timedelta(days=36500)
"""A longer duration is a mistake, and would overflow dates."""


_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": SECOND,
    "ms": timedelta(milliseconds=1),
}


_DURATION = re.compile("".join(rf"(?:(?P<{unit}>\d{{1,15}}){unit})?" for unit in _UNITS), re.ASCII)


def parse_duration(text: str, *, minimum: timedelta = SECOND) -> timedelta:
    """The duration written as ``90s``, ``15m``, ``24h``, ``30d``, ``1d12h`` or ``500ms``: units
    from large to small, each once.

    Raises ``ValueError`` with a message for the user.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError('is not a duration; write a number and a unit, such as "90s", "15m", "24h", "30d" or "1d12h"')
    try:
        duration = sum((int(count) * _UNITS[unit] for unit, count in match.groupdict("0").items()), timedelta())
    except OverflowError:
        duration = timedelta.max
    if duration > MAX_DURATION:
        raise ValueError("is longer than a hundred years; write a shorter duration")
    if duration < minimum:
        raise ValueError(f"is too short; write {format_duration(minimum)} or more")
    return duration


@lru_cache(1024)  # applications share their durations
def format_duration(duration: timedelta, *, units: int = 2) -> str:
    """The duration in its ``units`` largest units: ``1d12h``, ``1m30s``, ``500ms``, ``-5m``."""
    if duration < timedelta(0):
        return "-" + format_duration(-duration, units=units)
    parts = []
    for name, unit in _UNITS.items():
        count, duration = divmod(duration, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts[:units]) or "0s"
