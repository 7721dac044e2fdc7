"""Ends grace periods: schedules replaced keys for revocation after their deadline (rules 8 and
13)."""

from __future__ import annotations

from rotator.decision.state import ApplicationState
from rotator.decision.steps import (
    Step,
    WriteLedger,
)
from rotator.decision.transitions.revocation import revocation_scheduled, start_revocation


def expire_grace_periods(state: ApplicationState) -> Step | None:
    """Schedules a retiring key for revocation when its deadline has passed on every clock (rules 8,
    13)."""
    if state.on_hold or not state.trusted_clocks or state.urgent_mode:
        return None  # while consumers are at risk, a valid key may be their only one
    for entry in state.ledger.retiring:
        key = state.observation.key(entry.access_key)
        if entry.access_key == state.published or (key is not None and not key.revocable):
            continue
        if entry.access_key in state.ledger.published_elsewhere():
            continue
        if state.observation.clocks.passed(entry.revoke_after):
            ledger = start_revocation(state.ledger, entry.access_key, entry.version, entry.reason)
            return WriteLedger(ledger, (revocation_scheduled(entry.access_key, "grace ended"),))
    return None
