"""Times and durations as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rotator.timing import format_duration

_SECOND = timedelta(seconds=1)


def plain(text: str) -> str:
    """What others wrote, without letters that a terminal would obey."""
    return "".join(filter(str.isprintable, text))


def span(duration: timedelta) -> str:
    """A duration to its two largest units; whole seconds, and never negative."""
    seconds = max(duration, timedelta(0)) // _SECOND
    return format_duration(timedelta(seconds=seconds))


def moment(time: datetime) -> str:
    """A time to the second, such as ``2026-01-31 09:15:00 UTC``."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def towards(time: datetime, now: datetime) -> str:
    """How far away a time is: ``in 3h``, ``now`` or ``2m ago``."""
    if abs(time - now) < _SECOND:
        return "now"
    return f"in {span(time - now)}" if time > now else f"{span(now - time)} ago"


def count(number: int, noun: str) -> str:
    """``1 application``, ``3 applications``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def seconds(duration: float) -> str:
    """A short measured time: ``1.42 s``."""
    return f"{duration:.2f} s" if duration < 10 else f"{duration:.0f} s"
