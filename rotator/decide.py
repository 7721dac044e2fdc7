"""The decision: from what was seen of one application, the one step to take next.

The problem: a key must be replaced while others read it, by actors that may be killed at any instant, whose answers get lost
and whose writes arrive late. The invariant: what consumers read works, and nothing is revoked that somebody may still need.
The end state: the published key is the ledger's current one, nothing is unaccounted for, and there is a time to look again.

``RULES`` reads as the specification. Each rule looks at the case and either returns a step or passes. They are ordered by what
must not wait: first what forbids acting at all, then what is compromised, then what holds a secret, then what consumers lack,
then the tidying, then the calendar. Every step leads to a new observation and a new decision, so a rule never plans ahead.

The life of a key::

      claim        create      prove, publish        follow               deadline          DELETE, proof
    ─────────▶ (nothing yet) ───▶ possible ───▶ published/current ───▶ retiring ───▶ revoking ───▶ dead, forgotten
                    │                │                                                  ▲
                    └─ abandoned ────┴── never published ──▶ leftover ──────────────────┘
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.case import SOON, Case
from rotator.claiming import fence_off, fence_off_at, replace_at_once, rotate_when_due
from rotator.following import document_gone, follow, moved, stale
from rotator.judge import Fate
from rotator.ledgers import (
    abandoned,
    condemned,
    died,
    retired,
)
from rotator.marker import Marker, incarnation
from rotator.model import DocumentState, Intent, Ledger, Policy, Trouble
from rotator.steps import (
    Create,
    Delete,
    Destroy,
    Event,
    Fence,
    LetGo,
    Prove,
    ProveDeath,
    Publish,
    ReadVersions,
    Record,
    Seen,
    Step,
)
from rotator.timing import due

BLINK = timedelta(milliseconds=200)
"""The shortest time until something is looked at again."""

# --- what is compromised ---


def contain(case: Case) -> Step | None:
    """Compromised and not published: revoke now, before anything else (rule 9)."""
    ledger = case.ledger
    for mark in ledger.compromised:
        key, access_key = case.seen.key(mark.access_key), mark.access_key
        revoke_first = mark.mode == "revoke_first"
        if (access_key == case.published and not revoke_first) or access_key in case.seen.foreign:
            continue
        if case.spared_by_hold(access_key):
            continue
        if key is not None and not key.touchable:
            continue
        if not ledger.is_revoking(access_key):
            if _may_still_be_published(case, access_key):
                return Fence()
            return Record(
                condemned(ledger, access_key, _version_of(case, access_key), "compromised"),
                (_revoking(access_key, "compromised"),),
            )
        if not {access_key} & (case.seen.deleted | case.seen.dead.keys() | case.seen.undeletable.keys()):
            return Delete(access_key, "compromised", even_if_published=revoke_first)
    if case.urgent_mode or case.seen.held:
        return None  # consumers and a held secret come first; the proofs come later
    return forget_the_dead(case) or _prove(case, case.ledger.compromised_keys())


def _may_still_be_published(case: Case, access_key: str) -> bool:
    """Whether some process may hold the secret of a marked key and publish it, deleted or not, unless the document moves on."""
    held, document = case.seen.held, case.seen.document
    if not document.can_be_rewritten or (held and held.key and held.key.access_key == access_key and not held.publish_sent):
        return False
    return any(key.access_key == access_key and case.fate(key, marker) is Fate.POSSIBLE for key, marker in case.marked)


def _version_of(case: Case, access_key: str) -> int:
    ledger = case.ledger
    if case.published == access_key:
        return case.seen.document.version
    if ledger.current and ledger.current.access_key == access_key:
        return ledger.current.version
    return next((entry.version for entry in ledger.retiring if entry.access_key == access_key), 0)


def _revoking(access_key: str, reason: str) -> Event:
    return Event("key.revoking", {"access_key": access_key, "reason": reason})


# --- what holds a secret ---


def continue_held(case: Case) -> Step | None:
    """The rotation that this process holds in memory: create once, prove, publish, or end it cleanly (rules 3 to 5)."""
    held = case.seen.held
    if held is None:
        return None
    intent = case.ledger.intent
    if intent is None or intent.id != held.intent.id:
        return _end_held(case, case.ledger, "overtaken")
    document = case.seen.document
    recreated = document.version == intent.base and incarnation(case.policy.path, document.created_time) != intent.incarnation
    if document.version != intent.base or recreated or document.state is DocumentState.DELETED:
        return _abandon_held(case, intent, "overtaken", "the credential document changed meanwhile", failed=False)
    if held.failure:
        return _abandon_held(case, intent, held.failure.reason, held.failure.message, failed=True)
    if not held.posted:
        current = case.seen.key(case.ledger.current.access_key) if case.ledger.current else case.seen.key(case.published)
        project = case.policy.default_project_id or (current.default_project_id if current else None)
        marker = Marker(case.seen.installation, case.policy.application, intent.id, intent.base, intent.incarnation)
        return Create(marker.render(), project, case.policy.lifetime)
    if held.key is None:
        return _abandon_held(case, intent, "lost", "the answer to the create was lost", failed=True)
    return Publish() if held.proven else Prove()


def _abandon_held(case: Case, intent: Intent, reason: str, message: str, *, failed: bool) -> Step:
    event = Event("rotation.abandoned", {"rotation_id": intent.id, "reason": reason, "message": message})
    ledger = abandoned(case.ledger, case.policy, case.now, failed=failed, trouble=Trouble(reason, message, case.now))
    return _end_held(case, ledger, reason, event)


def _end_held(case: Case, ledger: Ledger, reason: str, *events: Event) -> Step:
    """Rule 7's first shortcut: who made a key and never sent a publish may condemn it at once. Else the version tells later."""
    held = case.seen.held
    if held and held.key and not held.publish_sent and not ledger.is_revoking(held.key.access_key):
        ledger = condemned(ledger, held.key.access_key, 0, "leftover")
        return Record(ledger, (*events, _revoking(held.key.access_key, f"leftover, {reason}")))
    return Record(ledger, events) if ledger != case.ledger else LetGo()


