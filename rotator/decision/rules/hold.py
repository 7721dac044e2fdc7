"""Ends a hold whose end has passed."""

from __future__ import annotations

from rotator.decision.state import ApplicationState
from rotator.decision.steps import Step, WriteLedger
from rotator.decision.transitions.hold import end_hold


def expire_hold(state: ApplicationState) -> Step | None:
    """Removes a hold from the ledger when its end has passed on every clock (rule 13). No other
    rule needs this write: none of them sees an expired hold."""
    if state.ledger.hold is None or state.on_hold:
        return None
    ledger, event = end_hold(state.ledger, state.now)
    return WriteLedger(ledger, (event,))
