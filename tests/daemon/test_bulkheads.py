"""C11: no account delays another, whatever of it hangs. The engine with simulated services on the real clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from rotator.daemon.engine import Engine
from rotator.daemon.periodic import PeriodicTasks
from rotator.daemon.scheduler import Scheduler
from rotator.daemon.services import VAULT, ServiceState
from rotator.decision.transitions.compromise import mark_compromised
from rotator.errors import Unavailable
from tests.support.daemon_stage import (
    FakeFleet,
    Recorder,
    application,
    bearer_of,
    eventually,
    published,
    runtime,
    settled,
)


@contextmanager
def started(made: FakeFleet, sink: Any = None) -> Iterator[Engine]:
    engine = Engine(made, sink or made.sink)
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


class Hanging:
    """Everything that is asked of the stages hangs from ``begin`` on, until the end of the test."""

    def __init__(self, *stages: Any) -> None:
        self.inside = 0
        self._begun = threading.Event()
        self._over = threading.Event()
        for stage in stages:
            stage.hook = self._hook

    def _hook(self, name: str, phase: str) -> None:
        if self._begun.is_set() and phase == "before":
            self.inside += 1
            self._over.wait(60)
            raise Unavailable("no answer", service="slow", kind="timeout")

    def begin(self) -> None:
        self._begun.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()


def mark(made: FakeFleet, name: str) -> str:
    """Mark the application's current key compromised, as a command does that was killed then; the key."""
    ledger, version = made.vault.read_ledger(name)
    assert ledger is not None
    assert ledger.current is not None
    key = ledger.current.access_key
    marked = mark_compromised(
        ledger, [key], reason="leak", by="ops", at=datetime.now(UTC), incident="1" * 16, mode="replace_first"
    )
    made.vault.write_ledger(marked, cas=version)
    return key


def at_rest(engine: Engine) -> bool:
    return all(task.ledger and task.ledger.current and not task.running for task in engine.tasks.values())


def test_c11_sixty_emergencies_of_an_account_that_hangs_do_not_delay_the_containment_of_another_account() -> None:
    names = [f"slow-{number:02d}" for number in range(60)]
    made = runtime("billing", *names, accounts=dict.fromkeys(names, "slow"), workers=16)
    for name in ("billing", *names):
        settled(name, made)
    with Hanging(made.stages["slow"]) as hanging, started(made) as engine:
        eventually(lambda: at_rest(engine), "every application is adopted")
        for name in names:
            mark(made, name)
        hanging.begin()
        engine.reconcile_now(names)
        eventually(lambda: hanging.inside >= 4, "every emergency worker of the account hangs")
        leaked = mark(made, "billing")
        engine.reconcile_now(["billing"])
        eventually(lambda: not made.stages["acme"].live(leaked), "the leaked key of the other account is revoked")
        assert all(task.running or task.urgent for task in engine.tasks.values() if task.spec.account == "slow")


def test_c11_an_account_that_hangs_takes_no_worker_of_another() -> None:
    names = [f"slow-{number:02d}" for number in range(12)]
    made = runtime("billing", *names, accounts=dict.fromkeys(names, "slow"), workers=4)
    for name in ("billing", *names):
        settled(name, made)
    made.applications["billing"] = replace(made.applications["billing"], resync_interval=timedelta(milliseconds=200))
    with Hanging(made.stages["slow"]) as hanging, started(made) as engine:
        eventually(lambda: at_rest(engine), "every application is adopted")
        hanging.begin()
        with engine.lock:
            for name in names:
                engine._schedule_task(engine.tasks[name], datetime.now(UTC))
        eventually(lambda: hanging.inside >= 4, "every worker of the account hangs")
        for _ in range(3):
            seen = engine.tasks["billing"].last_reconciled_at
            eventually(
                lambda seen=seen: engine.tasks["billing"].last_reconciled_at != seen,  # type: ignore[misc]  # bound on purpose
                "the other account goes on",
            )
        assert sum(task.running for task in engine.tasks.values() if task.spec.account == "slow") == 4


def test_c11_with_one_account_all_workers_are_its_own() -> None:
    names = [f"app-{number}" for number in range(6)]
    made = runtime(*names, workers=4)
    for name in names:
        settled(name, made)
    with Hanging(made.stages["acme"]) as hanging, started(made) as engine:
        eventually(lambda: at_rest(engine))
        hanging.begin()
        with engine.lock:
            for name in names:
                engine._schedule_task(engine.tasks[name], datetime.now(UTC))
        eventually(lambda: hanging.inside == 4, "four of six are worked on at once")


def test_c11_probes_that_hang_in_ten_accounts_delay_neither_the_eleventh_nor_what_runs_beside_the_passes() -> None:
    names = [f"slow-{number}" for number in range(10)]
    made = runtime("billing", *names, accounts={name: f"account-{name}" for name in names}, workers=2)
    with Hanging(*(made.stages[f"account-{name}"] for name in names)) as hanging:
        hanging.begin()
        with started(made) as engine:
            eventually(lambda: hanging.inside == 10, "every probe hangs")
            eventually(lambda: published(made, "billing"), "the account that answers works")
            ran = threading.Event()
            engine.add_periodic("something", ran.set, delay=timedelta(0))
            eventually(ran.is_set)
            assert engine.services["account-slow-1"].state is ServiceState.UNKNOWN