# --- tidying ---


def forget_the_dead(case: Case) -> Step | None:
    """A key whose death is proven leaves the ledger, and its mark with it (rules 8, 9), but not while consumers read it. Before a
    compromised one goes, the versions of the document that hold its secret are destroyed, but not until they have told what became
    of keys that nothing names (rule 7)."""
    dead = [entry for entry in case.ledger.revoking if entry.access_key in case.seen.dead and entry.access_key != case.published]
    if not dead:
        return None
    for entry in dead:
        if entry.access_key in case.ledger.compromised_keys() - case.seen.destroyed.keys():
            return account_for_keys(case) or Destroy(entry.access_key, entry.version)
    deaths = {entry.access_key: case.seen.dead[entry.access_key] for entry in dead}
    return Record(*died(case.ledger, deaths, case.now, case.seen.destroyed))


def delete_condemned(case: Case) -> Step | None:
    """What is in ``revoking`` never comes back (rule 8)."""
    if case.held_back:
        return None
    for entry in case.ledger.revoking:
        done = entry.access_key in case.seen.deleted or entry.access_key in case.seen.undeletable
        if not done and case.may_die(entry):
            return Delete(entry.access_key, entry.reason)
    return None


def prove_deaths(case: Case) -> Step | None:
    """A deleted key is dead when it was seen dead (rule 8)."""
    return _prove(case, case.seen.deleted)


def _prove(case: Case, among: frozenset[str]) -> Step | None:
    for entry in case.ledger.revoking:
        if entry.access_key in (among & case.seen.deleted) - set(case.seen.dead) - case.seen.still_alive:
            return ProveDeath(entry.access_key, entry.version, entry.access_key in case.ledger.compromised_keys())
    return None


def end_graces(case: Case) -> Step | None:
    """A retiring key whose deadline has passed by every clock is condemned (rules 8, 13)."""
    if case.held_back or not case.trusted_clocks or case.urgent_mode:
        return None  # while consumers are down or in danger, a key that still works may be their only one
    for entry in case.ledger.retiring:
        key = case.seen.key(entry.access_key)
        if entry.access_key == case.published or (key is not None and not key.touchable):
            continue
        if case.seen.clocks.passed(entry.revoke_after):
            ledger = condemned(case.ledger, entry.access_key, entry.version, entry.reason)
            return Record(ledger, (_revoking(entry.access_key, "grace ended"),))
    return None


def account_for_keys(case: Case) -> Step | None:
    """Keys with our marker that nothing names: leftovers are condemned, published ones get their grace (rule 7)."""
    if case.held_back:
        return None
    if case.unread_versions:
        return ReadVersions(case.unread_versions)
    for key, marker in case.unnamed:
        verdict = case.fate(key, marker)
        if verdict is Fate.LEFTOVER:
            events = (
                Event("leftover.found", {"access_key": key.access_key, "rotation_id": marker.rotation}),
                _revoking(key.access_key, "leftover"),
            )
            return Record(condemned(case.ledger, key.access_key, 0, "leftover"), events)
        if verdict in (Fate.PUBLISHED, Fate.ASSUMED):
            version = marker.base + 1 if verdict is Fate.PUBLISHED else 0
            ledger, event = retired(case.ledger, key.access_key, version, verdict.value, case.policy, case.seen)
            return Record(ledger, (event,))
    return None


# --- rest ---


