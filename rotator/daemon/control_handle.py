"""The daemon as the control API sees it: runtime, health and reload requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager

from rotator.daemon.engine import Engine
from rotator.daemon.monitoring import Monitoring
from rotator.daemon.runtime import DaemonRuntime
from rotator.domain.ledger import Problem
from rotator.domain.ports import EventSink
from rotator.errors import Unavailable
from rotator.observability.fan_out import FanOutSink
from rotator.operations.daemon_handle import ReloadResult


class LocalDaemonHandle:
    """The handle of the daemon in this process. ``wake`` makes the main loop take the reload request."""

    def __init__(
        self, engine: Engine, monitor: Monitoring, sink: EventSink, broadcast: FanOutSink, wake: Callable[[], None]
    ) -> None:
        self.sink = sink
        self.broadcast = broadcast
        self.stopping = threading.Event()
        self._engine = engine
        self._monitor = monitor
        self._wake = wake
        self._reload_request: Future[ReloadResult] | None = None
        self._lock = threading.Lock()

    @property
    def runtime(self) -> DaemonRuntime:
        """The configuration in force, for reading what is in memory; takes no lock."""
        return self._engine.runtime

    def lease_runtime(self) -> AbstractContextManager[DaemonRuntime]:
        """The configuration in force; its connections stay open until the lease ends."""
        return self._engine.lease_runtime()

    def reconcile_now(self, applications: Iterable[str]) -> None:
        """Reconcile these applications at once."""
        self._engine.reconcile_now(applications)

    def observed_problems(self) -> Mapping[str, Problem]:
        """What the last pass of each application saw to stop it."""
        tasks = self._engine.snapshot().tasks
        return {task.name: task.summary.observed for task in tasks if task.summary and task.summary.observed}

    def health(self) -> Sequence[tuple[str, bool, str]]:
        """Whether the daemon runs, cause by cause."""
        return self._monitor.health()

    def readiness(self) -> Sequence[tuple[str, bool, str]]:
        """Whether the daemon can do its work, cause by cause."""
        return self._monitor.readiness()

    # --- reload -----------------------------------------------------------------------------------------------------------

    def reload(self) -> Future[ReloadResult]:
        """Have the main loop read the configuration again.

        Callers share one future until the main loop takes it. A later caller gets a new one: the file may have changed since.
        """
        with self._lock:
            if self.stopping.is_set():
                refused: Future[ReloadResult] = Future()
                refused.set_exception(_stopping())
                return refused
            if self._reload_request is None:
                self._reload_request = Future()
            request = self._reload_request
        self._wake()
        return request

    def take_reload_request(self) -> Future[ReloadResult]:
        """The future of the reload that begins now; nobody waits for it when a signal asked for the reload."""
        with self._lock:
            taken, self._reload_request = self._reload_request, None
        # A future that runs can no longer be cancelled by a caller, so its result can always be set.
        return taken if taken is not None and taken.set_running_or_notify_cancel() else Future()

    def stop(self) -> None:
        """Accept no reload from now on, and fail the one that has not begun."""
        with self._lock:
            self.stopping.set()
        request = self.take_reload_request()
        request.set_exception(_stopping())


def _stopping() -> Unavailable:
    return Unavailable(
        "the daemon is stopping: the new configuration is read at its next start", service="daemon", kind="stopping"
    )
