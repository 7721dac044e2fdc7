"""The engine: one scheduler, a bounded crew of workers, and one job for each application.

A job runs a pass until it only waits, then the job is dated anew and the worker is free; so a thousand waiting rotations hold
no thread. What must not happen is that a job gets lost: it is dated when the scheduler reports its end (not by the job itself,
which the scheduler would still count as running, and skip and forget the new date), and whatever is long past its date
without a job is dated again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.daemon.application_task import ApplicationTask, PassResult
from rotator.daemon.deadline_alerts import DeadlineAlerts
from rotator.daemon.runtime import DaemonRuntime
from rotator.daemon.scheduler import Scheduler
from rotator.daemon.services import VAULT, ServiceHealth, ServiceState, tracked_services
from rotator.domain.ports import EventSink
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Indeterminate, PermissionDenied, RotatorError, Unavailable
from rotator.util.backoff import backoff
from rotator.util.crash import crash_site

STAGGER = timedelta(milliseconds=5)
"""Between two passes that begin together because a service came back or the daemon started."""

LOST_AFTER = timedelta(minutes=10)
"""A task that is past its date for so long, and has no job, lost it. (One that waits for a worker just has an early second
look.)"""

CRASH_BACKOFF = (timedelta(seconds=5), timedelta(minutes=15))
"""Shortest and longest pause after an error of the program."""

PERIODIC_RETRY_DELAY = timedelta(seconds=30)
"""Until a chore that failed is done again."""

LOGOUT_TIMEOUT = 3.0
"""Seconds that the end waits for the login to be given back."""


@dataclass
class PeriodicTask:
    """Something that the daemon does beside the passes; returns how long until it is done again, None for never."""

    run: Callable[[], timedelta | None]
    executor: str = "care"


class Engine:
    """Passes of all applications, each when it is due. ``changed`` is called, from any thread, when something ended."""

    def __init__(
        self, runtime: DaemonRuntime, sink: EventSink, *, once: bool = False, changed: Callable[[], None] = lambda: None
    ) -> None:
        self.runtime = runtime
        self.sink = sink
        self.once = once
        self.progress = 0
        self.progressed_at = time.monotonic()
        self.tasks: dict[str, ApplicationTask] = {}
        self.services: dict[str, ServiceHealth] = tracked_services(runtime)
        self._changed = changed
        self._periodic: dict[str, PeriodicTask] = {}
        self._old: list[DaemonRuntime] = []
        self._leases: Counter[int] = Counter()
        self._stuck: set[str] = set()
        self._deadlines = DeadlineAlerts(sink)
        self.lock = threading.RLock()
        self._stopping = False
        self._closed = False
        pools = {
            "default": runtime.workers,
            "urgent": max(1, runtime.workers // 4),  # emergencies have a share of their own
            "care": min(8, 2 + len(self.services)),
        }
        self._schedule = Scheduler(pools, self._ended)

    # --- its life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Ask every service; the applications begin as soon as theirs have answered."""
        with self.lock:
            now = _now()
            self._schedule.start()
            for spec in self.runtime.specs.values():
                task = ApplicationTask(spec, self.runtime, started=now, due=now, parked=True)
                self.tasks[task.name] = task
            self._ask(self.services)

    def drain(self) -> None:
        """Begin nothing any more; only tasks that hold a new key go on, until it is published or given up."""
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
        """While draining: the applications that still have something to end. Of one round: those that are not done."""
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
        self._schedule.close()
        logouts = [_log_out(runtime) for runtime in (*self._old, self.runtime)]
        for farewell in logouts:
            farewell.join(LOGOUT_TIMEOUT)

    # --- chores -----------------------------------------------------------------------------------------------------------

    def add_periodic(self, name: str, run: Callable[[], timedelta | None], *, executor: str = "care", delay: timedelta) -> None:
        """Have something done beside the passes, for the first time after ``delay``."""
        with self.lock:
            self._periodic[name] = PeriodicTask(run, executor)
            self._schedule_periodic(name, _now() + delay)

    def _schedule_periodic(self, name: str, when: datetime) -> None:
        if not self._closed:
            self._schedule.schedule_at(f"chore {name}", lambda: self._do(name), when, self._periodic[name].executor)

    def _do(self, name: str) -> timedelta | None:
        try:
            return self._periodic[name].run()
        except RotatorError as error:
            self.sink.emit("daemon.task_failed", chore=name, message=str(error))
        except Exception as error:  # noqa: BLE001  # whatever it is, the chore is needed again
            kind, where = crash_site(error)
            self.sink.emit("daemon.crashed", error=kind, where=where)
        return PERIODIC_RETRY_DELAY

    # --- services ---------------------------------------------------------------------------------------------------------

    def contacted(self) -> bool:
        """Whether every service has been asked and has answered, or failed to."""
        with self.lock:
            return all(service.state is not ServiceState.UNKNOWN for service in self.services.values())

    def _ask(self, names: Iterable[str]) -> None:
        for name in names:
            self.add_periodic(f"probe {name}", self._probing(name), delay=timedelta(0))

    def _probing(self, name: str) -> Callable[[], timedelta | None]:
        return lambda: self._probe(name)

    def _probe(self, name: str) -> timedelta | None:
        service = self.services.get(name)
        if service is None:
            return None
        problem = service.probe()
        with self.lock:
            if self.services.get(name) is not service:
                return timedelta(0)  # a reload came between
            news = service.note(problem, _now())
            if problem is None:
                self._resume()
            elif self.once:
                self._give_in()
        if news and problem is not None:
            self.sink.emit("service.down", service=name, kind=problem.kind, message=str(problem))
        elif news:
            self.sink.emit("service.up", service=name)
        self._changed()
        return service.pause if problem else None

    def _suspect(self, error: RotatorError | None) -> None:
        """A pass failed because of a service: ask the service itself."""
        if not isinstance(error, Unavailable | Indeterminate | PermissionDenied):
            return
        service = self.services.get(error.service)
        if service is not None and service.state is ServiceState.UP:
            service.state = ServiceState.SUSPECT
            self._ask([service.name])

    def _open(self, task: ApplicationTask) -> bool:
        """Whether everything that the task needs is up, as far as is known."""
        return all(
            service.state is ServiceState.UP
            for name in (VAULT, task.spec.account)
            if (service := self.services.get(name)) is not None
        )

    def _resume(self) -> None:
        """Let parked tasks begin that have what they need: urgent ones first, then as many as there are workers, the others
        one after the other."""
        ready = sorted(
            (task for task in self.tasks.values() if task.parked and self._open(task)), key=lambda task: not task.urgent
        )
        now = _now()
        for place, task in enumerate(ready):
            self._schedule_task(task, now + STAGGER * max(0, place + 1 - self.runtime.workers))

    def _give_in(self) -> None:
        """Of one round: what needs a service that is down has had its turn."""
        for task in self.tasks.values():
            if task.parked and any(
                self.services[name].state is ServiceState.DOWN for name in (VAULT, task.spec.account) if name in self.services
            ):
                task.parked, task.done = False, True

    # --- passes -----------------------------------------------------------------------------------------------------------

    def add_removed_applications(self, removed_applications: Mapping[str, ApplicationSpec]) -> None:
        """Give applications that are not in the configuration their passes, until there is nothing left to revoke for them."""
        with self.lock:
            now = _now()
            for name, spec in removed_applications.items():
                if name in self.tasks or name in self.runtime.specs:
                    continue
                if spec.account not in self.runtime.accounts:
                    self._report_stuck(name, spec.account)
                    continue
                task = ApplicationTask(spec, self.runtime, started=now, due=now, parked=True)
                self.tasks[name] = task
            self._resume()

    def _report_stuck(self, name: str, account: str) -> None:
        if name not in self._stuck:
            self._stuck.add(name)
            message = f"its account {account} left the configuration too: put that back, so that old keys can be revoked on time"
            self.sink.emit("daemon.removed_application_stuck", application=name, account=account, message=message)

    def reconcile_now(self, names: Iterable[str]) -> None:
        """Look at these at once: somebody beside us changed something about them. A pass in the middle goes on first."""
        with self.lock:
            for name in names:
                task = self.tasks.get(name)
                if task is None or self._stopping:
                    continue
                task.expedited = True
                if not (task.running or task.parked or task.passing is not None):
                    self._schedule_task(task, _now())

    def _schedule_task(self, task: ApplicationTask, when: datetime) -> None:
        task.due, task.parked = when, False
        if not self._closed:
            self._schedule.schedule_at(task.name, lambda: self._run_task(task.name), when, "urgent" if task.urgent else "default")

    def _run_task(self, name: str) -> bool:
        """What a worker does for one application: begin its pass or go on with it. Whether it did. Never raises."""
        task = self._begin(name)
        if task is None:
            return False
        try:
            outcome = task.advance()
            if outcome is not None:
                with self.lock:
                    task.conclude(outcome, _now())
                    self._suspect(outcome.error)
                self._deadlines.look(task.spec, outcome, self.runtime.alarm.deadline_notice, _now())
        except Exception as error:  # noqa: BLE001  # one broken application never stops another, nor its own next pass
            kind, where = crash_site(error)
            task.crashes += 1
            shortest, longest = CRASH_BACKOFF
            task.due = _now() + backoff(task.crashes, name, base=shortest, cap=longest)
            self.sink.emit("pass.crashed", application=name, account=task.spec.account, error=kind, where=where)
        return True

    def _begin(self, name: str) -> ApplicationTask | None:
        with self.lock:
            task = self.tasks.get(name)
            if task is None or task.running or self._closed or (self._stopping and not task.holding):
                return None
            if task.may_wait and not self._open(task):
                task.parked = True
                if self.once:
                    self._give_in()
                return None
            task.running = True
            return task

    def _ended(self, job: str, done: bool, returned: Any) -> None:
        """A job is over, whatever became of it: date the next one."""
        is_periodic, name = job.startswith("chore "), job.removeprefix("chore ")
        if not is_periodic or self._periodic[name].executor != "care":
            # What passes do not go through says nothing of them: the watchdog must hear of their workers alone.
            self.progress += 1
            self.progressed_at = time.monotonic()
        if is_periodic:
            pause = returned if done else PERIODIC_RETRY_DELAY
            if pause is not None:
                with self.lock:
                    self._schedule_periodic(name, _now() + pause)
            return
        with self.lock:
            task = self.tasks.get(job)
            if task is None or (done and not returned):
                return
            task.running = False
            self._next(task)
            self._close_old()
        self._changed()

    def _next(self, task: ApplicationTask) -> None:
        if self._stopping and not task.holding:
            return
        between = task.passing is None
        if self.once and between and task.local_state.in_flight is None:
            task.done = True
            return
        if task.switch_runtime() or (between and task.expedited):
            task.due = _now()
        elif between and not task.spec.configured and task.summary and task.summary.settled:
            del self.tasks[task.name]  # nothing is left to revoke for it
            return
        self._schedule_task(task, task.due)

    # --- reload -----------------------------------------------------------------------------------------------------------

    def apply_runtime(self, runtime: DaemonRuntime) -> tuple[list[str], list[str]]:
        """Work for this fleet from now on; the names of the applications that came and of those that left.

        A pass in the middle ends under the configuration that it began with. What an application remembers stays.
        """
        with self.lock:
            now, before = _now(), self.runtime
            self._old.append(before)
            self.runtime = runtime
            added = sorted(runtime.specs.keys() - before.specs.keys())
            removed = sorted(before.specs.keys() - runtime.specs.keys())
            for name, spec in runtime.specs.items():
                task = self.tasks.get(name)
                if task is None:
                    self.tasks[name] = ApplicationTask(spec, runtime, started=now, due=now, parked=True)
                    continue
                task.pending_runtime = (spec, runtime)
                if task.switch_runtime():
                    self._schedule.drop(task.name)
                    task.parked = True
            for name in removed:
                self._removed_application(self.tasks[name], runtime)
            self._compare_services(runtime)
            self._resume()
            self._close_old()
            return added, removed

    def _removed_application(self, task: ApplicationTask, runtime: DaemonRuntime) -> None:
        spec = replace(task.spec, configured=False)
        # Where the account left too, the old connection goes on until the last key is revoked or the daemon ends.
        task.pending_runtime = (spec, runtime if spec.account in runtime.accounts else task.runtime)
        task.switch_runtime()
        self.sink.emit("daemon.application_removed", application=task.name, account=spec.account)

    def _compare_services(self, runtime: DaemonRuntime) -> None:
        fresh = tracked_services(runtime)
        for name, service in fresh.items():
            known = self.services.get(name)
            if known is not None:
                # Taken to be as it was until asked, so that a reload stops nobody and announces nothing twice.
                service.state, service.since, service.kind, service.message = known.state, known.since, known.kind, known.message
        self.services = fresh
        self._ask(fresh)

    def _close_old(self) -> None:
        used = {id(task.runtime) for task in self.tasks.values()} | {lent for lent, count in self._leases.items() if count}
        for runtime in [runtime for runtime in self._old if id(runtime) not in used]:
            self._old.remove(runtime)
            _log_out(runtime)

    @contextmanager
    def lease_runtime(self) -> Iterator[DaemonRuntime]:
        """The fleet in force, which is not closed before it is given back, whatever a reload brings meanwhile."""
        with self.lock:
            runtime = self.runtime
            self._leases[id(runtime)] += 1
        try:
            yield runtime
        finally:
            with self.lock:
                self._leases[id(runtime)] -= 1
                self._close_old()

    # --- care -------------------------------------------------------------------------------------------------------------

    def clock_stepped(self, step: timedelta) -> None:
        """Our clock was set: what waits goes on waiting for as long as it would have. (Deadlines are not waited for by this
        clock alone; passes look at least every ``resync_interval``.)"""
        with self.lock:
            self._schedule.shift(step)
            for task in self.tasks.values():
                task.due += step

    def reschedule_lost(self) -> None:
        """Date anew what is long past its date and has no job."""
        with self.lock:
            if self._stopping:
                return
            late = _now() - LOST_AFTER
            for task in self.tasks.values():
                waiting = not (task.running or task.parked or task.done)
                if waiting and task.due < late and not self._schedule.has(task.name):
                    self._schedule_task(task, _now())

    def results(self) -> dict[str, PassResult]:
        """How the last pass of every application ended; of one that had none: by the service that it waited for."""
        with self.lock:
            return {
                name: PassResult.FAILED if task.crashes else task.summary.result if task.summary else PassResult.UNREACHABLE
                for name, task in self.tasks.items()
            }


def _log_out(runtime: DaemonRuntime) -> threading.Thread:
    """Closing asks Vault to forget our login, which may take as long as a call may; nobody waits for it for long."""
    thread = threading.Thread(target=runtime.close, name="farewell", daemon=True)
    thread.start()
    return thread


def _now() -> datetime:
    return datetime.now(UTC)