def rest(case: Case) -> Step:
    """Nothing to do now: when next, and why."""
    until, reason, message = next_action(case.policy, case.ledger, case.seen)
    unheard = {key: message for key, message in case.seen.unconfirmed.items() if key in case.seen.still_alive}
    if unheard:
        return case.block(
            "delete_unconfirmed", "; ".join(f"{key} still answers: {message}" for key, message in sorted(unheard.items()))
        )
    if case.seen.still_alive:
        keys = ", ".join(sorted(case.seen.still_alive))
        return case.block("still_alive", f"the deleted key {keys} of {case.policy.application} still answers; probing goes on")
    if case.seen.undeletable:
        return case.block("delete_refused", "; ".join(message for _, message in sorted(case.seen.undeletable.items())))
    untouchable = [
        key.access_key for key in case.seen.keys if not key.touchable and key.access_key in case.ledger.names() - {case.published}
    ]
    if untouchable:
        return case.block(
            "untouchable",
            f"key {', '.join(untouchable)} of {case.policy.application} became managed or not deletable: have Scaleway remove it",
        )
    foreign = case.seen.foreign & case.ledger.compromised_keys()
    if foreign:
        return case.block(
            "foreign_key",
            f"the compromised key {', '.join(sorted(foreign))} named for {case.policy.application} belongs to another bearer or is no key at all: revoke it there",
        )
    if not case.trusted_clocks and (case.ledger.retiring or case.ledger.revoking):
        return case.block(
            "clocks_differ",
            f"our clock, Vault's and the provider's differ by {case.seen.clocks.spread.total_seconds():.0f} s:"
            f" revocations of {case.policy.application} wait; correct the clock",
        )
    if case.urgent_mode and not case.policy.configured:
        return case.block(
            "not_configured",
            f"the published key of {case.policy.application} must be replaced, but the application left the configuration: put it back",
        )
    return case.wait(until, reason, message)


def next_action(policy: Policy, ledger: Ledger, seen: Seen) -> tuple[datetime, str, str]:
    """When something is next to be done for an application at rest, what, and why, for people and for the scheduler."""
    clocks, case = seen.clocks, Case(policy, replace(seen, ledger=ledger))
    horizon = clocks.ours + policy.observe_every
    patience = ledger.not_before if ledger.not_before and case.too_soon else clocks.ours
    if ledger.hold:
        held = f"held by {ledger.hold.by}: {ledger.hold.reason}"
        return _next_under_hold(case, patience) or (horizon, "held", held)
    candidates = [
        (
            clocks.ours_at(entry.not_before) if entry.not_before else clocks.ours + SOON,
            "revoke",
            f"{entry.access_key} is condemned",
        )
        for entry in ledger.revoking
    ]
    if not case.urgent_mode:
        candidates += [
            (clocks.ours_at(entry.revoke_after), "revoke", f"grace of {entry.access_key} ends") for entry in ledger.retiring
        ]
    if ledger.intent is not None:
        until = max(case.takeover_at(ledger.intent), patience)
        candidates.append((until, "takeover", f"rotation {ledger.intent.id} is under way"))
    elif policy.configured and case.urgent_mode:
        candidates.append((patience, "rotate", "consumers need another key"))
    elif (
        policy.configured
        and ledger.current
        and (calendar := due(policy, ledger.current, started=seen.started, now=clocks.earliest))
    ):
        candidates.append((max(clocks.ours_at(calendar.at), patience), "rotate", calendar.reason))
    elif policy.configured and case.too_soon:
        candidates.append((patience, "rotate", "after a failure"))
    if fence_at := fence_off_at(case):
        candidates.append((max(clocks.ours_at(fence_at), patience), "fence", "a failed rotation may have left a key behind"))
    floor = clocks.ours + BLINK
    return min(
        ((max(at, floor), what, why) for at, what, why in candidates),
        default=(horizon, "observe", "nothing is due"),
    )


def _next_under_hold(case: Case, patience: datetime) -> tuple[datetime, str, str] | None:
    """When an emergency that goes through the hold is next looked at; None when there is none."""
    if not case.through_hold:
        return None
    why = "an emergency goes through the hold"
    if case.ledger.intent is not None:
        return max(case.takeover_at(case.ledger.intent), patience, case.now + BLINK), "takeover", why
    return max(patience, case.now + BLINK), "contain", why


RULES: tuple[Callable[[Case], Step | None], ...] = (
    moved,
    stale,
    contain,
    document_gone,
    follow,
    continue_held,
    forget_the_dead,
    replace_at_once,
    delete_condemned,
    prove_deaths,
    end_graces,
    account_for_keys,
    rotate_when_due,
    fence_off,
)


def decide(policy: Policy, seen: Seen) -> Step:
    """The one step to take next for one application. Pure: the same observation always leads to the same step."""
    case = Case(policy, seen)
    for rule in RULES:
        step = rule(case)
        if step is not None:
            return step
    return rest(case)


__all__ = ["RULES", "decide", "next_action"]
