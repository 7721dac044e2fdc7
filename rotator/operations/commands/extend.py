"""Extends the grace of an application's keys, for consumers that still use them."""

from __future__ import annotations

from datetime import datetime, timedelta

from rotator.decision.transitions.grace import extend_grace, extendable_keys
from rotator.domain.ledger import Ledger, RetiringKey
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Refused, RotatorError
from rotator.operations.commands.ledger_update import update_ledger
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import ReconcileContext
from rotator.util.formatting import format_span, format_time


def extend(
    spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, longer: timedelta, by: str
) -> OperationResult:
    """Extends the deadline of each key in grace of the application. Compromised keys keep theirs.
    An extension that would end in the past is refused: the key would be revoked all the same."""
    name, order = spec.application, context.clock.token()

    def change(ledger: Ledger) -> Ledger:
        if any(entry.event == "extended" and entry.rotation_id == order for entry in ledger.history):
            return ledger  # a write with a lost answer has extended it already
        if not extendable_keys(ledger):
            raise Refused(_nothing_to_extend(name, ledger))
        clocks = context.clocks()
        for access_key, deadline in _deadlines(ledger).items():
            if clocks.passed(deadline + longer):
                raise Refused(
                    f"nothing was extended: the grace of {access_key} of {name} ended at {format_time(deadline)}, so "
                    f"{format_span(longer)} more would be over already; extend by more than "
                    f"{format_span(clocks.earliest - deadline)}"
                )
        return extend_grace(ledger, longer, by, clocks.ours, order)

    try:
        ledger, _ = update_ledger(spec, context, sleep, change)
    except RotatorError as error:
        return failed(name, error)
    until = _deadlines(ledger)
    for access_key, deadline in until.items():
        context.sink.emit(
            "grace.extended",
            application=name,
            account=spec.account,
            access_key=access_key,
            revoke_after=deadline,
            by=by,
        )
    text = "; ".join(
        f"{access_key} is now valid until {format_time(deadline)}" for access_key, deadline in until.items()
    )
    return OperationResult(name, "extended", 0, text, until=until)


def _deadlines(ledger: Ledger) -> dict[str, datetime]:
    """The deadline of each key that can be extended."""
    found: dict[str, datetime] = {}
    for entry in extendable_keys(ledger):
        deadline = entry.revoke_after if isinstance(entry, RetiringKey) else entry.not_before
        if deadline is not None:
            found[entry.access_key] = deadline
    return found


def _nothing_to_extend(name: str, ledger: Ledger) -> str:
    revoking = sorted({entry.access_key for entry in ledger.revoking} | ledger.compromised_keys())
    if revoking:
        return (
            f"{', '.join(revoking)} of {name} cannot be extended any more: scheduled for revocation or compromised, "
            "not in grace"
        )
    return f"{name} has no key in grace, so there is nothing to extend"
