"""Runs what the daemon does beside the passes, each at its own interval and again after every
failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.daemon.pools import MAINTENANCE
from rotator.daemon.scheduler import Pool, Scheduler
from rotator.domain.ports import EventSink
from rotator.errors import RotatorError
from rotator.util.crash import crash_site

PERIODIC_RETRY_DELAY = timedelta(seconds=30)
"""Until a task that failed runs again."""


@dataclass(frozen=True, eq=False)
class PeriodicTask:
    """``run`` returns how long until it runs again, None for never. ``ended`` is called in the
    worker after each run."""

    run: Callable[[], timedelta | None]
    pool: Pool
    ended: Callable[[], None]


class PeriodicTasks:
    """Periodic tasks by name. Thread-safe; takes no lock."""

    def __init__(self, scheduler: Scheduler, sink: EventSink) -> None:
        self._scheduler = scheduler
        self._sink = sink
        self._tasks: dict[str, PeriodicTask] = {}
        self._closed = False

    def add(
        self,
        name: str,
        run: Callable[[], timedelta | None],
        *,
        pool: Pool = MAINTENANCE,
        delay: timedelta,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Run this for the first time after ``delay``. A task of the same name is replaced."""
        self._tasks[name] = PeriodicTask(run, pool, ended)
        self._schedule(name, delay)

    def close(self) -> None:
        """Schedule nothing any more."""
        self._closed = True

    def _schedule(self, name: str, delay: timedelta) -> None:
        if self._closed:
            return

        def ended(done: bool, returned: Any) -> None:
            ran, pause = returned if done else (self._tasks[name], PERIODIC_RETRY_DELAY)
            ran.ended()
            if ran is self._tasks[name]:
                if pause is not None:
                    self._schedule(name, pause)
            elif not self._scheduler.has(job):
                # Added anew while this one ran: its date may have come meanwhile, which the
                # scheduler then skips and forgets.
                self._schedule(name, timedelta(0))

        job, pool = f"periodic {name}", self._tasks[name].pool
        self._scheduler.schedule_at(job, lambda: self._run(name), datetime.now(UTC) + delay, pool, ended)

    def _run(self, name: str) -> tuple[PeriodicTask, timedelta | None]:
        task = self._tasks[name]
        try:
            return task, task.run()
        except RotatorError as error:
            self._sink.emit("daemon.task_failed", chore=name, message=str(error))
        except Exception as error:  # noqa: BLE001  # whatever it is, the task is needed again
            kind, where = crash_site(error)
            self._sink.emit("daemon.crashed", error=kind, where=where)
        return task, PERIODIC_RETRY_DELAY
