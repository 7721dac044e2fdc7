"""Sets and clears an operator's hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotator.decision.steps import Event
from rotator.domain.ledger import HistoryEntry, Hold, Ledger, stronger_hold


def set_hold(ledger: Ledger, reason: str, by: str, at: datetime, until: datetime | None = None) -> Ledger:
    """The ledger with a hold. An existing one stays, unless it ends sooner than this one."""
    wanted = Hold(reason, by, at, until)
    if stronger_hold(ledger.hold, wanted) == ledger.hold:
        return ledger
    return replace(ledger, hold=wanted).with_history(HistoryEntry(at, "held", "", reason=f"{reason} ({by})"))


def clear_hold(ledger: Ledger, by: str, at: datetime) -> Ledger:
    """The ledger without the hold."""
    if ledger.hold is None:
        return ledger
    return replace(ledger, hold=None).with_history(HistoryEntry(at, "resumed", "", reason=f"by {by}"))


def end_hold(ledger: Ledger, hold: Hold, at: datetime) -> tuple[Ledger, Event]:
    """The ledger without its expired hold."""
    entry = HistoryEntry(at, "resumed", "", reason=f"the hold of {hold.by} has ended")
    event = Event("application.hold_ended", {"until": hold.until, "reason": hold.reason, "by": hold.by})
    return replace(ledger, hold=None).with_history(entry), event
