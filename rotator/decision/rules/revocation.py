"""Deletes keys, verifies their revocation, and classifies keys that the ledger does not name (rules
7 and 8)."""

from __future__ import annotations

from rotator.decision.classification import Disposition
from rotator.decision.state import ApplicationState
from rotator.decision.steps import (
    DeleteKey,
    DestroyVersions,
    Event,
    ReadVersions,
    Step,
    VerifyRevocation,
    WriteLedger,
)
from rotator.decision.transitions.grace import start_grace
from rotator.decision.transitions.revocation import finish_revocation, revocation_scheduled, start_revocation


def finalize_revocations(state: ApplicationState) -> Step | None:
    """Removes keys with verified revocation from the ledger, with their marks (rules 8, 9), unless
    consumers read them. First destroys the versions of the document with the secret of a
    compromised key, after they were used to classify unnamed keys (rule 7)."""
    revoked = [
        entry
        for entry in state.ledger.revoking
        if entry.access_key in state.observation.revoked and entry.access_key != state.published
    ]
    if not revoked:
        return None
    for entry in revoked:
        if entry.access_key in state.ledger.compromised_keys() - state.observation.destroyed.keys():
            return classify_unaccounted_keys(state) or DestroyVersions(entry.access_key, entry.version)
    revocations = {entry.access_key: state.observation.revoked[entry.access_key] for entry in revoked}
    return WriteLedger(*finish_revocation(state.ledger, revocations, state.now, state.observation.destroyed))


def delete_revoking_keys(state: ApplicationState) -> Step | None:
    """Deletes the keys in ``revoking``, which are never reinstated (rule 8)."""
    if state.on_hold:
        return None
    for entry in state.ledger.revoking:
        done = entry.access_key in state.observation.deleted or entry.access_key in state.observation.undeletable
        if not done and state.may_delete(entry):
            return DeleteKey(entry.access_key, entry.reason)
    return None


def verify_revocations(state: ApplicationState) -> Step | None:
    """Verifies deleted keys: they are revoked when the provider rejects them (rule 8)."""
    return _verify(state, state.observation.deleted)


def _verify(state: ApplicationState, among: frozenset[str]) -> Step | None:
    for entry in state.ledger.revoking:
        if (
            entry.access_key
            in (among & state.observation.deleted) - set(state.observation.revoked) - state.observation.still_valid
        ):
            return VerifyRevocation(
                entry.access_key, entry.version, entry.access_key in state.ledger.compromised_keys()
            )
    return None


def classify_unaccounted_keys(state: ApplicationState) -> Step | None:
    """Schedules orphaned keys for revocation and gives a grace period to published ones that the
    ledger does not name (rule 7)."""
    if state.on_hold:
        return None
    if state.unobserved_versions:
        return ReadVersions(state.unobserved_versions)
    for key, marker in state.unaccounted_keys:
        verdict = state.disposition(key, marker)
        if verdict is Disposition.ORPHANED:
            events = (
                Event("key.orphan_found", {"access_key": key.access_key, "rotation_id": marker.rotation}),
                revocation_scheduled(key.access_key, "leftover"),
            )
            return WriteLedger(start_revocation(state.ledger, key.access_key, 0, "leftover"), events)
        if verdict in (Disposition.PUBLISHED, Disposition.ASSUMED):
            version = marker.base + 1 if verdict is Disposition.PUBLISHED else 0
            ledger, event = start_grace(
                state.ledger, key.access_key, version, verdict.value, state.spec, state.observation
            )
            return WriteLedger(ledger, (event,))
    return None
