"""The engine with simulated services on the real clock: who gets a worker when, and that no application is ever forgotten."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from apscheduler.jobstores.base import JobLookupError

from rotator.daemon import application_task as task_module
from rotator.daemon.engine import Engine
from rotator.daemon.scheduler import _Scheduler
from rotator.daemon.services import VAULT, ServiceState
from rotator.decision.transitions.compromise import mark_compromised
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CurrentKey, Ledger, RetiringKey
from rotator.domain.spec import VerificationPolicy
from tests.support.daemon_stage import FakeFleet, application, bearer_of, eventually, published, runtime, settled

LONG = timedelta(hours=6)


class Engines:
    """Starts engines and ends them."""

    def __init__(self) -> None:
        self.started: list[Engine] = []

    def __call__(self, made: FakeFleet, **options: Any) -> Engine:
        engine = Engine(made, made.sink, **options)
        self.started.append(engine)
        engine.start()
        return engine


@pytest.fixture
def start() -> Iterator[Engines]:
    engines = Engines()
    yield engines
    for engine in engines.started:
        engine.close()
        for executor in engine._schedule._scheduler._executors.values():
            executor.shutdown(wait=True)


def at_rest(engine: Engine, name: str) -> bool:
    task = engine.tasks[name]
    return (
        task.summary is not None
        and task.passing is None
        and not task.running
        and engine._schedule._scheduler.get_job(name) is not None
    )


def events(made: FakeFleet, name: str) -> list[dict[str, object]]:
    return [fields for event, fields in list(made.sink.events) if event == name]


def test_the_job_of_an_application_is_dated_by_the_wait_of_its_last_pass(start: Engines) -> None:
    made = runtime("billing")
    settled("billing", made)
    made.applications["billing"] = replace(made.applications["billing"], resync_interval=LONG)
    engine = start(made)
    eventually(lambda: at_rest(engine, "billing"))
    decided = events(made, "pass.decided")[-1]
    due, until = engine.tasks["billing"].due, decided["until"]
    assert engine._schedule._scheduler.get_job("billing").next_run_time == due
    assert isinstance(until, datetime)
    assert until - LONG <= due <= until  # nothing is due, so it is the application's own place in the interval
    assert len(engine._schedule._scheduler.get_jobs()) == 1


def test_a_new_application_gets_its_first_key_and_the_ledger_is_committed(start: Engines) -> None:
    made = runtime("billing")
    engine = start(made)
    eventually(lambda: events(made, "rotation.committed"))
    eventually(lambda: at_rest(engine, "billing"))
    assert published(made, "billing") == made.stages["acme"].ledger("billing").current.access_key  # type: ignore[union-attr]  # committed


def test_i7_an_application_that_naps_for_ever_does_not_delay_another_with_one_worker(start: Engines) -> None:
    made = runtime("sleepy", "billing", accounts={"sleepy": "slow"}, workers=1)
    made.stages["slow"].activation = timedelta(days=1)
    for name in made.applications:
        long = replace(made.applications[name].verification, timeout=timedelta(hours=1))
        made.applications[name] = replace(made.applications[name], verification=long)
    engine = start(made)
    eventually(lambda: published(made, "billing"))
    eventually(lambda: engine.tasks["sleepy"].holding)
    assert published(made, "sleepy") is None


def test_i7_a_hanging_account_does_not_delay_the_passes_of_another(start: Engines) -> None:
    made = runtime("stuck", "billing", accounts={"stuck": "slow"}, workers=2)
    hung = threading.Event()

    def hang(name: str, phase: str) -> None:
        hung.wait(30)

    made.stages["slow"].hook = hang
    try:
        start(made)
        eventually(lambda: published(made, "billing"))
    finally:
        hung.set()


@pytest.mark.parametrize("late", [timedelta(hours=1), timedelta(days=3)], ids=str)
def test_a17_a_missed_run_is_made_up_for_exactly_once(start: Engines, late: timedelta) -> None:
    made = runtime("billing")
    settled("billing", made)
    engine = start(made)
    eventually(lambda: at_rest(engine, "billing"))
    before = len(events(made, "pass.decided"))
    with engine.lock:
        engine._schedule_task(engine.tasks["billing"], datetime.now(UTC) - late)
    eventually(lambda: len(events(made, "pass.decided")) > before)
    eventually(lambda: at_rest(engine, "billing"))
    assert len(events(made, "pass.decided")) == before + 1


def test_a6_no_job_gets_lost_however_short_its_turns_are(start: Engines) -> None:
    names = [f"app-{n}" for n in range(30)]
    made = runtime(*names, workers=8)
    expedited = VerificationPolicy(
        10, timedelta(0), timedelta(seconds=30)
    )  # every turn is over at once, so that dates meet removals
    for name in names:
        made.applications[name] = replace(made.applications[name], verification=expedited)
    engine = start(made)
    eventually(lambda: all(at_rest(engine, name) for name in names))
    assert all(published(made, name) for name in names)


def test_a6_a_task_without_a_job_is_found_and_dated_again(start: Engines) -> None:
    made = runtime("billing")
    settled("billing", made)
    engine = start(made)
    eventually(lambda: at_rest(engine, "billing"))
    before = len(events(made, "pass.decided"))
    engine._schedule._scheduler.remove_job("billing")
    with engine.lock:
        engine.tasks["billing"].due = datetime.now(UTC) - 2 * task_module.LOST_AFTER
    engine.reschedule_lost()
    eventually(lambda: len(events(made, "pass.decided")) > before)


def test_a16_a_crash_is_told_by_type_and_place_only_and_the_pass_is_repeated(
    start: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "CRASH_BACKOFF", (timedelta(milliseconds=10), timedelta(milliseconds=20)))
    made = runtime("broken", "billing", accounts={"broken": "odd"})
    crashes = iter([True, True])
    secret = "a-secret-in-an-exception"

    def hook(name: str, phase: str) -> None:
        if name == "list_keys" and phase == "after" and threading.current_thread() and next(crashes, False):
            raise KeyError(secret)

    engine = start(made)
    eventually(lambda: all(at_rest(engine, name) for name in made.applications))
    made.stages["odd"].hook = hook
    with engine.lock:
        engine._schedule_task(engine.tasks["broken"], datetime.now(UTC))
    eventually(lambda: len(events(made, "pass.crashed")) == 2)
    eventually(lambda: engine.tasks["broken"].crashes == 0 and at_rest(engine, "broken"))
    crash = events(made, "pass.crashed")[0]
    assert crash["error"] == "KeyError"
    assert str(crash["where"]).startswith("rotator.reconciler.observer:")
    assert secret not in str(made.sink.events)


def test_b_vault_sealed_at_the_start_no_pass_knocks_and_work_begins_when_it_is_back(
    start: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotator.daemon.services.AGAIN", timedelta(milliseconds=20))
    names = [f"app-{n}" for n in range(100)]
    made = runtime(*names, workers=8)
    stage = made.stages["acme"]
    stage.sealed = True
    engine = start(made)
    eventually(engine.contacted)
    eventually(lambda: stage.calls.count("read_ledger") >= 5)
    assert engine.services[VAULT].state is ServiceState.DOWN
    assert engine.services[VAULT].kind == "sealed"
    assert set(stage.calls) == {"read_ledger", "list_keys"}  # nothing but the probes
    assert stage.calls.count("list_keys") == 1
    assert not events(made, "pass.failed")
    assert len(events(made, "service.down")) == 1
    stage.sealed = False
    eventually(lambda: all(published(made, name) for name in names))
    assert [fields["service"] for fields in events(made, "service.up")] == [VAULT]


def test_b_vault_sealed_in_the_middle_is_noticed_by_one_pass_and_the_others_wait(
    start: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rotator.daemon.services.AGAIN", timedelta(milliseconds=20))
    names = [f"app-{n}" for n in range(40)]
    made = runtime(*names, workers=1)
    for name in names:
        settled(name, made)
    engine = start(made)
    eventually(lambda: all(at_rest(engine, name) for name in names))
    made.stages["acme"].sealed = True
    with engine.lock:
        for name in names:
            engine._schedule_task(engine.tasks[name], datetime.now(UTC))
    eventually(
        lambda: sum(task.parked for task in engine.tasks.values()) == len(names) - len(events(made, "pass.failed"))
    )
    assert len(events(made, "pass.failed")) < 5
    made.stages["acme"].sealed = False
    before = len(events(made, "pass.decided"))
    eventually(lambda: len(events(made, "pass.decided")) >= before + len(names) - 5)


def test_an_emergency_finds_a_worker_while_all_others_are_taken(start: Engines) -> None:
    made = runtime("billing", "slow-1", "slow-2", accounts={"slow-1": "slow", "slow-2": "slow"}, workers=2)
    for name in made.applications:
        settled(name, made)
    engine = start(made)
    eventually(lambda: all(at_rest(engine, name) for name in made.applications))
    hung = threading.Event()
    busy: list[str] = []

    def hang(name: str, phase: str) -> None:
        busy.append(name)
        hung.wait(30)

    made.stages["slow"].hook = hang
    try:
        vault = made.vault
        ledger, version = vault.read_ledger("billing")
        assert ledger is not None
        old = published(made, "billing")
        assert old is not None
        marked = mark_compromised(
            ledger, [old], reason="leak", by="test", at=datetime.now(UTC), incident="i", mode="replace_first"
        )
        vault.write_ledger(marked, cas=version)
        summary = engine.tasks["billing"].summary
        assert summary is not None
        engine.tasks["billing"].summary = replace(summary, urgent=True)  # as the pass that sees the mark would say
        with engine.lock:
            for name in ("slow-1", "slow-2"):
                engine._schedule_task(engine.tasks[name], datetime.now(UTC))
        eventually(lambda: len(busy) == 2)
        with engine.lock:
            engine._schedule_task(engine.tasks["billing"], datetime.now(UTC))
        eventually(lambda: not made.stages["acme"].live(old), "the compromised key is dead")
    finally:
        hung.set()


def retiring_ledger(made: FakeFleet, name: str) -> tuple[Ledger, str]:
    """A ledger of an application that left the configuration with one key whose grace has ended."""
    spec = application(name)
    stage = made.stages["acme"]
    stage.bearers.add(bearer_of(name))
    old, secret = stage.make_key(bearer=spec.bearer)
    stage.publish_by_hand(old.access_key, secret.reveal(), path=spec.path)
    new, fresh = stage.make_key(bearer=spec.bearer)
    stage.publish_by_hand(new.access_key, fresh.reveal(), path=spec.path)
    past = datetime.now(UTC) - timedelta(minutes=1)
    current = CurrentKey(new.access_key, 2, past - timedelta(days=1))
    return replace(
        new_ledger(spec), current=current, retiring=(RetiringKey(old.access_key, 1, past, "replaced"),)
    ), old.access_key


def test_b_an_application_removed_from_the_configuration_has_its_keys_revoked_on_time_and_is_then_let_go(
    start: Engines,
) -> None:
    made = runtime("billing")
    ledger, old = retiring_ledger(made, "gone")
    made.vault.write_ledger(ledger, cas=0)
    engine = start(made)
    engine.add_removed_applications(made.removed_applications())
    eventually(lambda: not made.stages["acme"].live(old))
    eventually(lambda: "gone" not in engine.tasks)
    assert "billing" in engine.tasks


def test_an_application_whose_account_left_too_is_reported_once(start: Engines) -> None:
    made = runtime("billing")
    engine = start(made)
    for _ in range(2):
        engine.add_removed_applications({"gone": application("gone", account="elsewhere", configured=False)})
    assert [fields["application"] for fields in events(made, "daemon.removed_application_stuck")] == ["gone"]
    assert "gone" not in engine.tasks


def test_a_reload_takes_in_what_is_new_winds_up_what_left_and_keeps_what_applications_remember(start: Engines) -> None:
    made = runtime("billing", "leaving")
    engine = start(made)
    eventually(lambda: all(at_rest(engine, name) for name in made.applications))
    local_state, due = engine.tasks["billing"].local_state, engine.tasks["billing"].due
    other = runtime("billing", "arriving")
    other.stages = made.stages
    other.stages["acme"].bearers.add(bearer_of("arriving"))
    engine.apply_runtime(other)
    assert engine.tasks["billing"].local_state is local_state
    assert engine.tasks["billing"].due == due
    eventually(lambda: published(made, "arriving"))
    eventually(lambda: "leaving" not in engine.tasks or not engine.tasks["leaving"].spec.configured)
    assert [fields["application"] for fields in events(made, "daemon.application_removed")] == ["leaving"]
    eventually(lambda: made.closed, "the old connections are closed when nobody uses them")
    assert not other.closed


def test_c5_a_reload_that_renames_an_application_takes_its_ledger_over_and_lets_the_old_name_go(start: Engines) -> None:
    made = runtime("billing", "leaving")
    engine = start(made)
    eventually(lambda: all(at_rest(engine, name) for name in made.applications))
    key = published(made, "leaving")
    other = runtime("billing")
    other.stages = made.stages
    other.applications["arriving"] = replace(application("leaving"), application="arriving")
    engine.apply_runtime(other)
    eventually(lambda: len(events(made, "application.renamed") + events(other, "application.renamed")) == 1)
    eventually(lambda: made.stages["acme"].ledger("leaving").names() == frozenset())
    current = made.stages["acme"].ledger("arriving").current
    assert current is not None
    assert current.access_key == key == published(made, "leaving")
    engine.reconcile_now(["leaving"])
    eventually(lambda: "leaving" not in engine.tasks, "nothing is left to do under the old name")


def test_a_reload_in_the_middle_of_a_rotation_lets_it_end_under_the_old_configuration(start: Engines) -> None:
    made = runtime("billing")
    made.applications["billing"] = replace(
        made.applications["billing"],
        verification=VerificationPolicy(2, timedelta(milliseconds=20), timedelta(minutes=10)),
    )
    stage = made.stages["acme"]
    stage.activation = timedelta(days=1)
    engine = start(made)
    eventually(lambda: engine.tasks["billing"].holding)
    other = runtime("billing")
    other.applications["billing"] = replace(other.applications["billing"], grace=timedelta(hours=1))
    other.stages = made.stages
    engine.apply_runtime(other)
    assert not made.closed
    for true in stage.keys.values():
        true.alive_from = datetime.now(UTC)
    eventually(lambda: published(made, "billing"))
    eventually(lambda: made.closed)
    assert len(stage.keys) == 1
    eventually(lambda: engine.tasks["billing"].spec.grace == timedelta(hours=1))


def test_b_sigterm_in_the_middle_a_rotation_that_holds_a_secret_is_driven_on_and_nothing_else_begins(
    start: Engines,
) -> None:
    made = runtime("billing", "idle")
    settled("idle", made)
    stage = made.stages["acme"]
    stage.activation = timedelta(days=1)
    engine = start(made)
    eventually(lambda: engine.tasks["billing"].holding and at_rest(engine, "idle"))
    engine.drain()
    assert engine.unfinished() == ["billing"]
    assert engine._schedule._scheduler.get_job("idle") is None
    for true in stage.keys.values():
        true.alive_from = datetime.now(UTC)
    eventually(lambda: not engine.unfinished())
    assert published(made, "billing") == stage.ledger("billing").current.access_key  # type: ignore[union-attr]  # committed


def test_b_sigterm_when_the_time_is_up_the_unpublished_key_is_revoked(start: Engines) -> None:
    made = runtime("billing")
    stage = made.stages["acme"]
    stage.activation = timedelta(days=1)
    made.applications["billing"] = replace(
        made.applications["billing"], verification=VerificationPolicy(2, timedelta(minutes=1), timedelta(minutes=10))
    )
    engine = start(made)
    eventually(lambda: engine.tasks["billing"].holding)
    key = engine.tasks["billing"].local_state.in_flight.key.access_key  # type: ignore[union-attr]  # it holds one
    engine.drain()
    engine.give_up()
    eventually(lambda: not engine.unfinished())
    assert published(made, "billing") is None
    assert stage.ledger("billing").is_revoking(key)
    assert stage.ledger("billing").intent is None


def test_b_a_clock_that_is_set_back_delays_nothing_in_real_time(start: Engines) -> None:
    made = runtime("billing")
    settled("billing", made)
    engine = start(made)
    eventually(lambda: at_rest(engine, "billing"))
    due = engine.tasks["billing"].due
    engine.clock_stepped(timedelta(hours=-5))
    assert engine.tasks["billing"].due == due - timedelta(hours=5)
    assert engine._schedule._scheduler.get_job("billing").next_run_time == due - timedelta(hours=5)


def test_a6_a_stop_in_the_middle_of_handing_out_jobs_does_not_end_the_scheduler_with_an_exception() -> None:
    """The store forgets a job that was handed out; a scheduler that was stopped meanwhile looks for it elsewhere."""
    scheduler = _Scheduler(timezone=UTC)
    scheduler.start()
    with pytest.raises(JobLookupError):
        scheduler.remove_job("unknown")
    scheduler.shutdown(wait=False)
    scheduler.remove_job("unknown")


def test_only_what_goes_through_the_workers_of_passes_counts_as_progress(start: Engines) -> None:
    engine = start(runtime())
    eventually(engine.contacted)
    done: list[str] = []

    def chore(name: str) -> timedelta | None:
        done.append(name)
        return timedelta(milliseconds=1)

    engine.add_periodic("care", lambda: chore("care"), delay=timedelta(0))
    eventually(lambda: len(done) > 5)
    assert engine.progress == 0
    engine.liveness.start(timedelta(milliseconds=1), engine.runtime.accounts)
    eventually(lambda: engine.progress > 2)


def test_what_somebody_changed_is_looked_at_at_once(start: Engines) -> None:
    made = runtime("billing")
    settled("billing", made)
    engine = start(made)
    eventually(lambda: at_rest(engine, "billing"))
    seen = engine.tasks["billing"].last_reconciled_at
    engine.reconcile_now(["billing", "nobody"])
    eventually(lambda: engine.tasks["billing"].last_reconciled_at != seen)
    eventually(lambda: at_rest(engine, "billing"))
    assert not engine.tasks["billing"].expedited


def test_r9_reconcile_now_cuts_short_a_pass_that_only_waits(start: Engines) -> None:
    made = runtime("billing")
    patient = VerificationPolicy(2, timedelta(minutes=10), timedelta(hours=1))
    made.applications["billing"] = replace(made.applications["billing"], verification=patient)
    stage = made.stages["acme"]
    stage.activation = timedelta(days=1)
    engine = start(made)
    eventually(lambda: "authenticate" in stage.calls and not engine.tasks["billing"].running)
    seen = stage.calls.count("list_keys")
    engine.reconcile_now(["billing"])
    eventually(lambda: stage.calls.count("list_keys") > seen)


def test_a_configuration_that_somebody_still_works_with_is_not_closed_by_a_reload(start: Engines) -> None:
    before, after = runtime("billing"), runtime("billing")
    after.stages = before.stages
    settled("billing", before)
    engine = start(before)
    eventually(lambda: at_rest(engine, "billing"))
    with engine.lease_runtime() as lent:
        engine.apply_runtime(after)
        eventually(lambda: engine.tasks["billing"].runtime is after)
        eventually(lambda: at_rest(engine, "billing"))
        assert lent is before
        assert not before.closed
    eventually(lambda: before.closed)
    assert not after.closed
