"""The changes that a ledger can go through, each as a pure function from one ledger to the next.

They are the only places that build ledgers. Which one applies is for ``rotator.decision.decide``;
check-and-set makes it take effect only if no other actor was faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.decision.observation import Clocks, DestroyedVersions, Observation
from rotator.decision.steps import Event
from rotator.domain.document import CredentialDocument
from rotator.domain.keys import Key
from rotator.domain.ledger import (
    INCIDENT_LIMIT,
    CompromisedKey,
    CurrentKey,
    HistoryEntry,
    Hold,
    Incident,
    Intent,
    Ledger,
    Problem,
    RetiringKey,
    RevocationRecord,
    RevokingKey,
)
from rotator.domain.marker import Marker, purpose_of
from rotator.domain.reasons import phase_of
from rotator.domain.spec import ApplicationSpec
from rotator.util.backoff import backoff
from rotator.util.instants import clamp

BACKOFF = (timedelta(seconds=30), timedelta(hours=1))
"""Shortest and longest pause after failed attempts of an ordinary rotation."""

URGENT_BACKOFF = (timedelta(seconds=1), timedelta(seconds=30))
"""The same while consumers are in danger or down."""


def new_ledger(spec: ApplicationSpec) -> Ledger:
    """The ledger of an application that Vault has none for yet."""
    return Ledger(
        application=spec.application,
        account=spec.account,
        bearer=spec.bearer,
        path=spec.path,
        access_field=spec.access_field,
        secret_field=spec.secret_field,
        grace=spec.grace,
        verification=spec.verification,
        emergency_verification=spec.emergency_verification,
    )


def commit_published(
    ledger: Ledger,
    document: CredentialDocument,
    key: Key | None,
    marker: Marker | None,
    spec: ApplicationSpec,
    clocks: Clocks,
    meanwhile: frozenset[str] = frozenset(),
    *,
    more: bool = False,
) -> tuple[Ledger, tuple[Event, ...]]:
    """The ledger after the published key became the current one (rule 6). The old current one
    starts its grace, is revoked at once if it is compromised, or is revoked already; an intent that
    made the published key is done, any other is abandoned. Keys in grace or revoking that were
    published ``meanwhile``, in versions that no pass observed, get their grace anew (``more``: any
    may have been)."""
    access_key = document.published or ""
    since = document.created_time or clocks.ours
    events: list[Event] = []
    old, rotation_id = ledger.current, marker.rotation if marker else ""
    deadline = max(since, clocks.latest) + spec.grace
    after = replace(
        ledger,
        access_field=spec.access_field,
        secret_field=spec.secret_field,
        current=CurrentKey(
            access_key=access_key,
            version=document.version,
            since=old.since if old and old.access_key == access_key else since,
            created_at=key.created_at if key else (old.created_at if old and old.access_key == access_key else None),
            expires_at=key.expires_at if key else (old.expires_at if old and old.access_key == access_key else None),
            written=document.created_time,
            purpose=purpose_of(key.description) if key else (old.purpose if old and old.access_key == access_key else ""),
        ),
        retiring=tuple(
            replace(entry, revoke_after=max(entry.revoke_after, deadline)) if _seen_again(entry, meanwhile, more) else entry
            for entry in ledger.retiring
            if entry.access_key != access_key
        ),
        revoking=tuple(
            replace(entry, republished=True, not_before=deadline)
            if _seen_again(entry, meanwhile, more) or (entry.republished and entry.not_before is None)
            else entry
            for entry in ledger.revoking
        ),
        intent=None,
    )
    if old is not None and old.access_key == access_key:
        events.append(Event("document.rewritten", {"access_key": access_key, "version": document.version}))
        if ledger.intent is not None:
            events.append(_overtaken(ledger.intent))
        return after, tuple(events)
    done = ledger.intent is not None and marker is not None and ledger.intent.id == marker.rotation
    reason = ledger.intent.reason if done and ledger.intent else ("document changed" if old else "taken over")
    name = "rotated" if marker and (done or old) else ("followed" if old else "adopted")
    if ledger.problem is not None and phase_of(ledger.problem.reason) == "blocked":
        events.append(Event("application.recovered", {"reason": ledger.problem.reason}))
    after = replace(after, failures=0, not_before=None, problem=None).with_history(
        HistoryEntry(clocks.ours, name, access_key, document.version, rotation_id, reason)
    )
    events.append(
        Event(
            {"rotated": "rotation.committed", "followed": "document.changed_externally", "adopted": "application.adopted"}[name],
            {"access_key": access_key, "version": document.version, "rotation_id": rotation_id, "reason": reason},
        )
    )
    if ledger.intent is not None and not done:
        events.append(_overtaken(ledger.intent))
    if old is not None and not ledger.is_revoking(old.access_key) and not is_verified_revoked(ledger, old.access_key):
        if old.access_key in ledger.compromised_keys():
            after = start_revocation(after, old.access_key, old.version, "compromised")
            events.append(Event("key.revocation_scheduled", {"access_key": old.access_key, "reason": "compromised"}))
        else:
            after = replace(after, retiring=(*after.retiring, RetiringKey(old.access_key, old.version, deadline, "replaced")))
            events.append(_retiring(old.access_key, deadline, "replaced"))
    return after, tuple(events)


def _seen_again(entry: RetiringKey | RevokingKey, meanwhile: frozenset[str], more: bool) -> bool:
    """Whether consumers may have read the key after it was entered. What no version ever held is only told by being seen."""
    return entry.access_key in meanwhile or (more and (isinstance(entry, RetiringKey) or entry.version > 0))


def is_verified_revoked(ledger: Ledger, access_key: str) -> bool:
    """Whether the key is revoked already: a compromised one does not wait for the ledger to follow
    the document."""
    return any(entry.event == "revoked" and entry.access_key == access_key for entry in ledger.history)


def _overtaken(intent: Intent) -> Event:
    return Event(
        "rotation.abandoned", {"rotation_id": intent.id, "reason": "overtaken", "message": "the document changed meanwhile"}
    )


def _retiring(access_key: str, deadline: datetime, reason: str) -> Event:
    return Event("key.grace_started", {"access_key": access_key, "revoke_after": deadline, "reason": reason})


def start_grace(
    ledger: Ledger, access_key: str, version: int, reason: str, spec: ApplicationSpec, observation: Observation
) -> tuple[Ledger, Event]:
    """The ledger with one more key in grace, counted from now: it is not recorded when it left the
    document."""
    deadline = max(observation.document.created_time or observation.clocks.latest, observation.clocks.latest) + spec.grace
    entry = RetiringKey(access_key, version, deadline, reason)
    return replace(ledger, retiring=(*ledger.retiring, entry)), _retiring(access_key, deadline, reason)


def start_revocation(ledger: Ledger, access_key: str, version: int, reason: str) -> Ledger:
    """The ledger with the key moved into ``revoking``, from where nothing comes back."""
    return replace(
        ledger,
        retiring=tuple(entry for entry in ledger.retiring if entry.access_key != access_key),
        revoking=(*ledger.revoking, RevokingKey(access_key, version, reason)),
    )


def mark_republished(ledger: Ledger, access_key: str) -> Ledger:
    """The ledger with a note that a person published a key again that is scheduled for revocation."""
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
    """The ledger without keys whose revocation is verified; ``revocations`` says how, ``destroyed``
    what became of the secrets of compromised ones. Their marks leave with them, and an incident
    records each and closes with its last key."""
    entries = [entry for entry in ledger.revoking if entry.access_key in revocations]
    after = replace(
        ledger,
        revoking=tuple(entry for entry in ledger.revoking if entry.access_key not in revocations),
        compromised=tuple(mark for mark in ledger.compromised if mark.access_key not in revocations),
    ).with_history(
        *(
            HistoryEntry(now, "revoked", entry.access_key, entry.version, "", f"{entry.reason}; {revocations[entry.access_key]}")
            for entry in entries
        )
    )
    events = [
        Event(
            "key.revoked", {"access_key": entry.access_key, "reason": entry.reason, "verification": revocations[entry.access_key]}
        )
        for entry in entries
    ]
    remaining = after.compromised_keys()
    incidents: list[Incident] = []
    for known in after.incidents:
        incident = known if known.closed_at else _with_revocations(known, revocations, now, destroyed)
        if incident.closed_at is None and not remaining & set(incident.access_keys):
            events.append(Event("compromise.contained", {"incident": incident.id, "access_keys": list(incident.access_keys)}))
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


def abandon_rotation(ledger: Ledger, spec: ApplicationSpec, now: datetime, *, failed: bool, problem: Problem | None) -> Ledger:
    """The ledger without its intent. A failure counts, and asks for a backoff that grows with each
    one, spread by chance that is fixed by the rotation's id."""
    intent = ledger.intent
    if not failed or intent is None:
        return replace(ledger, intent=None)
    shortest, longest = URGENT_BACKOFF if intent.mode.urgent else BACKOFF
    if spec.every is not None:
        shortest = min(shortest, max(spec.every / 10, timedelta(seconds=1)))
    failures = ledger.failures + 1
    pause = backoff(failures, spec.application, intent.id, base=shortest, cap=longest)
    after = replace(ledger, intent=None, failures=failures, not_before=now + pause, problem=problem)
    reason = problem.reason if problem else ""
    return after.with_history(HistoryEntry(now, "abandoned", "", intent.base, intent.id, reason))


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
    """The ledger with these keys marked compromised and any open intent abandoned, in one write, so that every later claim is
    known to be newer than the mark. A key that is marked already keeps its first mark, which only ever becomes sharper."""
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
    """The incidents without the oldest closed ones beyond the limit. An open one stays, however many there are: what it is about is
    still to be contained."""
    surplus = len(incidents) - INCIDENT_LIMIT
    leaving = [incident.id for incident in incidents if incident.closed_at is not None][: max(0, surplus)]
    return tuple(incident for incident in incidents if incident.id not in leaving)


