"""A long time in the life of forty applications, with every default: what is rotated when, whoever restarts what how often.

The schedules come through the real configuration; the passes are the daemon's own tasks over the simulated Vault and provider,
with calm services. Only the queue of dates is this module's, because APScheduler knows the real time alone. A pass that would
only wait is decided by the real rules upon what the last pass saw, and not carried out, as nothing has changed since.

``python -m tests.histories.year [DAYS]`` plays a year of each kind.
"""

from __future__ import annotations

import heapq
import random
import sys
import time as real
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from rotator.config import load
from rotator.daemon.application_task import ApplicationTask
from rotator.daemon.health_rounds import UnhealthyReason, unhealthy_reason
from rotator.daemon.looks import SHORTEST
from rotator.decision.decide import decide
from rotator.decision.observation import Clocks, Observation
from rotator.decision.steps import Wait
from rotator.domain.due_time import Due, contains, due
from rotator.domain.ledger import CurrentKey
from rotator.domain.spec import ApplicationSpec
from rotator.reconciler.observer import Observer
from rotator.reconciler.pass_state import PassState
from tests.support.daemon_stage import FakeFleet, Recorder, Stage
from tests.support.simulated import EPOCH, Time

DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
SPREAD = HOUR
"""What the documentation promises, with every default: a late rotation begins within it."""

TAKES = 6 * MINUTE
"""The longest time from the beginning of a rotation to its end, a turn that lasts for three minutes included."""

KINDS = (
    'every = "30d"',
    'every = "7d"',
    'every = "1d"\ngrace = "6h"',
    'every = "12h"\ngrace = "1h"',
    'cron = "0 3 * * 1"\ntimezone = "Europe/Paris"',
    'cron = "30 2 1 * *"\ntimezone = "America/New_York"',
    'every = "20d"\nwindow = { days = ["sat", "sun"], hours = "22:00-06:00" }\ntimezone = "Europe/Paris"',
    'every = "5d"\nmax_age = "6d"\nwindow = { days = ["wed"], hours = "08:00-12:00" }',
    'max_age = "45d"',
    'every = "10d"\nlifetime = "14d"',
)
EACH = 4

UNASKED = 0.95
"""The share of the passes before anything is due that are not even decided, or a year would take an hour."""


def specs() -> dict[str, ApplicationSpec]:
    """Forty applications from a configuration that says nothing but their schedules."""
    with TemporaryDirectory() as folder:
        for name in ("role-id", "secret-id", "management"):
            secret = Path(folder, name)
            secret.write_text("5ec2e7f0-aaaa-4bbb-8ccc-1234567890ab")
            secret.chmod(0o400)
        text = f"""
[vault]
address = "https://vault.acme.test:8200"
ledger = "secret/rotator"
auth = {{ method = "approle", role_id = "file:{folder}/role-id", secret_id = "file:{folder}/secret-id" }}
[accounts.acme]
organization_id = "1f0e2d3c-1111-4111-8111-111111111111"
secret_key = "file:{folder}/management"
"""
        for number, kind in enumerate(KINDS):
            for one in range(EACH):
                name = f"app-{number}-{one}"
                text += (
                    f'[applications.{name}]\napplication_id = "bearer-{name}"\npath = "secret/apps/{name}"\n{kind}\n'
                )
        path = Path(folder, "rotator.toml")
        path.write_text(text)
        return dict(load(path).specs)


def quiet_until(spec: ApplicationSpec, seen: Observation) -> datetime:
    """Until when the policy wants nothing done for an application at rest."""
    ledger = seen.ledger
    policy = due(spec, ledger.current) if ledger and ledger.current else None
    if ledger is None or policy is None or ledger.intent or ledger.revoking or ledger.problem:
        return EPOCH
    return min([policy.at, *(entry.revoke_after for entry in ledger.retiring)])


@dataclass
class Rotation:
    """One rotation as it happened: when the policy wanted it, when it was published, and the key that it replaced."""

    application: str
    due: Due
    published: datetime


