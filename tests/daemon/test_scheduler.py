"""Jobs with a date: each begins once, in its own pool, and its end is reported."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.daemon.periodic import PERIODIC_RETRY_DELAY, PeriodicTasks
from rotator.daemon.pools import MAINTENANCE, pass_workers, probe_worker, urgent_workers
from rotator.daemon.scheduler import Pool, Scheduler
from rotator.errors import Unavailable
from tests.support.daemon_stage import eventually
from tests.support.simulated import Recorder

POOL = Pool("a pool", 1)


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    made = Scheduler()
    made.start()
    yield made
    made.close()


def now() -> datetime:
    return datetime.now(UTC)


def test_a_job_runs_once_at_its_date_and_its_end_says_what_it_returned(scheduler: Scheduler) -> None:
    ends: list[tuple[bool, Any]] = []
    ran: list[datetime] = []
    at = now() + timedelta(seconds=0.3)

    def run() -> int:
        ran.append(now())
        return 7

    scheduler.schedule_at("job", run, at, POOL, lambda *end: ends.append(end))
    assert scheduler.has("job")
    eventually(lambda: ends)
    assert ends == [(True, 7)]
    assert len(ran) == 1
    assert ran[0] >= at
    assert not scheduler.has("job")


def test_a_job_that_raises_has_not_come_to_its_end(scheduler: Scheduler, library_complaints: list[str]) -> None:
    ends: list[tuple[bool, Any]] = []

    def run() -> object:
        raise KeyError("odd")

    scheduler.schedule_at("job", run, now(), POOL, lambda *end: ends.append(end))
    eventually(lambda: ends)
    assert ends == [(False, None)]
    (complaint,) = library_complaints
    assert complaint.startswith("apscheduler.executors.")
    library_complaints.clear()


def test_a_later_date_replaces_the_former_one_and_a_dropped_job_never_runs(scheduler: Scheduler) -> None:
    ran: list[str] = []
    ignore = lambda *_: None  # noqa: E731  # the end is of no interest
    scheduler.schedule_at("kept", lambda: ran.append("former"), now() + timedelta(seconds=30), POOL, ignore)
    scheduler.schedule_at("dropped", lambda: ran.append("dropped"), now() + timedelta(seconds=0.4), POOL, ignore)
    scheduler.drop("dropped")
    scheduler.drop("dropped")
    assert not scheduler.has("dropped")
    scheduler.schedule_at("kept", lambda: ran.append("later"), now(), POOL, ignore)
    eventually(lambda: ran)
    threading.Event().wait(0.6)
    assert ran == ["later"]


def test_a_job_in_one_pool_does_not_wait_for_the_workers_of_another(scheduler: Scheduler) -> None:
    free, ran = threading.Event(), threading.Event()
    ignore = lambda *_: None  # noqa: E731  # the end is of no interest
    scheduler.schedule_at("slow", lambda: free.wait(60), now(), POOL, ignore)
    scheduler.schedule_at("behind", ran.set, now(), POOL, ignore)
    other = threading.Event()
    scheduler.schedule_at("beside", other.set, now(), Pool("another pool", 1), ignore)
    assert other.wait(60)
    assert not ran.is_set()
    free.set()
    assert ran.wait(60)


def test_a_step_of_the_clock_shifts_every_date(scheduler: Scheduler) -> None:
    ran = threading.Event()
    scheduler.schedule_at("job", ran.set, now() + timedelta(hours=1), POOL, lambda *_: None)
    scheduler.shift(timedelta(hours=-1))
    assert ran.wait(60)


# --- periodic tasks ---


class Dates:
    """A scheduler whose jobs the test runs."""

    def __init__(self) -> None:
        self.jobs: dict[str, Any] = {}

    def schedule_at(self, name: str, run: Any, when: datetime, pool: Pool, ended: Any) -> None:
        self.jobs[name] = (run, when, pool, ended)

    def has(self, name: str) -> bool:
        return name in self.jobs

    def run(self, name: str) -> None:
        run, _, _, ended = self.jobs.pop(f"periodic {name}")
        try:
            returned = run()
        except BaseException:
            ended(False, None)
            raise
        ended(True, returned)

    def delay(self, name: str) -> int:
        when: datetime = self.jobs[f"periodic {name}"][1]
        return round((when - now()).total_seconds())


def periodic() -> tuple[Dates, Recorder, PeriodicTasks]:
    dates, sink = Dates(), Recorder()
    return dates, sink, PeriodicTasks(dates, sink)  # type: ignore[arg-type]  # as far as it is used


def test_a_periodic_task_runs_after_its_delay_and_then_as_often_as_it_says() -> None:
    dates, _, tasks = periodic()
    ended: list[int] = []
    tasks.add("look", lambda: timedelta(minutes=5), delay=timedelta(seconds=20), ended=lambda: ended.append(1))
    assert (dates.delay("look"), dates.jobs["periodic look"][2]) == (20, MAINTENANCE)
    dates.run("look")
    assert (dates.delay("look"), ended) == (300, [1])
    tasks.add("once", lambda: None, delay=timedelta(0), pool=POOL)
    assert dates.jobs["periodic once"][2] == POOL
    dates.run("once")
    assert not dates.has("periodic once")


def test_a_periodic_task_that_fails_is_reported_and_runs_again() -> None:
    dates, sink, tasks = periodic()

    def away() -> timedelta:
        raise Unavailable("Vault is sealed", service="vault", kind="sealed")

    def odd() -> timedelta:
        raise KeyError("odd")

    tasks.add("away", away, delay=timedelta(0))
    tasks.add("odd", odd, delay=timedelta(0))
    dates.run("away")
    dates.run("odd")
    (failed, crashed) = sink.events
    assert failed == ("daemon.task_failed", {"chore": "away", "message": "Vault is sealed"})
    assert (crashed[0], crashed[1]["error"]) == ("daemon.crashed", "KeyError")
    assert {dates.delay("away"), dates.delay("odd")} == {PERIODIC_RETRY_DELAY.total_seconds()}


def test_a_job_that_the_scheduler_lost_runs_again_after_the_same_delay() -> None:
    dates, _, tasks = periodic()
    tasks.add("look", lambda: timedelta(minutes=5), delay=timedelta(0))
    _, _, _, ended = dates.jobs.pop("periodic look")
    ended(False, None)
    assert dates.delay("look") == PERIODIC_RETRY_DELAY.total_seconds()


def test_a_task_that_was_added_anew_while_it_ran_keeps_its_own_date_or_gets_one_at_once() -> None:
    dates, _, tasks = periodic()

    def again(delay: timedelta, *, lost: bool = False) -> None:
        tasks.add("look", lambda: None, delay=delay)
        if lost:
            dates.jobs.clear()  # the scheduler skips a date that comes while the job runs

    tasks.add("look", lambda: again(timedelta(minutes=9)), delay=timedelta(0))
    dates.run("look")
    assert dates.delay("look") == 540
    tasks.add("look", lambda: again(timedelta(minutes=9), lost=True), delay=timedelta(0))
    dates.run("look")
    assert dates.delay("look") == 0


def test_after_the_end_nothing_is_scheduled_any_more() -> None:
    dates, _, tasks = periodic()
    tasks.close()
    tasks.add("look", lambda: None, delay=timedelta(0))
    assert dates.jobs == {}


# --- pools ---


def test_each_account_has_workers_for_passes_and_for_emergencies_of_its_own() -> None:
    assert pass_workers("acme", 8) == Pool("passes of acme", 8)
    assert pass_workers("other", 8) != pass_workers("acme", 8)
    assert urgent_workers("acme", 8) == Pool("emergencies of acme", 2)
    assert urgent_workers("acme", 3) == Pool("emergencies of acme", 1)
    assert probe_worker("vault") == Pool("probe of vault", 1)
    assert Pool("maintenance", 4) == MAINTENANCE
