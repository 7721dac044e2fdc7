"""A monitored engine on the simulated stage, and how to ask it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rotator.config import Listener
from rotator.daemon.engine import Engine
from rotator.daemon.monitoring import Monitoring
from rotator.observability.metrics.call_durations import CallDurations
from rotator.observability.metrics.counters import EventCounters
from rotator.sandbox.process import free_port
from tests.support.daemon_stage import FakeFleet, eventually, runtime


@dataclass
class Time:
    """A monotonic clock that a test moves on top of the real one."""

    ahead: float = 0.0

    def __call__(self) -> float:
        import time

        return time.monotonic() + self.ahead


@dataclass
class Watched:
    """A fleet at work, its engine, and the monitor of that."""

    runtime: FakeFleet
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        self.sink = self.runtime.sink
        self.at = self.runtime.listen = Listener("127.0.0.1", free_port())
        self.runtime.sink = self.counters = EventCounters(self.sink)
        self.engine = Engine(self.runtime, self.counters)
        self.calls = CallDurations()
        self.monitor = Monitoring(self.engine, self.counters, self.calls, clock=self.time)

    def start(self) -> None:
        self.engine.start()
        self.monitor.maintain()

    def at_rest(self) -> None:
        """Wait until every application was looked at and is well."""
        eventually(lambda: all(task.last_success_at and not task.running for task in self.engine.tasks.values()))

    def ask(self, path: str, accept: str = "") -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.at.host, self.at.port)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def scrape(self) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
        """Name of a sample -> labels -> value."""
        status, text = self.ask("/metrics")
        assert status == 200, text
        found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return found

    def value(self, name: str, **labels: str) -> float | None:
        return self.scrape().get(name, {}).get(tuple(sorted(labels.items())))

    def close(self) -> None:
        self.monitor.close()
        if self.engine._schedule._scheduler.running:
            self.engine.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    found = Watched(runtime("billing", "reports"))
    yield found
    found.close()


ROOT = Path(__file__).parents[3]
