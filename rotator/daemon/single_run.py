"""Runs one round of passes over all applications and ends, for cron and Kubernetes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from rotator import __version__
from rotator.daemon.application_task import PassResult
from rotator.daemon.daemon_runtime import DaemonRuntime, report_deprecated
from rotator.daemon.engine import Engine
from rotator.daemon.health_rounds import unhealthy_reason
from rotator.daemon.main_loop import TICK_INTERVAL
from rotator.daemon.services import VAULT, ServiceState
from rotator.errors import RotatorError
from rotator.observability.notifications import Notifier
from rotator.system.process import Signals


class SingleRun:
    """One round of passes over all applications, each until it waits."""

    def __init__(self, runtime: DaemonRuntime, notifier: Notifier, signals: Signals) -> None:
        self.sink = self.alarm = notifier
        self.signals = signals
        self.engine = Engine(runtime, notifier, once=True, changed=signals.wake)

    def run(self) -> int:
        """The exit code of the worst outcome: it failed, it was refused, a service was unreachable,
        or all is well."""
        runtime, engine = self.engine.runtime, self.engine
        self.sink.emit("daemon.started", version=__version__, applications=len(runtime.specs), config=runtime.source)
        report_deprecated(runtime, self.sink)
        engine.start()
        self._until(engine.contacted)
        if engine.services[VAULT].state is ServiceState.UP and not self.signals.stop:
            try:
                engine.add_removed_applications(runtime.removed_applications())
            except RotatorError as error:
                self.sink.emit("daemon.task_failed", chore="removed applications", message=str(error))
        self._until(lambda: not engine.unfinished())
        if self.signals.stop:
            engine.drain()
            end = time.monotonic() + runtime.shutdown_timeout.total_seconds()
            while engine.unfinished() and time.monotonic() < end:
                self.signals.wait(TICK_INTERVAL)
        results, unfinished = [task.result for task in list(engine.tasks.values())], engine.unfinished()
        counts = Counter(results)
        engine.close()
        self.sink.emit(
            "run.completed",
            applications=len(results),
            ok=counts[PassResult.OK],
            unreachable=counts[PassResult.UNREACHABLE],
            refused=counts[PassResult.REFUSED],
            failed=counts[PassResult.FAILED],
        )
        worst = next(
            (result for result in (PassResult.FAILED, PassResult.REFUSED, PassResult.UNREACHABLE) if counts[result]),
            PassResult.OK,
        )
        if worst is PassResult.OK and not unfinished and not self.signals.stop:
            self._ping()
        self.sink.emit("daemon.stopped", unfinished=unfinished)
        return worst.exit_code

    def _ping(self) -> None:
        """Send the heartbeat, unless something is overdue by the policy, such as a rotation that
        missed its window."""
        seen = self.engine.snapshot()
        found = unhealthy_reason(seen.tasks, seen.services, datetime.now(UTC))
        if found is None:
            self.alarm.ping(wait=True)
        else:
            self.sink.emit("heartbeat.unhealthy", reason=found.reason, subject=found.subject)

    def _until(self, condition: Callable[[], bool]) -> None:
        while not condition() and not self.signals.stop:
            self.signals.wait(TICK_INTERVAL)
