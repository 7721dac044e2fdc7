"""How a person states a time."""

from __future__ import annotations

from datetime import datetime, timedelta

import click

from rotator.util.durations import parse_duration
from rotator.util.instants import clamp


def parse_time_argument(text: str, now: datetime, *, ahead: bool = False) -> datetime:
    """The time that a person stated: with date and zone, or as a duration, which means so long ago
    (``ahead``: so long from now)."""
    try:
        duration = parse_duration(text, minimum=timedelta(0))
    except ValueError:
        pass
    else:
        return now + duration if ahead else now - duration
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.UsageError(f"{text!r} is no time: write 2026-05-04T12:00:00Z, or a duration such as 36h or 7d")
    return clamp(found)
