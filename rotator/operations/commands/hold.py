"""Hands on and hands off: an operator holds an application, and lets it go on."""

from __future__ import annotations

from rotator.decision.transitions import clear_hold, set_hold
from rotator.domain.policy import ApplicationSpec
from rotator.errors import RotatorError
from rotator.operations.commands.ledger_update import update_ledger
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import ReconcileContext
from rotator.util.formatting import pluralize


def hold(policy: ApplicationSpec, world: ReconcileContext, sleep: Sleep, reason: str, by: str) -> OperationResult:
    """Nothing is claimed and nothing revoked for the application until it is resumed; observation goes on."""
    name = policy.application
    try:
        ledger, written = update_ledger(policy, world, sleep, lambda ledger: set_hold(ledger, reason, by, world.clock.now()))
    except RotatorError as error:
        return failed(name, error)
    if written:
        world.journal.emit("application.held", application=name, account=policy.account, reason=reason, by=by)
    found = ledger.hold
    first = "" if found is None or (found.reason, found.by) == (reason, by) else f" already, by {found.by} ({found.reason})"
    return OperationResult(name, "held", 0, f"held{first}: nothing is claimed or revoked until: rotator resume {name}")


def resume(policy: ApplicationSpec, world: ReconcileContext, sleep: Sleep, by: str) -> OperationResult:
    """What was held goes on; keys whose grace has passed meanwhile are revoked by the next pass."""
    name = policy.application
    try:
        ledger, written = update_ledger(policy, world, sleep, lambda ledger: clear_hold(ledger, by, world.clock.now()))
    except RotatorError as error:
        return failed(name, error)
    if not written:
        return OperationResult(name, "resumed", 0, "was not held")
    world.journal.emit("application.resumed", application=name, account=policy.account, by=by)
    now = world.clock.now()
    over = sum(entry.revoke_after <= now for entry in ledger.retiring) + len(ledger.revoking)
    rest = f"; {pluralize(over, 'key')} whose time has passed will be revoked now" if over else ""
    return OperationResult(name, "resumed", 0, f"resumed{rest}")
