"""An installation of several daemons that share their looks, in simulated time: the real tasks, shares and presences, and looks that
find nothing due. So a day of ten thousand applications takes seconds."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

from rotator.daemon.application_task import ApplicationTask
from rotator.daemon.engine import Engine
from rotator.daemon.look_shares import LookShares
from rotator.daemon.presence_keeper import PresenceKeeper
from rotator.daemon.services import VAULT, ServiceHealth, ServiceState
from rotator.daemon.snapshot import EngineSnapshot, ServiceSnapshot
from rotator.decision.steps import Wait
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import Ledger, Problem
from rotator.domain.spec import ApplicationSpec
from rotator.domain.status import NextAction
from rotator.reconciler.context import PassOutcome
from tests.support.daemon_stage import FakeFleet, Recorder, Stage, application
from tests.support.simulated import EPOCH, Time
from tests.support.store import SimStore

INTERVAL = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
FAR = timedelta(days=1000)
ROUND = timedelta(seconds=12)
"""From one round of the main loop over all applications to the next."""


def idle_outcome(spec: ApplicationSpec, now: datetime, ledger: Ledger, problem: Problem | None = None) -> PassOutcome:
    """What a pass returns that has found nothing due."""
    following = NextAction(now + FAR, "rotate", "its age")
    until = now + (timedelta(seconds=30) if problem else spec.resync_interval)
    return PassOutcome(Wait(until, "rotate", "its age", problem, following), ledger)


@dataclass
class SkewedStore(SimStore):
    """The Vault as a machine sees it whose clock is off by ``error``."""

    error: timedelta = timedelta(0)

    def clock_offset(self) -> timedelta:
        return super().clock_offset() - self.error


@dataclass
class SkewedFleet(FakeFleet):
    """A fleet on such a machine."""

    clock_error: timedelta = timedelta(0)

    @property
    def vault(self) -> SimStore:
        return SkewedStore(self.stages["acme"], error=self.clock_error)


@dataclass
class SimDaemon:
    """One process: it looks at what is due, and renews its presence."""

    world: Installation
    number: int
    runtime: FakeFleet
    clock_error: timedelta = timedelta(0)
    """This machine's clock minus the true time."""
    hanging: set[str] = field(default_factory=set)
    """Accounts of which no pass ends."""
    broken: dict[str, Problem] = field(default_factory=dict)
    """Applications that this daemon alone cannot look at."""
    lying: bool = False
    """Whether it never looks at anything once it is known, and says that all is well."""
    shares: LookShares = field(init=False)
    sink: Recorder = field(default_factory=Recorder)
    alive: bool = True
    vault_state: ServiceState = ServiceState.UP

    def __post_init__(self) -> None:
        self.shares = LookShares(self.world.seconds)
        self.tasks = {
            name: ApplicationTask(spec, self.runtime, self.now(), self.now())
            for name, spec in self.runtime.applications.items()
        }
        self.keeper = PresenceKeeper(cast(Engine, self), self.shares, self.sink, now=self.now, clock=self.world.seconds)

    # --- what the keeper knows of the engine

    @property
    def services(self) -> dict[str, ServiceHealth]:
        return {VAULT: ServiceHealth(VAULT, lambda: None, self.vault_state)}

    def snapshot(self) -> EngineSnapshot:
        accounts = {spec.account for spec in self.runtime.applications.values()}
        names = [(VAULT, self.vault_state), *((account, ServiceState.UP) for account in sorted(accounts))]
        services = tuple(ServiceSnapshot(name, state, None, "", "") for name, state in names)
        return EngineSnapshot(tuple(task.snapshot() for task in self.tasks.values()), services, 0, 0.0)

    @contextmanager
    def lease_runtime(self) -> Iterator[FakeFleet]:
        yield self.runtime

    def add_periodic(self, name: str, run: Callable[[], timedelta | None], *, pool: object, delay: timedelta) -> None:
        self.world.at(self.world.time.now + delay, self.renew)

    # --- its life

    def now(self) -> datetime:
        return self.world.time.now + self.clock_error

    def start(self) -> None:
        self.keeper.follow()
        for name in self.tasks:
            self.world.at(self.world.time.now, self.passing(name))
        self.take_back()

    def take_back(self) -> None:
        """What the main loop has the engine do, as seldom as with ten thousand applications."""
        if not self.alive:
            return
        for name, task in self.tasks.items():
            if (due := self.shares.take_back(task, self.now())) is not None:
                self.schedule(name, due)
        self.world.at(self.world.time.now + ROUND, self.take_back)

    def schedule(self, name: str, due: datetime) -> None:
        """Only the last date of a task counts."""
        self.tasks[name].due = due
        self.world.at(self.world.time.now + (due - self.now()), self.passing(name))

    def renew(self) -> None:
        if self.alive and (pause := self.keeper.renew()) is not None:
            self.world.at(self.world.time.now + pause, self.renew)

    def passing(self, name: str) -> Callable[[], None]:
        return lambda: self.run(name)

    def run(self, name: str) -> None:
        task, now = self.tasks[name], self.now()
        if not self.alive or now < task.due:
            return
        if task.spec.account in self.hanging:
            task.running = True
            return
        following = self.shares.leave(task, now)
        if following is None and self.lying and task.summary is not None:
            following = now + task.spec.resync_interval
        elif following is None:
            task.expedited, task.left_to = False, ""
            self.world.looked(self.number, name)
            outcome = idle_outcome(task.spec, now, self.world.ledger, self.broken.get(name))
            following = task.conclude(outcome, now)
        self.schedule(name, following)

    def kill(self) -> None:
        self.alive = False

    def stop(self) -> None:
        self.keeper.withdraw().join()
        self.alive = False

    def reload(self, applications: dict[str, ApplicationSpec]) -> None:
        self.runtime = replace(self.runtime, applications=applications)
        for name, spec in applications.items():
            self.tasks[name].pending_runtime = (spec, self.runtime)
            self.tasks[name].switch_runtime()
        self.keeper.follow()


