"""Blocks an application with a reason: why, what to do, and which keys are concerned."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotator.decision.state import RETRY_INTERVAL, ApplicationState
from rotator.decision.steps import Event, Step, Wait, WriteLedger
from rotator.domain.ledger import Problem
from rotator.domain.reasons import REASONS, Reason, action_for


def other_keys(state: ApplicationState) -> str:
    """The remark of a message about how to start over: the unpublished keys with a marker of this
    application. While one exists, a document without them looks restored."""
    keys = [key.access_key for key, _ in state.tagged_keys if key.access_key != state.published]
    return f" ({', '.join(keys)})" if keys else ""


def uncontained(state: ApplicationState) -> str:
    """The remark of a message that forbids acting: the compromised keys that are not revoked
    because of it. Empty if none."""
    keys = sorted(key for key in state.ledger.compromised_keys() if not state.ledger.is_revoking(key))
    if not keys:
        return ""
    first = any(mark.access_key in keys and mark.mode == "revoke_first" for mark in state.ledger.compromised)
    why = "consumers may read it and it cannot be replaced" if first else "consumers may read it"
    way_out = " (--revoke-first waits for that; to revoke it all the same, delete it at the provider)" if first else ""
    return f"; compromised, and not revoked because {why}: {', '.join(keys)}{way_out}"


def block(
    state: ApplicationState, reason: Reason, observed: str, *, until: datetime | None = None, remark: str = ""
) -> Step:
    """Stops with a reason and an action. A reason that every process sees is recorded in the ledger
    until it clears."""
    spec, known = state.spec, state.ledger.problem
    action = action_for(reason, application=spec.application, account=spec.account, path=spec.path, bearer=spec.bearer)
    message = f"{observed}{remark}" if REASONS[reason].specific else f"{observed}: {action}{remark}"
    # A block of a request alone goes to its caller; the next pass without the request would remove
    # it from the ledger.
    record = REASONS[reason].recorded and state.observation.request is None
    problem = Problem(reason, message, known.since if known and known.reason == reason else state.now)
    if record and state.observation.ledger and (known is None or known.reason != reason):
        return WriteLedger(
            replace(state.ledger, problem=problem),
            (Event("application.blocked", {"reason": reason, "message": message}),),
        )
    latest = state.now + state.spec.resync_interval
    return Wait(min(until or state.now + RETRY_INTERVAL, latest), reason, message, problem)
