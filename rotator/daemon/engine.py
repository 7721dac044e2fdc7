"""Schedules reconciliation passes: one task per application, run by the workers of its account.

A task runs until its pass only waits. It is then scheduled again and its worker is free, so waiting
rotations hold no thread. A task is scheduled when the scheduler has reported the end of its job,
never from inside the job: the scheduler would discard the new date with the finished job. A task
that is long overdue without a job is scheduled anew.

Thread safety: ``lock`` guards ``tasks`` and the states of the services. No call is made and no
event is emitted while it is held.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rotator.daemon.application_task import ApplicationTask, used_runtimes
from rotator.daemon.daemon_runtime import DaemonRuntime
from rotator.daemon.deadline_alerts import DeadlineAlerts
from rotator.daemon.look_shares import LookShares
from rotator.daemon.periodic import PeriodicTasks
from rotator.daemon.pools import MAINTENANCE, pass_workers, urgent_workers
from rotator.daemon.removed_applications import RemovedApplications, remove_from_configuration
from rotator.daemon.runtime_lease import RuntimeLeases
from rotator.daemon.scheduler import Pool, Scheduler
from rotator.daemon.service_monitor import ServiceMonitor
from rotator.daemon.services import ServiceHealth
from rotator.daemon.snapshot import EngineSnapshot
from rotator.daemon.worker_liveness import WorkerLiveness
from rotator.domain.ports import EventSink
from rotator.domain.spec import ApplicationSpec
from rotator.util.crash import crash_site

STAGGER = timedelta(milliseconds=5)
"""Between two passes that begin together because a service came back or the daemon started."""


class Engine:
    """Runs the passes of all applications, each when it is due, unless ``shares`` leave it to other
    daemons. ``changed`` is called, from any thread, after a probe of a service and, when it is the
    end that is waited for, after a pass."""

    def __init__(
        self,
        runtime: DaemonRuntime,
        sink: EventSink,
        *,
        shares: LookShares | None = None,
        once: bool = False,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.sink = sink
        self.shares = shares or LookShares()
        self.once = once
        self.progress = 0
        self.progressed_at = time.monotonic()
        self.tasks: dict[str, ApplicationTask] = {}
        self.lock = threading.RLock()
        self._changed = changed
        self._workers = runtime.workers
        self._deadlines = DeadlineAlerts(sink)
        self._removed = RemovedApplications(sink)
        self._stopping = False
        self._closed = False
        self._schedule = Scheduler()
        self._periodic = PeriodicTasks(self._schedule, sink)
        self.liveness = WorkerLiveness(self._periodic, self._workers, self._progressed)
        self._leases = RuntimeLeases(runtime, lambda: used_runtimes(list(self.tasks.values())))
        self._monitor = ServiceMonitor(
            runtime, sink, self._periodic, self.lock, answered=self._service_answered, changed=changed
        )

    @property
    def runtime(self) -> DaemonRuntime:
        """The runtime in force."""
        return self._leases.current

    @property
    def services(self) -> Mapping[str, ServiceHealth]:
        """The services that the applications need, by name."""
        return self._monitor.services

    def snapshot(self) -> EngineSnapshot:
        """What is known of every application and service. Never waits for a lock or a call."""
        return EngineSnapshot(
            tasks=tuple(task.snapshot() for task in list(self.tasks.values())),
            services=self._monitor.snapshot(),
            progress=self.progress,
            progressed_at=self.progressed_at,
        )

    # --- start and end ----------------------------------------------------------------------------

    def start(self) -> None:
        """Probe every service; the applications begin as soon as theirs have answered."""
        with self.lock:
            now = _now()
            self._schedule.start()
            for spec in self.runtime.specs.values():
                # In one round no later turn comes.
                wanted = replace(spec, startup_spread=timedelta(0)) if self.once else spec
                task = ApplicationTask(wanted, self.runtime, started=now, due=now, parked=True)
                self.tasks[task.name] = task
            self._monitor.probe_all()

    def drain(self) -> None:
        """Begin no pass any more. A task that holds a new key goes on until the key is published or
        given up."""
        with self.lock:
            self._stopping = True
            for task in self.tasks.values():
                if not task.running and not task.holding:
                    self._schedule.drop(task.name)

    def give_up(self) -> None:
        """There is little time left: what is not published is to be revoked instead."""
        with self.lock:
            for task in self.tasks.values():
                if task.holding:
                    task.abandoning = True
                    if not task.running:
                        self._schedule_task(task, _now())

    def unfinished(self) -> list[str]:
        """The applications that are under way while draining, or not done in one round."""
        with self.lock:
            if self._stopping:
                return [task.name for task in self.tasks.values() if task.running or task.holding]
            return [task.name for task in self.tasks.values() if not task.done]

    def running(self) -> bool:
        """Whether any pass is in a worker right now."""
        with self.lock:
            return any(task.running for task in self.tasks.values())

    def close(self) -> None:
        """Stop the scheduler. Workers in the middle of a call are not waited for."""
        with self.lock:
            self._closed = True
        self._periodic.close()
        self._schedule.close()
        self._leases.close()

    # --- beside the passes ------------------------------------------------------------------------

    def add_periodic(
        self, name: str, run: Callable[[], timedelta | None], *, pool: Pool = MAINTENANCE, delay: timedelta
    ) -> None:
        """Have something done beside the passes, for the first time after ``delay``."""
        self._periodic.add(name, run, pool=pool, delay=delay)

    def contacted(self) -> bool:
        """Whether every service has been probed, with whatever result."""
        return self._monitor.contacted()

    def _progressed(self) -> None:
        self.progress += 1
        self.progressed_at = time.monotonic()

    def _service_answered(self, up: bool) -> None:
        if up:
            self._resume()
        elif self.once:
            self._give_in()

    def _resume(self) -> None:
        """Let parked tasks begin that have what they need: urgent ones first, then as many as there
        are workers, the others one after the other."""
        ready = sorted(
            (task for task in self.tasks.values() if task.parked and self._monitor.usable(task.spec.account)),
            key=lambda task: not task.urgent,
        )
        now = _now()
        for place, task in enumerate(ready):
            self._schedule_task(task, now + STAGGER * max(0, place + 1 - self._workers))

    def _give_in(self) -> None:
        """Of one round: what needs a service that is down has had its turn."""
        for task in self.tasks.values():
            if task.parked and self._monitor.down(task.spec.account):
                task.parked, task.done = False, True

    # --- passes -----------------------------------------------------------------------------------

    def add_removed_applications(self, removed_applications: Mapping[str, ApplicationSpec]) -> None:
        """Run passes for removed applications until nothing is left to revoke for them."""
        with self.lock:
            runtime, known = self.runtime, set(self.tasks)
            for task in self._removed.tasks(removed_applications, known, runtime, _now()):
                self.tasks[task.name] = task
            self._resume()
        new = (spec for name, spec in removed_applications.items() if name not in known and name not in runtime.specs)
        self._removed.report_stuck(new, runtime)

    def reconcile_now(self, names: Iterable[str]) -> None:
        """Run a pass of these now, because something about them was changed. A pass that only waits
        observes anew at once; one that is in the middle of a call does at its next wait."""
        with self.lock:
            for name in names:
                task = self.tasks.get(name)
                if task is None or self._stopping:
                    continue
                task.expedited = task.local_state.look_again = True
                if not (task.running or task.parked):
                    self._schedule_task(task, _now())

    def _schedule_task(self, task: ApplicationTask, when: datetime) -> None:
        task.due, task.parked = when, False
        if self._closed:
            return
        name, pool = task.name, urgent_workers if task.urgent else pass_workers
        self._schedule.schedule_at(
            name,
            lambda: self._run_task(name),
            when,
            pool(task.spec.account, self._workers),
            lambda done, following: self._task_ended(
                name, following if done else None, ran=not done or following is not None
            ),
        )

    def _run_task(self, name: str) -> datetime | None:
        """Begin or continue a pass; returns when it goes on, None if not begun. Never raises."""
        task = self._begin(name)
        if task is None:
            return None
        try:
            outcome = self.shares.leave(task, _now()) or task.advance()
            if isinstance(outcome, datetime):
                return outcome
            with self.lock:
                following = task.conclude(outcome, _now())
                self._monitor.suspect(outcome.error)
            self._deadlines.look(task.spec, outcome, self.runtime.alarm.deadline_notice, _now())
        except Exception as error:  # noqa: BLE001  # one broken application never stops another, nor its own next pass
            return self._crashed(task, error)
        return following

    def _crashed(self, task: ApplicationTask, error: Exception) -> datetime:
        """Report an error of the program; returns when the next pass of the application begins."""
        kind, where = crash_site(error)
        delay = task.crashed()
        self.sink.emit("pass.crashed", application=task.name, account=task.spec.account, error=kind, where=where)
        return _now() + delay

    def _begin(self, name: str) -> ApplicationTask | None:
        with self.lock:
            task = self.tasks.get(name)
            if task is None or task.running or self._closed or (self._stopping and not task.holding):
                return None
            if task.may_wait and not self._monitor.usable(task.spec.account):
                task.parked = True
                if self.once:
                    self._give_in()
                return None
            task.running = True
            return task

    def _task_ended(self, name: str, following: datetime | None, *, ran: bool) -> None:
        """Schedule the task again after its job has ended; without a date, as it was due."""
        self._progressed()
        with self.lock:
            task = self.tasks.get(name)
            if task is None or not ran:
                return
            task.running = False
            failure = None
            try:
                self._next(task, following or task.due)
            # BLE001: the task must be scheduled whatever its data does to the program
            except Exception as error:  # noqa: BLE001
                failure = error
        if failure is not None:
            following = self._crashed(task, failure)
            with self.lock:
                self._schedule_task(task, following)
        self._leases.close_unused()
        if self.once or self._stopping:  # a thread waits for the end
            self._changed()

    def _next(self, task: ApplicationTask, following: datetime) -> None:
        if self._stopping and not task.holding:
            return
        between = task.passing is None
        if self.once and between and task.local_state.in_flight is None:
            task.done = True
            return
        if task.switch_runtime() or (between and task.expedited):
            following = _now()
        elif between and not task.spec.configured and task.summary and task.summary.settled:
            del self.tasks[task.name]  # nothing is left to revoke for it
            return
        self._schedule_task(task, following)

    # --- reload -----------------------------------------------------------------------------------

    def apply_runtime(self, runtime: DaemonRuntime) -> None:
        """Work for this runtime from now on. A pass in the middle ends under the configuration that
        it began with. The local state of each application stays."""
        with self.lock:
            now, before = _now(), self.runtime
            self._leases.replace(runtime)
            for name, spec in runtime.specs.items():
                task = self.tasks.get(name)
                if task is None:
                    self.tasks[name] = ApplicationTask(spec, runtime, started=now, due=now, parked=True)
                    continue
                task.pending_runtime = (spec, runtime)
                if task.switch_runtime():
                    self._schedule.drop(task.name)
                    task.parked = True
            for name, task in self.tasks.items():
                if name not in runtime.specs:
                    remove_from_configuration(task, runtime)
            self._monitor.replace(runtime)
            self._resume()
        for name in sorted(before.specs.keys() - runtime.specs.keys()):
            self.sink.emit("daemon.application_removed", application=name, account=before.specs[name].account)
        self._leases.close_unused()
        self.liveness.follow(runtime.accounts)

    def lease_runtime(self) -> AbstractContextManager[DaemonRuntime]:
        """The runtime in force, which is not closed before it is given back. Waits for no pass."""
        return self._leases.lease()

    # --- clock and lost dates ---------------------------------------------------------------------

    def clock_stepped(self, step: timedelta) -> None:
        """Shift every date by a step of this machine's clock: each wait keeps its length."""
        with self.lock:
            self._schedule.shift(step)
            for task in self.tasks.values():
                task.due += step

    def reschedule_lost(self) -> None:
        """Date anew what is long past its date and has no job, and looks left to a daemon that is
        gone."""
        with self.lock:
            for task in () if self._stopping else self.tasks.values():
                lost = task.lost(_now()) and not self._schedule.has(task.name)
                if due := self.shares.take_back(task, _now()) or (_now() if lost else None):
                    self._schedule_task(task, due)


def _now() -> datetime:
    return datetime.now(UTC)
