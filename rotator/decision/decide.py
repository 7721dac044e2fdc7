"""The decision: from what was seen of one application, the one step to take next.

The problem: a key must be replaced while others read it, by actors that may be killed at any
instant, whose answers get lost and whose writes arrive late. The invariant: what consumers read
works, and nothing is revoked that a consumer may still need. The end state: the published key is
the ledger's current one, nothing is unaccounted for, and there is a time to look again.

``RULES`` reads as the specification. Each rule looks at the case and either returns a step or
passes. They are ordered by what must not wait: first what forbids acting at all, then what is
compromised, then what holds a secret, then what consumers lack, then the tidying, then the
calendar. Every step leads to a new observation and a new decision, so a rule never plans ahead.

The life of a key::

      claim        create      prove, publish        follow               deadline          DELETE, proof
    ─────────▶ (nothing yet) ───▶ possible ───▶ published/current ───▶ retiring ───▶ revoking ───▶ revoked, removed
                    │                │                                                  ▲
                    └─ abandoned ────┴── never published ──▶ orphaned ──────────────────┘
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rotator.decision.next_action import idle, next_action
from rotator.decision.observation import Observation
from rotator.decision.rules.containment import contain_compromised
from rotator.decision.rules.document import (
    configuration_moved,
    document_stale,
    document_unreadable,
    document_unusable,
    key_in_other_field,
    sync_ledger,
)
from rotator.decision.rules.grace import expire_grace_periods
from rotator.decision.rules.hold import expire_hold
from rotator.decision.rules.in_flight import continue_in_flight
from rotator.decision.rules.ownership import claim_ownership
from rotator.decision.rules.revocation import (
    classify_unaccounted_keys,
    delete_revoking_keys,
    finalize_revocations,
    verify_revocations,
)
from rotator.decision.rules.rotation import (
    fence_pending_keys,
    renew_expiring_document,
    rotate_urgently,
    rotate_when_due,
)
from rotator.decision.state import ApplicationState
from rotator.decision.steps import Step, Wait
from rotator.domain.spec import ApplicationSpec

RULES: tuple[Callable[[ApplicationState], Step | None], ...] = (
    claim_ownership,
    contain_compromised,
    expire_hold,
    configuration_moved,
    document_unreadable,
    document_stale,
    document_unusable,
    sync_ledger,
    continue_in_flight,
    finalize_revocations,
    rotate_urgently,
    key_in_other_field,
    delete_revoking_keys,
    verify_revocations,
    expire_grace_periods,
    classify_unaccounted_keys,
    renew_expiring_document,
    rotate_when_due,
    fence_pending_keys,
)


def decide(spec: ApplicationSpec, observation: Observation) -> Step:
    """The one step to take next for one application. Pure: the same observation always leads to the
    same step."""
    state = ApplicationState(spec, observation)
    step = next((step for rule in RULES if (step := rule(state)) is not None), None) or idle(state)
    return replace(step, next=next_action(state)) if isinstance(step, Wait) and step.next is None else step


__all__ = ["RULES", "decide", "next_action"]
