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

from dataclasses import replace
from datetime import datetime, timedelta

from rotator.decision.observation import Observation
from rotator.decision.rules.issuance import fence_due_at
from rotator.decision.state import RETRY_INTERVAL, ApplicationState
from rotator.decision.steps import (
    Step,
)
from rotator.domain.ledger import Ledger
from rotator.domain.policy import ApplicationSpec
from rotator.domain.schedule import due

MIN_DELAY = timedelta(milliseconds=200)
"""The shortest time until something is looked at again."""


def idle(case: ApplicationState) -> Step:
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


def next_action(policy: ApplicationSpec, ledger: Ledger, seen: Observation) -> tuple[datetime, str, str]:
    """When something is next to be done for an application at rest, what, and why, for people and for the scheduler."""
    clocks, case = seen.clocks, ApplicationState(policy, replace(seen, ledger=ledger))
    horizon = clocks.ours + policy.observe_every
    patience = ledger.not_before if ledger.not_before and case.too_soon else clocks.ours
    if ledger.hold:
        held = f"held by {ledger.hold.by}: {ledger.hold.reason}"
        return _next_under_hold(case, patience) or (horizon, "held", held)
    candidates = [
        (
            clocks.ours_at(entry.not_before) if entry.not_before else clocks.ours + RETRY_INTERVAL,
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
    if fence_at := fence_due_at(case):
        candidates.append((max(clocks.ours_at(fence_at), patience), "fence", "a failed rotation may have left a key behind"))
    floor = clocks.ours + MIN_DELAY
    return min(
        ((max(at, floor), what, why) for at, what, why in candidates),
        default=(horizon, "observe", "nothing is due"),
    )


def _next_under_hold(case: ApplicationState, patience: datetime) -> tuple[datetime, str, str] | None:
    """When an emergency that goes through the hold is next looked at; None when there is none."""
    if not case.through_hold:
        return None
    why = "an emergency goes through the hold"
    if case.ledger.intent is not None:
        return max(case.takeover_at(case.ledger.intent), patience, case.now + MIN_DELAY), "takeover", why
    return max(patience, case.now + MIN_DELAY), "contain", why
