"""A daemon that leaves looks to another one: what it does all the same, what it tells, and what it writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.api.listeners import Listeners
from rotator.daemon.engine import Engine
from rotator.daemon.health_rounds import unhealthy_reason
from rotator.daemon.local_daemon_handle import LocalDaemonHandle
from rotator.daemon.look_shares import LookShares, Shares
from rotator.daemon.monitoring import Monitoring
from rotator.daemon.presence import DaemonPresence
from rotator.daemon.presence_keeper import PRESENCE_WORKER
from rotator.daemon.reload import ReloadRequests
from rotator.domain.ledger import RetiringKey
from rotator.errors import PermissionDenied
from rotator.observability.fan_out import FanOutSink
from rotator.observability.metrics.call_durations import CallDurations
from rotator.observability.metrics.collector import samples
from rotator.observability.metrics.counters import EventCounters
from rotator.vault.codec import dump_ledger
from tests.daemon.test_main_loop import quiet, running
from tests.support.daemon_stage import FakeFleet, bearer_of, eventually, runtime, settled

INTERVAL = timedelta(milliseconds=200)
ME, OTHER = "0" * 16, "f" * 16


class AllElsewhere(LookShares):
    """Every look is another daemon's."""

    def __init__(self) -> None:
        super().__init__()
        own, other = (DaemonPresence(daemon, "0" * 64, frozenset({"acme"})) for daemon in (ME, OTHER))
        self.share(Elsewhere(own, (other,)), since=time.monotonic())


class Elsewhere(Shares):
    def owner(self, spec: Any) -> str:
        return OTHER


def fleet(*names: str, **options: Any) -> FakeFleet:
    """Applications for which nothing is due, looked at several times a second."""
    made = runtime(*names, **options)
    for name in names:
        settled(name, made)
        made.applications[name] = replace(made.applications[name], resync_interval=INTERVAL)
    return made


@pytest.fixture(autouse=True)
def no_own_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """With so short an interval the daemon's own turn would come in the middle of a test."""
    monkeypatch.setattr("rotator.daemon.application_task.must_look_itself", lambda *_: False)


@pytest.fixture
def engines() -> Iterator[list[Engine]]:
    started: list[Engine] = []
    yield started
    for engine in started:
        engine.close()


def start(made: FakeFleet, engines: list[Engine], shares: LookShares | None = None) -> Engine:
    engines.append(Engine(made, made.sink, shares=shares))
    engines[-1].start()
    return engines[-1]


def left(engine: Engine, more: int = 3) -> None:
    """Wait until so many more looks were left."""
    goal = engine.shares.left + more
    eventually(lambda: engine.shares.left >= goal, "looks are left")


def looks(made: FakeFleet) -> int:
    return made.stages["acme"].calls.count("list_keys")


def test_a_look_that_is_left_makes_no_call_and_the_application_stays_well(engines: list[Engine]) -> None:
    made = fleet("billing", "shop")
    engine = start(made, engines, AllElsewhere())
    left(engine)
    eventually(lambda: not engine.running())
    made.stages["acme"].calls.clear()
    left(engine, 10)
    assert made.stages["acme"].calls == []
    seen = engine.snapshot()
    assert all(task.left_at and task.last_reconciled_at for task in seen.tasks)
    assert unhealthy_reason(seen.tasks, [], datetime.now(UTC)) is None


def test_a_command_a_reload_and_a_compromised_key_wait_for_no_other_daemon(engines: list[Engine]) -> None:
    made = fleet("billing")
    engine = start(made, engines, AllElsewhere())
    left(engine)
    before = looks(made)
    engine.reconcile_now(["billing"])
    eventually(lambda: looks(made) > before, "a command")
    left(engine)
    before = looks(made)
    engine.apply_runtime(replace(made, applications=dict(made.applications)))
    eventually(lambda: looks(made) > before, "a reload")
    left(engine)


