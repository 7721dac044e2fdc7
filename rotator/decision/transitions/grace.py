"""Starts, extends and ends the grace period of a replaced key."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rotator.decision.observation import Clocks, Observation
from rotator.decision.steps import Event
from rotator.domain.ledger import (
    HistoryEntry,
    Ledger,
    RetiringKey,
    RevokingKey,
)
from rotator.domain.spec import ApplicationSpec
from rotator.util.instants import clamp


def grace_deadline(spec: ApplicationSpec, clocks: Clocks, replaced_at: datetime | None = None) -> datetime:
    """How long a replaced key stays valid. The grace counts from the latest clock, or from the
    creation time of the version that replaced the key, whichever is later."""
    return max(replaced_at or clocks.latest, clocks.latest) + spec.grace


def grace_started(access_key: str, deadline: datetime, reason: str) -> Event:
    """The event of a grace period that starts."""
    return Event("key.grace_started", {"access_key": access_key, "revoke_after": deadline, "reason": reason})


def start_grace(
    ledger: Ledger, access_key: str, version: int, reason: str, spec: ApplicationSpec, observation: Observation
) -> tuple[Ledger, Event]:
    """The ledger with one more key in grace, from now: when it left the document is not
    recorded."""
    deadline = grace_deadline(spec, observation.clocks, observation.document.created_time)
    entry = RetiringKey(access_key, version, deadline, reason)
    return replace(ledger, retiring=(*ledger.retiring, entry)), grace_started(access_key, deadline, reason)


def extendable_keys(ledger: Ledger) -> tuple[RetiringKey | RevokingKey, ...]:
    """The keys with a deadline that are not compromised."""
    spared = [entry for entry in ledger.retiring if entry.access_key not in ledger.compromised_keys()]
    again = [
        entry
        for entry in ledger.revoking
        if entry.not_before is not None and entry.access_key not in ledger.compromised_keys()
    ]
    return (*spared, *again)


def extend_grace(ledger: Ledger, longer: timedelta, by: str, at: datetime, order: str = "") -> Ledger:
    """The ledger with each extendable deadline moved by ``longer``. The history records ``order``,
    by which the caller recognises its write."""
    keys = {entry.access_key for entry in extendable_keys(ledger)}
    return replace(
        ledger,
        retiring=tuple(
            replace(entry, revoke_after=clamp(entry.revoke_after + longer)) if entry.access_key in keys else entry
            for entry in ledger.retiring
        ),
        revoking=tuple(
            replace(entry, not_before=clamp(entry.not_before + longer))
            if entry.not_before and entry.access_key in keys
            else entry
            for entry in ledger.revoking
        ),
    ).with_history(*(HistoryEntry(at, "extended", key, rotation_id=order, reason=f"by {by}") for key in sorted(keys)))


def end_grace(ledger: Ledger, access_key: str, reason: str, by: str, clocks: Clocks) -> Ledger:
    """The ledger with the grace of this key ended on every clock; the next pass revokes it."""
    return replace(
        ledger,
        retiring=tuple(
            replace(entry, revoke_after=min(entry.revoke_after, clocks.earliest))
            if entry.access_key == access_key
            else entry
            for entry in ledger.retiring
        ),
    ).with_history(HistoryEntry(clocks.ours, "grace_ended", access_key, reason=f"{reason} ({by})"))
