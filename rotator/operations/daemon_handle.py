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
    """One reason to call the daemon well or not."""

    name: str
    well: bool
    how: str


@dataclass(frozen=True)
class HealthReport:
    """The daemon: its version, the configuration that it works for, whether it lives and whether it
    can do its work."""

    version: str
    config: str
    alive: bool
    ready: bool
    causes: tuple[HealthCause, ...]


@dataclass(frozen=True)
class BlockedApplication:
    """An application that the new configuration stops, and why."""

    application: str
    reason: str
    message: str


@dataclass(frozen=True)
class ReloadResult:
    """What a reload brought: how many applications there are now, which came and which left, and
    options that only a restart brings into force."""

    applications: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restart_needed: tuple[str, ...] = ()
    blocked: tuple[BlockedApplication, ...] = ()


class RuntimeWithSource(Runtime, Protocol):
    """The configuration in force, with everything built from it."""

    @property
    def source(self) -> str:
        """The file that the configuration came from."""


@dataclass(frozen=True)
class ObservedLedger:
    """A ledger, without history and incidents, and when a pass last saw it."""

    ledger: Ledger
    at: datetime


class DaemonHandle(Protocol):
    """The daemon. Safe for any thread."""

    sink: EventSink
    """Receives every event."""
    broadcast: FanOutSink
    """Passes every event on to subscribers."""
    stopping: threading.Event
    """Set when the shutdown begins: no command is accepted from then on."""

    @property
    def runtime(self) -> RuntimeWithSource:
        """The configuration in force, for reading what is in memory; takes no lock. A reload may
        close its connections."""

    def lease_runtime(self) -> AbstractContextManager[RuntimeWithSource]:
        """The configuration in force, which stays open until it is given back, also when another
        one comes into force."""

    def reconcile_now(self, applications: Iterable[str]) -> None:
        """Reconcile these applications at once, because a command changed something about them."""

    def observed_problems(self) -> Mapping[str, Problem]:
        """What the last pass of each application saw to stop it, by name: not all of it is in a
        ledger."""

    def observed_ledgers(self) -> Mapping[str, ObservedLedger]:
        """The ledger of each application as its last pass saw it, by name. Takes no lock."""

    def reload(self) -> Future[ReloadResult]:
        """Read the configuration again; the future holds the result or the ``ConfigurationError``.

        Requests share one future until the main loop begins to read."""

    def health(self) -> Sequence[tuple[str, bool, str]]:
        """Whether the daemon runs, cause by cause: a name, whether it is well, and details. Takes
        no lock."""

    def readiness(self) -> Sequence[tuple[str, bool, str]]:
        """Whether the daemon can do its work, cause by cause. Takes no lock."""
