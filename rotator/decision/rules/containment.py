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

from rotator.decision.classification import Disposition
from rotator.decision.rules.revocation import _prove, _revoking, finalize_revocations
from rotator.decision.state import ApplicationState
from rotator.decision.steps import (
    DeleteKey,
    FenceDocument,
    Step,
    WriteLedger,
)
from rotator.decision.transitions import start_revocation


def contain_compromised(case: ApplicationState) -> Step | None:
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
                return FenceDocument()
            return WriteLedger(
                start_revocation(ledger, access_key, _version_of(case, access_key), "compromised"),
                (_revoking(access_key, "compromised"),),
            )
        if not {access_key} & (case.seen.deleted | case.seen.dead.keys() | case.seen.undeletable.keys()):
            return DeleteKey(access_key, "compromised", even_if_published=revoke_first)
    if case.urgent_mode or case.seen.held:
        return None  # consumers and a held secret come first; the proofs come later
    return finalize_revocations(case) or _prove(case, case.ledger.compromised_keys())


def _may_still_be_published(case: ApplicationState, access_key: str) -> bool:
    """Whether some process may hold the secret of a marked key and publish it, deleted or not, unless the document moves on."""
    held, document = case.seen.held, case.seen.document
    if not document.can_be_rewritten or (held and held.key and held.key.access_key == access_key and not held.publish_sent):
        return False
    return any(key.access_key == access_key and case.fate(key, marker) is Disposition.POSSIBLE for key, marker in case.marked)


def _version_of(case: ApplicationState, access_key: str) -> int:
    ledger = case.ledger
    if case.published == access_key:
        return case.seen.document.version
    if ledger.current and ledger.current.access_key == access_key:
        return ledger.current.version
    return next((entry.version for entry in ledger.retiring if entry.access_key == access_key), 0)