def test_the_end_of_a_grace_that_is_known_here_is_acted_upon_here(engines: list[Engine]) -> None:
    made = fleet("billing")
    stage = made.stages["acme"]
    old, _ = stage.make_key(bearer=bearer_of("billing"))
    first = start(made, engines)
    eventually(lambda: "ledger:billing" in stage.kv, "it is taken over")
    eventually(lambda: not first.running())
    engines.pop().close()
    ends = datetime.now(UTC) + timedelta(seconds=3)
    ledger = replace(stage.ledger(), retiring=(RetiringKey(old.access_key, 1, ends, "scheduled"),))
    stage.append("ledger:billing", dump_ledger(ledger))
    made = replace(made)
    second = start(made, engines, AllElsewhere())
    left(second)
    assert stage.live(old.access_key)
    eventually(lambda: not stage.live(old.access_key), "it is revoked")
    assert stage.died(old.access_key) >= ends


# --- what it tells ---


def handle(engine: Engine, made: FakeFleet) -> LocalDaemonHandle:
    monitor = Monitoring(engine, EventCounters(made.sink), CallDurations())
    return LocalDaemonHandle(engine, monitor, made.sink, FanOutSink(made.sink), ReloadRequests(lambda: None))


def test_a_ledger_whose_looks_are_left_is_not_shown_from_memory(engines: list[Engine]) -> None:
    made = fleet("billing")
    alone = start(made, engines)
    eventually(lambda: set(handle(alone, made).observed_ledgers()) == {"billing"})
    engines.pop().close()
    engine = start(made, engines, AllElsewhere())
    left(engine)
    assert handle(engine, made).observed_ledgers() == {}
    assert Listeners(handle(engine, made)) is not None


def test_the_metrics_say_how_many_share_and_a_look_that_was_left_counts_as_a_round(
    engines: list[Engine],
) -> None:
    made = fleet("billing")
    counters = EventCounters(made.sink)

    def told(engine: Engine) -> dict[str, float]:
        monitor = Monitoring(engine, counters, CallDurations())
        return {
            name: value for name, labels, value in samples(monitor.snapshot(), counters.counts()) if len(labels) != 3
        }

    alone = start(made, engines)
    eventually(lambda: alone.tasks["billing"].summary)
    found = told(alone)
    assert "rotator_daemons_sharing_looks" not in found
    assert found["rotator_looks_left_total"] == 0
    assert found["rotator_resync_interval_seconds"] == INTERVAL.total_seconds()
    engines.pop().close()
    engine = start(made, engines, AllElsewhere())
    left(engine)
    found = told(engine)
    assert found["rotator_daemons_sharing_looks"] == 2
    assert found["rotator_looks_left_total"] >= 3
    assert found["rotator_resync_interval_seconds"] == INTERVAL.total_seconds()
    task = engine.tasks["billing"]
    assert task.last_reconciled_at
    assert found["rotator_last_reconcile_timestamp_seconds"] > task.last_reconciled_at.timestamp()


@pytest.mark.parametrize("hanging", [True, False])
def test_while_the_first_own_look_hangs_or_fails_nothing_old_is_shown_as_new_and_four_rounds_are_to_pass(
    engines: list[Engine], hanging: bool
) -> None:
    made, gate = fleet("billing"), threading.Event()
    engine = start(made, engines, AllElsewhere())
    left(engine)
    task = engine.tasks["billing"]

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("read_ledger", "before"):
            assert not hanging or gate.wait(60)
            raise PermissionDenied("no right", service="vault", kind="policy")

    made.stages["acme"].hook = hook
    engine.shares.look_alone()
    eventually(lambda: (task.running and not task.left_to) if hanging else task.summary and task.summary.problem)
    assert handle(engine, made).observed_ledgers() == {}, "Vault is asked"
    seen = engine.snapshot().tasks[0]
    assert seen.left_at
    assert seen.last_reconciled_at
    assert seen.left_at > seen.last_reconciled_at
    gate.set()


# --- what it writes ---


def presences(made: FakeFleet) -> dict[str, dict[str, Any]]:
    kv = made.stages["acme"].kv
    return {where: kv[where][-1].data for where in list(kv) if where.startswith("presence:")}


