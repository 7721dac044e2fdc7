"""Collects incidents from ledgers and mass rotations. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rotator.domain.account import MassRotation
from rotator.domain.ledger import HistoryEntry, Incident, Ledger
from rotator.operations.incidents.report import ApplicationImpact, KeyRevocation


def impact_of(incident: Incident, ledger: Ledger) -> ApplicationImpact:
    """The impact of an incident on one application, from its ledger."""
    replaced = _replacement(incident, ledger.history)
    return ApplicationImpact(
        application=ledger.application,
        account=ledger.account,
        path=ledger.path,
        bearer=ledger.bearer,
        opened_at=incident.opened_at,
        closed_at=incident.closed_at,
        reason=incident.reason,
        by=incident.by,
        mode=incident.mode,
        revocations=tuple(_revocation(key, incident, ledger.history) for key in incident.access_keys),
        replacement=replaced.access_key if replaced else "",
        version=replaced.version if replaced else 0,
        replaced_at=replaced.at if replaced else None,
        purpose=ledger.current.purpose if ledger.current else "",
    )


def _replacement(incident: Incident, history: Sequence[HistoryEntry]) -> HistoryEntry | None:
    """The first key that was published between the mark and the end of the incident; None if no
    consumer read a compromised key."""
    end = incident.closed_at
    return next(
        (
            entry
            for entry in history
            if entry.event in ("rotated", "followed")
            and entry.at >= incident.opened_at
            and entry.access_key not in incident.access_keys
            and (end is None or entry.at <= end)
        ),
        None,
    )


def _revocation(access_key: str, incident: Incident, history: Sequence[HistoryEntry]) -> KeyRevocation:
    recorded = next((revocation for revocation in incident.revocations if revocation.access_key == access_key), None)
    if recorded is not None:
        return KeyRevocation(access_key, recorded.at, recorded.verification, recorded.destroyed, recorded.remark)
    entry = next(
        (
            entry
            for entry in history
            if entry.event == "revoked" and entry.access_key == access_key and entry.at >= incident.opened_at
        ),
        None,
    )
    return (
        KeyRevocation(access_key, entry.at, entry.reason.partition("; ")[2])
        if entry
        else KeyRevocation(access_key, None)
    )


def all_incidents(ledgers: Mapping[str, Ledger], masses: Sequence[MassRotation]) -> dict[str, list[ApplicationImpact]]:
    """All incidents by id, with the affected applications. A mass rotation without a compromise is
    none."""
    found: dict[str, list[ApplicationImpact]] = {mass.id: [] for mass in masses if mass.compromised}
    for _, ledger in sorted(ledgers.items()):
        for incident in ledger.incidents:
            found.setdefault(incident.id, []).append(impact_of(incident, ledger))
    return found
