"""Ends a hold whose end has passed."""

from __future__ import annotations

from rotator.decision.state import ApplicationState
from rotator.decision.steps import Step, WriteLedger
from rotator.decision.transitions.hold import end_hold


def expire_hold(state: ApplicationState) -> Step | None:
    """Removes a hold from the ledger when its end has passed on every clock (rule 13). No other
    rule needs this write: none of them sees an expired hold."""
    hold = state.ledger.hold
    if hold is None or state.on_hold:
        return None
    ledger, event = end_hold(state.ledger, hold, state.now)
    return WriteLedger(ledger, (event,))