def test_c11_a_snapshot_and_a_lease_wait_for_no_lock() -> None:
    made = runtime("billing")
    settled("billing", made)
    with started(made) as engine:
        eventually(lambda: at_rest(engine) and engine.tasks["billing"].last_success_at)
        found: list[Any] = []

        def read() -> None:
            with engine.lease_runtime() as lent:
                found.append((engine.snapshot(), lent))

        with engine.lock:
            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            reader.join(10)
        [(snapshot, lent)] = found
        assert lent is made
        [task] = snapshot.tasks
        assert (task.name, task.key_count, task.rotating, task.crashes) == ("billing", 1, False, 0)
        assert {one.name: one.state for one in snapshot.services} == {VAULT: ServiceState.UP, "acme": ServiceState.UP}


class Listening(Recorder):
    """A sink that notes which events come while the engine's lock is held by the thread that emits."""

    def __init__(self) -> None:
        super().__init__()
        self.engine: Engine | None = None
        self.under_lock: list[str] = []

    def emit(self, event: str, **fields: object) -> None:
        if self.engine is not None and self.engine.lock._is_owned():  # type: ignore[attr-defined]  # what the lock itself knows
            self.under_lock.append(event)
        super().emit(event, **fields)


def test_c11_no_event_is_emitted_and_nothing_is_asked_while_the_lock_of_the_engine_is_held() -> None:
    sink = Listening()
    made = runtime("billing", "leaving", workers=2, sink=sink)
    asked_under_lock: list[str] = []
    for name in ("billing", "leaving"):
        settled(name, made)

    def hook(name: str, phase: str) -> None:
        if sink.engine is not None and sink.engine.lock._is_owned():  # type: ignore[attr-defined]  # what the lock itself knows
            asked_under_lock.append(name)

    made.stages["acme"].hook = hook
    sink.engine = engine = Engine(made, sink)
    engine.start()
    try:
        eventually(lambda: at_rest(engine))
        engine.add_removed_applications({"gone": application("gone", account="elsewhere", configured=False)})
        made.stages["acme"].sealed = True
        engine.reconcile_now(["billing"])
        eventually(lambda: engine.services[VAULT].state is ServiceState.DOWN)
        made.stages["acme"].sealed = False
        eventually(lambda: engine.services[VAULT].state is ServiceState.UP)
        after = runtime("billing", "new", sink=sink)
        after.stages = made.stages
        made.stages["acme"].bearers.add(bearer_of("new"))
        engine.apply_runtime(after)
        eventually(lambda: published(made, "new"))
    finally:
        engine.close()
    names = {event for event, _ in sink.events}
    assert {"daemon.removed_application_stuck", "service.down", "service.up", "daemon.application_removed"} <= names
    assert sink.under_lock == []
    assert asked_under_lock == []


def test_c11_a_reload_gives_a_new_account_workers_and_heartbeats_of_its_own() -> None:
    before, after = runtime("billing"), runtime("billing", "shop", accounts={"shop": "other"})
    after.stages["acme"] = before.stages["acme"]
    with started(before) as engine:
        eventually(lambda: published(before, "billing"))
        engine.liveness.start(timedelta(milliseconds=20), engine.runtime.accounts)
        engine.apply_runtime(after)
        eventually(lambda: published(after, "shop"))
        progress = engine.progress
        eventually(lambda: engine.progress > progress + 10)


def test_c11_a_runtime_that_a_pass_is_in_the_middle_of_is_not_closed_by_reloads() -> None:
    first, second, third = runtime("billing", "leaving"), runtime("billing"), runtime("billing")
    for later in (second, third):
        later.stages = first.stages
    for name in ("billing", "leaving"):
        settled(name, first)
    with started(first) as engine:
        eventually(lambda: at_rest(engine) and engine._schedule.has("leaving"))
        engine.tasks["leaving"].running = True  # as in the middle of a pass
        engine.apply_runtime(second)
        engine.apply_runtime(third)
        eventually(lambda: second.closed)
        assert not first.closed


def test_a6_a_periodic_task_that_is_added_anew_while_it_runs_runs_again() -> None:
    """A probe that is asked for while the one before ends: a service would stay suspect, and its passes parked, for ever."""
    scheduler = Scheduler()
    periodic = PeriodicTasks(scheduler, Recorder())
    scheduler.start()
    inside, let_go, again = threading.Event(), threading.Event(), threading.Event()

    def run() -> None:
        inside.set()
        let_go.wait(60)

    try:
        periodic.add("probe", run, delay=timedelta(0))
        eventually(inside.is_set)
        periodic.add("probe", again.set, delay=timedelta(0))
        eventually(
            lambda: not scheduler.has("periodic probe"),
            "the scheduler has skipped it, because the one before still runs",
        )
        let_go.set()
        eventually(again.is_set)
    finally:
        let_go.set()
        scheduler.close()
