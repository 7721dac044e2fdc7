"""The ledger with and without an operator's hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotator.domain.ledger import (
    HistoryEntry,
    Hold,
    Ledger,
)


def set_hold(ledger: Ledger, reason: str, by: str, at: datetime) -> Ledger:
    """The ledger with an operator's hold; a hold that is there already stays as it is."""
    if ledger.hold is not None:
        return ledger
    entry = HistoryEntry(at, "held", "", reason=f"{reason} ({by})")
    return replace(ledger, hold=Hold(reason, by, at)).with_history(entry)


def clear_hold(ledger: Ledger, by: str, at: datetime) -> Ledger:
    """The ledger without the hold."""
    if ledger.hold is None:
        return ledger
    return replace(ledger, hold=None).with_history(HistoryEntry(at, "resumed", "", reason=f"by {by}"))
