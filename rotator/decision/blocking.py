"""Stops an application with a reason: reports why, what to do, and which keys are concerned."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from rotator.decision.state import RETRY_INTERVAL, ApplicationState
from rotator.decision.steps import Event, Step, Wait, WriteLedger
from rotator.domain.ledger import Problem
from rotator.domain.reasons import REASONS, Reason, action_for


def other_keys(state: ApplicationState) -> str:
    """What a message that says how to begin anew adds: the keys with a marker of this
    application that are not published. While one of them is there, a document that knows
    nothing of it looks restored."""
    keys = [key.access_key for key, _ in state.tagged_keys if key.access_key != state.published]
    return f" ({', '.join(keys)})" if keys else ""


def uncontained(state: ApplicationState) -> str:
    """What a message that forbids acting says of compromised keys: which ones it keeps from
    being revoked. Empty if none."""
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
    """Stop, and report why and what to do; a reason that every process sees is recorded in the
    ledger until it clears."""
    spec, known = state.spec, state.ledger.problem
    action = action_for(reason, application=spec.application, account=spec.account, path=spec.path, bearer=spec.bearer)
    message = f"{observed}{remark}" if REASONS[reason].specific else f"{observed}: {action}{remark}"
    # What stops only a request is the answer to its caller; the next pass without the request
    # would remove it from the ledger.
    record = REASONS[reason].recorded and state.observation.request is None
    problem = Problem(reason, message, known.since if known and known.reason == reason else state.now)
    if record and state.observation.ledger and (known is None or known.reason != reason):
        return WriteLedger(
            replace(state.ledger, problem=problem),
            (Event("application.blocked", {"reason": reason, "message": message}),),
        )
    latest = state.now + state.spec.resync_interval
    return Wait(min(until or state.now + RETRY_INTERVAL, latest), reason, message, problem)
