"""The rules that start a rotation, urgently or by schedule, and the one that cleans up after failed
rotations when no other follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotator.decision.blocking import block, uncontained
from rotator.decision.classification import Disposition
from rotator.decision.rules.document import bearer_gone
from rotator.decision.state import MAX_SCHEDULED_LIVE_KEYS, RETRY_INTERVAL, ApplicationState
from rotator.decision.steps import CheckPreconditions, Event, FenceDocument, Step, WriteLedger
from rotator.decision.transitions.rotation import abandon_rotation
from rotator.domain.ledger import Intent, RotationMode
from rotator.domain.marker import incarnation_of
from rotator.domain.reasons import Reason
from rotator.util.formatting import format_time


def rotate_urgently(state: ApplicationState) -> Step | None:
    """Rotates first if the published key is compromised, revoking or revoked."""
    mode = state.urgent_mode
    if mode is None or state.blocked_by_hold(state.published) or not state.spec.configured:
        return None
    if state.in_backoff or _claimed_by_another(state) or _must_free_quota_first(state):
        return None
    reasons = {mark.access_key: mark.reason for mark in state.ledger.compromised}
    return claim_rotation(state, mode, reasons.get(state.published or "", "the published key is invalid"))


def _must_free_quota_first(state: ApplicationState) -> bool:
    """Whether there are so many keys that deletable ones must go before an emergency creates
    another."""
    if state.live_key_count < state.spec.max_live_keys or state.on_hold:
        return False  # under a hold they cannot be deleted
    going = [
        entry.access_key
        for entry in state.ledger.revoking
        if entry.access_key not in state.observation.undeletable and state.may_delete(entry)
    ]
    leftovers = [
        key for key, marker in state.unaccounted_keys if state.disposition(key, marker) is Disposition.ORPHANED
    ]
    return bool(
        state.unobserved_versions or leftovers or any(state.observation.key(access_key) for access_key in going)
    )


def _claimed_by_another(state: ApplicationState) -> bool:
    intent = state.ledger.intent
    return intent is not None and state.now < state.takeover_at(intent)


def rotate_when_due(state: ApplicationState) -> Step | None:
    """Starts a rotation for a first key, a takeover, an operator's request, or the schedule."""
    if state.on_hold or _claimed_by_another(state):
        return None
    wanted = _wanted(state) if state.spec.configured else None
    if wanted is None:
        return _drop_stale_intent(state)
    return None if state.in_backoff else claim_rotation(state, *wanted)


def _drop_stale_intent(state: ApplicationState) -> Step | None:
    """Drops the intent of a rotation that no reason requests any more, instead of taking it
    over."""
    intent = state.ledger.intent
    if intent is None or (state.urgent_mode and state.spec.configured):
        return None
    event = Event(
        "rotation.abandoned", {"rotation_id": intent.id, "reason": "stale", "message": "nothing asks for it any more"}
    )
    return WriteLedger(abandon_rotation(state.ledger, state.spec, state.now, failed=False, problem=None), (event,))


def renew_expiring_document(state: ApplicationState) -> Step | None:
    """Rewrites a document whose versions expire, unchanged, after half of their time. Claims no
    rotation on it: the next version would expire too (rule 11)."""
    document = state.observation.document
    if document.expires_at is None or document.created_time is None or not state.spec.configured:
        return None
    half = document.created_time + (document.expires_at - document.created_time) / 2
    renew = state.observation.clocks.vault >= half and document.secret is not None
    if renew and not state.on_hold and not _claimed_by_another(state) and state.ledger_in_sync:
        return FenceDocument()
    return block(
        state,
        Reason.DOCUMENT_EXPIRES,
        f"version {document.version} of the credential document of {state.spec.application} expires at"
        f" {format_time(document.expires_at)}",
        until=max(half, state.now + RETRY_INTERVAL) if renew else state.observation.clocks.ours_at(half),
    )


def fence_pending_keys(state: ApplicationState) -> Step | None:
    """Fences keys that a failed attempt may have left behind, so that they do not stay valid until
    the next rotation: a new document version makes a possibly orphaned key certainly orphaned (rule
    7, second shortcut; I4)."""
    at = fence_due_at(state)
    return FenceDocument() if at is not None and state.observation.clocks.passed(at) and not state.in_backoff else None


def fence_due_at(state: ApplicationState) -> datetime | None:
    """When no process can still be at a rotation that may have left a key behind; None if no such
    key is left, or if another rotation will add a version."""
    quiet = state.ledger.intent is None and state.urgent_mode is None and not state.on_hold
    if not (quiet and state.spec.configured and _can_fence(state)):
        return None
    return (
        min(key.created_at for key in state.observation.keys if key.access_key in state.possibly_pending)
        + state.spec.stale_claim_timeout
    )


