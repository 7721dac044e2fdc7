"""The supervisor adapter on a real socket, and that signs of life are sent for work and for nothing else."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.system.process import Signals
from rotator.system.sd_notify import ServiceManager
from tests.support.daemon_stage import eventually, main_loop, runtime, settled


@pytest.fixture
def notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def heard(notify: socket.socket) -> list[str]:
    found = []
    try:
        while True:
            found.append(notify.recv(65536).decode())
    except BlockingIOError:
        return found


def test_every_message_is_one_datagram_in_the_words_of_systemd(notify: socket.socket) -> None:
    supervisor = ServiceManager()
    supervisor.ready()
    supervisor.reloading()
    supervisor.watchdog()
    supervisor.stopping()
    supervisor.close()
    ready, reloading, watchdog, stopping = heard(notify)
    assert (ready, watchdog, stopping) == ("READY=1", "WATCHDOG=1", "STOPPING=1")
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")


def test_the_status_is_one_line_in_utf_8_and_sent_only_when_it_changed(notify: socket.socket) -> None:
    supervisor = ServiceManager()
    for sentence in ("été", "été", "two\nlines"):
        supervisor.status(sentence)
    supervisor.close()
    assert heard(notify) == ["STATUS=été", "STATUS=two lines"]


def test_without_a_supervisor_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    supervisor = ServiceManager()
    supervisor.ready()
    supervisor.status("fine")
    assert supervisor.watchdog_interval is None
    supervisor.close()


def test_a_supervisor_that_is_gone_disturbs_nobody(notify: socket.socket) -> None:
    supervisor = ServiceManager()
    notify.close()
    supervisor.ready()
    supervisor.close()


def test_a_supervisor_that_does_not_listen_stops_nobody(notify: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rotator.system.sd_notify.TIMEOUT", 0.01)
    supervisor = ServiceManager()
    for _ in range(400):  # more than a socket of this kind holds
        supervisor.watchdog()
    supervisor.close()
    assert 0 < len(heard(notify)) < 400


@pytest.mark.usefixtures("notify")
def test_the_watchdog_interval_is_the_supervisors_and_only_if_it_means_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "180000000")
    for pid, expected in (("", timedelta(minutes=3)), (str(os.getpid()), timedelta(minutes=3)), ("1", None)):
        monkeypatch.setenv("WATCHDOG_PID", pid)
        supervisor = ServiceManager()
        assert supervisor.watchdog_interval == expected
        supervisor.close()


def test_no_sign_of_life_is_sent_while_no_worker_gets_anything_done(
    notify: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "40000")
    made = runtime("billing", workers=1)
    settled("billing", made)
    hung, inside = threading.Event(), threading.Event()

    def hang(name: str, phase: str) -> None:
        if name == "authenticate":
            inside.set()
            hung.wait(60)

    made.stages["acme"].hook = hang
    with Signals() as signals:
        daemon = main_loop(made, ServiceManager(), signals)
        engine = daemon.engine
        engine.start()
        engine.liveness.start(timedelta(milliseconds=1), engine.runtime.accounts)
        cares: list[int] = []
        engine.add_periodic("tend", lambda: cares.append(1) or timedelta(milliseconds=1), delay=timedelta(0))  # type: ignore[func-returns-value]  # a lambda has no statements
        try:
            eventually(inside.is_set, "the only worker is in a call that does not return")
            daemon._beaten = (engine.progress, 0.0)
            heard(notify)
            for _ in range(50):
                signals.wait(0.002)
                daemon._maintenance()
            already = len(cares)
            eventually(lambda: len(cares) > already + 3, "what the daemon does beside the passes goes on")
            daemon._maintenance()
            assert "WATCHDOG=1" not in heard(notify)
            hung.set()

            def beaten() -> bool:
                daemon._maintenance()
                return "WATCHDOG=1" in heard(notify)

            eventually(beaten)
        finally:
            hung.set()
            engine.close()
            daemon.supervisor.close()
            for executor in engine._schedule._scheduler._executors.values():
                executor.shutdown(wait=True)