def _sharper(mark: CompromisedKey, mode: str, override_hold: bool) -> CompromisedKey:
    """The mark, with what a later order adds: to revoke first, or to go through a hold. Neither is ever taken back."""
    return replace(mark, mode=mode if mode == "revoke_first" else mark.mode, override_hold=mark.override_hold or override_hold)


# --- what people order ----------------------------------------------------------------------------------------------------


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


def extendable_keys(ledger: Ledger) -> tuple[RetiringKey | RevokingKey, ...]:
    """The keys that stay valid until a time, and that are not marked compromised."""
    spared = [entry for entry in ledger.retiring if entry.access_key not in ledger.compromised_keys()]
    again = [
        entry for entry in ledger.revoking if entry.not_before is not None and entry.access_key not in ledger.compromised_keys()
    ]
    return (*spared, *again)


def extend_grace(ledger: Ledger, longer: timedelta, by: str, at: datetime, order: str = "") -> Ledger:
    """The ledger in which every key that stays valid until a time does so that much longer. The
    history names the ``order``, so that its caller finds out whether it was written."""
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
    """The ledger in which the grace of this key is over by every clock: the next pass revokes it."""
    return replace(
        ledger,
        retiring=tuple(
            replace(entry, revoke_after=min(entry.revoke_after, clocks.earliest)) if entry.access_key == access_key else entry
            for entry in ledger.retiring
        ),
    ).with_history(HistoryEntry(clocks.ours, "grace_ended", access_key, reason=f"{reason} ({by})"))
