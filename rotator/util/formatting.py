"""Formats times, counts and foreign texts for sentences."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from rotator.util.durations import format_duration

_IDENTIFIER = re.compile(r"[A-Za-z0-9._-]{1,30}")


def format_rfc3339(time: datetime) -> str:
    """The time in UTC with a Z, with microseconds if there are any."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def format_timestamp(time: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_SECOND, _MINUTE, _HOUR, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def strip_control_characters(text: str) -> str:
    """Foreign text without characters that control a terminal."""
    return "".join(filter(str.isprintable, text))


def format_span(duration: timedelta) -> str:
    """A duration to its largest unit and the next smaller one, such as ``3d4h``; never negative."""
    duration = max(duration, timedelta(0))
    smallest = _HOUR if duration >= _DAY else _MINUTE if duration >= _HOUR else _SECOND
    return format_duration(duration // smallest * smallest)


def format_time(time: datetime) -> str:
    """A time to the second, such as ``2026-01-31 09:15:00 UTC``."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_relative(time: datetime, now: datetime) -> str:
    """The distance to a time: ``in 3h``, ``now`` or ``2m ago``."""
    if abs(time - now) < _SECOND:
        return "now"
    return f"in {format_span(time - now)}" if time > now else f"{format_span(now - time)} ago"


def pluralize(number: int, noun: str) -> str:
    """``1 application``, ``3 applications``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_seconds(duration: float) -> str:
    """A short measured time: ``1.42 s``."""
    return f"{duration:.2f} s" if duration < 10 else f"{duration:.0f} s"


def identifier(value: object) -> str:
    """A short word of another program for a message; "?" for anything else."""
    text = str(value) if isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < 10**9) else ""
    return text if _IDENTIFIER.fullmatch(text) else "?"
