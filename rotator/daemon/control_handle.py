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
    """One daemon. ``wake`` has the main loop look for wishes."""

    def __init__(
        self, engine: Engine, monitor: Monitoring, sink: EventSink, broadcast: FanOutSink, wake: Callable[[], None]
    ) -> None:
        self.sink = sink
        self.broadcast = broadcast
        self.stopping = threading.Event()
        self._engine = engine
        self._monitor = monitor
        self._wake = wake
        self._reload_requests: list[Future[ReloadResult]] = []
        self._lock = threading.Lock()

    def lease_runtime(self) -> AbstractContextManager[DaemonRuntime]:
        """The configuration in force, which stays open until it is given back."""
        return self._engine.lease_runtime()

    def reconcile_now(self, applications: Iterable[str]) -> None:
        """Have these looked at at once."""
        self._engine.reconcile_now(applications)

    def health(self) -> Sequence[tuple[str, bool, str]]:
        """Whether the daemon is alive, cause by cause."""
        return self._monitor.health()

    def readiness(self) -> Sequence[tuple[str, bool, str]]:
        """Whether it is able to do its work, cause by cause."""
        return self._monitor.readiness()

    # --- reload -----------------------------------------------------------------------------------------------------------

    def reload(self) -> Future[ReloadResult]:
        """Have the configuration read again by the main loop."""
        request: Future[ReloadResult] = Future()
        with self._lock:
            if self.stopping.is_set():
                request.set_exception(_stopping())
                return request
            self._reload_requests.append(request)
        self._wake()
        return request

    def take_reload_requests(self) -> list[Future[ReloadResult]]:
        """Who waits for a reload that begins now."""
        with self._lock:
            taken, self._reload_requests = self._reload_requests, []
        return taken

    def stop(self) -> None:
        """The end has begun: nothing is taken on any more, and nobody waits in vain."""
        with self._lock:
            self.stopping.set()
        for request in self.take_reload_requests():
            request.set_exception(_stopping())


def _stopping() -> Unavailable:
    return Unavailable(
        "the daemon is stopping: the new configuration is read at its next start", service="daemon", kind="stopping"
    )
