"""Decides the next step for one application. Pure: from spec and observation to a step.

Rules run in order; the first that returns a step wins. The order is by urgency: what forbids
acting, compromised keys, a secret held in memory, missing or invalid published keys, clean-up, and
the schedule last. Every step is followed by a new observation, so a rule never plans ahead.

Invariants: the key that consumers read is valid; no key is revoked while a consumer may still need
it. Processes may be killed at any point, answers get lost, and writes arrive late. In the end state
the published key is the ledger's current one, every key is accounted for, and the next observation
has a time.

The states of a key::

    claim      create    verify, publish      commit         deadline     DELETE, verify
    ───────▶ (none yet) ──▶ possible ──▶ published/current ──▶ retiring ──▶ revoking ──▶ revoked
                 │              │                                              ▲
                 └─ abandoned ──┴── never published ──▶ orphaned ──────────────┘
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
from rotator.decision.steps import FenceDocument, Step, Wait
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
    """The next step for one application. The same observation always gives the same step."""
    state = ApplicationState(spec, observation)
    step = next((step for rule in RULES if (step := rule(state)) is not None and _can_be_taken(state, step)), None)
    step = step or idle(state)
    return replace(step, next=next_action(state)) if isinstance(step, Wait) and step.next is None else step


def _can_be_taken(state: ApplicationState, step: Step) -> bool:
    """Whether the step was not refused before: what does not need the fence goes on without it."""
    return not (isinstance(step, FenceDocument) and state.observation.fence_refused)


__all__ = ["RULES", "decide", "next_action"]
