"""Durations, windows, schedules and deterministic chance: pure functions of their arguments.

Time is always an argument. Every datetime that comes in is aware, every one that goes out is in UTC. Chance is computed
from names, so asking twice gives the same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.domain.ledger import CurrentKey
    from rotator.domain.spec import ApplicationSpec, MaintenanceWindow
from rotator.util.backoff import fraction
from rotator.util.durations import format_duration


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises ``ValueError`` with a sentence for a person."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - costs milliseconds at every start, and most configurations are in UTC

    try:
        return ZoneInfo(name)
    # Besides KeyError (unknown), ValueError (not a name) and OSError (a folder such as "Europe") come from odd names.
    except (KeyError, ValueError, OSError):
        raise ValueError('is not a time zone; write a name such as "Europe/Paris" or "UTC"') from None


def next_cron(expression: str, after: datetime, timezone: str) -> datetime:
    """The first time strictly after ``after`` that the five fields of the cron expression name, in local time.

    A local time that a change of clocks skips happens right after the gap; one that happens twice counts once. Raises
    ``ValueError`` with a sentence for a person.
    """
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only configurations with cron pay for it

    place = zone(timezone)
    if len(expression.split()) != 5:
        raise ValueError('is not a cron expression; write five fields, such as "0 3 * * 1" (Mondays at 03:00)')
    try:
        # Where a local hour happens twice, cronsim may answer with a time before the one given: look on from there.
        for moment in CronSim(expression, after.astimezone(place)):
            found = moment.astimezone(UTC)
            if found > after:
                return found
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        raise ValueError(f'has a bad {field} field; write five fields, such as "0 3 * * 1" (Mondays at 03:00)') from None
    raise ValueError("never happens; write a date that exists")


def _openings(window: MaintenanceWindow, around: datetime, place: tzinfo) -> Iterator[tuple[datetime, datetime]]:
    """When the window opens and closes, from the day before ``around`` on, in order, for three weeks.

    A local time that a change of clocks skips is taken as if the clocks had not changed yet, one that happens twice is
    its first time. An opening that the change swallows whole is left out; hence more than one week.
    """
    yesterday = around.astimezone(place).date() - timedelta(days=1)
    for offset in range(22):
        day = yesterday + timedelta(days=offset)
        if day.weekday() not in window.days:
            continue
        midnight = datetime(day.year, day.month, day.day, tzinfo=place)
        length = window.end if window.end > window.start else window.end + 24 * 60
        # Arithmetic within one zone is on the local clock; the conversion comes after it.
        opens = (midnight + timedelta(minutes=window.start)).astimezone(UTC)
        closes = (midnight + timedelta(minutes=length)).astimezone(UTC)
        if opens < closes:
            yield opens, closes


def contains(window: MaintenanceWindow, moment: datetime, timezone: str) -> bool:
    """Whether the window is open at that moment."""
    return any(opens <= moment < closes for opens, closes in _openings(window, moment, zone(timezone)))


def next_open(window: MaintenanceWindow, moment: datetime, timezone: str) -> datetime:
    """The moment itself while the window is open, else when it opens next."""
    for opens, closes in _openings(window, moment, zone(timezone)):
        if moment < closes:
            return max(opens, moment.astimezone(UTC))
    raise ValueError("the window never opens; name at least one day")


def _closes(window: MaintenanceWindow, moment: datetime, timezone: str) -> datetime:
    """When the window, which is open at ``moment``, closes."""
    return max(closes for opens, closes in _openings(window, moment, zone(timezone)) if opens <= moment < closes)


@dataclass(frozen=True)
class Due:
    """When the next scheduled rotation of a key begins, and the hard deadline that beats windows, if it has one."""

    at: datetime
    deadline: datetime | None
    reason: str


def due(
    spec: ApplicationSpec, current: CurrentKey, *, started: datetime | None = None, now: datetime | None = None
) -> Due | None:
    """When the current key is to be replaced; None when nothing asks for it (no schedule, no maximum age, no expiry).

    ``every`` counts from the provider's own creation date, and jitter only makes it earlier. ``cron`` is the first time
    that it names after the creation (plus the tolerated difference of clocks, or a key made on the stroke would be due
    again at once), and jitter makes it later. The result waits for the window. A rotation whose time passed is due when
    the window opens next after ``now``. If it was overdue when the process ``started``, it is spread over ``startup_spread``,
    but at most a tenth of ``every`` and not past the closing of an open window. The hard deadline beats all of these: what
    is past its deadline is due at once and is not spread.
    """
    created = (current.created_at or current.since).astimezone(UTC)
    deadline, limit = _deadline(spec, current, created)
    planned = _scheduled(spec, current, created)
    if planned is None:
        return Due(deadline, deadline, limit) if deadline else None
    at, reason = planned
    at = _in_window(spec, at)
    if started is not None and at <= started:
        at = _caught_up(spec, started)
    if now is not None and at < now and spec.window and not contains(spec.window, now, spec.timezone):
        at = _in_window(spec, now)
    if deadline and deadline < at:
        return Due(deadline, deadline, limit)
    return Due(at, deadline, reason)


def _scheduled(spec: ApplicationSpec, current: CurrentKey, created: datetime) -> tuple[datetime, str] | None:
    shift = spec.jitter * fraction(spec.application, current.access_key)
    if spec.every is not None:
        return created + spec.every - min(shift, spec.every), f"every {format_duration(spec.every)}"
    if spec.cron is not None:
        moment = next_cron(spec.cron, created + spec.max_clock_skew, spec.timezone)
        return moment + shift, f"cron {spec.cron} ({spec.timezone})"
    return None


def _in_window(spec: ApplicationSpec, moment: datetime) -> datetime:
    return next_open(spec.window, moment, spec.timezone) if spec.window else moment


def _caught_up(spec: ApplicationSpec, started: datetime) -> datetime:
    """When a rotation that was overdue at the start begins: some time in the catch-up period, always the same for one start."""
    begin = _in_window(spec, started.astimezone(UTC))
    spread = min(spec.startup_spread, spec.every / 10) if spec.every else spec.startup_spread
    if spec.window:
        spread = min(spread, _closes(spec.window, begin, spec.timezone) - begin)
    return begin + spread * fraction(spec.application)


def _deadline(spec: ApplicationSpec, current: CurrentKey, created: datetime) -> tuple[datetime | None, str]:
    """The moment by which the key must be replaced whatever the window says, and why."""
    limits = []
    if spec.max_age is not None:
        limits.append((created + spec.max_age, f"max_age {format_duration(spec.max_age)}"))
    if current.expires_at is not None:
        life = max(current.expires_at - created, timedelta(0))
        # The old key has to outlive its grace. A key whose whole life is shorter than that is replaced at half of it:
        # counting back the full grace would make every new key due at once, without end.
        margin = max(min(spec.grace, life / 2), life / 10)
        limits.append(
            (current.expires_at.astimezone(UTC) - margin, f"the key expires at {current.expires_at:%Y-%m-%d %H:%M} UTC")
        )
    return min(limits, default=(None, ""))
