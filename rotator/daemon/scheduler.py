"""Begins jobs at their dates, each in the worker pool that it names: APScheduler, as the engine
needs it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_STOPPED
from apscheduler.triggers.date import DateTrigger

Ended = Callable[[bool, Any], None]
"""Called in the worker when a job has ended: whether it came to its end, and what it returned."""


@dataclass(frozen=True)
class Pool:
    """A worker pool of its own. It exists from the first job on that names it; its threads start
    when they are needed."""

    name: str
    workers: int


class _Scheduler(BackgroundScheduler):  # type: ignore[misc]  # APScheduler ships no types
    """APScheduler's, whose thread does not end with an exception when it is stopped in the middle
    of its work: from the moment of the stop on it looks for the jobs that it has just handed out in
    the wrong place."""

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        try:
            super().remove_job(job_id, jobstore)
        except JobLookupError:
            if self.state != STATE_STOPPED:
                raise


def _is_no_skip(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith('Execution of job "%s" skipped: maximum number of running instances')


# A job that comes due while it runs is skipped and scheduled again at its end: no warning.
logging.getLogger("apscheduler.scheduler").addFilter(_is_no_skip)


class Scheduler:
    """Jobs by name, each with the date at which it begins once. A job waits only for the workers of
    its own pool. A date that comes while the job runs, or waits for a worker, is skipped."""

    def __init__(self) -> None:
        self._scheduler = _Scheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._pools: set[str] = set()
        self._ended: dict[str, Ended] = {}

        def listen(event: JobExecutionEvent) -> None:
            self._ended[event.job_id](event.code == EVENT_JOB_EXECUTED, event.retval)

        self._scheduler.add_listener(listen, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED)

    def start(self) -> None:
        """Begin to hand out jobs."""
        self._scheduler.start()

    def close(self) -> None:
        """Hand out no job any more. Workers in the middle of one are not waited for."""
        self._scheduler.shutdown(wait=False)

    def schedule_at(self, name: str, run: Callable[[], object], when: datetime, pool: Pool, ended: Ended) -> None:
        """Have this done then; an earlier date of the same job is forgotten. ``ended`` is called
        after it."""

        def job() -> object:
            self._wait_until_removed(name)
            return run()

        if pool.name not in self._pools:
            self._add(pool)
        self._ended[name] = ended
        trigger = DateTrigger(when, timezone=UTC)
        self._scheduler.add_job(job, trigger, id=name, name=name, executor=pool.name, replace_existing=True)

    def _wait_until_removed(self, name: str) -> None:
        """Wait until the scheduler has removed the job that it handed to a worker; it does both
        under one lock, which every question takes. A job that ended before that and was scheduled
        again would lose its new date with the old one."""
        self._scheduler.get_job(name)

    def _add(self, pool: Pool) -> None:
        with suppress(ValueError):  # another thread has just added it
            self._scheduler.add_executor(ThreadPoolExecutor(pool.workers), pool.name)
        self._pools.add(pool.name)

    def drop(self, name: str) -> None:
        """Forget the date of a job, if it has one."""
        try:
            self._scheduler.remove_job(name)
        except JobLookupError:
            return

    def has(self, name: str) -> bool:
        """Whether the job has a date."""
        return self._scheduler.get_job(name) is not None

    def shift(self, step: timedelta) -> None:
        """This machine's clock was set by ``step``: every job waits for as long as it would
        have."""
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=job.next_run_time + step)
