"""A daemon that pings a real listener as long as all is well."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from rotator.domain.secret import Secret
from rotator.errors import Unavailable
from rotator.observability.notifications import HeartbeatSettings, NotificationSettings
from rotator.system.process import Signals
from rotator.system.sd_notify import ServiceManager
from tests.support.daemon_stage import (
    FakeFleet,
    Recorder,
    application,
    bearer_of,
    eventually,
    main_loop,
    published,
    runtime,
    settled,
    single_run,
)
from tests.support.listener import Listener


@dataclass
class Tellable(ServiceManager):
    """A supervisor that is nobody, until the test makes it hang: the main loop hangs with it."""

    free: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)
    watchdog_interval = timedelta(milliseconds=100)

    def __post_init__(self) -> None:
        super().__init__()
        self.free.set()

    def status(self, sentence: str) -> None:
        if not self.free.is_set():
            self.waiting.set()
            self.free.wait()


@dataclass
class Watched:
    """A daemon in a thread of its own, and the switch that it pings."""

    made: FakeFleet
    switch: Listener
    supervisor: Tellable = field(default_factory=Tellable)
    signals: Signals = field(default_factory=Signals)
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        ping = HeartbeatSettings(lambda: Secret(f"{self.switch.url}/switch"), every=timedelta(milliseconds=50))
        self.made.alarm = NotificationSettings(ping=ping)
        self.recorder = self.made.sink = Recorder()
        self.daemon = main_loop(self.made, self.supervisor, self.signals)
        self.alarm = self.daemon.alarm
        self.signals.__enter__()
        self.thread = threading.Thread(target=self.daemon.run, daemon=True)
        self.thread.start()

    def events(self, name: str) -> list[dict[str, object]]:
        return [fields for event, fields in list(self.recorder.events) if event == name]

    def pinged_again(self) -> None:
        before = self.switch.count
        eventually(lambda: self.switch.count >= before + 2, "pings come")

    def another_round(self) -> None:
        made = self.daemon._rounds._at
        eventually(lambda: self.daemon._rounds._at != made, "another round is made")

    def silent(self, reason: str, subject: str | None = None) -> None:
        """Wait until rounds find this, two in a row (on a slow machine one may have found it by chance before), then see that
        more rounds are made and none of them pings."""

        def found() -> bool:
            told = self.daemon._rounds._reported
            return told is not None and told.reason == reason and subject in (None, told.subject)

        eventually(found, f"{subject} is {reason}")
        self.another_round()
        eventually(found, f"{subject} is {reason}")
        self.alarm._heartbeat_client.wait()  # one that was begun before may still be under way
        before = self.switch.count
        for _ in range(3):
            self.another_round()
        assert self.switch.count == before
        assert [fields for fields in self.events("heartbeat.unhealthy") if fields["reason"] == reason]

    def close(self) -> None:
        self.supervisor.free.set()
        self.signals.stop = "SIGTERM"
        self.signals.wake()
        self.thread.join()
        self.signals.__exit__()


@pytest.fixture
def switch() -> Iterator[Listener]:
    with Listener() as found:
        yield found


def watched(switch: Listener, *names: str, **changes: Any) -> Watched:
    made = runtime(*names, shutdown_timeout=timedelta(seconds=1), workers=2)
    for name in names:
        made.applications[name] = application(name, **{"resync_interval": timedelta(milliseconds=200), **changes})
        settled(name, made)
    return Watched(made, switch)


def test_a6_pings_stop_while_vault_is_away_and_come_again_when_it_is_back(switch: Listener) -> None:
    with closing(watched(switch, "billing", "shop")) as daemon:
        daemon.pinged_again()
        daemon.made.stages["acme"].sealed = True
        daemon.silent("service_away", "vault")
        daemon.made.stages["acme"].sealed = False
        daemon.pinged_again()
        assert daemon.events("heartbeat.healthy")


def test_a6_pings_stop_while_one_application_is_stuck_in_a_call(switch: Listener) -> None:
    with closing(watched(switch, "billing", "shop", stale_claim_timeout=timedelta(milliseconds=500))) as daemon:
        daemon.pinged_again()
        free, caught = threading.Event(), threading.Event()

        def hang(name: str, phase: str) -> None:
            if threading.current_thread().name.startswith("ThreadPoolExecutor") and not caught.is_set():
                caught.set()
                free.wait()

        daemon.made.stages["acme"].hook = hang
        eventually(caught.is_set)
        daemon.silent("stuck")
        free.set()
        daemon.pinged_again()


def test_a6_pings_stop_while_every_worker_hangs(switch: Listener) -> None:
    with closing(watched(switch, "billing", "shop", stale_claim_timeout=timedelta(days=1))) as daemon:
        daemon.daemon._rounds._idle = 0.5
        daemon.pinged_again()
        free = threading.Event()

        def hang(name: str, phase: str) -> None:
            free.wait()

        daemon.made.stages["acme"].hook = hang
        eventually(lambda: all(task.running for task in daemon.daemon.engine.tasks.values()), "both workers hang")
        daemon.silent("idle")
        free.set()
        daemon.pinged_again()


def test_a6_pings_stop_while_an_application_is_blocked(switch: Listener) -> None:
    with closing(watched(switch, "billing", "shop")) as daemon:
        daemon.pinged_again()
        stage = daemon.made.stages["acme"]
        stage.bearers.discard(bearer_of("shop"))
        with stage.one_at_a_time:
            for key in [key for key in stage.keys.values() if key.key.bearer == bearer_of("shop")]:
                del stage.keys[key.key.access_key]
        daemon.silent("problem", "shop")


def test_a6_pings_stop_while_the_main_loop_hangs(switch: Listener) -> None:
    with closing(watched(switch, "billing")) as daemon:
        daemon.pinged_again()
        daemon.supervisor.free.clear()
        eventually(daemon.supervisor.waiting.is_set, "the loop hangs")
        daemon.alarm._heartbeat_client.wait()
        before, progress = switch.count, daemon.daemon.engine.progress
        eventually(lambda: daemon.daemon.engine.progress > progress + 5, "everything else goes on")
        assert switch.count == before
        daemon.supervisor.free.set()
        daemon.pinged_again()


def test_a_switch_that_does_not_answer_delays_no_pass(switch: Listener) -> None:
    with closing(watched(switch, "billing")) as daemon:
        daemon.pinged_again()
        switch.open.clear()
        count = switch.count
        eventually(lambda: switch.count > count, "a ping hangs")
        decided = len(daemon.events("pass.decided"))
        eventually(lambda: len(daemon.events("pass.decided")) > decided + 5)
        assert switch.count == count + 1


# --- one round ---


def play(made: FakeFleet, switch: Listener) -> int:
    made.alarm = NotificationSettings(ping=HeartbeatSettings(lambda: Secret(switch.url)))
    return single_run(made)


def test_one_round_pings_at_its_end_when_every_application_ended_well(switch: Listener) -> None:
    made = runtime("one", "two", workers=1)
    settled("one", made)
    assert play(made, switch) == 0
    assert published(made, "two")
    assert switch.count == 1


def test_one_round_that_did_not_end_well_does_not_ping(switch: Listener) -> None:
    made = runtime("away", "billing", accounts={"away": "slow"})

    def refuse(name: str, phase: str) -> None:
        raise Unavailable("nobody there", service="slow", kind="unreachable")

    made.stages["slow"].hook = refuse
    assert play(made, switch) == 3
    assert switch.count == 0
