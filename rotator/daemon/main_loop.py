"""The main loop: it tells the supervisor how things are, and acts on signals between two waits."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rotator import __version__
from rotator.api.listeners import Listeners
from rotator.daemon import status_line as status
from rotator.daemon.application_task import PassResult
from rotator.daemon.control_handle import LocalDaemonHandle
from rotator.daemon.engine import Engine
from rotator.daemon.heartbeat import HealthCheck, unhealthy_reason
from rotator.daemon.login_watch import LoginWatch
from rotator.daemon.monitoring import Monitoring
from rotator.daemon.runtime import DaemonRuntime, report_deprecated
from rotator.daemon.services import VAULT, ServiceState
from rotator.decision.status import mismatch_problem
from rotator.domain.ports import EventSink
from rotator.errors import ConfigurationError, RotatorError
from rotator.observability.fan_out import FanOutSink
from rotator.observability.metrics.counters import EventCounters
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
"""A change of our clock beyond this is a step, and not the drift that is corrected all the time."""


class MainLoop:
    """The life of one process: start, first look, READY; then reloads and passes, until a signal asks for the end."""

    def __init__(
        self,
        runtime: DaemonRuntime,
        sink: EventSink,
        supervisor: ServiceManager,
        signals: Signals,
        *,
        counters: EventCounters | None = None,
        alarm: Notifier | None = None,
        broadcast: FanOutSink | None = None,
    ) -> None:
        self.sink = sink
        self.alarm = alarm or Notifier(sink)
        self.supervisor = supervisor
        self.signals = signals
        self.engine = Engine(runtime, sink, changed=signals.wake)
        self.monitor = Monitoring(self.engine, counters or EventCounters(sink), patience=supervisor.watchdog_interval)
        self._login = LoginWatch(sink)
        self._rounds = HealthCheck(self.engine, sink, self.alarm)
        self.daemon_handle = LocalDaemonHandle(self.engine, self.monitor, sink, broadcast or FanOutSink(sink), self._wake)
        self.listeners = Listeners(self.daemon_handle)
        self.monitor.watch("control API", self.listeners.idle)
        self.remark = ""
        self._listeners_tried = False
        self._clock = _ClockJumpDetector()
        self._beat_every = _beat(supervisor.watchdog_interval)
        self._tick = min(TICK_INTERVAL, self._beat_every.total_seconds() / 2)
        self._beaten = (0, 0.0)
        self._told_at = 0.0
        self._crashes: set[tuple[str, str]] = set()

    def run(self) -> int:
        """Until the end; the exit code."""
        runtime, engine = self.engine.runtime, self.engine
        self.sink.emit("daemon.started", version=__version__, applications=len(runtime.specs), config=runtime.source)
        report_deprecated(runtime, self.sink)
        engine.start()
        engine.beat(self._beat_every)
        engine.add_periodic("maintain", self._maintain, delay=MAINTENANCE_INTERVAL)
        engine.add_periodic("removed applications", self._removed_applications, delay=timedelta(0))
        engine.add_periodic("monitor", self.monitor.maintain, delay=timedelta(0))
        engine.add_periodic("listeners", self._open_listeners, delay=timedelta(0))
        self._first_look()
        while not self.signals.stop:
            self.signals.wait(self._tick)
            if self.signals.reload:
                self.signals.reload = False
                self._reload()
            self._maintenance()
        return self._stop()

    def _first_look(self) -> None:
        give_up = time.monotonic() + FIRST_LOOK
        while not self._looked() and not self.signals.stop and (left := give_up - time.monotonic()) > 0:
            self.signals.wait(left)
        down = sorted(service.name for service in self.engine.services.values() if service.state is not ServiceState.UP)
        self._tell()
        self.supervisor.ready()
        self.sink.emit("daemon.ready", applications=len(self.engine.runtime.specs), down=down)

    def _looked(self) -> bool:
        # Who is told that we are ready may use our sockets, and the unit gives them to their groups in that moment.
        return self._listeners_tried and self.engine.contacted()

    # --- between two waits ------------------------------------------------------------------------------------------------

    def _maintenance(self) -> None:
        now = time.monotonic()
        self.monitor.loop_ticked()
        step = self._clock.step()
        if step:
            self.sink.emit("daemon.clock_stepped", seconds=step.total_seconds())
            self.engine.clock_stepped(step)
        if now - self._told_at >= TICK_INTERVAL:
            self._told_at = now
            for task in (self.engine.reschedule_lost, self._tell, self._rounds.look):
                self._survive(task)
        progress, beaten_at = self._beaten
        # Only real work counts: some pass, or the heartbeat that goes through the same scheduler and the same workers.
        due = now - beaten_at >= self._beat_every.total_seconds() / 2
        if due and self.engine.progress != progress and all(well for _, well, _ in self.monitor.health()):
            self.supervisor.watchdog()
            self._beaten = (self.engine.progress, now)

    def _survive(self, task: Callable[[], None]) -> None:
        """Do this. An error of the program in it is reported and ends neither the loop nor what comes after it."""
        try:
            task()
        except Exception as error:  # noqa: BLE001  # what reports about applications must not end the work for them
            site = crash_site(error)
            if site not in self._crashes:  # the loop comes by here every second
                self._crashes.add(site)
                self.sink.emit("daemon.crashed", error=site[0], where=site[1])

    def _tell(self) -> None:
        remark = "; ".join(filter(None, (self.remark, self._login.remark, self.listeners.remark)))
        with self.engine.lock:
            text = status.status_line(self.engine.tasks.values(), self.engine.services.values(), datetime.now(UTC), remark=remark)
        self.supervisor.status(text)

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

    # --- signals ----------------------------------------------------------------------------------------------------------

    def _reload(self) -> None:
        """Everything new is built before anything old is let go; whatever is wrong leaves all as it was."""
        self.supervisor.reloading()
        request = self.daemon_handle.take_reload_request()
        try:
            runtime = self.engine.runtime.reopen()
        except RotatorError as error:
            problems = error.problems if isinstance(error, ConfigurationError) else [error]
            self._refuse([str(problem) for problem in problems])
            request.set_exception(error)
        except Exception as error:  # noqa: BLE001  # an error of the program in a reload must not end the daemon either
            kind, where = crash_site(error)
            self._refuse([f"{kind} at {where}"])
            request.set_exception(error)
        else:
            restart = ["daemon.workers"] if runtime.workers != self.engine.runtime.workers else []
            blocked = self._blocked_by(runtime)
            added, removed = self.engine.apply_runtime(runtime)
            self.alarm.apply_runtime(runtime.alarm)
            self.remark = ""
            self.monitor.reloaded()
            self.sink.emit(
                "daemon.reloaded", applications=len(runtime.specs), added=added, removed=removed, restart_needed=restart
            )
            report_deprecated(runtime, self.sink)
            self.engine.add_periodic("listeners", self._open_listeners, delay=timedelta(0))
            request.set_result(ReloadResult(len(runtime.specs), tuple(added), tuple(removed), tuple(restart), blocked))
        self._tell()
        self.supervisor.ready()

    def _blocked_by(self, runtime: DaemonRuntime) -> tuple[BlockedApplication, ...]:
        """Applications that the new configuration stops, by their ledgers as last read. Asks nothing."""
        ledgers = {task.name: task.ledger for task in self.engine.snapshot().tasks}
        found = []
        for name, spec in runtime.specs.items():
            ledger = ledgers.get(name)
            if ledger is not None and (problem := mismatch_problem(spec, ledger, datetime.now(UTC))):
                found.append(BlockedApplication(name, problem.reason, problem.message))
        return tuple(found)

    def _wake(self) -> None:
        self.signals.reload = True
        self.signals.wake()

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
        self.daemon_handle.stop()
        self.engine.drain()
        self._wait_for_the_last(limit - min(10.0, limit / 3))
        self.engine.give_up()
        self.listeners.executor.give_up()
        self._wait_for_the_last(min(10.0, limit / 3))
        unfinished = self.engine.unfinished()
        self.listeners.close()
        self.monitor.close()
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


class SingleRun:
    """One round of passes over all applications, each until it waits: what cron and Kubernetes start."""

    def __init__(self, runtime: DaemonRuntime, sink: EventSink, signals: Signals, alarm: Notifier | None = None) -> None:
        self.sink = sink
        self.alarm = alarm or Notifier(sink)
        self.signals = signals
        self.engine = Engine(runtime, sink, once=True, changed=signals.wake)

    def run(self) -> int:
        """The exit code of the worst outcome: it failed, it was refused, a service was unreachable, or all is well."""
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
        results, unfinished = engine.results(), engine.unfinished()
        counts = Counter(results.values())
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
        """Send the heartbeat, unless something is overdue by the policy, such as a rotation that missed its window."""
        found = unhealthy_reason(self.engine.tasks.values(), self.engine.services.values(), datetime.now(UTC))
        if found is None:
            self.alarm.ping(wait=True)
        else:
            self.sink.emit("heartbeat.unhealthy", reason=found.reason, subject=found.subject)

    def _until(self, condition: Callable[[], bool]) -> None:
        while not condition() and not self.signals.stop:
            self.signals.wait(TICK_INTERVAL)


class _ClockJumpDetector:
    """Watches our clock against the one that nobody can set."""

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
    """How often the heartbeat goes through the workers: four times within the supervisor's patience."""
    return min(watchdog / 4, timedelta(seconds=10)) if watchdog else timedelta(seconds=10)
