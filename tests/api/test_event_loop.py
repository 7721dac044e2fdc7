"""The event loop of the control API, with a real engine: nothing that hangs elsewhere delays an answer from memory."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotator.api.access_control import Peer
from rotator.api.listeners import Listeners
from rotator.api.routes import MAX_QUERIES
from rotator.config import Control
from rotator.daemon.engine import Engine
from rotator.daemon.local_daemon_handle import LocalDaemonHandle
from rotator.daemon.monitoring import Monitoring
from rotator.daemon.reload import ReloadRequests
from rotator.errors import Unavailable
from rotator.observability.fan_out import FanOutSink
from rotator.observability.metrics.call_durations import CallDurations
from rotator.observability.metrics.counters import EventCounters
from rotator.operations.daemon_handle import ReloadResult
from tests.api.conftest import Front
from tests.support.daemon_stage import Recorder, eventually, runtime, settled

AT_ONCE = 2.0
"""Seconds that an answer from memory may take on a slow machine; what it must not wait for takes longer."""

LONG = 60.0
"""Seconds for which whatever hangs does so."""


@dataclass
class House:
    """A daemon without a main loop: a real engine, monitoring and handle behind real listeners."""

    front: Front
    engine: Engine
    monitor: Monitoring
    handle: LocalDaemonHandle
    reloads: ReloadRequests
    woken: list[float]

    @property
    def stage(self) -> Any:
        return self.front.daemon_handle.runtime.stages["acme"]

    def answer_reloads(self, result: ReloadResult) -> None:
        """What the main loop does at its next turn."""
        for request in self.reloads.take():
            request.set_result(result)

    def timed(self, method: str, path: str, **options: Any) -> tuple[httpx.Response, float]:
        begun = time.monotonic()
        answer = self.front.ask(method, path, **options)
        return answer, time.monotonic() - begun


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = runtime("billing", "mailer", source=str(tmp_path / "rotator.toml"))
    events = Recorder()
    made.sink = events
    settled("billing", made)
    engine = Engine(made, events)
    engine.start()
    monitor = Monitoring(engine, EventCounters(events), CallDurations())
    woken: list[float] = []
    reloads = ReloadRequests(lambda: woken.append(time.monotonic()))
    handle = LocalDaemonHandle(engine, monitor, events, FanOutSink(events), reloads)
    listeners = Listeners(handle)
    monitor.watch("control API", listeners.idle)
    listeners.maintain(Control(tmp_path))
    eventually(engine.contacted)
    yield House(Front(tmp_path, handle, listeners), engine, monitor, handle, reloads, woken)  # type: ignore[arg-type]  # it has what is used
    reloads.stop()
    listeners.executor.give_up()
    listeners.close()
    monitor.close()
    engine.close()


@contextmanager
def held_lock(house: House) -> Iterator[None]:
    """The engine's lock is taken and not given back, as by a worker that hangs."""
    taken, over = threading.Event(), threading.Event()

    def hold() -> None:
        with house.engine.lock:
            taken.set()
            over.wait(LONG)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()
    try:
        yield
    finally:
        over.set()
        holder.join()


@contextmanager
def slow_users(house: House) -> Iterator[None]:
    """The name of a user is asked for over the network, which hangs (NSS); commands ask for it."""
    over = threading.Event()
    before = Peer.user
    Peer.user = property(lambda peer: over.wait(LONG) and None)  # type: ignore[assignment, method-assign]
    caller = threading.Thread(
        target=lambda: house.front.ask("POST", "/v1/hold", json={"applications": ["billing"], "reason": "x"})
    )
    caller.start()
    eventually(lambda: house.front.listeners.executor.busy == 1)
    try:
        yield
    finally:
        over.set()
        caller.join()
        Peer.user = before  # type: ignore[method-assign]


@contextmanager
def slow_queries(house: House) -> Iterator[None]:
    """All readers wait for a Vault that hangs."""
    over, asked = threading.Event(), threading.Semaphore(0)

    def hang(name: str, phase: str) -> None:
        if phase == "before" and name == "read_ledger" and threading.current_thread().name.startswith("reader"):
            asked.release()
            over.wait(LONG)

    house.stage.hook = hang
    callers = [
        threading.Thread(target=lambda: house.front.ask("GET", "/v1/history?application=billing"))
        for _ in range(MAX_QUERIES)
    ]
    for caller in callers:
        caller.start()
    for _ in callers:
        assert asked.acquire(timeout=LONG)
    try:
        yield
    finally:
        over.set()
        for caller in callers:
            caller.join()


