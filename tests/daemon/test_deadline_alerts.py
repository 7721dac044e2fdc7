"""Deadlines are told when they come near and nothing can be done, once for each key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.daemon.deadline_alerts import DeadlineAlerts
from rotator.decision.steps import Wait
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CurrentKey, Hold, Problem
from rotator.errors import Unavailable
from rotator.reconciler.context import PassOutcome
from tests.daemon.test_engine import Engines, events, start  # noqa: F401 - start is a fixture
from tests.support.daemon_stage import application, eventually, runtime, settled
from tests.support.simulated import Recorder

NOW = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
BLOCKED = Problem("quota", "no room", NOW)


def outcome(
    *, age: timedelta, problem: Problem | None = BLOCKED, error: Any = None, hold: Hold | None = None
) -> PassOutcome:
    current = CurrentKey("SCWCURRENT", 1, NOW - age, created_at=NOW - age)
    ledger = replace(new_ledger(application()), current=current, hold=hold)
    return PassOutcome(Wait(NOW, "quota", "no room", problem), ledger, None, error)


def look(*found: PassOutcome, notice: timedelta = 3 * DAY, **spec: Any) -> list[str]:
    recorder = Recorder()
    deadlines = DeadlineAlerts(recorder)
    for one in found:
        deadlines.look(application(**{"max_age": 30 * DAY, **spec}), one, notice, NOW)
    return recorder.names()


@pytest.mark.parametrize(
    ("found", "told"),
    {
        "blocked, and days to go": (outcome(age=20 * DAY), []),
        "blocked, and near": (outcome(age=28 * DAY), ["deadline.approaching"]),
        "blocked, and past it": (outcome(age=31 * DAY), ["deadline.missed"]),
        "blocked, and at that very moment": (outcome(age=30 * DAY), ["deadline.missed"]),
        "blocked, and exactly as near as asked for": (outcome(age=27 * DAY), ["deadline.approaching"]),
        "blocked, and not yet as near": (outcome(age=27 * DAY - timedelta(seconds=1)), []),
        "held, and near": (outcome(age=28 * DAY, problem=None, hold=Hold("x", "ann", NOW)), ["deadline.approaching"]),
        "cut short, and near": (
            outcome(age=28 * DAY, problem=None, error=Unavailable("x", service="vault", kind="sealed")),
            ["deadline.approaching"],
        ),
        "well, and near": (outcome(age=28 * DAY, problem=None), []),
    }.values(),
    ids=lambda value: value[0] if isinstance(value, list) and value else "",
)
def test_a_deadline_is_told_when_it_is_near_and_the_key_cannot_be_replaced(found: PassOutcome, told: list[str]) -> None:
    assert look(found) == told


def test_it_is_told_once_when_near_and_once_when_missed() -> None:
    near, missed = outcome(age=28 * DAY), outcome(age=31 * DAY)
    assert look(near, near, missed, missed) == ["deadline.approaching", "deadline.missed"]


def test_without_a_hard_deadline_there_is_nothing_to_tell() -> None:
    assert look(outcome(age=300 * DAY), max_age=None) == []


def test_an_application_that_left_the_configuration_has_no_deadline() -> None:
    assert look(outcome(age=300 * DAY), configured=False) == []


def test_the_daemon_tells_of_a_key_that_is_held_past_its_age(start: Engines) -> None:  # noqa: F811 - a fixture
    made = runtime("billing")
    settled("billing", made)
    made.applications["billing"] = replace(made.applications["billing"], max_age=timedelta(seconds=1))
    stage = made.stages["acme"]
    (key,) = [true.key for true in stage.keys.values()]
    aged = replace(key, created_at=key.created_at - DAY)
    ledger = new_ledger(made.applications["billing"])
    current = CurrentKey(aged.access_key, 1, aged.created_at, created_at=aged.created_at)
    made.vault.write_ledger(replace(ledger, current=current, hold=Hold("x", "ann", datetime.now(UTC))), cas=0)
    start(made)
    eventually(lambda: events(made, "deadline.missed"))
    assert events(made, "deadline.missed")[0]["application"] == "billing"