@dataclass
class Year:
    """The world of one such time. ``late`` are the applications whose key was overdue from the start on."""

    seed: int = 1
    days: float = 365
    dice: random.Random = field(init=False)
    stage: Stage = field(init=False)
    fleet: FakeFleet = field(init=False)
    seen: dict[str, Observation] = field(default_factory=dict)
    quiet_until: dict[str, datetime] = field(default_factory=dict)
    rotations: list[Rotation] = field(default_factory=list)
    late: set[str] = field(default_factory=set)
    unwell: Counter[str] = field(default_factory=Counter)
    passes: int = 0
    began: datetime = EPOCH

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.stage = Stage(time=Time(EPOCH))
        self.stage.kept.clear()
        applications = specs()
        self.stage.bearers |= {spec.bearer for spec in applications.values()}
        self.fleet = FakeFleet(applications, {"acme": self.stage}, sink=Recorder())
        for name, spec in applications.items():
            age = self.dice.random() * 60 * DAY
            expires = EPOCH - age + 90 * DAY if spec.lifetime else None
            key, secret = self.stage.make_key(bearer=spec.bearer, created=EPOCH - age, expires=expires)
            self.stage.publish_by_hand(key.access_key, secret.reveal(), path=spec.path)
            policy = due(spec, CurrentKey(key.access_key, 1, EPOCH, key.created_at, key.expires_at))
            if policy and policy.at < EPOCH - MINUTE:
                self.late.add(name)

    @property
    def now(self) -> datetime:
        return self.stage.time.now

    # --- one process ---

    def begin(self, changes: dict[str, object]) -> dict[str, ApplicationTask]:
        """A process has started, and knows nothing but its configuration."""
        self.fleet.applications = {name: replace(spec, **changes) for name, spec in self.fleet.applications.items()}  # type: ignore[arg-type]  # a field by its name
        return {
            name: ApplicationTask(spec, self.fleet, started=self.now, due=self.now)
            for name, spec in self.fleet.applications.items()
        }

    def turn(self, task: ApplicationTask) -> None:
        """What a worker does for one application at its date."""
        seen = self.seen.get(task.name)
        if task.passing is None and self.now < self.quiet_until.get(task.name, EPOCH) and self.dice.random() < UNASKED:
            task.due = self.quiet_until[task.name]
            return
        if task.passing is None and seen is not None:
            clocks = Clocks(self.now, self.now, self.now)
            step = decide(task.spec, replace(seen, clocks=clocks))
            if isinstance(step, Wait):
                self.quiet_until[task.name] = quiet_until(task.spec, seen)
                task.due = max(step.until, self.now + SHORTEST)
                return
        self.passes += 1
        self.quiet_until.pop(task.name, None)
        self.seen.pop(task.name, None)  # a pass that is stopped in the middle may leave anything behind
        before = self.published(task.name)
        outcome = task.advance()
        after = self.published(task.name)
        if after != before:
            self.note(task, before, after)
        if isinstance(outcome, datetime):
            task.due = outcome
        else:
            task.due = task.conclude(outcome, self.now)
            assert outcome.error is None, outcome.error
            look = Observer(PassState(task.spec, self.fleet.context(task.spec), task.local_state, None)).observe()
            self.seen[task.name] = replace(look, in_flight=None)

    def published(self, name: str) -> str | None:
        return self.stage.published_key(self.fleet.applications[name].path)

    def note(self, task: ApplicationTask, before: str | None, after: str | None) -> None:
        """A rotation: never before it was due, in its window unless it had to, and within the promised time."""
        spec, old = task.spec, self.stage.keys[str(before)].key
        policy = due(spec, CurrentKey(old.access_key, 1, self.now, old.created_at, old.expires_at))
        assert policy, f"{task.name} has no schedule and was rotated"
        assert policy.at <= self.now, f"{task.name} was rotated at {self.now}, and was due at {policy.at}"
        forced = policy.deadline is not None and policy.deadline <= self.now
        begun = self.now - TAKES
        in_window = spec.window is None or any(contains(spec.window, at, spec.timezone) for at in (begun, self.now))
        assert in_window or forced, f"{task.name} was rotated at {self.now}, out of its window"
        self.rotations.append(Rotation(task.name, policy, self.now))

    def health(self, tasks: dict[str, ApplicationTask]) -> UnhealthyReason | None:
        return unhealthy_reason([task.snapshot() for task in tasks.values() if task.summary], [], self.now)

    # --- a daemon, and rounds ---

    def daemon(self, uptime: timedelta) -> None:
        """A daemon that is restarted after so long, again and again; down for some seconds each time."""
        end = EPOCH + self.days * DAY
        while self.now < end:
            stop = self.now + uptime
            tasks = self.begin({})
            self.play(tasks, stop)
            self.stage.time.now = max(self.now, stop) + self.dice.random() * 30 * SECOND

    def play(self, tasks: dict[str, ApplicationTask], stop: datetime) -> None:
        """Until the process is stopped; a rotation that holds a key is ended first, as a stopping daemon does."""
        queue = [(task.due, name) for name, task in tasks.items()]
        heapq.heapify(queue)
        while queue:
            at, name = heapq.heappop(queue)
            task = tasks[name]
            stopping = at > stop
            if stopping and not (task.passing is not None and task.holding):
                continue
            self.stage.time.now = max(self.now, at)
            self.turn(task)
            if not stopping or task.passing is not None:
                heapq.heappush(queue, (task.due, name))

    def rounds(self, interval: timedelta) -> None:
        """``run --once`` at this interval, on the minute and a few seconds, as cron does. A round spreads nothing."""
        start, end = self.now, EPOCH + self.days * DAY
        number = 0
        while self.now < end:
            tasks = self.begin({"startup_spread": timedelta(0)})
            queue = [(task.due, name) for name, task in tasks.items()]
            heapq.heapify(queue)
            while queue:
                at, name = heapq.heappop(queue)
                self.stage.time.now = max(self.now, at)
                self.turn(tasks[name])
                if tasks[name].passing is not None or tasks[name].local_state.in_flight is not None:
                    heapq.heappush(queue, (tasks[name].due, name))
            number += 1
            self.stage.time.now = max(start + number * interval + self.dice.random() * 5 * SECOND, self.now)

    # --- what must have held ---

    def check(self, bound: timedelta) -> None:
        """Every application was rotated in time, from the first day to the last, and no key was left behind."""
        late = [one for one in self.rotations if one.published > max(one.due.at, EPOCH) + bound + TAKES]
        late = [one for one in late if not self.excused(one, bound)]
        assert not late, f"{late[0]}: late by {late[0].published - late[0].due.at}"
        for name, spec in self.fleet.applications.items():
            current = self.stage.ledger(name).current
            assert current, name
            policy = due(spec, current)
            assert policy, name
            assert policy.at > self.now - bound - TAKES, f"{name} has been due since {policy.at} and was not rotated"
            valid = [key for key in self.stage.live_keys() if self.stage.keys[key].key.bearer == spec.bearer]
            assert len(valid) <= 2, f"{name} has {len(valid)} valid keys"

    def excused(self, one: Rotation, bound: timedelta) -> bool:
        """Whether its window closed before anybody had to look; it then waits for the next, or for its deadline."""
        spec, at = self.fleet.applications[one.application], one.due.at
        if spec.window is None:
            return False
        return at < EPOCH or not contains(spec.window, at + bound, spec.timezone)

    def counts(self) -> Counter[str]:
        return Counter(one.application for one in self.rotations)

    def first_hour(self) -> list[timedelta]:
        """How long after the start each of the late applications without a window was rotated."""
        first: dict[str, timedelta] = {}
        for one in self.rotations:
            first.setdefault(one.application, one.published - EPOCH)
        return sorted(first[name] for name in self.late if self.fleet.applications[name].window is None)

    def after_openings(self) -> list[timedelta]:
        """How long after the opening of their window rotations were begun and done that had waited for it."""
        found = []
        for one in self.rotations:
            spec, at = self.fleet.applications[one.application], one.due.at
            opened = spec.window and contains(spec.window, at, spec.timezone)
            if opened and at >= EPOCH and spec.window and not contains(spec.window, at - SECOND, spec.timezone):
                found.append(one.published - at)
        return sorted(found)


def worst(year: Year) -> str:
    """How late rotations were after they were due, but for those that were overdue at the start."""
    waits = sorted(one.published - one.due.at for one in year.rotations if one.due.at >= EPOCH)
    return f"median {waits[len(waits) // 2]}, longest {waits[-1]}"


def years(days: float) -> Iterator[tuple[str, Year]]:
    restarted = Year(days=days)
    restarted.daemon(20 * MINUTE)
    restarted.check(SPREAD)
    yield "a daemon that is restarted every 20 minutes", restarted
    rounds = Year(days=days)
    rounds.rounds(HOUR)
    rounds.check(HOUR)
    yield "run --once every hour", rounds


def main() -> int:
    days, began = float((sys.argv[1:] or ["365"])[0]), real.monotonic()
    for name, year in years(days):
        head = f"{name}, {days:g} days: {len(year.rotations)} rotations of {len(year.counts())} applications, none too early"
        print(f"{head}; {worst(year)} after they were due; {year.passes} passes; {real.monotonic() - began:.0f} s")  # noqa: T201  # a tool that people run
    return 0


if __name__ == "__main__":
    sys.exit(main())
