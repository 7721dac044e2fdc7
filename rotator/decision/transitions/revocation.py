"""Schedules keys for revocation, and removes them after it is verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from rotator.decision.observation import DestroyedVersions
from rotator.decision.steps import Event
from rotator.domain.ledger import (
    HistoryEntry,
    Incident,
    Ledger,
    RevocationRecord,
    RevokingKey,
)


def is_verified_revoked(ledger: Ledger, access_key: str) -> bool:
    """Whether the history or an incident records the key as revoked: a compromised key is revoked
    before the ledger follows the document."""
    revoked = {entry.access_key for entry in ledger.history if entry.event == "revoked"}
    return access_key in revoked or any(
        record.access_key == access_key for incident in ledger.incidents for record in incident.revocations
    )


def revocation_scheduled(access_key: str, reason: str) -> Event:
    """The event of a key that is scheduled for revocation."""
    return Event("key.revocation_scheduled", {"access_key": access_key, "reason": reason})


def start_revocation(ledger: Ledger, access_key: str, version: int, reason: str) -> Ledger:
    """The ledger with the key moved into ``revoking``, which is final."""
    return replace(
        ledger,
        retiring=tuple(entry for entry in ledger.retiring if entry.access_key != access_key),
        revoking=(*ledger.revoking, RevokingKey(access_key, version, reason)),
    )


def mark_republished(ledger: Ledger, access_key: str) -> Ledger:
    """The ledger with a note that a person published a key again that is scheduled for
    revocation."""
    return replace(
        ledger,
        revoking=tuple(
            replace(entry, republished=True, not_before=None) if entry.access_key == access_key else entry
            for entry in ledger.revoking
        ),
    )


def finish_revocation(
    ledger: Ledger, revocations: Mapping[str, str], now: datetime, destroyed: Mapping[str, DestroyedVersions]
) -> tuple[Ledger, tuple[Event, ...]]:
    """The ledger without keys whose revocation is verified. ``revocations``: how; ``destroyed``:
    the stored secrets of compromised ones. Their marks are removed too; an incident records each
    key and closes with its last one."""
    entries = [entry for entry in ledger.revoking if entry.access_key in revocations]
    after = replace(
        ledger,
        revoking=tuple(entry for entry in ledger.revoking if entry.access_key not in revocations),
        compromised=tuple(mark for mark in ledger.compromised if mark.access_key not in revocations),
    ).with_history(
        *(
            HistoryEntry(
                now, "revoked", entry.access_key, entry.version, "", f"{entry.reason}; {revocations[entry.access_key]}"
            )
            for entry in entries
        )
    )
    events = [
        Event(
            "key.revoked",
            {"access_key": entry.access_key, "reason": entry.reason, "verification": revocations[entry.access_key]},
        )
        for entry in entries
    ]
    remaining = after.compromised_keys()
    incidents: list[Incident] = []
    for known in after.incidents:
        incident = known if known.closed_at else _with_revocations(known, revocations, now, destroyed)
        if incident.closed_at is None and not remaining & set(incident.access_keys):
            events.append(
                Event("compromise.contained", {"incident": incident.id, "access_keys": list(incident.access_keys)})
            )
            incidents.append(replace(incident, closed_at=now))
        else:
            incidents.append(incident)
    return replace(after, incidents=tuple(incidents)), tuple(events)


def _with_revocations(
    incident: Incident, revocations: Mapping[str, str], now: datetime, destroyed: Mapping[str, DestroyedVersions]
) -> Incident:
    fresh = tuple(
        RevocationRecord(access_key, now, revocations[access_key], what.versions, what.remark)
        for access_key, what in sorted(destroyed.items())
        if access_key in revocations and access_key in incident.access_keys
    )
    return replace(incident, revocations=(*incident.revocations, *fresh))
