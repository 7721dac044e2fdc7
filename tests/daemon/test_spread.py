"""What is late when a daemon starts or reloads, or in a single round: spread where there is a later turn, and never called well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.daemon.application_task import ApplicationTask
from rotator.daemon.engine import Engine
from rotator.daemon.health_rounds import UnhealthyReason, unhealthy_reason
from rotator.domain.secret import Secret
from rotator.domain.spec import MaintenanceWindow
from rotator.observability.notifications import HeartbeatSettings, NotificationSettings
from tests.support.daemon_stage import FakeFleet, bearer_of, eventually, published, runtime, single_run
from tests.support.listener import Listener

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NAMES = tuple(f"app-{number:02d}" for number in range(40))


def overdue_fleet(*names: str, age: timedelta = 371 * DAY, **changes: Any) -> FakeFleet:
    """Applications that consumers have used so old a key of; each a little older than the one before."""
    made = runtime(*names, workers=8)
    for number, name in enumerate(names):
        made.applications[name] = replace(
            made.applications[name], **{"every": 30 * DAY, "startup_spread": HOUR, **changes}
        )
        created = datetime.now(UTC) - age - number * DAY / 2
        key, secret = made.stages["acme"].make_key(bearer=bearer_of(name), created=created)
        made.stages["acme"].publish_by_hand(key.access_key, secret.reveal(), path=made.applications[name].path)
    return made


@pytest.fixture
def engines() -> Iterator[list[Engine]]:
    started: list[Engine] = []
    yield started
    for engine in started:
        engine.close()


def rotated(made: FakeFleet, before: dict[str, str | None]) -> set[str]:
    return {name for name in before if published(made, name) != before[name]}


def planned(engine: Engine) -> dict[str, timedelta]:
    """How far ahead the next rotation of each application is that is late by the policy."""
    now = datetime.now(UTC)
    with engine.lock:
        facts = {task.name: task.summary for task in engine.tasks.values() if task.summary}
    return {name: fact.next.at - now for name, fact in facts.items() if fact.overdue_at and fact.overdue_at < now}


def looked(engine: Engine) -> bool:
    return all(task.summary for task in engine.tasks.values()) and not engine.running()


def assert_spread(made: FakeFleet, engine: Engine, before: dict[str, str | None]) -> None:
    """Few of the applications rotate now, and the others within the hour, each at its own time."""
    eventually(lambda: looked(engine), "every application was looked at")
    now = rotated(made, before)
    assert len(now) <= len(NAMES) * 0.3, f"{len(now)} of {len(NAMES)} at once"
    later = sorted(wait for name, wait in planned(engine).items() if name not in now)
    assert len(later) > len(NAMES) / 4
    assert later[-1] <= HOUR
    assert later[len(later) // 2] > timedelta(minutes=5)


def test_c10_one_round_rotates_whatever_is_overdue(engines: list[Engine]) -> None:
    made = overdue_fleet("billing", "other")
    before = {name: published(made, name) for name in made.applications}
    assert single_run(made) == 0
    assert rotated(made, before) == {"billing", "other"}


def test_c10_what_is_overdue_at_the_start_of_a_daemon_is_spread_over_the_hour(engines: list[Engine]) -> None:
    made = overdue_fleet(*NAMES)
    before = {name: published(made, name) for name in NAMES}
    engines.append(Engine(made, made.sink))
    engines[0].start()
    assert_spread(made, engines[0], before)


@pytest.mark.parametrize(
    "changes",
    {
        "a shorter every": {"every": 7 * DAY},
        "another cron": {"every": None, "cron": "0 3 * * 1"},
        "a longer jitter": {"jitter": 29 * DAY},
        "a shorter max_age": {"max_age": 8 * DAY},
    }.values(),
    ids=" ".join,
)
def test_c10_what_a_reload_makes_overdue_is_spread_like_what_is_overdue_at_a_start(
    engines: list[Engine], changes: dict[str, Any]
) -> None:
    made = overdue_fleet(*NAMES, age=9 * DAY)
    before = {name: published(made, name) for name in NAMES}
    engine = Engine(made, made.sink)
    engines.append(engine)
    engine.start()
    eventually(lambda: looked(engine), "every application was looked at")
    assert not rotated(made, before)
    seen = {name: task.last_reconciled_at for name, task in engine.tasks.items()}
    applications = {name: replace(spec, **changes) for name, spec in made.applications.items()}
    engine.apply_runtime(replace(made, applications=applications))
    eventually(
        lambda: all(task.last_reconciled_at != seen[name] for name, task in engine.tasks.items()), "looked at anew"
    )
    assert_spread(made, engine, before)


# --- health judges the policy ---


def looked_at(made: FakeFleet) -> ApplicationTask:
    task = ApplicationTask(made.applications["billing"], made, started=datetime.now(UTC), due=datetime.now(UTC))
    while isinstance(outcome := task.advance(), datetime):
        pass
    task.conclude(outcome, datetime.now(UTC))
    return task


def test_c10_a_rotation_that_the_plan_puts_off_is_overdue_by_the_policy() -> None:
    days = frozenset({(datetime.now(UTC) + 3 * DAY).weekday()})
    made = overdue_fleet("billing", window=MaintenanceWindow(days, 0, 60))
    task = looked_at(made)
    assert task.summary
    assert task.summary.next.at > datetime.now(UTC) + DAY
    assert unhealthy_reason([task.snapshot()], [], datetime.now(UTC)) == UnhealthyReason("overdue", "billing")


def test_c10_a_rotation_is_overdue_when_it_has_not_begun_within_the_spread() -> None:
    made = overdue_fleet("billing", age=timedelta(0), every=DAY)
    task, due = looked_at(made), datetime.now(UTC) + DAY
    task.due = due + 9 * DAY
    assert task.summary
    task.summary = replace(task.summary, next=replace(task.summary.next, at=due + 9 * DAY))
    patience = task.spec.stale_claim_timeout
    assert unhealthy_reason([task.snapshot()], [], due + HOUR + patience - timedelta(minutes=1)) is None
    assert unhealthy_reason([task.snapshot()], [], due + HOUR + patience + timedelta(minutes=1)) == UnhealthyReason(
        "overdue", "billing"
    )


def test_c10_a_round_after_which_something_is_overdue_sends_no_heartbeat_and_says_why() -> None:
    days = frozenset({(datetime.now(UTC) + 3 * DAY).weekday()})
    made = overdue_fleet("billing", window=MaintenanceWindow(days, 0, 60))
    with Listener() as switch:
        made.alarm = NotificationSettings(ping=HeartbeatSettings(lambda: Secret(switch.url)))
        assert single_run(made) == 0
        assert switch.count == 0
    told = [fields for event, fields in made.sink.events if event == "heartbeat.unhealthy"]
    assert told == [{"reason": "overdue", "subject": "billing"}]
