"""Ends a hold whose time is over."""

from __future__ import annotations

from rotator.decision.state import ApplicationState
from rotator.decision.steps import Step, WriteLedger
from rotator.decision.transitions.hold import end_hold


def expire_hold(state: ApplicationState) -> Step | None:
    """A hold whose end every clock has passed leaves the ledger (rule 13). No other rule needs this
    write: none of them sees a hold that is over."""
    if state.ledger.hold is None or state.on_hold:
        return None
    ledger, event = end_hold(state.ledger, state.now)
    return WriteLedger(ledger, (event,))
