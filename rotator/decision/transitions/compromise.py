"""Marks keys as compromised, and limits the incidents in a ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from rotator.domain.ledger import (
    INCIDENT_LIMIT,
    CompromisedKey,
    Incident,
    Ledger,
)


def mark_compromised(
    ledger: Ledger,
    access_keys: Iterable[str],
    *,
    reason: str,
    by: str,
    at: datetime,
    incident: str,
    mode: str,
    override_hold: bool = False,
) -> Ledger:
    """Marks these keys as compromised and abandons an open intent in one write, so that every later
    claim is newer than the mark. A key that is marked already keeps its mark, which can only get
    stricter."""
    keys, known = tuple(sorted(access_keys)), ledger.compromised_keys()
    return replace(
        ledger,
        compromised=(
            *(_sharper(mark, mode, override_hold) if mark.access_key in keys else mark for mark in ledger.compromised),
            *(CompromisedKey(key, reason, by, at, mode, incident, override_hold) for key in keys if key not in known),
        ),
        incidents=incidents_within_limit(
            (*ledger.incidents, Incident(incident, at, reason, by, keys, mode=mode, override_hold=override_hold))
        ),
        intent=None,
        not_before=None,
    )


def incidents_within_limit(incidents: tuple[Incident, ...]) -> tuple[Incident, ...]:
    """The incidents without the oldest closed ones beyond the limit. Open ones stay, however many:
    they are not contained yet."""
    surplus = len(incidents) - INCIDENT_LIMIT
    leaving = [incident.id for incident in incidents if incident.closed_at is not None][: max(0, surplus)]
    return tuple(incident for incident in incidents if incident.id not in leaving)


def _sharper(mark: CompromisedKey, mode: str, override_hold: bool) -> CompromisedKey:
    """The mark with the options of a later request: revoke first, or override a hold. Neither is
    withdrawn."""
    return replace(
        mark, mode=mode if mode == "revoke_first" else mark.mode, override_hold=mark.override_hold or override_hold
    )
