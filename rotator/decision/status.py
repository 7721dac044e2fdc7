"""The status of one application from its ledger, for ``status`` and the metrics. Pure; contacts no
service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from rotator.decision.next_action import next_action
from rotator.decision.observation import Observation
from rotator.decision.ownership import superseded_message
from rotator.decision.rules.document import configuration_mismatch, configuration_moved
from rotator.decision.state import ApplicationState
from rotator.decision.steps import Wait
from rotator.domain.due_time import due
from rotator.domain.ledger import Ledger, Problem
from rotator.domain.reasons import Reason, phase_of
from rotator.domain.spec import ApplicationSpec
from rotator.domain.status import PHASES, ApplicationStatus, NextAction, is_overdue

Obligation = tuple[datetime, datetime, str, str]
"""When an action is due, when it is overdue, the action and its reason."""


def overdue_at(spec: ApplicationSpec, ledger: Ledger) -> datetime | None:
    """When an action becomes overdue according to the spec, whatever a pass plans or a hold delays;
    None without one."""
    return min((latest for _, latest, _, _ in _duties(spec, ledger)), default=None)


def status_of(
    spec: ApplicationSpec, ledger: Ledger | None, now: datetime, observed: Problem | None = None
) -> ApplicationStatus:
    """The status from the ledger, which is None if the application has none yet. ``observed``: the
    problem that the daemon's last pass saw, which need not be in the ledger."""
    if ledger is None:
        next_ = NextAction(now, "observe", "no ledger yet")
        return ApplicationStatus(
            spec, None, now, phase_of(observed.reason) if observed else "new", next_, problem=observed
        )
    if spec.owner or ledger.successor:
        problem = Problem(Reason.SUPERSEDED, superseded_message(spec.application, ledger, spec.owner), now)
        return ApplicationStatus(
            spec, ledger, now, "blocked", NextAction(now, "observe", "another application owns it"), problem=problem
        )
    obligations = _obligations(spec, ledger, now)
    late, found = _late(obligations, now), _problem(spec, ledger, now, observed)
    phase = _phase(ledger, now, found, is_overdue(spec, late))
    return ApplicationStatus(spec, ledger, now, phase, _next(spec, ledger, now, obligations), late, found)


def phase_and_lateness(
    spec: ApplicationSpec, ledger: Ledger | None, now: datetime, observed: Problem | None = None
) -> tuple[str, timedelta]:
    """What ``status_of`` says of the phase and of how late something is, without the next action,
    which is the most of its cost."""
    if ledger is None or spec.owner or ledger.successor:
        status = status_of(spec, ledger, now, observed)
        return status.phase, status.late
    late = _late(_obligations(spec, ledger, now), now)
    return _phase(ledger, now, _problem(spec, ledger, now, observed), is_overdue(spec, late)), late


def _late(obligations: Iterable[Obligation], now: datetime) -> timedelta:
    return max((now - at for at, latest, _, _ in obligations if latest <= now), default=timedelta(0))


def _problem(spec: ApplicationSpec, ledger: Ledger, now: datetime, observed: Problem | None) -> Problem | None:
    return mismatch_problem(spec, ledger, now) or ledger.problem or observed


def mismatch_problem(spec: ApplicationSpec, ledger: Ledger, now: datetime) -> Problem | None:
    """The problem that follows from configuration and ledger alone, as a pass reports it."""
    if configuration_mismatch(spec, ledger) is None:
        return None
    step = configuration_moved(ApplicationState(spec, Observation.of_ledger(ledger, now)))
    return step.problem if isinstance(step, Wait) else None


def unreadable_status(spec: ApplicationSpec, reason: str, message: str, now: datetime) -> ApplicationStatus:
    """The status of an application whose ledger cannot be read."""
    next_ = NextAction(now, "observe", "the ledger cannot be read")
    return ApplicationStatus(spec, None, now, "unreadable", next_, problem=Problem(reason, message, now))


def _phase(ledger: Ledger, now: datetime, problem: Problem | None, overdue: bool) -> str:
    stopped = phase_of(problem.reason) if problem else "failing" if ledger.failures else ""
    truths: Mapping[str, bool] = {
        "compromised": bool(ledger.compromised),
        "held": ledger.held(now),
        "rotating": ledger.intent is not None,
        "unreadable": stopped == "unreadable",
        "failing": stopped == "failing",
        "blocked": stopped == "blocked",
        "overdue": overdue,
        "revoking": bool(ledger.revoking),
        "grace": bool(ledger.retiring),
        "new": ledger.current is None,
        "idle": True,
    }
    return next(phase for phase in PHASES if truths.get(phase))


def _next(spec: ApplicationSpec, ledger: Ledger, now: datetime, obligations: Iterable[Obligation]) -> NextAction:
    """What a pass would wait for, from the ledger alone; for an overdue action, since when."""
    waiting = ledger.not_before is not None and ledger.not_before > now
    overdue = [
        NextAction(since, what, why)
        for since, latest, what, why in obligations
        if latest <= now and not (what == "rotate" and waiting)  # after a failure, the next attempt has its own time
    ]
    return min([next_action(ApplicationState(spec, Observation.of_ledger(ledger, now))), *overdue])


def _obligations(spec: ApplicationSpec, ledger: Ledger, now: datetime) -> list[Obligation]:
    """The obligations without those that a hold delays."""
    held = ledger.held(now) and not any(mark.override_hold for mark in ledger.compromised)
    return [] if held else _duties(spec, ledger)


def _duties(spec: ApplicationSpec, ledger: Ledger) -> list[Obligation]:
    """The obligations. They follow from the spec, not from what a pass plans: a retry, a restart or
    a missed turn does not make a key younger."""
    if ledger.compromised:
        mark = ledger.compromised[0]
        return [(mark.at, mark.at, "contain", f"{mark.access_key} is compromised")]
    owed = [
        (entry.revoke_after, entry.revoke_after, "revoke", f"grace of {entry.access_key} ended")
        for entry in ledger.retiring
        if entry.access_key not in ledger.published_elsewhere()
    ]
    if spec.configured and ledger.current and (calendar := due(spec, ledger.current)):
        owed.append((calendar.at, calendar.latest, "rotate", calendar.reason))
    return owed
