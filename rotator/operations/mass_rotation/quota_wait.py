"""Waits until the quota of an account has room for the next rotation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rotator.domain.account import MassRotation
from rotator.domain.spec import ApplicationSpec
from rotator.operations.mass_rotation.account_snapshot import AccountScope, AccountSnapshot
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import LocalState
from rotator.reconciler.runner import drive, reconcile

MAX_WAIT = timedelta(minutes=1)
"""How long to wait for free quota at most before the next check: keys are also revoked for other
reasons than the ledgers name."""

LATEST = datetime.max.replace(tzinfo=UTC)

CLOCK_MARGIN = timedelta(seconds=2)
"""How much later than by this machine's clock a grace ends: other clocks show whole seconds, and
the slowest counts."""


def wait_for_quota(
    sight: AccountSnapshot, order: MassRotation, applications: int, sleep: Sleep, go_on: Callable[[], None]
) -> None:
    """Wait until a grace ends, or for a minute at most, then end the graces that are over. Raises
    what ``sleep`` and ``go_on`` raise."""
    scope, room_at = sight.scope, next_room_at(sight)
    until = min(room_at + CLOCK_MARGIN if room_at else LATEST, scope.clock.now() + MAX_WAIT)  # others may make room
    scope.sink.emit(
        "mass_rotation.waiting_for_quota",
        account=scope.account,
        incident=order.id,
        applications=applications,
        until=until,
    )
    sleep(until)
    go_on()
    _end_graces(scope, sight, sleep)


def next_room_at(sight: AccountSnapshot) -> datetime | None:
    """When the next grace ends, after which there is room for a key more; None when no ledger tells
    of any to come."""
    now = sight.scope.clock.now()
    ends = [entry.revoke_after for ledger in sight.survey.ledgers.values() for entry in ledger.retiring]
    return min((end for end in ends if end > now), default=None)


def _end_graces(scope: AccountScope, sight: AccountSnapshot, sleep: Sleep) -> None:
    """A pass for each application whose grace has ended, so that room is made where no daemon runs
    as well."""
    now = scope.clock.now()
    due: list[ApplicationSpec] = [
        scope.specs[name]
        for name, ledger in sight.survey.ledgers.items()
        if any(entry.revoke_after <= now for entry in ledger.retiring)
    ]
    for spec in due:
        drive(reconcile(spec, scope.context(spec), LocalState()), sleep)
