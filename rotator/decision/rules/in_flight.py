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

from rotator.decision.rules.revocation import _revoking
from rotator.decision.state import ApplicationState
from rotator.decision.steps import (
    CreateKey,
    DiscardInFlight,
    Event,
    PublishKey,
    Step,
    VerifyKey,
    WriteLedger,
)
from rotator.decision.transitions import abandon_rotation, start_revocation
from rotator.domain.document import DocumentState
from rotator.domain.ledger import Intent, Ledger, Problem
from rotator.domain.marker import Marker, incarnation_of


def continue_in_flight(case: ApplicationState) -> Step | None:
    """The rotation that this process holds in memory: create once, prove, publish, or end it cleanly (rules 3 to 5)."""
    held = case.seen.held
    if held is None:
        return None
    intent = case.ledger.intent
    if intent is None or intent.id != held.intent.id:
        return _end_held(case, case.ledger, "overtaken")
    document = case.seen.document
    recreated = document.version == intent.base and incarnation_of(case.policy.path, document.created_time) != intent.incarnation
    if document.version != intent.base or recreated or document.state is DocumentState.DELETED:
        return _abandon_held(case, intent, "overtaken", "the credential document changed meanwhile", failed=False)
    if held.failure:
        return _abandon_held(case, intent, held.failure.reason, held.failure.message, failed=True)
    if not held.posted:
        current = case.seen.key(case.ledger.current.access_key) if case.ledger.current else case.seen.key(case.published)
        project = case.policy.default_project_id or (current.default_project_id if current else None)
        marker = Marker(case.seen.installation, case.policy.application, intent.id, intent.base, intent.incarnation)
        return CreateKey(marker.render(), project, case.policy.lifetime)
    if held.key is None:
        return _abandon_held(case, intent, "lost", "the answer to the create was lost", failed=True)
    return PublishKey() if held.proven else VerifyKey()


def _abandon_held(case: ApplicationState, intent: Intent, reason: str, message: str, *, failed: bool) -> Step:
    event = Event("rotation.abandoned", {"rotation_id": intent.id, "reason": reason, "message": message})
    ledger = abandon_rotation(case.ledger, case.policy, case.now, failed=failed, trouble=Problem(reason, message, case.now))
    return _end_held(case, ledger, reason, event)


def _end_held(case: ApplicationState, ledger: Ledger, reason: str, *events: Event) -> Step:
    """Rule 7's first shortcut: who made a key and never sent a publish may condemn it at once. Else the version tells later."""
    held = case.seen.held
    if held and held.key and not held.publish_sent and not ledger.is_revoking(held.key.access_key):
        ledger = start_revocation(ledger, held.key.access_key, 0, "leftover")
        return WriteLedger(ledger, (*events, _revoking(held.key.access_key, f"leftover, {reason}")))
    return WriteLedger(ledger, events) if ledger != case.ledger else DiscardInFlight()
