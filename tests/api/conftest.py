"""A house without a main loop: an engine on a simulated stage, its doors open in a temporary folder."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotator.api.client import DaemonClient
from rotator.api.listeners import Listeners
from rotator.config import Control
from rotator.domain.ledger import Problem
from rotator.domain.ports import EventSink
from rotator.observability.fan_out import FanOutSink
from rotator.operations.daemon_handle import ObservedLedger, ReloadResult
from tests.support.daemon_stage import Recorder, runtime


@dataclass
class FakeHouse:
    """The daemon behind the doors, as far as they need one."""

    runtime: Any
    events: Recorder = field(default_factory=Recorder)
    stopping: threading.Event = field(default_factory=threading.Event)
    looked_at: list[str] = field(default_factory=list)
    lent: int = 0

    def __post_init__(self) -> None:
        self.broadcast = FanOutSink(self.events)
        self.sink: EventSink = self.broadcast

    def lease_runtime(self) -> AbstractContextManager[Any]:
        daemon_handle = self

        class Loan(AbstractContextManager[Any]):
            def __enter__(self) -> Any:
                daemon_handle.lent += 1
                return daemon_handle.runtime

            def __exit__(self, *_: object) -> None:
                daemon_handle.lent -= 1

        return Loan()

    def reconcile_now(self, applications: Any) -> None:
        self.looked_at += applications

    def observed_ledgers(self) -> dict[str, ObservedLedger]:
        return {}

    def observed_problems(self) -> dict[str, Problem]:
        return {}

    def reload(self) -> Future[ReloadResult]:
        request: Future[ReloadResult] = Future()
        try:
            made = self.runtime.reopen()
        except Exception as error:  # noqa: BLE001 - the future carries it
            request.set_exception(error)
        else:
            request.set_result(ReloadResult(len(made.specs)))
        return request

    def health(self) -> list[tuple[str, bool, str]]:
        return [("loop", True, "went round 0s ago")]

    def readiness(self) -> list[tuple[str, bool, str]]:
        return [("vault", True, "answers")]


@dataclass
class Front:
    """Whoever stands before the doors."""

    folder: Path
    daemon_handle: FakeHouse
    listeners: Listeners

    @property
    def config(self) -> Path:
        return Path(self.daemon_handle.runtime.source)

    def http(self, listener: str = "control") -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.folder / f"{listener}.sock"))
        return httpx.Client(transport=transport, base_url="http://rotator", timeout=60, trust_env=False)

    def ask(self, method: str, path: str, *, listener: str = "control", **options: Any) -> httpx.Response:
        with self.http(listener) as client:
            return client.request(method, path, **options)

    def daemon(self, *, commands: bool = True, remark: Callable[[str], None] = print) -> DaemonClient:
        return DaemonClient.at(self.folder, self.config, remark, commands=commands)

    def raw(self, listener: str = "control") -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(str(self.folder / f"{listener}.sock"))
        return connection


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    made = runtime("billing", "mailer", source=str(tmp_path / "rotator.toml"))
    daemon_handle = FakeHouse(made)
    made.sink = daemon_handle.sink
    listeners = Listeners(daemon_handle)
    listeners.maintain(Control(tmp_path))
    yield Front(tmp_path, daemon_handle, listeners)
    daemon_handle.stopping.set()
    listeners.executor.give_up()
    listeners.close()


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines() if line]
