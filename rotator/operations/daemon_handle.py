"""What is behind the doors: the daemon, as those who serve its callers know it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from rotator.domain.ports import EventSink
from rotator.observability.fan_out import FanOutSink
from rotator.operations.runtime import Runtime


@dataclass(frozen=True)
class ReloadResult:
    """What a reload brought: how many applications there are now, which came and which left, and options that only a restart
    brings into force."""

    applications: int
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restart_needed: tuple[str, ...] = ()


class RuntimeWithSource(Runtime, Protocol):
    """The configuration in force, with everything built from it."""

    @property
    def source(self) -> str:
        """The file that the configuration came from."""


class DaemonHandle(Protocol):
    """The daemon. Safe for any thread."""

    sink: EventSink
    """Where everything is told."""
    broadcast: FanOutSink
    """Where everything that is told can be listened to."""
    stopping: threading.Event
    """Set when the end begins: nothing new is taken on."""

    def lease_runtime(self) -> AbstractContextManager[RuntimeWithSource]:
        """The configuration in force, which stays open until it is given back, also when another one comes into force."""

    def reconcile_now(self, applications: Iterable[str]) -> None:
        """Have the daemon's own passes look at these at once: something was changed beside them."""

    def reload(self) -> Future[ReloadResult]:
        """Have the configuration read again; the future holds what came of it, or the ``ConfigurationError``."""

    def health(self) -> Sequence[tuple[str, bool, str]]:
        """Whether the daemon is alive, cause by cause: a name, whether it is well, and how it is."""

    def readiness(self) -> Sequence[tuple[str, bool, str]]:
        """Whether it is able to do its work, cause by cause."""
