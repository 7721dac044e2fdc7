"""What probes of the services change, and what they do not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

from rotator.daemon.daemon_runtime import DaemonRuntime
from rotator.daemon.periodic import PeriodicTasks
from rotator.daemon.service_monitor import ServiceMonitor
from rotator.daemon.services import VAULT, ServiceState
from rotator.errors import Unavailable
from tests.support.simulated import Recorder


class Tasks:
    """Takes what is to be done periodically; the test runs it."""

    def __init__(self) -> None:
        self.runs: dict[str, Callable[[], timedelta | None]] = {}

    def add(self, name: str, run: Callable[[], timedelta | None], **_: object) -> None:
        self.runs[name] = run


def runtime(ask: Callable[[], object]) -> DaemonRuntime:
    """A configuration without applications, whose Vault answers so."""
    return cast(DaemonRuntime, SimpleNamespace(specs={}, vault=SimpleNamespace(list_ledgers=ask)))


def away() -> object:
    raise Unavailable("vault is away", service=VAULT, kind="unreachable")


class Watch:
    """A monitor with what it told."""

    def __init__(self, first: DaemonRuntime) -> None:
        self.sink, self.tasks = Recorder(), Tasks()
        self.answers: list[bool] = []
        self.changes = 0
        self.monitor = ServiceMonitor(
            first,
            self.sink,
            cast(PeriodicTasks, self.tasks),
            threading.RLock(),
            answered=self.answers.append,
            changed=self._changed,
        )

    def _changed(self) -> None:
        self.changes += 1

    def probe(self) -> timedelta | None:
        return self.tasks.runs[f"probe {VAULT}"]()

    @property
    def state(self) -> ServiceState:
        return self.monitor.services[VAULT].state


def test_a_probe_that_a_reload_overtook_says_nothing_of_the_new_configuration() -> None:
    def overtaken() -> object:
        watch.monitor.replace(runtime(list))
        return away()

    watch = Watch(runtime(overtaken))
    watch.monitor.probe_all()
    assert watch.probe() == timedelta(0)
    assert (watch.sink.names(), watch.answers, watch.changes, watch.state) == ([], [], 0, ServiceState.UNKNOWN)
    assert watch.probe() is None
    assert (watch.sink.names(), watch.answers, watch.changes, watch.state) == ([], [True], 1, ServiceState.UP)


def test_a_service_that_goes_away_and_comes_back_is_an_event_each_and_is_asked_again_meanwhile() -> None:
    answers: list[Callable[[], object]] = [list, away, away, list]

    def answer() -> object:
        return answers.pop(0)()

    watch = Watch(runtime(answer))
    watch.monitor.probe_all()
    pauses = [watch.probe() for _ in range(4)]
    assert [pause is None for pause in pauses] == [True, False, False, True]
    assert watch.sink.names() == ["service.down", "service.up"]
    assert (watch.answers, watch.state) == ([True, False, False, True], ServiceState.UP)


def test_a_reload_keeps_what_is_known_of_a_service_until_it_is_probed() -> None:
    watch = Watch(runtime(away))
    watch.monitor.probe_all()
    watch.probe()
    watch.monitor.replace(runtime(away))
    assert (watch.state, watch.monitor.down("any")) == (ServiceState.DOWN, True)
    watch.probe()
    assert watch.sink.names() == ["service.down"]


def test_a_pass_that_fails_because_of_a_service_has_it_probed_once() -> None:
    watch = Watch(runtime(list))
    watch.monitor.probe_all()
    watch.probe()
    watch.tasks.runs.clear()
    watch.monitor.suspect(Unavailable("another", service="other", kind="unreachable"))
    watch.monitor.suspect(None)
    assert watch.tasks.runs == {}
    watch.monitor.suspect(Unavailable("away", service=VAULT, kind="unreachable"))
    assert (watch.state, list(watch.tasks.runs)) == (ServiceState.SUSPECT, [f"probe {VAULT}"])
    assert not watch.monitor.usable("any")
    watch.tasks.runs.clear()
    watch.monitor.suspect(Unavailable("away", service=VAULT, kind="unreachable"))
    assert watch.tasks.runs == {}
