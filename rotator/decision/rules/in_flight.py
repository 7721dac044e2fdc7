"""Continues a rotation that this process holds in memory: create, verify, publish, or abandon it
(rules 3 to 5)."""

from __future__ import annotations

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
from rotator.decision.transitions.revocation import revocation_scheduled, start_revocation
from rotator.decision.transitions.rotation import abandon_rotation
from rotator.domain.document import DocumentState
from rotator.domain.keys import Key
from rotator.domain.ledger import Intent, Ledger, Problem
from rotator.domain.marker import Marker, incarnation_of, purpose_of
from rotator.domain.reasons import Reason, phase_of


def continue_in_flight(state: ApplicationState) -> Step | None:
    """The next step of the rotation in memory: create once, verify, publish, or end it (rules 3 to
    5)."""
    in_flight = state.observation.in_flight
    if in_flight is None:
        return None
    intent = state.ledger.intent
    if intent is None or intent.id != in_flight.intent.id:
        return _end_in_flight(state, state.ledger, Reason.OVERTAKEN)
    document = state.observation.document
    recreated = (
        document.version == intent.base and incarnation_of(state.spec.path, document.created_time) != intent.incarnation
    )
    if document.version != intent.base or recreated or document.state is DocumentState.DELETED:
        return _abandon_in_flight(
            state, intent, Reason.OVERTAKEN, "the credential document changed meanwhile", failed=False
        )
    if in_flight.failure:
        return _abandon_in_flight(state, intent, in_flight.failure.reason, in_flight.failure.message, failed=True)
    if not in_flight.posted:
        current = (
            state.observation.key(state.ledger.current.access_key)
            if state.ledger.current
            else state.observation.key(state.published)
        )
        project = state.spec.default_project_id or (current.default_project_id if current else None)
        marker = Marker(
            state.observation.installation, state.spec.application, intent.id, intent.base, intent.incarnation
        )
        return CreateKey(marker.render(_purpose(state, current)), project, state.spec.lifetime)
    if in_flight.key is None:
        return _abandon_in_flight(
            state, intent, Reason.CREATE_UNCONFIRMED, "the answer to the create was lost", failed=True
        )
    return PublishKey() if in_flight.verified else VerifyKey()


def _purpose(state: ApplicationState, current: Key | None) -> str:
    """The purpose of the new key: the configured one, else that of the key it replaces, else the
    last one in the ledger."""
    if state.spec.purpose is not None:
        return state.spec.purpose
    if current is not None:
        return purpose_of(current.description)
    return state.ledger.current.purpose if state.ledger.current else ""


def _abandon_in_flight(state: ApplicationState, intent: Intent, reason: str, message: str, *, failed: bool) -> Step:
    event = Event("rotation.abandoned", {"rotation_id": intent.id, "reason": reason, "message": message})
    ledger = abandon_rotation(
        state.ledger, state.spec, state.now, failed=failed, problem=Problem(reason, message, state.now)
    )
    events, known = [event], state.ledger.problem
    if failed and phase_of(reason) == "blocked" and (known is None or known.reason != reason):
        events.append(Event("application.blocked", {"reason": reason, "message": message}))
    return _end_in_flight(state, ledger, reason, *events)


def _end_in_flight(state: ApplicationState, ledger: Ledger, reason: str, *events: Event) -> Step:
    """Rule 7's first shortcut: the process that created a key and sent no publish schedules it for
    revocation at once. Otherwise the document's version decides later."""
    in_flight = state.observation.in_flight
    if in_flight and in_flight.key and not in_flight.publish_sent and not ledger.is_revoking(in_flight.key.access_key):
        ledger = start_revocation(ledger, in_flight.key.access_key, 0, "leftover")
        return WriteLedger(ledger, (*events, revocation_scheduled(in_flight.key.access_key, f"leftover, {reason}")))
    return WriteLedger(ledger, events) if ledger != state.ledger else DiscardInFlight()
