"""The daemon as its callers know it: what the doors of ``rotator.api`` are opened to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager

from rotator.daemon.engine import Engine
from rotator.daemon.monitoring import Monitoring
from rotator.daemon.runtime import DaemonRuntime
from rotator.domain.ports import EventSink
from rotator.errors import Unavailable
from rotator.observability.fan_out import FanOutSink
from rotator.operations.daemon_handle import ReloadResult


class LocalDaemonHandle:
    """One daemon. ``ring`` has the main loop look for wishes."""

    def __init__(
        self, engine: Engine, monitor: Monitoring, journal: EventSink, broadcast: FanOutSink, ring: Callable[[], None]
    ) -> None:
        self.journal = journal
        self.broadcast = broadcast
        self.stopping = threading.Event()
        self._engine = engine
        self._monitor = monitor
        self._ring = ring
        self._wishes: list[Future[ReloadResult]] = []
        self._lock = threading.Lock()

    def borrow(self) -> AbstractContextManager[DaemonRuntime]:
        """The configuration in force, which stays open until it is given back."""
        return self._engine.borrow()

    def look_at(self, applications: Iterable[str]) -> None:
        """Have these looked at at once."""
        self._engine.look_at(applications)

    def health(self) -> Sequence[tuple[str, bool, str]]:
        """Whether the daemon is alive, cause by cause."""
        return self._monitor.health()

    def readiness(self) -> Sequence[tuple[str, bool, str]]:
        """Whether it is able to do its work, cause by cause."""
        return self._monitor.readiness()

    # --- reload -----------------------------------------------------------------------------------------------------------

    def reload(self) -> Future[ReloadResult]:
        """Have the configuration read again by the main loop."""
        wish: Future[ReloadResult] = Future()
        with self._lock:
            if self.stopping.is_set():
                wish.set_exception(_stopping())
                return wish
            self._wishes.append(wish)
        self._ring()
        return wish

    def take_wishes(self) -> list[Future[ReloadResult]]:
        """Who waits for a reload that begins now."""
        with self._lock:
            taken, self._wishes = self._wishes, []
        return taken

    def stop(self) -> None:
        """The end has begun: nothing is taken on any more, and nobody waits in vain."""
        with self._lock:
            self.stopping.set()
        for wish in self.take_wishes():
            wish.set_exception(_stopping())


def _stopping() -> Unavailable:
    return Unavailable(
        "the daemon is stopping: the new configuration is read at its next start", service="daemon", kind="stopping"
    )
