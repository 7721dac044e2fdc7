"""Simulated time with concurrency: strands of work that pause in calls, and the scheduler of the daemon on top of them.

Exactly one strand moves at a time, on a thread of its own; it hands over when it pauses. So calls of all processes interleave, a call
that hangs keeps the worker that made it, and one seed makes one order of events.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from rotator.daemon.scheduler import Ended, Pool
from tests.support.simulated import Killed, Time


class Owner(Protocol):
    """The life of a process that a strand belongs to."""

    @property
    def alive(self) -> bool: ...

    @property
    def skew(self) -> timedelta: ...

    def kill(self) -> None: ...


class Strand(threading.Thread):
    """Work that may pause in the middle. It ends with ``Killed`` at its next move when its process has ended."""

    def __init__(self, clockwork: Clockwork, run: Callable[[], object], process: Owner) -> None:
        super().__init__(daemon=True)
        self.process = process
        self.error: BaseException | None = None
        self._clockwork = clockwork
        self._work = run
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()

    def move(self) -> None:
        """Called by the clockwork: let it move until it pauses or ends."""
        if not self.is_alive():
            self.start()
        self._clockwork.strand = self
        self._go.release()
        self._back.acquire()
        self._clockwork.strand = None
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def pause(self) -> None:
        """Called by the strand itself."""
        self._back.release()
        self._go.acquire()
        if not self.process.alive:
            raise Killed

    def run(self) -> None:
        self._go.acquire()
        try:
            if self.process.alive:
                self._work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  # whatever it is, the clockwork raises it on the main thread
            self.error = error
        self._clockwork.strands.discard(self)
        self._back.release()


@dataclass
class Clockwork:
    """What happens when. ``strand`` is the one that moves now, None while the world or a person acts."""

    time: Time
    strand: Strand | None = None
    strands: set[Strand] = field(default_factory=set)
    _queue: list[tuple[datetime, int, Callable[[], object]]] = field(default_factory=list)
    _serial: itertools.count[int] = field(default_factory=itertools.count)

    def at(self, when: datetime, happens: Callable[[], object]) -> None:
        """Something happens then; in the order of these calls where it is the same instant."""
        heapq.heappush(self._queue, (when, next(self._serial), happens))

    def after(self, span: timedelta, happens: Callable[[], object]) -> None:
        """The same, so long from now."""
        self.at(self.time.now + span, happens)

    def begin(self, run: Callable[[], object], process: Owner) -> None:
        """Begin a strand of work now."""
        strand = Strand(self, run, process)
        self.strands.add(strand)
        self.at(self.time.now, strand.move)

    def pause(self, span: timedelta) -> None:
        """Let the strand that moves pause for so long, and everything else happen meanwhile."""
        strand = self.strand
        assert strand is not None, "only a strand can pause"
        self.after(span, strand.move)
        strand.pause()

    def run_until(self, end: datetime) -> None:
        """Let everything happen up to then."""
        while self._queue and self._queue[0][0] <= end:
            when, _, happens = heapq.heappop(self._queue)
            self.time.now = max(self.time.now, when)
            happens()
        self.time.now = max(self.time.now, end)

    def close(self) -> None:
        """End every strand."""
        self._queue.clear()
        for strand in sorted(self.strands, key=lambda strand: strand.name):
            strand.process.kill()
            strand.move()


@dataclass(eq=False)
class Job:
    """One job of the scheduler and its date, by the clock of its process."""

    name: str
    run: Callable[[], object]
    when: datetime
    pool: Pool
    ended: Ended


class SimScheduler:
    """``rotator.daemon.scheduler.Scheduler`` in simulated time: pools of workers, one instance of a job at a time."""

    def __init__(self, clockwork: Clockwork, process: Owner) -> None:
        self._clockwork = clockwork
        self._process = process
        self._jobs: dict[str, Job] = {}
        self._instances: set[str] = set()
        self._waiting: dict[str, deque[Job]] = {}
        self._busy: Counter[str] = Counter()
        self._closed = False

    def start(self) -> None:
        """Dates are looked at from the first one on."""

    def close(self) -> None:
        """Hand out no job any more."""
        self._closed = True

    def schedule_at(self, name: str, run: Callable[[], object], when: datetime, pool: Pool, ended: Ended) -> None:
        job = self._jobs[name] = Job(name, run, when, pool, ended)
        self._clockwork.at(when - self._process.skew, lambda: self._hand_out(job))

    def drop(self, name: str) -> None:
        self._jobs.pop(name, None)

    def has(self, name: str) -> bool:
        return name in self._jobs

    def shift(self, step: timedelta) -> None:
        """The clock of the process was set by so much: in true time no date changes."""
        for job in self._jobs.values():
            job.when += step

    def _hand_out(self, job: Job) -> None:
        if self._closed or not self._process.alive or self._jobs.get(job.name) is not job:
            return
        del self._jobs[job.name]
        if job.name in self._instances:
            return  # as APScheduler does: a job that still runs is not run beside itself, and the date is forgotten
        self._instances.add(job.name)
        self._waiting.setdefault(job.pool.name, deque()).append(job)
        self._work(job.pool)

    def _work(self, pool: Pool) -> None:
        waiting = self._waiting[pool.name]
        while waiting and self._busy[pool.name] < pool.workers:
            self._busy[pool.name] += 1
            job = waiting.popleft()
            self._clockwork.begin(lambda job=job: self._carry_out(job), self._process)  # type: ignore[misc]  # bound on purpose

    def _carry_out(self, job: Job) -> None:
        done, returned = True, None
        try:
            returned = job.run()
        except Exception:  # noqa: BLE001  # as a worker does: the job has failed
            done = False
        self._instances.discard(job.name)
        job.ended(done, returned)
        self._busy[job.pool.name] -= 1
        self._work(job.pool)


def patched_now(now: Callable[[], datetime]) -> Any:
    """A ``datetime`` for modules that ask it for nothing but the time."""

    class SimDatetime:
        @staticmethod
        def now(_: object) -> datetime:
            return now()

    return SimDatetime
