"""The logs: one event per line on standard output, and a promise that no fault of theirs disturbs the work.

JSON lines for machines, a readable form for terminals, and entries of the journal of systemd, made from the same lines. Names
and levels are those of ``rotator.observability.events``. A secret is a type that shows as ``[secret]``; whatever still slips through is looked
for in the finished line. A line that cannot be written is lost and counted, and the count is told as soon as lines can be
written again.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rotator.util.durations import format_duration


def format_rfc3339(time: datetime) -> str:
    """The time in UTC with a Z, to the microsecond where there is one."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def format_timestamp(time: datetime) -> str:
    """RFC 3339 in UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_SECOND = timedelta(seconds=1)


def strip_control_characters(text: str) -> str:
    """What others wrote, without letters that a terminal would obey."""
    return "".join(filter(str.isprintable, text))


def format_span(duration: timedelta) -> str:
    """A duration to its two largest units; whole seconds, and never negative."""
    seconds = max(duration, timedelta(0)) // _SECOND
    return format_duration(timedelta(seconds=seconds))


def format_time(time: datetime) -> str:
    """A time to the second, such as ``2026-01-31 09:15:00 UTC``."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def format_relative(time: datetime, now: datetime) -> str:
    """How far away a time is: ``in 3h``, ``now`` or ``2m ago``."""
    if abs(time - now) < _SECOND:
        return "now"
    return f"in {format_span(time - now)}" if time > now else f"{format_span(now - time)} ago"


def pluralize(number: int, noun: str) -> str:
    """``1 application``, ``3 applications``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def format_seconds(duration: float) -> str:
    """A short measured time: ``1.42 s``."""
    return f"{duration:.2f} s" if duration < 10 else f"{duration:.0f} s"
