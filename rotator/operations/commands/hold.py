"""Hands on and hands off: an operator holds an application, and lets it go on."""

from __future__ import annotations

from rotator.decision.transitions.hold import clear_hold, set_hold
from rotator.domain.spec import ApplicationSpec
from rotator.errors import RotatorError
from rotator.operations.commands.ledger_update import update_ledger
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import ReconcileContext
from rotator.util.formatting import pluralize


def hold(spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, reason: str, by: str) -> OperationResult:
    """Nothing is claimed and nothing revoked for the application until it is resumed; observation goes on."""
    name = spec.application
    try:
        ledger, written = update_ledger(spec, context, sleep, lambda ledger: set_hold(ledger, reason, by, context.clock.now()))
    except RotatorError as error:
        return failed(name, error)
    if written:
        context.sink.emit("application.held", application=name, account=spec.account, reason=reason, by=by)
    found = ledger.hold
    first = "" if found is None or (found.reason, found.by) == (reason, by) else f" already, by {found.by} ({found.reason})"
    return OperationResult(name, "held", 0, f"held{first}: nothing is claimed or revoked until: rotator resume {name}")


def resume(spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, by: str) -> OperationResult:
    """What was held goes on; keys whose grace has passed meanwhile are revoked by the next pass."""
    name = spec.application
    try:
        ledger, written = update_ledger(spec, context, sleep, lambda ledger: clear_hold(ledger, by, context.clock.now()))
    except RotatorError as error:
        return failed(name, error)
    if not written:
        return OperationResult(name, "resumed", 0, "was not held")
    context.sink.emit("application.resumed", application=name, account=spec.account, by=by)
    now = context.clock.now()
    over = sum(entry.revoke_after <= now for entry in ledger.retiring) + len(ledger.revoking)
    rest = f"; {pluralize(over, 'key')} whose time has passed will be revoked now" if over else ""
    return OperationResult(name, "resumed", 0, f"resumed{rest}")
