"""Holds an application, and resumes it."""

from __future__ import annotations

from datetime import datetime

from rotator.decision.transitions.hold import clear_hold, set_hold
from rotator.domain.ledger import Hold
from rotator.domain.spec import ApplicationSpec
from rotator.errors import RotatorError
from rotator.operations.commands.ledger_update import update_ledger
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import ReconcileContext
from rotator.util.formatting import format_time, pluralize


def hold(
    spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, reason: str, by: str, until: datetime | None = None
) -> OperationResult:
    """Pauses claims and revocations of the application until it is resumed, or until that time.
    Passes go on observing it."""
    name = spec.application
    try:
        ledger, written = update_ledger(
            spec, context, sleep, lambda ledger: set_hold(ledger, reason, by, context.clock.now(), until)
        )
    except RotatorError as error:
        return failed(name, error)
    if written:
        fields = {"reason": reason, "by": by, "until": until or ""}
        context.sink.emit("application.held", application=name, account=spec.account, **fields)
    found = ledger.hold or Hold(reason, by, context.clock.now(), until)
    first = "" if (found.reason, found.by) == (reason, by) else f" already, by {found.by} ({found.reason})"
    ends = f"{format_time(found.until)}, or: " if found.until else ": "
    message = f"held{first}: nothing is claimed or revoked until{' ' if found.until else ''}{ends}rotator resume {name}"
    return OperationResult(name, "held", 0, message, held_until=found.until)


def resume(spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, by: str) -> OperationResult:
    """Ends the hold. The next pass revokes keys whose grace ended meanwhile."""
    name = spec.application
    try:
        ledger, written = update_ledger(
            spec, context, sleep, lambda ledger: clear_hold(ledger, by, context.clock.now())
        )
    except RotatorError as error:
        return failed(name, error)
    if not written:
        return OperationResult(name, "resumed", 0, "was not held")
    context.sink.emit("application.resumed", application=name, account=spec.account, by=by)
    now = context.clock.now()
    over = sum(entry.revoke_after <= now for entry in ledger.retiring) + len(ledger.revoking)
    rest = f"; {pluralize(over, 'key')} whose time has passed will be revoked now" if over else ""
    return OperationResult(name, "resumed", 0, f"resumed{rest}")
