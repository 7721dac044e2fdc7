"""Looks at applications for which nothing is due are spread over the interval, however they began."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from rotator.daemon.application_task import ApplicationTask
from rotator.decision.steps import Wait
from rotator.domain.status import NextAction
from rotator.reconciler.context import PassOutcome
from tests.support.daemon_stage import runtime

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
INTERVAL = timedelta(minutes=15)
MADE = runtime(*(f"app-{number}" for number in range(1000)))
DUE_LATER = NextAction(NOW + timedelta(days=9), "rotate", "its age")


def task(name: str) -> ApplicationTask:
    return ApplicationTask(MADE.spec(name), MADE, NOW, NOW)


def looked(one: ApplicationTask, now: datetime, following: NextAction, until: datetime | None = None) -> datetime:
    """When the next pass begins after one that ended now and saw this as the next action."""
    until = until or min(following.at, now + INTERVAL)
    return one.conclude(PassOutcome(Wait(until, following.action, following.reason, next=following)), now)


@pytest.mark.parametrize("following", [DUE_LATER, NextAction(NOW + INTERVAL, "observe", "nothing is due")])
def test_looks_that_ended_together_are_spread_over_the_interval_and_none_is_later(following: NextAction) -> None:
    times = [looked(task(name), NOW, following) for name in MADE.applications]
    assert all(NOW < time <= NOW + INTERVAL for time in times)
    tenths = Counter(int((time - NOW) / (INTERVAL / 10)) for time in times)
    assert all(50 < tenths[tenth] < 150 for tenth in range(10)), tenths


def test_from_its_first_turn_on_an_application_is_looked_at_once_in_each_interval() -> None:
    one = task("app-7")
    turns = [looked(one, NOW, DUE_LATER)]
    for seconds in (0.1, 2.0, 0.7, 11.0):  # what the pass takes, and what it waits for a worker
        turns.append(looked(one, turns[-1] + timedelta(seconds=seconds), DUE_LATER))
    assert {after - before for before, after in itertools.pairwise(turns)} == {INTERVAL}


def test_what_is_due_within_the_interval_begins_when_it_is_due() -> None:
    for name in MADE.applications:
        due = NextAction(NOW + timedelta(minutes=7), "rotate", "its age")
        assert looked(task(name), NOW, due) == due.at


def test_a_pass_that_asks_for_a_retry_soon_is_not_called_at_once() -> None:
    for name in MADE.applications:
        retry = looked(task(name), NOW, DUE_LATER, until=NOW + timedelta(seconds=30))
        assert NOW + timedelta(milliseconds=200) <= retry <= NOW + timedelta(seconds=30)
    times = [looked(task(name), NOW, DUE_LATER, until=NOW + timedelta(seconds=30)) for name in MADE.applications]
    assert times.count(NOW + timedelta(seconds=30)) > 900
