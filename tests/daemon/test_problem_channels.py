"""Every reason why work stops goes through every channel, from one source: C2."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.cli.output.nagios import State, has_problem, line
from rotator.daemon.application_task import ApplicationTask
from rotator.daemon.health_rounds import unhealthy_reason
from rotator.daemon.monitoring import _application
from rotator.decision.blocking import block
from rotator.decision.observation import Clocks, Observation
from rotator.decision.state import ApplicationState
from rotator.decision.status import status_of
from rotator.decision.steps import Wait, WriteLedger
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CurrentKey, Ledger, Problem
from rotator.domain.reasons import REASONS, Reason, Source, action_for
from rotator.domain.status import ApplicationStatus
from rotator.observability.metrics.collector import samples
from rotator.observability.metrics.counters import CounterValues
from rotator.observability.metrics.snapshot import MetricsSnapshot
from rotator.observability.notifications.digest import Digest
from rotator.operations.queries.plan import _waiting
from rotator.reconciler.context import LocalState, PassOutcome
from rotator.reconciler.observer import Observer
from rotator.reconciler.pass_state import PassState
from tests.support.daemon_stage import runtime
from tests.support.simulated import EPOCH, Actor, Sim, spec

BLOCKS = [
    reason
    for reason, info in REASONS.items()
    if info.source in (Source.SHARED, Source.CONFIGURATION, Source.OBSERVER) and reason is not Reason.HELD
]
FAILURES = [reason for reason, info in REASONS.items() if info.source in (Source.ATTEMPT, Source.SERVICE)]
SPEC = spec()
LEDGER: Ledger = replace(new_ledger(SPEC), current=CurrentKey("SCW1", 1, EPOCH, EPOCH))
ACTION = {"application": SPEC.application, "account": SPEC.account, "path": SPEC.path, "bearer": SPEC.bearer}


def blocked(reason: Reason) -> tuple[Wait, Ledger, list[tuple[str, dict[str, object]]]]:
    """How a pass ends that is stopped for this reason, the ledger afterwards, and the events of two such passes."""
    actor = Actor(Sim(), SPEC)
    current = PassState(SPEC, actor.context, LocalState(), None)
    observation = Observation(Clocks(EPOCH, EPOCH, EPOCH), "1" * 16, "daemon", "2" * 16, ledger=LEDGER)
    for _ in range(2):
        step = block(ApplicationState(SPEC, observation), reason, "this was seen")
        if isinstance(step, WriteLedger):
            for event in step.events:
                current.emit(event.name, **event.fields)
            observation = replace(observation, ledger=step.ledger)
            step = block(ApplicationState(SPEC, observation), reason, "this was seen")
        assert isinstance(step, Wait)
        wait = Observer(current).report_problem(step, observation)
    assert observation.ledger is not None
    return wait, observation.ledger, actor.sink.events


def task_after(outcome: PassOutcome) -> ApplicationTask:
    task = ApplicationTask(SPEC, runtime("billing"), EPOCH, EPOCH)
    task.conclude(outcome, EPOCH)
    return task


def metric(task: ApplicationTask) -> dict[str, tuple[str, ...]]:
    snapshot = MetricsSnapshot(EPOCH, True, timedelta(0), EPOCH, False, (_application(task.snapshot()),))
    told = samples(snapshot, CounterValues({}, {}, {}, {}, {}))
    return {name: labels[2:] for name, labels, _ in told if name.startswith("rotator_application_p")}


def shown(view: ApplicationStatus) -> tuple[State, str]:
    return line([view], (), EPOCH)


@pytest.mark.parametrize("reason", BLOCKS)
def test_c2_what_stops_work_goes_through_every_channel_with_the_way_out(reason: Reason) -> None:
    wait, ledger, events = blocked(reason)
    problem = wait.problem
    assert problem is not None
    way_out = action_for(reason, **ACTION)
    if not REASONS[reason].specific:
        assert way_out in problem.message

    # the event, once
    assert [(name, fields["reason"]) for name, fields in events] == [("application.blocked", reason)]

    # status: phase and JSON, from the ledger where it is recorded, else from the daemon that sees it
    assert (ledger.problem is not None) == REASONS[reason].recorded
    view = status_of(SPEC, ledger, EPOCH, None if ledger.problem else problem)
    assert view.phase == "blocked"
    assert json.loads(json.dumps(view.as_json()))["problem"]["reason"] == reason.value

    # status, its exit code, and status --check
    assert has_problem(view)
    state, sentence = shown(view)
    assert state is State.CRITICAL
    assert reason.value in sentence
    assert REASONS[reason].general_action in sentence

    # run --once, the heartbeat, the metrics
    outcome = PassOutcome(wait, ledger)
    task = task_after(outcome)
    assert task.summary is not None
    assert task.summary.result.exit_code == REASONS[reason].exit_code
    unhealthy = unhealthy_reason([task.snapshot()], [], EPOCH)
    assert unhealthy is not None
    assert unhealthy.reason == "problem"
    assert metric(task) == {"rotator_application_phase": ("blocked",), "rotator_application_problem": (reason.value,)}

    # the plan
    observation = Observation(Clocks(EPOCH, EPOCH, EPOCH), "", "", "", ledger=ledger)
    plan = _waiting(observation, wait, [], [])
    assert (plan.action, plan.reason) == ("blocked", problem.message)

    # the message to people
    digest = Digest()
    for name, fields in events:
        digest.note(name, {**fields, "application": "billing"}, 0.0)
    message = digest.take(100.0)
    assert message is not None
    assert reason.value in message.body
    assert REASONS[reason].general_action in message.body
    assert SPEC.path not in message.body


@pytest.mark.parametrize("reason", FAILURES)
def test_c2_what_makes_attempts_fail_has_a_phase_an_exit_code_and_a_metric(reason: Reason) -> None:
    problem = Problem(reason, "it failed", EPOCH)
    ledger = replace(LEDGER, problem=problem, failures=1)
    view = status_of(SPEC, ledger, EPOCH)
    phase = "unreadable" if reason is Reason.LEDGER_UNREADABLE else "failing"
    assert view.phase == phase
    assert has_problem(view)
    assert shown(view)[0] in (State.WARNING, State.CRITICAL)
    assert reason.value in shown(view)[1]
    task = task_after(PassOutcome(Wait(EPOCH, reason, "it failed", problem), ledger))
    assert task.summary is not None
    assert task.summary.result.exit_code == REASONS[reason].exit_code
    assert metric(task)["rotator_application_problem"] == (reason.value,)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"path": "secret/elsewhere"}, "configuration_moved"),
        ({"bearer": "another"}, "configuration_moved"),
        ({"account": "another"}, "configuration_moved"),
        ({"fields": {"id": "{access_key}", "secret_key": "{secret_key}"}}, "fields_renamed"),
    ],
)
def test_c2_status_derives_what_follows_from_the_configuration_and_the_ledger(
    changes: dict[str, object], reason: str
) -> None:
    """``status`` reads only ledgers, and needs no daemon for this."""
    view = status_of(spec(**changes), LEDGER, EPOCH)
    assert view.phase == "blocked"
    assert view.problem is not None
    assert view.problem.reason == reason
    assert shown(view)[0] is State.CRITICAL
