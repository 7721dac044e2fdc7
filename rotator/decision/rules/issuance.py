"""The rules that begin a rotation: because consumers need another key at once, or because the calendar says so. And the one
that tidies up after those that came to nothing, when no other follows them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotator.decision.classification import Disposition
from rotator.decision.state import MAX_SCHEDULED_LIVE_KEYS, ApplicationState
from rotator.decision.steps import CheckPreconditions, Event, FenceDocument, Step, WriteLedger
from rotator.decision.transitions import abandon_rotation
from rotator.domain.ledger import Intent, RotationMode
from rotator.domain.marker import incarnation_of
from rotator.domain.schedule import due


def rotate_urgently(case: ApplicationState) -> Step | None:
    """Published and compromised, dying or dead: rotate now, ahead of everything."""
    mode = case.urgent_mode
    if mode is None or case.spared_by_hold(case.published) or not case.policy.configured:
        return None
    if case.too_soon or _somebody_else_is_at_it(case) or _room_comes_first(case):
        return None
    reasons = {mark.access_key: mark.reason for mark in case.ledger.compromised}
    return claim_rotation(case, mode, reasons.get(case.published or "", "the published key is dead"))


def _room_comes_first(case: ApplicationState) -> bool:
    """Whether there are so many keys that those which can go must go before an emergency makes another one."""
    if case.live_keys_of_ours < case.policy.max_live_keys or case.held_back:
        return False  # under a hold they cannot go
    going = [
        entry.access_key
        for entry in case.ledger.revoking
        if entry.access_key not in case.seen.undeletable and case.may_die(entry)
    ]
    leftovers = [key for key, marker in case.unnamed if case.fate(key, marker) is Disposition.LEFTOVER]
    return bool(case.unread_versions or leftovers or any(case.seen.key(access_key) for access_key in going))


def _somebody_else_is_at_it(case: ApplicationState) -> bool:
    intent = case.ledger.intent
    return intent is not None and case.now < case.takeover_at(intent)


def rotate_when_due(case: ApplicationState) -> Step | None:
    """A first key, a takeover, a person's wish, or the schedule."""
    if case.held_back or _somebody_else_is_at_it(case):
        return None
    wanted = _wanted(case) if case.policy.configured else None
    if wanted is None:
        return _drop_stale_intent(case)
    return None if case.too_soon else claim_rotation(case, *wanted)


def _drop_stale_intent(case: ApplicationState) -> Step | None:
    """A rotation that somebody began and that nothing asks for any more needs no takeover, only an end."""
    intent = case.ledger.intent
    if intent is None or (case.urgent_mode and case.policy.configured):
        return None
    event = Event("rotation.abandoned", {"rotation_id": intent.id, "reason": "stale", "message": "nothing asks for it any more"})
    return WriteLedger(abandon_rotation(case.ledger, case.policy, case.now, failed=False, trouble=None), (event,))


def fence_pending_keys(case: ApplicationState) -> Step | None:
    """What a lost attempt may have left behind must not live until the calendar's next rotation: where none is wanted now, the
    document is moved on, which makes a possible leftover a certain one (rule 7, second shortcut; I4)."""
    at = fence_due_at(case)
    return FenceDocument() if at is not None and case.seen.clocks.passed(at) and not case.too_soon else None


def fence_due_at(case: ApplicationState) -> datetime | None:
    """From when on nobody is at a rotation any more that may have left a key behind; None where none is left, or where another
    rotation is going to move the document on. Sooner, the fence could cut off one that is claimed since the ledger was read."""
    quiet = case.ledger.intent is None and case.urgent_mode is None and not case.held_back
    if not (quiet and case.policy.configured and _can_fence(case)):
        return None
    return min(key.created_at for key in case.seen.keys if key.access_key in case.possible) + case.policy.takeover_after


