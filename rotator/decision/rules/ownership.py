"""The rules about the owner of a bearer and a document: other applications do not act, and a
renamed one takes its ledger along."""

from __future__ import annotations

from dataclasses import replace

from rotator.decision.blocking import block
from rotator.decision.ownership import OwnershipConflict, is_emptied, next_takeover_step, superseded_message
from rotator.decision.rules.containment import contain_compromised
from rotator.decision.state import ApplicationState
from rotator.decision.steps import DiscardInFlight, Step, WriteLedger
from rotator.decision.transitions.grace import grace_deadline, grace_started
from rotator.domain.ledger import Predecessor
from rotator.domain.reasons import Reason


def claim_ownership(state: ApplicationState) -> Step | None:
    """Takes over the ledgers of other names for the bearer and the document, which have one owner
    (rules 10, 11)."""
    observation, spec = state.observation, state.spec
    if spec.owner or state.ledger.successor:
        if observation.in_flight is not None:
            return DiscardInFlight()  # the owner finds its key by the marker
        message = superseded_message(spec.application, state.ledger, spec.owner)
        # A removed application is dropped once its ledger is empty; until then it is observed every
        # 30 seconds, later at the resync interval.
        until = state.now + spec.resync_interval if is_emptied(state.ledger) else None
        return block(state, Reason.SUPERSEDED, message, until=until)
    if state.ledger.bearer != spec.bearer:
        return (
            None  # the name was given to another bearer, whose grace and ledgers are not this ledger's: that is blocked
        )
    if observation.unread_ledgers:
        names = " and the ledger of ".join(observation.unread_ledgers)
        message = (
            f"{spec.application} takes over the ledger of {names}, which cannot be read: give the Vault policy of "
            "rotator the right to read it, or roll it back to its last sound version"
        )
        return contain_compromised(state) or block(state, Reason.LEDGER_CONFLICT, message)
    try:
        step = next_takeover_step(spec, observation.ledger, observation.related, state.published, observation.clocks)
    except OwnershipConflict as conflict:
        return contain_compromised(state) or block(state, Reason.LEDGER_CONFLICT, str(conflict))
    return step or _follow_former_documents(state)


def _follow_former_documents(state: ApplicationState) -> Step | None:
    """Gives a key that a document at a former path published its grace, from the first observation
    without it there."""
    for former in state.ledger.predecessors:
        document = state.observation.former_documents.get(former.path)
        if former.access_key and document is not None and document.published != former.access_key:
            return _left(state, former, document.published or "")
    return None


def _left(state: ApplicationState, former: Predecessor, published: str) -> Step:
    deadline, key = grace_deadline(state.spec, state.observation.clocks), former.access_key
    ledger = state.ledger.with_predecessor(replace(former, access_key=published))
    retiring = tuple(
        replace(entry, revoke_after=max(entry.revoke_after, deadline)) if entry.access_key == key else entry
        for entry in ledger.retiring
    )
    changed = retiring != ledger.retiring
    event = grace_started(key, deadline, f"left {former.path}")
    return WriteLedger(replace(ledger, retiring=retiring), (event,) if changed else ())
