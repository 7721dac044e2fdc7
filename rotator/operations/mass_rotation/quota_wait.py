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
"""Longest wait before the next check: keys are also revoked for other reasons than the ledgers
name."""

LATEST = datetime.max.replace(tzinfo=UTC)

CLOCK_MARGIN = timedelta(seconds=2)
"""How much later than on this machine's clock a grace ends: other clocks show whole seconds, and
the slowest counts."""


def wait_for_quota(
    snapshot: AccountSnapshot, order: MassRotation, applications: int, sleep: Sleep, go_on: Callable[[], None]
) -> None:
    """Waits until a grace ends, one minute at most, then runs passes to end it. Raises what
    ``sleep`` and ``go_on`` raise."""
    scope, room_at = snapshot.scope, next_room_at(snapshot)
    until = min(room_at + CLOCK_MARGIN if room_at else LATEST, scope.clock.now() + MAX_WAIT)  # others may free quota
    scope.sink.emit(
        "mass_rotation.waiting_for_quota",
        account=scope.account,
        incident=order.id,
        applications=applications,
        until=until,
    )
    sleep(until)
    go_on()
    _end_graces(scope, snapshot, sleep)


def next_room_at(snapshot: AccountSnapshot) -> datetime | None:
    """When the next grace ends, which frees quota for one key; None if no ledger names one."""
    now = snapshot.scope.clock.now()
    ends = [entry.revoke_after for ledger in snapshot.survey.ledgers.values() for entry in ledger.retiring]
    return min((end for end in ends if end > now), default=None)


def _end_graces(scope: AccountScope, snapshot: AccountSnapshot, sleep: Sleep) -> None:
    """Runs a pass for each application whose grace has ended, so quota is freed without a daemon
    too."""
    now = scope.clock.now()
    due: list[ApplicationSpec] = [
        scope.specs[name]
        for name, ledger in snapshot.survey.ledgers.items()
        if any(entry.revoke_after <= now for entry in ledger.retiring)
    ]
    for spec in due:
        drive(reconcile(spec, scope.context(spec), LocalState()), sleep)
