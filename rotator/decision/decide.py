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

from rotator.decision.next_action import next_action, rest
from rotator.decision.observation import Seen
from rotator.decision.rules.containment import contain
from rotator.decision.rules.document import document_gone, follow, moved, stale
from rotator.decision.rules.in_flight import continue_held
from rotator.decision.rules.issuance import fence_off, replace_at_once, rotate_when_due
from rotator.decision.rules.revocation import account_for_keys, delete_condemned, end_graces, forget_the_dead, prove_deaths
from rotator.decision.state import Case
from rotator.decision.steps import (
    Step,
)
from rotator.domain.policy import Policy

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
