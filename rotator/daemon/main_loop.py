"""The main loop: it reports the status to the supervisor, and acts on signals between two waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rotator import __version__
from rotator.api.listeners import Listeners
from rotator.daemon import status_line as status
from rotator.daemon.daemon_runtime import DaemonRuntime, report_deprecated
from rotator.daemon.engine import Engine
from rotator.daemon.health_rounds import HealthCheck
from rotator.daemon.login_watch import LoginWatch
from rotator.daemon.monitoring import Monitoring
from rotator.daemon.presence_keeper import PresenceKeeper
from rotator.daemon.reload import ReloadRequests
from rotator.daemon.report_cadence import BoundedShare
from rotator.daemon.runtime_lease import LOGOUT_TIMEOUT
from rotator.daemon.services import VAULT, ServiceState
from rotator.decision.status import mismatch_problem
from rotator.errors import ConfigurationError, RotatorError
from rotator.observability.notifications import Notifier
from rotator.operations.daemon_handle import BlockedApplication, ReloadResult
from rotator.system.process import Signals
from rotator.system.sd_notify import ServiceManager
from rotator.util.crash import crash_site

TICK_INTERVAL = 1.0
"""Seconds between two looks at the clock and the state, when nothing happens."""

FIRST_LOOK = 8.0
"""Seconds that the start waits for an answer of every service, before it is READY without."""

MAINTENANCE_INTERVAL = timedelta(seconds=10)
REMOVED_APPLICATIONS_INTERVAL = timedelta(hours=1)
LISTENER_RETRY_INTERVAL = timedelta(seconds=10)

CLOCK_JUMP_THRESHOLD = timedelta(seconds=2)
"""A change of this machine's clock beyond this is a step, and not the drift that is corrected all
the time."""


@dataclass(frozen=True)
class DaemonParts:
    """What the main loop drives, built by ``composition``."""

    notifier: Notifier
    engine: Engine
    presence: PresenceKeeper
    monitor: Monitoring
    reloads: ReloadRequests
    listeners: Listeners


class MainLoop:
    """The life of one process: start, first look, READY; then reloads and passes, until a signal
    asks for the end."""

    def __init__(
        self, parts: DaemonParts, rebuild: Callable[[], DaemonRuntime], supervisor: ServiceManager, signals: Signals
    ) -> None:
        self.sink = self.alarm = parts.notifier
        self.engine = parts.engine
        self.presence = parts.presence
        self.monitor = parts.monitor
        self.reloads = parts.reloads
        self.listeners = parts.listeners
        self.supervisor = supervisor
        self.signals = signals
        self.remark = ""
        self._rebuild = rebuild
        self._login = LoginWatch(self.sink)
        self._rounds = HealthCheck(self.engine, self.sink, self.alarm)
        self._receivers: tuple[Callable[[DaemonRuntime], None], ...] = (
            self._apply_to_applications,  # the others read the runtime in force from the engine
            self._apply_to_presence,  # at once: the shares are of the former configuration
            self._apply_to_notifications,  # the event that reports the reload reaches the new targets
            self._apply_to_monitoring,  # after the engine: it compares its address with that of the runtime in force
            self._apply_to_listeners,  # last: they open in a worker, and report when they do
        )
        self._listeners_tried = False
        self._clock = _ClockJumpDetector()
        self._beat_every = _beat(supervisor.watchdog_interval)
        self._tick = min(TICK_INTERVAL, self._beat_every.total_seconds() / 2)
        self._beaten = (0, 0.0)
        self._report = BoundedShare(TICK_INTERVAL)
        self._crashes: set[tuple[str, str]] = set()

    def run(self) -> int:
        """Until the end; the exit code."""
        runtime, engine = self.engine.runtime, self.engine
        self.sink.emit("daemon.started", version=__version__, applications=len(runtime.specs), config=runtime.source)
        report_deprecated(runtime, self.sink)
        engine.start()
        engine.liveness.start(self._beat_every, engine.runtime.accounts)
        engine.add_periodic("maintain", self._maintain, delay=MAINTENANCE_INTERVAL)
        engine.add_periodic("removed applications", self._removed_applications, delay=timedelta(0))
        engine.add_periodic("monitor", self.monitor.maintain, delay=timedelta(0))
        engine.add_periodic("listeners", self._open_listeners, delay=timedelta(0))
        self._first_look()
        self.presence.follow()
        while not self.signals.stop:
            self.signals.wait(self._tick)
            if self.signals.reload:
                self.signals.reload = False
                self.reloads.put()
            if self.reloads.waiting():
                self._reload()
            self._maintenance()
        return self._stop()

    def _first_look(self) -> None:
        give_up = time.monotonic() + FIRST_LOOK
        while not self._looked() and not self.signals.stop and (left := give_up - time.monotonic()) > 0:
            self.signals.wait(left)
        down = sorted(service.name for service in self.engine.services.values() if service.state is not ServiceState.UP)
        self._report_status()
        self.supervisor.ready()
        self.sink.emit("daemon.ready", applications=len(self.engine.runtime.specs), down=down)

    def _looked(self) -> bool:
        # After READY the sockets are used, and the unit gives them to their groups in that moment.
        return self._listeners_tried and self.engine.contacted()

    # --- between two waits ------------------------------------------------------------------------

    def _maintenance(self) -> None:
        now = time.monotonic()
        self.monitor.loop_ticked()
        step = self._clock.step()
        if step:
            self.sink.emit("daemon.clock_stepped", seconds=step.total_seconds())
            self.engine.clock_stepped(step)
        if self._report.due(now):
            with self._report.measured(now):
                for task in (self.engine.reschedule_lost, self._report_status, self._rounds.look):
                    self._survive(task)
        progress, beaten_at = self._beaten
        # Only real work counts: some pass, or the heartbeat that goes through the same scheduler
        # and the same workers.
        due = now - beaten_at >= self._beat_every.total_seconds() / 2
        if due and self.engine.progress != progress and all(well for _, well, _ in self.monitor.health()):
            self.supervisor.watchdog()
            self._beaten = (self.engine.progress, now)

    def _survive(self, task: Callable[[], None]) -> None:
        """Do this. An error of the program in it is reported and ends neither the loop nor what
        comes after it."""
        try:
            task()
        except Exception as error:  # noqa: BLE001  # what reports about applications must not end the work for them
            site = crash_site(error)
            if site not in self._crashes:  # the loop comes by here every second
                self._crashes.add(site)
                self.sink.emit("daemon.crashed", error=site[0], where=site[1])

    def _report_status(self) -> None:
        remark = "; ".join(filter(None, (self.remark, self._login.remark, self.listeners.remark)))
        seen = self.engine.snapshot()
        self.supervisor.status(status.status_line(seen.tasks, seen.services, datetime.now(UTC), remark=remark))

    def _maintain(self) -> timedelta:
        if self.engine.services[VAULT].state is ServiceState.UP:
            self.engine.runtime.maintain()
            self._login.look(self.engine.runtime.login_problem(), datetime.now(UTC))
        return MAINTENANCE_INTERVAL

    def _removed_applications(self) -> timedelta:
        if self.engine.services[VAULT].state is not ServiceState.UP:
            return timedelta(seconds=5)
        self.engine.add_removed_applications(self.engine.runtime.removed_applications())
        return REMOVED_APPLICATIONS_INTERVAL

    def _open_listeners(self) -> timedelta:
        try:
            self.listeners.maintain(self.engine.runtime.control, self.engine.runtime.webhook)
        finally:
            self._listeners_tried = True
            self.signals.wake()
        return LISTENER_RETRY_INTERVAL

    # --- signals ----------------------------------------------------------------------------------

    def _reload(self) -> None:
        """Read the configuration again, for every request that waits. Everything new is built
        before anything old is closed; a configuration that is refused changes nothing."""
        self.supervisor.reloading()
        requests = self.reloads.take()
        try:
            runtime = self._rebuild()
        except Exception as error:  # noqa: BLE001  # an error of the program in a reload must not end the daemon either
            self._refuse(_problems(error))
            for request in requests:
                request.set_exception(error)
        else:
            result = self._apply_runtime(runtime)
            for request in requests:
                request.set_result(result)
        self._report_status()
        self.supervisor.ready()

    def _apply_runtime(self, runtime: DaemonRuntime) -> ReloadResult:
        """Put this runtime into force."""
        before = self.engine.runtime
        added, removed = (
            sorted(runtime.specs.keys() - before.specs.keys()),
            sorted(before.specs.keys() - runtime.specs.keys()),
        )
        restart = ["daemon.workers"] if runtime.workers != before.workers else []
        blocked = self._blocked_by(runtime)
        for apply in self._receivers:
            apply(runtime)
        self.remark = ""
        self.sink.emit(
            "daemon.reloaded", applications=len(runtime.specs), added=added, removed=removed, restart_needed=restart
        )
        report_deprecated(runtime, self.sink)
        return ReloadResult(len(runtime.specs), tuple(added), tuple(removed), tuple(restart), blocked)

    def _apply_to_applications(self, runtime: DaemonRuntime) -> None:
        self.engine.apply_runtime(runtime)

    def _apply_to_presence(self, _: DaemonRuntime) -> None:
        self.presence.follow()

    def _apply_to_notifications(self, runtime: DaemonRuntime) -> None:
        self.alarm.apply_runtime(runtime.alarm)

    def _apply_to_monitoring(self, _: DaemonRuntime) -> None:
        self.monitor.reloaded()

    def _apply_to_listeners(self, _: DaemonRuntime) -> None:
        self.engine.add_periodic("listeners", self._open_listeners, delay=timedelta(0))

    def _blocked_by(self, runtime: DaemonRuntime) -> tuple[BlockedApplication, ...]:
        """Applications that the new configuration stops, by their ledgers as last read. Asks
        nothing."""
        ledgers = {task.name: task.ledger for task in self.engine.snapshot().tasks}
        found = []
        for name, spec in runtime.specs.items():
            ledger = ledgers.get(name)
            if ledger is not None and (problem := mismatch_problem(spec, ledger, datetime.now(UTC))):
                found.append(BlockedApplication(name, problem.reason, problem.message))
        return tuple(found)

    def _refuse(self, problems: list[str]) -> None:
        count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        self.remark = f"the new configuration has {count} and was refused, the old one is in force"
        self.monitor.reloaded(len(problems))
        self.sink.emit("daemon.reload_refused", problems=problems)

    def _stop(self) -> int:
        self.supervisor.stopping()
        self.monitor.stopping()
        self.sink.emit("daemon.stopping", signal=self.signals.stop)
        limit = self.engine.runtime.shutdown_timeout.total_seconds()
        self.reloads.stop()
        self.engine.drain()
        withdrawn = self.presence.withdraw()
        self._wait_for_the_last(limit - min(10.0, limit / 3))
        self.engine.give_up()
        self.listeners.executor.give_up()
        self._wait_for_the_last(min(10.0, limit / 3))
        unfinished = self.engine.unfinished()
        self.listeners.close()
        self.monitor.close()
        withdrawn.join(LOGOUT_TIMEOUT)
        self.engine.close()
        self.sink.emit("daemon.stopped", unfinished=unfinished)
        return 0

    def _wait_for_the_last(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (unfinished := self._unfinished()) and (left := end - time.monotonic()) > 0:
            self.supervisor.status(f"stopping; ends first: {', '.join(sorted(unfinished))}")
            self.supervisor.watchdog()
            self.monitor.loop_ticked()
            self.signals.wait(min(left, TICK_INTERVAL))

    def _unfinished(self) -> list[str]:
        orders = self.listeners.executor.busy
        return self.engine.unfinished() + ([f"{orders} order{'' if orders == 1 else 's'}"] if orders else [])


def _problems(error: Exception) -> list[str]:
    """What to report of an error that ended a reload."""
    if isinstance(error, RotatorError):
        return [str(problem) for problem in (error.problems if isinstance(error, ConfigurationError) else [error])]
    kind, where = crash_site(error)
    return [f"{kind} at {where}"]


class _ClockJumpDetector:
    """Watches the wall clock against the monotonic clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def step(self) -> timedelta | None:
        """How far the clock was set since the last question; None when it was not."""
        offset = time.time() - time.monotonic()
        step = timedelta(seconds=offset - self._offset)
        if abs(step) < CLOCK_JUMP_THRESHOLD:
            # Slow correction is followed, or it would add up to a step.
            self._offset = offset
            return None
        self._offset = offset
        return step


def _beat(watchdog: timedelta | None) -> timedelta:
    """How often the heartbeat goes through the workers: four times within the watchdog limit of the
    supervisor."""
    return min(watchdog / 4, timedelta(seconds=10)) if watchdog else timedelta(seconds=10)
