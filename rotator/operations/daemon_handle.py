"""The interface through which the API controls the daemon."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from rotator.domain.ledger import Ledger, Problem
from rotator.domain.ports import EventSink
from rotator.observability.fan_out import FanOutSink
from rotator.operations.runtime import Runtime


@dataclass(frozen=True)
class HealthCause:
    """One check of the daemon's health: its name, its outcome, and details."""

    name: str
    well: bool
    how: str


@dataclass(frozen=True)
class HealthReport:
    """The daemon's version, its configuration file, whether it is running, and whether it is
    ready."""

    version: str
    config: str
    alive: bool
    ready: bool
    causes: tuple[HealthCause, ...]


@dataclass(frozen=True)
class BlockedApplication:
    """An application that the new configuration blocks, and why."""

    application: str
    reason: str
    message: str


@dataclass(frozen=True)
class ReloadResult:
    """The result of a reload: the number of applications, those added and removed, and the options
    that take effect only after a restart."""

    applications: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restart_needed: tuple[str, ...] = ()
    blocked: tuple[BlockedApplication, ...] = ()


class RuntimeWithSource(Runtime, Protocol):
    """The runtime of the configuration in force."""

    @property
    def source(self) -> str:
        """Path of the configuration file."""


@dataclass(frozen=True)
class ObservedLedger:
    """A ledger, without history and incidents, and when a pass last saw it."""

    ledger: Ledger
    at: datetime


class DaemonHandle(Protocol):
    """The daemon, as the API sees it. Thread-safe."""

    sink: EventSink
    """Receives every event."""
    broadcast: FanOutSink
    """Forwards every event to subscribers."""
    stopping: threading.Event
    """Set when the shutdown begins; no command is accepted afterwards."""

    @property
    def runtime(self) -> RuntimeWithSource:
        """The current runtime, for reading what is in memory. Takes no lock. A reload may close its
        connections."""

    def lease_runtime(self) -> AbstractContextManager[RuntimeWithSource]:
        """Leases the current runtime: it stays open until the lease ends, even if a reload replaces
        it."""

    def reconcile_now(self, applications: Iterable[str]) -> None:
        """Wakes the tasks of these applications, because a command changed them."""

    def observed_problems(self) -> Mapping[str, Problem]:
        """The problem that the last pass of each application saw, by name. Some are in no
        ledger."""

    def observed_ledgers(self) -> Mapping[str, ObservedLedger]:
        """The ledger of each application as its last pass saw it, by name. Takes no lock."""

    def reload(self) -> Future[ReloadResult]:
        """Reloads the configuration. The future holds the result or the ``ConfigurationError``.

        Requests share one future until the main loop begins to read.
        """

    def health(self) -> Sequence[tuple[str, bool, str]]:
        """Liveness checks: name, outcome, details. Takes no lock."""

    def readiness(self) -> Sequence[tuple[str, bool, str]]:
        """Readiness checks: name, outcome, details. Takes no lock."""
