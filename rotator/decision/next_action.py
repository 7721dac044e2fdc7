"""The next action of an application for which no rule has a step: what is due, when and why."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rotator.decision.blocking import block, uncontained
from rotator.decision.rules.document import bearer_gone
from rotator.decision.rules.rotation import fence_due_at
from rotator.decision.state import RETRY_INTERVAL, ApplicationState
from rotator.decision.steps import Step
from rotator.domain.keys import management_key_message
from rotator.domain.reasons import Reason
from rotator.domain.status import NextAction

MIN_DELAY = timedelta(milliseconds=200)
"""Shortest delay until the next observation."""


def idle(state: ApplicationState) -> Step:
    """No step now: blocks with what remains unresolved, or waits for the next action."""
    unheard = {
        key: message for key, message in state.observation.unconfirmed.items() if key in state.observation.still_valid
    }
    if unheard:
        return block(
            state,
            Reason.DELETE_UNCONFIRMED,
            "; ".join(f"{key} still answers: {message}" for key, message in sorted(unheard.items())),
        )
    if state.observation.still_valid and state.observation.bearer_observed:
        keys = ", ".join(sorted(state.observation.still_valid))
        return block(
            state,
            Reason.REVOCATION_UNVERIFIED,
            f"the deleted key {keys} of {state.spec.application} still answers, and probing goes on",
        )
    if state.observation.undeletable:
        refusals = "; ".join(message for _, message in sorted(state.observation.undeletable.items()))
        return block(state, Reason.DELETE_REFUSED, refusals)
    if not state.observation.bearer_observed:
        return bearer_gone(state)
    irrevocable = [
        key
        for key in state.observation.keys
        if not key.revocable and key.access_key in state.ledger.names() - {state.published}
    ]
    if management := next((key.access_key for key in irrevocable if key.manages_account), None):
        return block(state, Reason.MANAGEMENT_KEY, management_key_message(management, state.spec.account))
    if not_revocable := [key.access_key for key in irrevocable]:
        return block(
            state,
            Reason.NOT_REVOCABLE,
            f"key {', '.join(not_revocable)} of {state.spec.application} became managed or not deletable",
        )
    if kept := _published_elsewhere(state):
        return block(state, Reason.FORMER_DOCUMENT, kept)
    foreign = state.observation.foreign & state.ledger.compromised_keys()
    if foreign:
        return block(
            state,
            Reason.FOREIGN_KEY,
            f"the compromised key {', '.join(sorted(foreign))} named for {state.spec.application} belongs to another "
            "bearer or is no key at all",
        )
    if not state.trusted_clocks and (state.ledger.retiring or state.ledger.revoking):
        return block(
            state,
            Reason.CLOCK_SKEW,
            "the clocks of this machine, of Vault and of the provider differ by "
            f"{state.observation.clocks.spread.total_seconds():.0f} s, so revocations of {state.spec.application} wait",
        )
    if state.urgent_mode and not state.spec.configured:
        return block(
            state,
            Reason.NOT_CONFIGURED,
            f"the published key of {state.spec.application} must be replaced, but the application left the "
            "configuration",
            remark=uncontained(state),
        )
    return state.wait(next_action(state))


def _published_elsewhere(state: ApplicationState) -> str:
    """Why a key that is due to be revoked is not: the document at a former path still publishes
    it."""
    ledger = state.ledger
    due = {entry.access_key for entry in ledger.retiring if state.observation.clocks.passed(entry.revoke_after)}
    due |= ledger.compromised_keys() | {entry.access_key for entry in ledger.revoking}
    kept = [former for former in ledger.predecessors if former.access_key in due - {state.published}]
    return "; ".join(
        f"{former.access_key} is not revoked because {former.path}, the former document of {state.spec.application}, "
        "publishes it"
        for former in kept
    )


def next_action(state: ApplicationState) -> NextAction:
    """The next action of an application without a step now."""
    spec, ledger, clocks = state.spec, state.ledger, state.observation.clocks
    horizon = clocks.ours + spec.resync_interval
    earliest = ledger.not_before if ledger.not_before and state.in_backoff else clocks.ours
    if ledger.hold and state.on_hold:
        ends = clocks.ours_at(ledger.hold.until) if ledger.hold.until else horizon
        held = NextAction(min(horizon, ends), "held", f"held by {ledger.hold.by}: {ledger.hold.reason}")
        return _next_under_hold(state, earliest) or held
    soon = clocks.ours + RETRY_INTERVAL  # what is due and was not done waits for something else
    candidates = [
        NextAction(
            soon if entry.not_before is None or clocks.passed(entry.not_before) else clocks.ours_at(entry.not_before),
            "revoke",
            f"{entry.access_key} is scheduled for revocation",
        )
        for entry in ledger.revoking
    ]
    if not state.urgent_mode:
        candidates += [
            NextAction(clocks.ours_at(entry.revoke_after), "revoke", f"grace of {entry.access_key} ends")
            for entry in ledger.retiring
            if entry.access_key not in ledger.published_elsewhere()
        ]
    if ledger.intent is not None:
        until = max(state.takeover_at(ledger.intent), earliest)
        candidates.append(NextAction(until, "takeover", f"rotation {ledger.intent.id} is under way"))
    elif spec.configured and state.urgent_mode:
        candidates.append(NextAction(earliest, "rotate", "consumers need another key"))
    elif scheduled := state.scheduled_rotation:
        candidates.append(NextAction(max(clocks.ours_at(scheduled.at), earliest), "rotate", scheduled.reason))
    elif spec.configured and state.in_backoff:
        candidates.append(NextAction(earliest, "rotate", "after a failure"))
    if fence_at := fence_due_at(state):
        candidates.append(
            NextAction(max(clocks.ours_at(fence_at), earliest), "fence", "a failed rotation may have left a key behind")
        )
    floor = clocks.ours + MIN_DELAY
    return min(
        (replace(candidate, at=max(candidate.at, floor)) for candidate in candidates),
        default=NextAction(horizon, "observe", "nothing is due"),
    )


def _next_under_hold(state: ApplicationState, earliest: datetime) -> NextAction | None:
    """The next action of an emergency that overrides the hold; None without one."""
    if not state.override_hold:
        return None
    why = "an emergency goes through the hold"
    if state.ledger.intent is not None:
        return NextAction(max(state.takeover_at(state.ledger.intent), earliest, state.now + MIN_DELAY), "takeover", why)
    return NextAction(max(earliest, state.now + MIN_DELAY), "contain", why)