def _wanted(case: ApplicationState) -> tuple[RotationMode, str] | None:
    request, intent = case.seen.request, case.ledger.intent
    if request is not None and case.published == request.replaces:
        return request.mode, request.reason
    if intent is not None and not intent.mode.urgent:
        return intent.mode, intent.reason
    if case.published is None:
        return RotationMode.SCHEDULED, "first key"
    if case.ledger.current is not None and (
        calendar := due(case.policy, case.ledger.current, started=case.seen.started, now=case.seen.clocks.earliest)
    ):
        return (RotationMode.SCHEDULED, calendar.reason) if case.seen.clocks.passed(calendar.at) else None
    return None


def claim_rotation(case: ApplicationState, mode: RotationMode, reason: str) -> Step:
    """Claim the rotation (rule 2), or say why it would be unsafe."""
    seen, name, request = case.seen, case.policy.application, case.seen.request
    if case.published is None and len(case.possible) >= 2:
        return case.block(
            "two_possible_leftovers",
            f"two attempts to make the first key of {name} may have left keys behind ({', '.join(case.possible)}): delete them by hand",
        )
    if mode.urgent and case.live_keys_of_ours >= case.policy.max_live_keys and _can_fence(case):
        return FenceDocument()  # an emergency waits for nobody, but attempts whose answers get lost must not fill the account
    crowded = case.live_keys_of_ours >= (case.policy.max_live_keys if request else MAX_SCHEDULED_LIVE_KEYS)
    if crowded and not mode.urgent:
        return _make_room(
            case,
            "too_many_keys",
            f"{name} has {case.live_keys_of_ours} live keys already: wait for the grace of the old ones to end",
        )
    if seen.room is None:
        return CheckPreconditions(mode.urgent)
    if seen.room.missing_capabilities:
        lacking = " and ".join(seen.room.missing_capabilities)
        return case.block("vault_denies", f"our Vault token may not {lacking} {case.policy.path} of {name}: extend its policy")
    if seen.room.headroom == 0 or (seen.room.headroom is None and _was_full(case) and _can_fence(case)):
        return _make_room(
            case,
            "quota",
            f"the organisation of account {case.policy.account} has no room for another key, so {name} cannot be rotated:"
            " delete keys that nobody needs, or have the quota raised",
        )
    return _claimed(case, mode, reason)


def _make_room(case: ApplicationState, reason: str, message: str) -> Step:
    """A possible leftover that must go sooner is made a certain one by moving the document on (rule 7, second shortcut)."""
    if _can_fence(case):
        return FenceDocument()
    deadlines = [case.seen.clocks.ours_at(entry.revoke_after) for entry in case.ledger.retiring]
    until = min((deadline for deadline in deadlines if deadline > case.now), default=None)
    return case.block(reason, message, until=until)


def _can_fence(case: ApplicationState) -> bool:
    """Whether there are possible leftovers that moving the document on would make certain ones."""
    return bool(case.possible) and case.seen.document.secret is not None and not _somebody_else_is_at_it(case)


def _was_full(case: ApplicationState) -> bool:
    """Whether the last attempt found no room; a provider that does not tell head-room tells only so."""
    trouble = case.ledger.trouble
    return trouble is not None and trouble.reason == "quota"


def _claimed(case: ApplicationState, mode: RotationMode, reason: str) -> WriteLedger:
    seen, before = case.seen, case.ledger.intent
    intent = Intent(
        id=seen.spare_id,
        base=seen.document.version,
        incarnation=incarnation_of(case.policy.path, seen.document.created_time),
        reason=reason,
        mode=mode,
        owner=seen.owner,
        claimed_at=case.now,
    )
    events = [Event("rotation.claimed", {"rotation_id": intent.id, "base": intent.base, "reason": reason, "mode": mode.value})]
    if before is not None:
        events.insert(0, Event("rotation.taken_over", {"rotation_id": before.id, "reason": f"claimed by {before.owner}"}))
    ledger = replace(
        case.ledger,
        intent=intent,
        grace=case.policy.grace,
        prove=case.policy.prove,
        prove_emergency=case.policy.prove_emergency,
    )
    return WriteLedger(ledger, tuple(events))