def _wanted(state: ApplicationState) -> tuple[RotationMode, str] | None:
    request, intent = state.observation.request, state.ledger.intent
    if request is not None and state.published == request.replaces:
        return request.mode, request.reason
    if intent is not None and not intent.mode.urgent:
        return intent.mode, intent.reason
    if state.published is None:
        return RotationMode.SCHEDULED, "first key"
    scheduled = state.scheduled_rotation
    if scheduled is not None and state.observation.clocks.passed(scheduled.at):
        return RotationMode.SCHEDULED, scheduled.reason
    return None


def claim_rotation(state: ApplicationState, mode: RotationMode, reason: str) -> Step:
    """Claims the rotation (rule 2), or blocks with the reason why that is unsafe."""
    observation, name, request = state.observation, state.spec.application, state.observation.request
    if state.published is None and len(state.possibly_pending) >= 2:
        return block(
            state,
            Reason.ORPHAN_AMBIGUOUS,
            f"two attempts to make the first key of {name} may have left keys behind "
            f"({', '.join(state.possibly_pending)})",
        )
    if mode.urgent and state.live_key_count >= state.spec.max_live_keys and _can_fence(state):
        return FenceDocument()  # an emergency does not wait, but attempts with lost answers must not fill the account
    crowded = state.live_key_count >= (state.spec.max_live_keys if request else MAX_SCHEDULED_LIVE_KEYS)
    if crowded and not mode.urgent:
        return _make_room(state, Reason.TOO_MANY_KEYS, f"{name} has {state.live_key_count} valid keys already")
    if observation.preconditions is None:
        return CheckPreconditions(mode.urgent)
    if observation.preconditions.missing_capabilities:
        lacking = " and ".join(observation.preconditions.missing_capabilities)
        observed = f"the Vault token of rotator may not {lacking} {state.spec.path} of {name}"
        return block(state, Reason.VAULT_PERMISSION_MISSING, observed, remark=uncontained(state))
    if observation.preconditions.bearer_missing:
        return bearer_gone(state)
    if observation.preconditions.headroom == 0 or (
        observation.preconditions.headroom is None and _was_full(state) and _can_fence(state)
    ):
        return _make_room(
            state,
            Reason.QUOTA,
            f"the organisation of account {state.spec.account} has no room for another key, so {name} cannot be "
            "rotated",
        )
    return _claimed(state, mode, reason)


def _make_room(state: ApplicationState, reason: Reason, message: str) -> Step:
    """Fences possibly orphaned keys to make room for another key (rule 7, second shortcut), or
    blocks."""
    if _can_fence(state):
        return FenceDocument()
    deadlines = [state.observation.clocks.ours_at(entry.revoke_after) for entry in state.ledger.retiring]
    until = min((deadline for deadline in deadlines if deadline > state.now), default=None)
    return block(state, reason, message, until=until)


def _can_fence(state: ApplicationState) -> bool:
    """Whether there are possibly orphaned keys that a new document version makes certainly
    orphaned."""
    return (
        bool(state.possibly_pending)
        and state.observation.document.secret is not None
        and not state.observation.fence_refused
        and not _claimed_by_another(state)
    )


def _was_full(state: ApplicationState) -> bool:
    """Whether the last attempt was rejected for lack of quota, the only sign if the provider
    reports none."""
    problem = state.ledger.problem
    return problem is not None and problem.reason == Reason.QUOTA


def _claimed(state: ApplicationState, mode: RotationMode, reason: str) -> WriteLedger:
    observation, before = state.observation, state.ledger.intent
    intent = Intent(
        id=observation.next_rotation_id,
        base=observation.document.version,
        incarnation=incarnation_of(state.spec.path, observation.document.created_time),
        reason=reason,
        mode=mode,
        owner=observation.owner,
        claimed_at=state.now,
    )
    events = [
        Event("rotation.claimed", {"rotation_id": intent.id, "base": intent.base, "reason": reason, "mode": mode.value})
    ]
    if before is not None:
        events.insert(
            0, Event("rotation.taken_over", {"rotation_id": before.id, "reason": f"claimed by {before.owner}"})
        )
    ledger = replace(
        state.ledger,
        intent=intent,
        grace=state.spec.grace,
        verification=state.spec.verification,
        emergency_verification=state.spec.emergency_verification,
    )
    return WriteLedger(ledger, tuple(events))
