"""Revokes compromised keys: the first rule that acts on keys (rule 9 of the protocol)."""

from __future__ import annotations

from rotator.decision.classification import Disposition
from rotator.decision.rules.document import configuration_moved, document_stale, document_unreadable, document_unusable
from rotator.decision.rules.revocation import _verify, finalize_revocations
from rotator.decision.state import ApplicationState
from rotator.decision.steps import (
    CheckPreconditions,
    DeleteKey,
    FenceDocument,
    Step,
    WriteLedger,
)
from rotator.decision.transitions.revocation import revocation_scheduled, start_revocation


def contain_compromised(state: ApplicationState) -> Step | None:
    """Revokes compromised keys that are certainly unpublished, before any other rule (rule 9). It
    works without a trusted document: otherwise a writer of the document could disable
    containment."""
    ledger, fence = state.ledger, None
    if ledger.account != state.spec.account:
        return None  # another account does not have these keys
    for mark in ledger.compromised:
        key, access_key = state.observation.key(mark.access_key), mark.access_key
        revoke_first = mark.mode == "revoke_first"
        readable = access_key == state.published or access_key in state.keys_in_other_fields
        if not (state.surely_unpublished(access_key) or (readable and revoke_first)):
            continue
        if access_key in state.observation.foreign:
            continue
        if state.blocked_by_hold(access_key) or (access_key in ledger.published_elsewhere() and not revoke_first):
            continue
        if key is not None and not key.revocable:
            continue
        if not ledger.is_revoking(access_key):
            if access_key == state.published and not replaceable(state):
                continue
            if access_key == state.published and state.observation.preconditions is None:
                return CheckPreconditions(urgent=True, revoke_first=True)
            if _is_possibly_pending(state, access_key) or _may_be_made_for_the_document(state, access_key):
                fence = FenceDocument()  # after what needs none: the write may be refused
                continue
            return WriteLedger(
                start_revocation(ledger, access_key, _version_of(state, access_key), "compromised"),
                (revocation_scheduled(access_key, "compromised"),),
            )
        if not {access_key} & (
            state.observation.deleted | state.observation.revoked.keys() | state.observation.undeletable.keys()
        ):
            return DeleteKey(access_key, "compromised", even_if_published=revoke_first)
    if fence is not None and not state.observation.fence_refused:
        return fence
    if (state.urgent_mode or state.observation.in_flight) and acting_forbidden(state) is None:
        return None  # consumers and a secret in memory come first; verifications later
    return finalize_revocations(state) or _verify(state, state.ledger.compromised_keys())


def replaceable(state: ApplicationState) -> bool:
    """Whether no known obstacle prevents the replacement of the published key, so that it may be
    revoked first (rule 8). A full quota is none: deleting the key frees its place."""
    asked = state.observation.preconditions
    refused = asked is not None and bool(asked.missing_capabilities or asked.bearer_missing)
    return not refused and state.spec.configured and (acting_forbidden(state) or document_unusable(state)) is None


def acting_forbidden(state: ApplicationState) -> Step | None:
    """What prevents a rotation of this application, whatever the state of its keys."""
    return configuration_moved(state) or document_unreadable(state) or document_stale(state)


def _is_possibly_pending(state: ApplicationState, access_key: str) -> bool:
    """Whether a process may hold the secret of a marked key with a marker and publish it, deleted
    or not, unless the document gets a new version."""
    return _can_be_fenced(state, access_key) and any(
        key.access_key == access_key and state.disposition(key, marker) is Disposition.POSSIBLE
        for key, marker in state.tagged_keys
    )


def _may_be_made_for_the_document(state: ApplicationState, access_key: str) -> bool:
    """Whether a marked key may have been created upon the present version of the document, whatever
    its marker says: a person may have edited the description, and a new key is not shown at once.

    What the version publishes existed before it, so a key that is older than that one was not. If
    the fence is refused, the key is revoked without one: most likely no process holds its secret.
    """
    document, fence = state.observation.document, state.observation.fence
    fenced = fence is not None and fence.version <= document.version and access_key in fence.compromised
    if fenced or state.observation.fence_refused or state.was_published(access_key):
        return False
    key, published = state.observation.key(access_key), state.observation.key(state.published)
    younger = key is None or published is None or key.created_at >= published.created_at
    return younger and _can_be_fenced(state, access_key)


def _can_be_fenced(state: ApplicationState, access_key: str) -> bool:
    """Whether a fence would keep this key from being published, and overwrites nothing that a
    person has to look at: a document in doubt stays as it is."""
    in_flight = state.observation.in_flight
    held = in_flight and in_flight.key and in_flight.key.access_key == access_key and not in_flight.publish_sent
    return state.observation.document.can_be_fenced and not state.document_in_doubt and not held


def _version_of(state: ApplicationState, access_key: str) -> int:
    ledger = state.ledger
    if state.published == access_key:
        return state.observation.document.version
    if ledger.current and ledger.current.access_key == access_key:
        return ledger.current.version
    return next((entry.version for entry in ledger.retiring if entry.access_key == access_key), 0)