@contextmanager
def slow_paths(house: House) -> Iterator[None]:
    """Every look at a path of a caller hangs, as on a file system that is away."""
    before = os.path.realpath
    os.path.realpath = lambda path, **more: time.sleep(LONG) if "away" in str(path) else before(path, **more)  # type: ignore[assignment]
    caller = house.front.raw()
    caller.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\nRotator-Config: /away/rotator.toml\r\n\r\n")
    try:
        yield
    finally:
        os.path.realpath = before
        caller.close()


@contextmanager
def slow_reloads(house: House) -> Iterator[None]:
    """Several reloads wait for a main loop that does not turn."""
    callers = [threading.Thread(target=lambda: house.front.ask("POST", "/v1/reload")) for _ in range(20)]
    for caller in callers:
        caller.start()
    eventually(lambda: len(house.woken) == len(callers))
    try:
        yield
    finally:
        house.answer_reloads(ReloadResult(2))
        for caller in callers:
            caller.join()


HANGS: dict[str, Callable[[House], Any]] = {
    "the engine's lock": held_lock,
    "the name service": slow_users,
    "Vault, for all readers": slow_queries,
    "the path of a caller": slow_paths,
    "the main loop": slow_reloads,
}


@pytest.mark.parametrize("path", ["/v1/health", "/openapi.json"])
@pytest.mark.parametrize("what", HANGS)
def test_c12_an_answer_from_memory_waits_for_nothing_that_hangs(house: House, what: str, path: str) -> None:
    with HANGS[what](house):
        answer, seconds = house.timed("GET", path)
    assert (answer.status_code, seconds < AT_ONCE) == (200, True), seconds


@pytest.mark.parametrize("what", ["the name service", "the path of a caller", "the main loop"])
def test_c12_a_query_waits_for_no_command(house: House, what: str) -> None:
    with HANGS[what](house):
        answer, seconds = house.timed("GET", "/v1/status")
    assert (answer.status_code, seconds < AT_ONCE) == (200, True), seconds


def test_c12_a_reload_waits_for_no_query_and_for_no_command(house: House) -> None:
    over = threading.Event()
    with ExitStack() as stack:
        stack.callback(over.set)
        stack.enter_context(slow_queries(house))
        for _ in range(8):
            house.front.listeners.executor.carry_out(lambda: over.wait(LONG))
        caller = threading.Thread(target=lambda: house.front.ask("POST", "/v1/reload"))
        caller.start()
        eventually(lambda: house.woken, "the main loop is woken")
        house.answer_reloads(ReloadResult(2))
        caller.join()


def test_one_reload_answers_all_that_wait_until_the_main_loop_begins_to_read(house: House) -> None:
    first, second = house.handle.reload(), house.handle.reload()
    taken = house.reloads.take()
    third = house.handle.reload()
    assert third not in taken, "the file may have changed since the first was begun"
    for request in taken:
        request.set_result(ReloadResult(1))
    house.answer_reloads(ReloadResult(2))
    assert [request.result().applications for request in (first, second, third)] == [1, 1, 2]
    assert not house.reloads.waiting()


def test_a_reload_that_is_requested_while_the_daemon_stops_is_refused_at_once(house: House) -> None:
    waiting = house.handle.reload()
    house.reloads.stop()
    for request in (waiting, house.handle.reload()):
        with pytest.raises(Unavailable, match="the daemon is stopping"):
            request.result(0)


def test_a_caller_that_hangs_up_does_not_end_a_reload_that_others_wait_for(house: House) -> None:
    impatient = house.front.raw()
    impatient.sendall(b"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    eventually(lambda: len(house.woken) == 1)
    answers: list[httpx.Response] = []
    patient = threading.Thread(target=lambda: answers.append(house.front.ask("POST", "/v1/reload")))
    patient.start()
    eventually(lambda: len(house.woken) == 2)
    impatient.close()
    house.answer_reloads(ReloadResult(2))
    patient.join()
    assert answers[0].json()["applications"] == 2


def test_c12_a_loop_of_the_control_api_that_hangs_makes_the_daemon_unhealthy(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(well for _, well, _ in house.monitor.health())
    server = house.front.listeners._server
    assert server
    over = threading.Event()
    server._loop.call_soon_threadsafe(over.wait, LONG)
    monkeypatch.setattr(house.monitor, "_watchdog_limit", house.monitor._watchdog_limit / 90)
    eventually(lambda: ("control API", False) in [(name, well) for name, well, _ in house.monitor.health()])
    over.set()
    eventually(lambda: ("control API", True) in [(name, well) for name, well, _ in house.monitor.health()])
