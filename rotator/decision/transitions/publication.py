"""Records a published key, and creates the first ledger of an application."""

from __future__ import annotations

from dataclasses import replace

from rotator.decision.observation import Clocks
from rotator.decision.steps import Event
from rotator.decision.transitions.grace import grace_deadline, grace_started
from rotator.decision.transitions.revocation import is_verified_revoked, revocation_scheduled, start_revocation
from rotator.domain.document import CredentialDocument
from rotator.domain.keys import Key
from rotator.domain.ledger import (
    CurrentKey,
    HistoryEntry,
    Intent,
    Ledger,
    RetiringKey,
    RevokingKey,
)
from rotator.domain.marker import Marker, purpose_of
from rotator.domain.reasons import phase_of
from rotator.domain.spec import ApplicationSpec


def new_ledger(spec: ApplicationSpec) -> Ledger:
    """The first ledger of an application."""
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
    """The ledger with the published key as the current one (rule 6). The previous key starts its
    grace, is revoked at once if it is compromised, or is revoked already. An intent that created
    the published key is done; any other is abandoned. Keys in grace or revoking that were published
    ``meanwhile``, in versions that no pass observed, get a new grace (``more``: any of them may
    have been)."""
    access_key = document.published or ""
    since = document.created_time or clocks.ours
    events: list[Event] = []
    old, rotation_id = ledger.current, marker.rotation if marker else ""
    deadline = grace_deadline(spec, clocks, since)
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
            purpose=purpose_of(key.description)
            if key
            else (old.purpose if old and old.access_key == access_key else ""),
        ),
        retiring=tuple(
            replace(entry, revoke_after=max(entry.revoke_after, deadline))
            if _seen_again(entry, meanwhile, more)
            else entry
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
            {
                "rotated": "rotation.committed",
                "followed": "document.changed_externally",
                "adopted": "application.adopted",
            }[name],
            {"access_key": access_key, "version": document.version, "rotation_id": rotation_id, "reason": reason},
        )
    )
    if ledger.intent is not None and not done:
        events.append(_overtaken(ledger.intent))
    if old is not None and not ledger.is_revoking(old.access_key) and not is_verified_revoked(ledger, old.access_key):
        if old.access_key in ledger.compromised_keys():
            after = start_revocation(after, old.access_key, old.version, "compromised")
            events.append(revocation_scheduled(old.access_key, "compromised"))
        else:
            after = replace(
                after, retiring=(*after.retiring, RetiringKey(old.access_key, old.version, deadline, "replaced"))
            )
            events.append(grace_started(old.access_key, deadline, "replaced"))
    return after, tuple(events)


def _seen_again(entry: RetiringKey | RevokingKey, meanwhile: frozenset[str], more: bool) -> bool:
    """Whether consumers may have read the key after its entry was written. A key that no known
    version held is recognised only by ``meanwhile``."""
    return entry.access_key in meanwhile or (more and (isinstance(entry, RetiringKey) or entry.version > 0))


def _overtaken(intent: Intent) -> Event:
    return Event(
        "rotation.abandoned",
        {"rotation_id": intent.id, "reason": "overtaken", "message": "the document changed meanwhile"},
    )