def test_a_daemon_without_the_option_neither_reads_nor_writes_a_presence() -> None:
    made = quiet("billing")
    with running(made) as daemon:
        eventually(lambda: any(task.summary for task in daemon.loop.engine.snapshot().tasks))
    assert not {"read_presences", "write_presence"} & set(made.stages["acme"].calls)


def test_a_daemon_with_the_option_writes_its_presence_at_the_start_and_takes_it_back_at_its_end() -> None:
    made = quiet("billing", share_looks=True)
    with running(made) as daemon:
        eventually(lambda: daemon.events("looks.shared"))
        assert daemon.events("looks.shared") == [("looks.shared", {"daemons": 1})]
        assert presences(made)["presence:1"]["schema"] == 1
    assert presences(made) == {"presence:1": {}}


def test_a_reload_begins_and_ends_the_sharing() -> None:
    made = quiet("billing")
    made.next_one = replace(made, share_looks=True)
    with running(made) as daemon:
        eventually(lambda: any(task.summary for task in daemon.loop.engine.snapshot().tasks))
        daemon.hup()
        eventually(lambda: presences(made).get("presence:1"))
        made.next_one = replace(made, share_looks=False)
        daemon.hup()
        eventually(lambda: presences(made) == {"presence:1": {}})
        eventually(lambda: daemon.loop.engine.shares.daemons is None)


def test_a_vault_that_hangs_when_the_daemon_ends_delays_it_by_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.daemon.main_loop.LOGOUT_TIMEOUT", 0.2)
    made = quiet("billing", share_looks=True)
    with running(made) as daemon:
        eventually(lambda: daemon.events("looks.shared"))

        def hang(name: str, phase: str) -> None:
            if name == "read_presences":
                time.sleep(30)

        made.stages["acme"].hook = hang
        began = time.monotonic()
        daemon.stop()
        eventually(lambda: daemon.events("daemon.stopped"))
        assert time.monotonic() - began < 20
    assert presences(made)["presence:1"]["schema"] == 1, "it expires by itself"


def test_the_engine_looks_soon_at_what_was_left_to_a_daemon_that_is_gone(engines: list[Engine]) -> None:
    made = fleet("billing")
    engine = start(made, engines, AllElsewhere())
    engine.shares.remember_daemons({OTHER})
    left(engine)
    with engine.lock:
        task = engine.tasks["billing"]
        task.due = datetime.now(UTC) + timedelta(days=1)  # as with a long interval
        engine._schedule_task(task, task.due)
    before = looks(made)
    engine.reschedule_lost()
    assert task.due > datetime.now(UTC) + timedelta(hours=1), "it is there"
    engine.shares.remember_daemons(())
    engine.shares.look_alone()
    engine.reschedule_lost()
    eventually(lambda: looks(made) > before)


def test_a_renewal_that_began_before_a_reload_shares_nothing_after_it() -> None:
    made = quiet("billing", share_looks=True)
    stage = made.stages["acme"]
    with running(made) as daemon:
        eventually(lambda: daemon.events("looks.shared"))
        engine = daemon.loop.engine
        eventually(lambda: engine.snapshot().tasks[0].summary)
        digest = presences(made)["presence:1"]["digest"]
        stage.append("presence:2", DaemonPresence("f" * 16, digest, frozenset({"acme"})).as_json())
        written, go_on, again, end = (threading.Event() for _ in range(4))

        def hook(name: str, phase: str) -> None:
            if (name, phase) == ("write_presence", "after") and not written.is_set():
                written.set()
                assert go_on.wait(60)
            elif (name, phase) == ("read_presences", "before") and written.is_set():
                again.set()
                assert end.wait(60)

        stage.hook = hook
        engine.add_periodic("presence", daemon.loop.presence.renew, pool=PRESENCE_WORKER, delay=timedelta(0))
        assert written.wait(60)
        applications = {name: replace(spec, grace=spec.grace * 2) for name, spec in made.applications.items()}
        made.next_one = replace(made, applications=applications)
        daemon.hup()
        eventually(lambda: daemon.events("daemon.reloaded"))
        go_on.set()
        assert again.wait(60), "the renewal under the new configuration hangs in its first call"
        assert engine.shares.daemons in (None, 1)
        end.set()