@dataclass
class Installation:
    """Daemons over one Vault. ``looks``: when each application was looked at, and by which daemon."""

    count: int
    accounts: tuple[str, ...] = ("acme",)
    time: Time = field(default_factory=lambda: Time(EPOCH))
    daemons: list[SimDaemon] = field(default_factory=list)
    looks: dict[str, list[tuple[datetime, int]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.stage = Stage(time=self.time)
        names = [f"app-{number:05d}" for number in range(self.count)]
        self.applications = {
            name: application(name, account=self.accounts[number % len(self.accounts)])
            for number, name in enumerate(names)
        }
        self.ledger = new_ledger(self.applications[names[0]])
        self._order = itertools.count()
        self._queue: list[tuple[datetime, int, Callable[[], None]]] = []

    def add(self, count: int = 1, *, clock_error: timedelta = timedelta(0), **changes: object) -> list[SimDaemon]:
        """So many more daemons, started now."""
        made = []
        for _ in range(count):
            stages = dict.fromkeys(self.accounts, self.stage)
            fleet = SkewedFleet(dict(self.applications), stages, share_looks=True, clock_error=clock_error)
            made.append(SimDaemon(self, len(self.daemons), fleet, clock_error, **changes))  # type: ignore[arg-type]  # by name
            self.daemons.append(made[-1])
            made[-1].start()
        return made

    def at(self, when: datetime, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), act))

    def seconds(self) -> float:
        return (self.time.now - EPOCH).total_seconds()

    def looked(self, daemon: int, name: str) -> None:
        self.looks[name].append((self.time.now, daemon))

    def run_for(self, span: timedelta) -> datetime:
        """Let so much time pass; when that began."""
        began, end = self.time.now, self.time.now + span
        while self._queue and self._queue[0][0] <= end:
            self.time.now, _, act = heapq.heappop(self._queue)
            act()
        self.time.now = end
        return began

    # --- what happened

    def looks_by(self, since: datetime, account: str = "") -> list[int]:
        """How many looks each daemon has made since then."""
        counts = [0] * len(self.daemons)
        for name, looks in self.looks.items():
            if not account or self.applications[name].account == account:
                for when, daemon in looks:
                    counts[daemon] += when > since
        return counts

    def longest_gap(self, since: datetime) -> timedelta:
        """The longest time since then without a look at some application."""
        gaps = []
        for name in self.applications:
            times = [since, *(when for when, _ in self.looks[name] if when > since), self.time.now]
            gaps.append(max(after - before for before, after in itertools.pairwise(times)))
        return max(gaps)

    def presences(self) -> set[str]:
        return {where for where in self.stage.kv if where.startswith("presence:")}
