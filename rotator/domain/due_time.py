"""When a rotation is due and when it starts: interval, cron, window, jitter and spread. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.domain.ledger import CurrentKey
    from rotator.domain.spec import ApplicationSpec, MaintenanceWindow
from rotator.util.backoff import fraction
from rotator.util.durations import format_duration


def zone(name: str) -> tzinfo:
    """The time zone of that name. Raises ``ValueError`` with a message for the user."""
    if name == "UTC":
        return UTC
    # PLC0415: costs milliseconds at every start, and most configurations are in UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    try:
        return ZoneInfo(name)
    # Odd names raise KeyError (unknown), ValueError (not a name) or OSError (a folder such as
    # "Europe").
    except (KeyError, ValueError, OSError):
        raise ValueError('is not a time zone; write a name such as "Europe/Paris" or "UTC"') from None


@lru_cache(1024)
def next_cron(expression: str, after: datetime, timezone: str) -> datetime:
    """The first time strictly after ``after`` that the cron expression (five fields) names, in
    local time.

    A local time that a change of clocks skips counts right after the gap. A time that occurs twice
    counts once. Raises ``ValueError`` with a message for the user.
    """
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - only configurations with cron pay for it

    place = zone(timezone)
    if len(expression.split()) != 5:
        raise ValueError('is not a cron expression; write five fields, such as "0 3 * * 1" (Mondays at 03:00)')
    try:
        # If a local hour occurs twice, cronsim may return an earlier time than the given one:
        # continue.
        for moment in CronSim(expression, after.astimezone(place)):
            found = moment.astimezone(UTC)
            if found > after:
                return found
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        raise ValueError(
            f'has a bad {field} field; write five fields, such as "0 3 * * 1" (Mondays at 03:00)'
        ) from None
    raise ValueError("never happens; write a date that exists")


def _openings(window: MaintenanceWindow, around: datetime, place: tzinfo) -> Iterator[tuple[datetime, datetime]]:
    """The opening and closing times of the window in order, for three weeks from the day before
    ``around``.

    A local time that a change of clocks skips is computed as if the clocks had not changed yet; of
    a time that occurs twice, the first counts. An opening that falls into the gap as a whole is
    left out, hence more than one week.
    """
    yesterday = around.astimezone(place).date() - timedelta(days=1)
    for offset in range(22):
        day = yesterday + timedelta(days=offset)
        if day.weekday() not in window.days:
            continue
        midnight = datetime(day.year, day.month, day.day, tzinfo=place)
        length = window.end if window.end > window.start else window.end + 24 * 60
        # Arithmetic within one zone uses the local clock; the conversion to UTC comes after it.
        opens = (midnight + timedelta(minutes=window.start)).astimezone(UTC)
        closes = (midnight + timedelta(minutes=length)).astimezone(UTC)
        if opens < closes:
            yield opens, closes


def contains(window: MaintenanceWindow, moment: datetime, timezone: str) -> bool:
    """Whether the window is open at that time."""
    return any(opens <= moment < closes for opens, closes in _openings(window, moment, zone(timezone)))


def next_open(window: MaintenanceWindow, moment: datetime, timezone: str) -> datetime:
    """The time itself if the window is open, else its next opening."""
    for opens, closes in _openings(window, moment, zone(timezone)):
        if moment < closes:
            return max(opens, moment.astimezone(UTC))
    raise ValueError("the window never opens; name at least one day")


SPREAD_SHARE = 10
"""A late rotation starts at most a tenth of its interval later than it could."""

MIN_SLACK = timedelta(minutes=1)
"""How late a rotation may start and still be on time. A spread of at most twice this is none."""


@dataclass(frozen=True)
class Due:
    """When the next scheduled rotation of a key starts, and the hard deadline that overrides
    windows, if any. It starts by ``latest``: ``spread`` separates rotations that are due
    together."""

    at: datetime
    deadline: datetime | None
    reason: str
    spread: timedelta = timedelta(0)

    @property
    def latest(self) -> datetime:
        """When the rotation becomes overdue."""
        return self.at + self.spread


def due(spec: ApplicationSpec, current: CurrentKey) -> Due | None:
    """When the current key is due for replacement; None without a schedule, a maximum age or an
    expiry.

    ``every`` counts from the provider's creation date, and jitter only makes it earlier. ``cron``
    is its first time after the creation date plus the permitted clock skew (otherwise a key created
    at that time would be due again at once), and jitter makes it later. Then the result waits for
    the window. The hard deadline overrides all of these.
    """
    created = min(current.created_at or current.since, current.since).astimezone(UTC)
    deadline, limit = _deadline(spec, current, created)
    planned = _scheduled(spec, current, created)
    if planned is None:
        return Due(deadline, deadline, limit, _spread(spec, spec.max_age, current, deadline)) if deadline else None
    moment, interval, reason = planned
    at, spread = _in_window(spec, moment), _spread(spec, interval, current, deadline)
    if deadline and deadline < at:
        return Due(deadline, deadline, limit, spread)
    return Due(at, deadline, reason, spread)


def plan_rotation(spec: ApplicationSpec, current: CurrentKey, now: datetime) -> Due | None:
    """When the rotation that ``due`` returns starts, seen from ``now``.

    On time if that is in the future or has just come. A late rotation (no daemon, an outage,
    another configuration, a closed window) starts at the first of its turns that is not past. Turns
    count from when the application became due, or from when its window opened. They depend only on
    the policy, the key and the name, so a restart moves none. There are two in each ``spread``, at
    varying offsets, so an hourly fault does not hit all of them.
    """
    found = due(spec, current)
    if found is None:
        return None
    if found.deadline and (found.at == found.deadline or now >= found.deadline):
        at = _turn(spec, found.deadline, now, found.spread, exact=True)
        if current.expires_at is not None:
            at = min(at, found.deadline + (current.expires_at - found.deadline) / 2)
        return replace(found, at=at)
    if spec.window is None:
        at = _turn(spec, found.at, now, found.spread, exact=True)
    else:
        at = _turn_in_window(spec, spec.window, found, now)
    return replace(found, at=min(at, found.deadline or at))


def _turn(spec: ApplicationSpec, base: datetime, now: datetime, spread: timedelta, *, exact: bool) -> datetime:
    """The first turn after ``base`` that is not past at ``now``. ``exact``: ``base`` is a turn
    too."""
    period = spread / 2
    slack = max(period / 10, MIN_SLACK)
    if period <= slack or (exact and now <= base + slack):
        return base
    offset = fraction(spec.application)
    number = max(0, (now - slack - base) // period - 1)
    while True:
        turn = base + period * (number + offset + fraction(spec.application, str(number)))
        if now <= turn + slack:
            return turn
        number += 1


def _turn_in_window(spec: ApplicationSpec, window: MaintenanceWindow, found: Due, now: datetime) -> datetime:
    """The first turn that is not past and lies in the window. A rotation that waited for the window
    counts from its opening."""
    soonest = max(found.at, now)
    openings = (
        (max(opens, found.at), opens, closes) for opens, closes in _openings(window, soonest, zone(spec.timezone))
    )
    turns = (
        (_turn(spec, base, now, min(found.spread, closes - base), exact=opens < base), closes)
        for base, opens, closes in openings
        if closes > soonest
    )
    return next(turn for turn, closes in turns if turn < closes)  # a window that opens has time for a turn


def _spread(
    spec: ApplicationSpec, interval: timedelta | None, current: CurrentKey, deadline: datetime | None
) -> timedelta:
    """The period over which late rotations are spread: at most a tenth of the time available."""
    shares = [interval] if interval is not None else []
    if deadline and current.expires_at is not None:
        shares.append(current.expires_at - deadline)
    return min([spec.startup_spread, *(share / SPREAD_SHARE for share in shares)])


def _scheduled(spec: ApplicationSpec, current: CurrentKey, created: datetime) -> tuple[datetime, timedelta, str] | None:
    """The scheduled time before the window is applied, the interval to the next one, and why."""
    shift = spec.jitter * fraction(spec.application, current.access_key)
    if spec.every is not None:
        return created + spec.every - min(shift, spec.every), spec.every, f"every {format_duration(spec.every)}"
    if spec.cron is not None:
        moment = next_cron(spec.cron, created + spec.max_clock_skew, spec.timezone)
        interval = next_cron(spec.cron, moment, spec.timezone) - moment
        return moment + shift, interval, f"cron {spec.cron} ({spec.timezone})"
    return None


def _in_window(spec: ApplicationSpec, moment: datetime) -> datetime:
    return next_open(spec.window, moment, spec.timezone) if spec.window else moment


def _deadline(spec: ApplicationSpec, current: CurrentKey, created: datetime) -> tuple[datetime | None, str]:
    """The time by which the key must be replaced whatever the window, and why."""
    limits = []
    if spec.max_age is not None:
        limits.append((created + spec.max_age, f"max_age {format_duration(spec.max_age)}"))
    if current.expires_at is not None:
        expires = current.expires_at.astimezone(UTC)
        life = max(expires - created, timedelta(0))
        # The old key has to outlive its grace. A key with a shorter life is replaced after half of
        # it: with the full grace subtracted, every new key would be due at once, without end.
        margin = max(min(spec.grace, life / 2), life / 10)
        limits.append((expires - margin, f"the key expires at {expires:%Y-%m-%d %H:%M} UTC"))
    return min(limits, default=(None, ""))
