"""The main loop in this process: what it tells the service manager, what it reports, and in which order it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from rotator import __version__
from rotator.config import Control
from rotator.daemon import main_loop as module
from rotator.daemon.main_loop import MainLoop
from rotator.errors import ConfigurationError, ConfigurationProblem, Unavailable
from rotator.observability.notifications import NotificationSettings
from rotator.operations.daemon_handle import ReloadResult
from rotator.system.process import Signals
from rotator.system.sd_notify import ServiceManager
from tests.support.daemon_stage import FakeFleet, application, eventually, main_loop, runtime, settled


@dataclass
class Told(ServiceManager):
    """A service manager that remembers what it is told."""

    messages: list[str] = field(default_factory=list)
    watchdog_interval: timedelta | None = None  # a property there

    def __post_init__(self) -> None:
        super().__init__()

    def _send(self, message: str) -> None:
        self.messages.append(message.partition("\n")[0])

    def states(self) -> list[str]:
        return [message for message in self.messages if not message.startswith("STATUS=") and message != "WATCHDOG=1"]


@dataclass
class Running:
    """A daemon in a thread of its own."""

    made: FakeFleet
    told: Told
    signals: Signals
    loop: MainLoop
    codes: list[int] = field(default_factory=list)

    def events(self, *names: str) -> list[tuple[str, dict[str, Any]]]:
        return [(name, fields) for name, fields in list(self.made.sink.events) if name in names]

    def status(self) -> str:
        return next((message for message in reversed(self.told.messages) if message.startswith("STATUS=")), "")

    def hup(self) -> None:
        self.signals.reload = True
        self.signals.wake()

    def stop(self) -> None:
        self.signals.stop = "SIGTERM"
        self.signals.wake()


@contextmanager
def running(made: FakeFleet, *, watchdog: timedelta | None = None) -> Iterator[Running]:
    told = Told(watchdog_interval=watchdog)
    with Signals() as signals:
        daemon = Running(made, told, signals, main_loop(made, told, signals))
        thread = threading.Thread(target=lambda: daemon.codes.append(daemon.loop.run()), daemon=True)
        thread.start()
        try:
            yield daemon
        finally:
            daemon.stop()
            thread.join(60)
            daemon.loop.alarm.close()
        assert not thread.is_alive()


def quiet(*names: str, **options: Any) -> FakeFleet:
    """A fleet in which nothing is due."""
    made = runtime(*names, shutdown_timeout=timedelta(seconds=3), **options)
    for name in names:
        settled(name, made)
    return made


def test_a_daemon_reports_its_start_is_ready_when_its_services_answer_and_reports_its_end() -> None:
    made = quiet("billing", "shop")
    made.warnings = (ConfigurationProblem("test.toml", "daemon.catch_up", "is now called daemon.startup_spread"),)
    with running(made) as daemon:
        eventually(lambda: "READY=1" in daemon.told.messages)
        eventually(lambda: daemon.status().startswith("STATUS=2 applications"))
    assert daemon.codes == [0]
    assert daemon.events(
        "daemon.started", "daemon.deprecated_option", "daemon.ready", "daemon.stopping", "daemon.stopped"
    ) == [
        ("daemon.started", {"version": __version__, "applications": 2, "config": "test.toml"}),
        ("daemon.deprecated_option", {"path": "daemon.catch_up", "message": "is now called daemon.startup_spread"}),
        ("daemon.ready", {"applications": 2, "down": []}),
        ("daemon.stopping", {"signal": "SIGTERM"}),
        ("daemon.stopped", {"unfinished": []}),
    ]
    assert daemon.told.states() == ["READY=1", "STOPPING=1"]
    assert made.closed


def test_a_daemon_whose_services_are_away_is_ready_all_the_same_and_names_them() -> None:
    made = quiet("billing", "shop", accounts={"shop": "other"})
    made.stages["acme"].sealed = True
    with running(made) as daemon:
        eventually(lambda: "READY=1" in daemon.told.messages)
        assert daemon.events("daemon.ready") == [("daemon.ready", {"applications": 2, "down": ["vault"]})]
        assert "Vault: sealed" in daemon.status()


def test_a_service_that_hangs_keeps_the_daemon_from_being_ready_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "FIRST_LOOK", 0.3)
    free = threading.Event()
    made = quiet("billing")

    def hang(name: str, phase: str) -> None:
        if name == "read_ledger":
            free.wait(60)

    made.stages["acme"].hook = hang
    with running(made) as daemon:
        eventually(lambda: "READY=1" in daemon.told.messages)
        ((_, fields),) = daemon.events("daemon.ready")
        assert "vault" in fields["down"]
        free.set()


def test_the_beat_of_the_watchdog_is_sent_while_work_goes_through_the_workers() -> None:
    with running(quiet("billing"), watchdog=timedelta(milliseconds=200)) as daemon:
        eventually(lambda: daemon.told.messages.count("WATCHDOG=1") >= 3)


@pytest.mark.parametrize(
    ("watchdog", "beat"),
    [
        (None, timedelta(seconds=10)),
        (timedelta(seconds=20), timedelta(seconds=5)),
        (timedelta(minutes=9), timedelta(seconds=10)),
    ],
)
def test_the_heartbeat_goes_through_the_workers_four_times_within_the_watchdog_limit(
    watchdog: timedelta | None, beat: timedelta
) -> None:
    assert module._beat(watchdog) == beat


# --- reload ---------------------------------------------------------------------------------------------------------------


def test_a_reload_puts_the_new_configuration_into_force_and_says_what_came_and_what_left() -> None:
    made, fresh = quiet("billing", "old"), quiet("billing", "new", workers=9)
    fresh.alarm = NotificationSettings(notify_every=timedelta(minutes=7))
    fresh.stages["acme"] = made.stages["acme"]
    fresh.stages["acme"].bearers |= {one.bearer for one in fresh.applications.values()}
    fresh.warnings = (ConfigurationProblem("test.toml", "alarm", "is now called notifications"),)
    settled("new", fresh)
    made.next_one = fresh
    with running(made) as daemon:
        eventually(lambda: "READY=1" in daemon.told.messages)
        asked = daemon.loop.reloads.put()
        result = asked.result(60)
        assert result == ReloadResult(2, ("new",), ("old",), ("daemon.workers",), ())
        assert daemon.loop.engine.runtime is fresh
        assert daemon.loop.alarm.settings is fresh.alarm
        eventually(lambda: daemon.told.states() == ["READY=1", "RELOADING=1", "READY=1"])
        assert daemon.events("daemon.reloaded", "daemon.deprecated_option") == [
            (
                "daemon.reloaded",
                {"applications": 2, "added": ["new"], "removed": ["old"], "restart_needed": ["daemon.workers"]},
            ),
            ("daemon.deprecated_option", {"path": "alarm", "message": "is now called notifications"}),
        ]


def test_a_reload_of_the_same_workers_needs_no_restart_and_sighup_asks_for_it() -> None:
    made = quiet("billing")
    made.next_one = replace(made, sink=made.sink)
    with running(made) as daemon:
        eventually(lambda: "READY=1" in daemon.told.messages)
        daemon.hup()
        eventually(lambda: daemon.events("daemon.reloaded"))
        ((_, fields),) = daemon.events("daemon.reloaded")
        assert (fields["added"], fields["removed"], fields["restart_needed"]) == ([], [], [])
        assert not daemon.signals.reload


def test_a_reload_says_which_applications_the_new_configuration_stops() -> None:
    made = quiet("billing")
    fresh = replace(made, applications={"billing": application(path="secret/elsewhere")}, sink=made.sink)
    made.next_one = fresh
    with running(made) as daemon:
        eventually(lambda: [task for task in daemon.loop.engine.snapshot().tasks if task.ledger])
        (blocked,) = daemon.loop.reloads.put().result(60).blocked
        assert (blocked.application, blocked.reason) == ("billing", "configuration_moved")
        assert "secret/elsewhere" in blocked.message


@pytest.mark.parametrize(
    ("error", "problems", "remark"),
    [
        (
            ConfigurationError([ConfigurationProblem("f", "a", "is odd"), ConfigurationProblem("f", "b", "is odd")]),
            [str(ConfigurationProblem("f", "a", "is odd")), str(ConfigurationProblem("f", "b", "is odd"))],
            "2 problems",
        ),
        (Unavailable("Vault is sealed", service="vault", kind="sealed"), ["Vault is sealed"], "1 problem"),
        (KeyError("a secret"), None, "1 problem"),
    ],
)
def test_a_configuration_that_is_refused_changes_nothing_and_is_remarked_until_one_is_accepted(
    error: Exception, problems: list[str] | None, remark: str
) -> None:
    made = quiet("billing")
    made.next_one = error
    with running(made) as daemon:
        eventually(lambda: "READY=1" in daemon.told.messages)
        asked = daemon.loop.reloads.put()
        with pytest.raises(type(error)):
            asked.result(60)
        assert daemon.loop.engine.runtime is made
        said = f"the new configuration has {remark} and was refused, the old one is in force"
        eventually(lambda: said in daemon.status())
        ((_, fields),) = daemon.events("daemon.reload_refused")
        if problems is None:
            assert fields["problems"][0].startswith("KeyError at rotator.daemon.main_loop:")
            assert "a secret" not in str(fields)
        else:
            assert fields["problems"] == problems
        name, well, how = daemon.loop.monitor.readiness()[0]
        assert (name, well) == ("configuration", True)
        assert how.endswith(f"; the newer one has {remark} and was refused")
        made.next_one = replace(made, sink=made.sink)
        daemon.loop.reloads.put().result(60)
        assert daemon.loop.remark == ""
        eventually(lambda: "refused" not in daemon.status())


# --- between two waits ----------------------------------------------------------------------------------------------------


def test_b_a_step_of_the_clock_is_reported_and_shifts_every_date(monkeypatch: pytest.MonkeyPatch) -> None:
    made = quiet("billing")
    with running(made) as daemon:
        eventually(lambda: [task for task in daemon.loop.engine.snapshot().tasks if task.last_success_at])
        real = time.time
        shifted: list[timedelta] = []
        monkeypatch.setattr(daemon.loop.engine, "clock_stepped", shifted.append)
        monkeypatch.setattr(time, "time", lambda: real() + 3600)
        eventually(lambda: shifted)
        monkeypatch.setattr(time, "time", real)
        eventually(lambda: len(shifted) == 2)
    assert [round(step.total_seconds()) for step in shifted] == [3600, -3600]
    assert [round(fields["seconds"]) for _, fields in daemon.events("daemon.clock_stepped")] == [3600, -3600]


def test_an_error_of_the_program_beside_the_work_is_reported_once_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, looks = quiet("billing"), []

    def odd() -> None:
        looks.append(1)
        raise KeyError("odd")

    with running(made) as daemon:
        monkeypatch.setattr(daemon.loop.engine, "reschedule_lost", odd)
        monkeypatch.setattr(module, "TICK_INTERVAL", 0.0)
        daemon.loop._tick = 0.02
        daemon.signals.wake()
        eventually(lambda: len(looks) > 2)
        ((_, fields),) = daemon.events("daemon.crashed")
    assert fields["error"] == "KeyError"
    assert fields["where"].startswith("rotator.daemon.main_loop:")


def test_the_login_is_renewed_and_watched_only_while_vault_answers() -> None:
    made = quiet("billing")
    with running(made) as daemon:
        eventually(daemon.loop.engine.contacted)
        assert daemon.loop._maintain() == timedelta(seconds=10)
        assert made.tended == 1
        assert daemon.loop._removed_applications() == timedelta(hours=1)
        made.stages["acme"].sealed = True
        daemon.loop.engine.services["vault"].note(Unavailable("x", service="vault", kind="sealed"), made.clock.now())
        assert daemon.loop._maintain() == timedelta(seconds=10)
        assert made.tended == 1
        assert daemon.loop._removed_applications() == timedelta(seconds=5)


def test_listeners_are_opened_before_the_daemon_is_ready(tmp_path: Any) -> None:
    made = quiet("billing")
    made.control = Control(tmp_path)
    with running(made) as daemon:
        eventually(lambda: "READY=1" in daemon.told.messages)
        assert (tmp_path / "control.sock").is_socket()
        assert len(daemon.events("control.listening")) == 2
    assert not (tmp_path / "control.sock").exists()


# --- the end --------------------------------------------------------------------------------------------------------------


def test_b_a_rotation_under_way_is_ended_first_and_named_in_the_status_meanwhile() -> None:
    made = runtime("billing", shutdown_timeout=timedelta(seconds=30))
    begun = threading.Event()
    with running(made) as daemon:

        def slow(name: str, phase: str) -> None:
            if (name, phase) == ("create_key", "after"):
                begun.set()
                eventually(lambda: "STATUS=stopping; ends first: billing" in daemon.told.messages)

        made.stages["acme"].hook = slow
        assert begun.wait(60)
        daemon.stop()
        eventually(lambda: daemon.codes)
    assert daemon.codes == [0]
    assert made.stages["acme"].published_key("secret/apps/billing")
    assert daemon.events("daemon.stopped") == [("daemon.stopped", {"unfinished": []})]


@pytest.mark.parametrize(("number", "words"), [(1, "1 order"), (2, "2 orders")])
def test_b_orders_under_way_are_counted_in_the_status_while_the_daemon_stops(number: int, words: str) -> None:
    made, free = quiet("billing"), threading.Event()
    made.shutdown_timeout = timedelta(seconds=0.6)
    with running(made) as daemon:
        eventually(lambda: "READY=1" in daemon.told.messages)
        for _ in range(number):
            daemon.loop.listeners.executor.carry_out(lambda: free.wait(60))
        daemon.stop()
        eventually(lambda: daemon.codes)
        free.set()
    assert f"STATUS=stopping; ends first: {words}" in daemon.told.messages


def test_b_a_call_that_hangs_past_the_limit_is_left_and_named() -> None:
    made, free = runtime("billing", shutdown_timeout=timedelta(seconds=0.6)), threading.Event()
    begun = threading.Event()

    def hang(name: str, phase: str) -> None:
        if name == "create_key":
            begun.set()
            free.wait(60)

    made.stages["acme"].hook = hang
    with running(made) as daemon:
        assert begun.wait(60)
        daemon.stop()
        eventually(lambda: daemon.codes)
        assert daemon.events("daemon.stopped") == [("daemon.stopped", {"unfinished": ["billing"]})]
        free.set()


def test_a_reload_that_is_asked_for_while_the_daemon_stops_is_refused() -> None:
    with running(quiet("billing")) as daemon:
        eventually(lambda: "READY=1" in daemon.told.messages)
        daemon.stop()
        eventually(lambda: daemon.codes)
        with pytest.raises(
            Unavailable, match="the daemon is stopping: the new configuration is read at its next start"
        ):
            daemon.loop.reloads.put().result(60)
