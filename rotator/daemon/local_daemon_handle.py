"""The daemon as the control API sees it: runtime, health and reload requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager

from rotator.daemon.daemon_runtime import DaemonRuntime
from rotator.daemon.engine import Engine
from rotator.daemon.monitoring import Monitoring
from rotator.daemon.reload import ReloadRequests
from rotator.domain.ledger import Problem
from rotator.domain.ports import EventSink
from rotator.observability.fan_out import FanOutSink
from rotator.operations.daemon_handle import ObservedLedger, ReloadResult


class LocalDaemonHandle:
    """The handle of the daemon in this process."""

    def __init__(
        self, engine: Engine, monitor: Monitoring, sink: EventSink, broadcast: FanOutSink, reloads: ReloadRequests
    ) -> None:
        self.sink = sink
        self.broadcast = broadcast
        self.stopping = reloads.stopping
        self._engine = engine
        self._monitor = monitor
        self._reloads = reloads

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

    def observed_ledgers(self) -> Mapping[str, ObservedLedger]:
        """The ledger of each application as its last pass saw it, unless a look was left to another
        daemon since."""
        return {
            task.name: ObservedLedger(task.ledger, task.last_reconciled_at)
            for task in self._engine.snapshot().tasks
            if task.ledger is not None and task.last_reconciled_at is not None and task.left_at is None
        }

    def reload(self) -> Future[ReloadResult]:
        """Have the main loop read the configuration again."""
        return self._reloads.put()

    def health(self) -> Sequence[tuple[str, bool, str]]:
        """Whether the daemon runs, cause by cause."""
        return self._monitor.health()

    def readiness(self) -> Sequence[tuple[str, bool, str]]:
        """Whether the daemon can do its work, cause by cause."""
        return self._monitor.readiness()
