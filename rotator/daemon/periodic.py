"""Runs what the daemon does beside the passes, each at its own interval and again after every failure."""

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


@dataclass(frozen=True)
class PeriodicTask:
    """``run`` returns how long until it runs again, None for never. ``ended`` is called in the worker after each run."""

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
            self._tasks[name].ended()
            pause = returned if done else PERIODIC_RETRY_DELAY
            if pause is not None:
                self._schedule(name, pause)

        when = datetime.now(UTC) + delay
        self._scheduler.schedule_at(f"periodic {name}", lambda: self._run(name), when, self._tasks[name].pool, ended)

    def _run(self, name: str) -> timedelta | None:
        try:
            return self._tasks[name].run()
        except RotatorError as error:
            self._sink.emit("daemon.task_failed", chore=name, message=str(error))
        except Exception as error:  # noqa: BLE001  # whatever it is, the task is needed again
            kind, where = crash_site(error)
            self._sink.emit("daemon.crashed", error=kind, where=where)
        return PERIODIC_RETRY_DELAY
