"""The history of an application's keys, from its ledger and from Vault's versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rotator.domain.ledger import Ledger
from rotator.domain.ports import DocumentVersion
from rotator.errors import Refused, ServiceError, Unavailable
from rotator.operations.ledgers import read_whole_ledger
from rotator.operations.runtime import Runtime, select_applications


@dataclass(frozen=True)
class HistoryItem:
    """One event. ``source`` is ``ledger``, or ``vault`` for what only Vault's versions show."""

    at: datetime
    event: str
    access_key: str = ""
    version: int = 0
    rotation_id: str = ""
    reason: str = ""
    source: str = "ledger"


@dataclass(frozen=True)
class History:
    """All events, oldest first. ``problem`` says why Vault's versions are missing, if they are."""

    name: str
    entries: tuple[HistoryItem, ...]
    problem: str = ""


def read_history(runtime: Runtime, application: str) -> History:
    """The history of the keys of that application."""
    problem = ""
    [spec] = select_applications(runtime, [application])
    ledger = (
        read_whole_ledger(spec, runtime.context(spec)) if spec.configured else runtime.vault.read_ledger(application)[0]
    )
    versions: Sequence[DocumentVersion] = ()
    try:
        versions = runtime.vault.list_versions(spec.path)
    except Unavailable:
        raise
    except ServiceError as error:
        problem = str(error)
    if ledger is None and not versions and not problem:
        raise Refused(f"{application} has no history yet: neither a ledger nor a credential document")
    return History(application, tuple(history_as_json(ledger, versions)), problem)


def history_as_json(ledger: Ledger | None, versions: Sequence[DocumentVersion]) -> list[HistoryItem]:
    """All events, oldest first. A version of the document that an entry of the ledger explains is
    listed once."""
    entries = [
        HistoryItem(entry.at, entry.event, entry.access_key, entry.version, entry.rotation_id, entry.reason)
        for entry in (ledger.history if ledger else ())
    ]
    explained = {entry.version for entry in entries if entry.event in ("rotated", "adopted", "followed")}
    for version in versions:
        if version.version not in explained:
            reason = "no longer readable" if version.deleted else ""
            entries.append(
                HistoryItem(version.created_time, "written", version=version.version, reason=reason, source="vault")
            )
    for incident in ledger.incidents if ledger else ():
        keys = ", ".join(incident.access_keys)
        entries.append(
            HistoryItem(incident.opened_at, "emergency", keys, reason=f"{incident.reason}, by {incident.by}")
        )
        if incident.closed_at:
            entries.append(HistoryItem(incident.closed_at, "contained", keys))
    return sorted(entries, key=lambda entry: entry.at)
