"""One cell of the matrix: the real program, as ``rotator.app`` composes it, over real HTTP, with one accident at one call.

A *life* is what a process is: everything that it holds in memory. It ends where the director says that the process is killed, and
the next one knows nothing of it but what Vault and the provider tell. Time is the one thing that is not real: the clock of the
program goes on as far as it would sleep, so that an hour of grace takes no time. Vault's and the provider's clocks are
told as differences to the machine's, so they go along.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from rotator.app import App
from rotator.cli.rotation import contain
from rotator.errors import RotatorError
from rotator.http import Answer, HttpClient, HttpFailure
from rotator.marker import parse
from rotator.providers.scaleway import Scaleway
from rotator.reconcile import drive, run_pass
from rotator.world import Memory, Outcome, World
from tests.e2e.rig import Rig
from tests.proof.faults import Call, Director, Plan
from tests.proof.proxy import Proxy
from tests.providers.building import AUTHORITY

GRACE = timedelta(hours=1)
DEADLINE = timedelta(seconds=30)
SHORTEST_DEADLINE = timedelta(seconds=1)
"""What the configuration allows. Calls that are to be slow are given this long, and more if the machine itself was slower."""

MOST_PASSES = 25
"""Passes (and starts after a kill) within which a scenario must come to rest; without faults the longest takes a handful."""

SPEED = """
every = "30d"
grace = "1h"
refresh = "1m"
observe_every = "1d"
jitter = "0s"
prove = { successes = 2, interval = "1s", timeout = "1m" }
prove_emergency = { successes = 2, interval = "1s", timeout = "1m" }
publish_timeout = "2m"
takeover_after = "5m"
"""


class Killed(BaseException):
    """The process is gone. Not an ``Exception``, so that nothing in the program can go on after it."""


class Bound(AssertionError):
    """A bound was not kept which only holds if nothing else went wrong than what was planned."""


class MovedClock:
    """The machine's clock and what the program has slept on top of it; and what it showed at any earlier moment."""

    def __init__(self) -> None:
        self._moments = [datetime.min.replace(tzinfo=UTC)]
        self._shifts = [timedelta(0)]

    def now(self) -> datetime:
        return datetime.now(UTC) + self._shifts[-1]

    def token(self) -> str:
        return secrets.token_hex(8)

    def sleep_until(self, moment: datetime) -> None:
        real = datetime.now(UTC)
        self._moments.append(real)
        self._shifts.append(max(self._shifts[-1], moment - real))

    def sleep(self, seconds: float) -> None:
        self.sleep_until(self.now() + timedelta(seconds=seconds))

    def showed(self, real: datetime) -> datetime:
        return real + self._shifts[bisect.bisect_right(self._moments, real) - 1]


@dataclass
class Lines:
    """A journal with no net under it: what a secret would slip through here."""

    lines: list[str] = field(default_factory=list)

    def emit(self, event: str, **fields: object) -> None:
        self.lines.append(json.dumps({"event": event, **fields}, default=str))


class Ear:
    """The program's HTTP client, and an ear at it: hears what failed, and after a kill lets nobody come back."""

    def __init__(self, http: HttpClient, director: Director) -> None:
        self._http = http
        self._director = director
        self.timeouts = 0
        self.clock_offset = http.clock_offset
        self.close = http.close

    def request(self, *arguments: Any, **options: Any) -> Answer:
        try:
            return self._http.request(*arguments, **options)
        except HttpFailure as failure:
            if failure.kind == "refused":
                self._director.refused()
            self.timeouts += failure.kind == "timeout"
            raise
        finally:
            if self._director.dead:
                raise Killed


class Life:
    """One life of the program, from its start to its death."""

    def __init__(self, cell: Cell) -> None:
        self.owner = secrets.token_hex(8)
        self.app = App.open(cell.file, journal=cell.journal)
        self.policy = self.app.policy(cell.name)
        self.world: World = replace(
            self.app.world(self.policy), clock=cell.clock, owner=self.owner, is_gone=cell.graves.__contains__
        )
        self.memory = Memory()
        wire, api = self.app.vault._connection._wire, cast("Scaleway", self.world.provider)._api
        self.ears = [Ear(wire.http, cell.director), Ear(api.http, cell.director)]
        wire.http, api.http = (cast("HttpClient", ear) for ear in self.ears)
        self.app.vault._sleep = api._sleep = cell.clock.sleep
        self._sleep_until = cell.clock.sleep_until

    def run(self) -> Outcome:
        """One pass."""
        return drive(run_pass(self.policy, self.world, self.memory), self._sleep_until)

    def end(self) -> None:
        """Close the connections, as the kernel does for a process that was killed. Nothing is said to anybody."""
        for ear in self.ears:
            ear.close()


Scenario = Callable[["Cell"], None]


@dataclass
class Cell:
    """One application of its own with everything that belongs to it, and what happened to it."""

    rig: Rig
    name: str
    scenario: Scenario
    plan: Plan | None = None
    allowed: int | None = None
    """How many keys may be made; None when that is what is to be found out."""
    deadline: timedelta = DEADLINE
    clock: MovedClock = field(default_factory=MovedClock)
    journal: Lines = field(default_factory=Lines)
    graves: set[str] = field(default_factory=set)
    director: Director = field(default_factory=Director)
    errors: list[RotatorError] = field(default_factory=list)
    first: str = ""
    second: str = ""
    marked: frozenset[str] = frozenset()
    timeouts: int = 0
    passes: int = 0
    keys_made: int = 0

    @property
    def disturbed(self) -> bool:
        """Whether the machine was so slow that calls took too long which were not to be slow."""
        return self.timeouts > bool(self.plan and self.plan.row.fault.slow)

    @property
    def file(self) -> Path:
        return self.rig.directory / f"{self.name}.toml"

    def run(self) -> None:
        """Furnish, play the scenario with its accident, judge. Raises ``AssertionError`` for what must not be."""
        rig, director = self.rig, self.director
        director.plan = self.plan
        self.since = len(rig.scaleway.log)
        with (
            Proxy("vault", rig.vault.address, director.serve) as vault,
            Proxy("scaleway", rig.scaleway.url, director.serve) as scaleway,
        ):
            director.proxies |= {"vault": vault, "scaleway": scaleway}
            self.furnish(vault.url, scaleway.url)
            self.life = Life(self)
            try:
                self.scenario(self)
                self.let_the_last_kill_come()
                self.judge()
            finally:
                self.keys_made = self.made()
                self.life.end()
                self.timeouts += sum(ear.timeouts for ear in self.life.ears)
                rig.scaleway.delete_application(rig.bearers.pop(self.name))  # keys of a thousand cells are a long list

    def furnish(self, vault: str, scaleway: str) -> None:
        rig, name, seconds = self.rig, self.name, f"{self.deadline.total_seconds():.0f}s"
        with_document = self.scenario is not first_key
        bearer = rig.application(name, with_key=with_document)
        if with_document:
            self.first = rig.published(name)
            key = rig.scaleway._state.live_key(self.first)
            assert key is not None
            key.created_at -= timedelta(days=31)  # so that it is due
        self.stranger = rig.scaleway.create_key(bearer, description="terraform")[0]
        self.strange = self.stranger_as_it_is()
        rig.prefixes[name] = f"rotator/{name}"
        rig.configure(
            SPEED,
            applications=[name],
            file=self.file,
            account=f'api_url = "{scaleway}"\ntimeout = "{seconds}"\nca_cert = "{AUTHORITY}"',
            address=vault,
            ledger=f"secret/rotator/{name}",
            timeout=seconds,
            ca_cert=str(AUTHORITY),  # of no use here, and quicker to read than the system's
        )

    # --- what a scenario is made of -----------------------------------------------------------------------------------------

    def restart(self) -> None:
        """The process is gone, or is stopped; another one takes its place on the same machine."""
        self.life.end()
        self.timeouts += sum(ear.timeouts for ear in self.life.ears)
        self.graves.add(self.life.owner)
        self.director.revived()
        self.life = Life(self)

    def rest(self) -> None:
        """Be a daemon until nothing is left to do."""
        for _ in range(MOST_PASSES):
            self.passes += 1
            try:
                outcome = self.life.run()
            except Killed:
                self.restart()
                continue
            if outcome.error:
                self.errors.append(outcome.error)
            elif self.at_rest(outcome):
                return
            self.clock.sleep_until(outcome.wait.until)
        raise Bound(f"no rest within {MOST_PASSES} passes")

    def at_rest(self, outcome: Outcome) -> bool:
        ledger = outcome.ledger
        if ledger is None or ledger.current is None or outcome.document is None or outcome.wait.trouble:
            return False
        open_ends = (ledger.intent, ledger.retiring, ledger.revoking, ledger.compromised, ledger.failures, self.life.memory.held)
        return not any(open_ends) and outcome.document.published not in {None, self.first, self.second}

    def let_the_last_kill_come(self) -> None:
        """A kill that is due at the next call, where the scenario made none any more."""
        if self.director.kill_is_due:
            self.rest()
            assert not self.director.kill_is_due
            self.rest()

    # --- the verdict ----------------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """DESIGN.md I1 to I6 from the ground truth: the stand-in's own log, and the versions in Vault."""
        rig, name = self.rig, self.name
        rig.check_rest(name)
        rig.check_history(
            name, GRACE.total_seconds(), compromised=self.marked, since=self.since, clock=self.clock.showed
        )
        for old in {self.first, self.second} - {""}:
            assert not rig.scaleway.accepts(old), f"the replaced key {old} lives"
        assert self.strange == self.stranger_as_it_is(), "I5: the stranger is another"
        self.check_posts()
        self.check_secrets()
        if self.plan and not self.director.fired:
            raise Bound("the accident never happened")
        if self.allowed is not None and self.made() > self.allowed:
            raise Bound(f"{self.made()} keys were made, at most {self.allowed} are to be")

    def stranger_as_it_is(self) -> object:
        keys = [key for key in self.rig.scaleway.keys(self.rig.bearers[self.name]) if key.access_key == self.stranger]
        return keys, self.rig.scaleway.accepts(self.stranger, everywhere=True)

    def check_posts(self) -> None:
        """Rule 3: one POST for one rotation, also of those that never arrived."""
        sent: Counter[str] = Counter()
        for visit in self.director.visits:
            if visit.service == "scaleway" and visit.method == "POST":
                marker = parse(json.loads(visit.body)["description"])
                assert marker is not None, "a key was asked for without our marker"
                sent[marker.rotation] += 1
        twice = [rotation for rotation, times in sent.items() if times > 1]
        assert not twice, f"rule 3: POST was sent twice for rotation {twice}"

    def check_secrets(self) -> None:
        """I6, in the logs, the errors, the ledgers and the URLs."""
        rig = self.rig
        out = [*self.journal.lines, *map(str, self.errors)]
        out += [visit.target for visit in self.director.visits]
        out += [visit.body.decode() for visit in self.director.visits if "/data/rotator/" in visit.target]
        text = "\n".join(out)
        keys = rig.scaleway.keys(rig.bearers[self.name], deleted=True)
        ours = [rig.scaleway.secret_of(key.access_key) for key in keys]
        tokens = {visit.headers["x-vault-token"] for visit in self.director.visits if "x-vault-token" in visit.headers}
        for secret in (*ours, *tokens, rig.scaleway.management_secret, *(secret.reveal() for secret in rig.secrets)):
            assert secret not in text, "I6: a secret got out"

    def story(self) -> tuple[str, ...]:
        """What happened, for a person who looks into a violation."""
        return (*map(str, self.director.calls), *self.journal.lines)

    def made(self) -> int:
        """How many keys we ever made."""
        keys = self.rig.scaleway.keys(self.rig.bearers[self.name], deleted=True)
        return sum(parse(key.description) is not None for key in keys)


# --- the scenarios ------------------------------------------------------------------------------------------------------------


def rotation(cell: Cell) -> None:
    """A daemon takes over a key that is due: rotation, grace, revocation."""
    cell.director.arm()
    cell.rest()


def first_key(cell: Cell) -> None:
    """A daemon makes the first key of an application."""
    cell.director.arm()
    cell.rest()


def compromise(cell: Cell) -> None:
    """The command that ``rotate --compromised`` is, while an old key is in grace; and a daemon that finishes what it left."""
    cell.life.run()
    cell.second = cell.rig.published(cell.name)
    assert cell.second != cell.first
    cell.marked = frozenset({cell.first, cell.second})
    cell.restart()
    cell.director.arm()
    for _ in range(3):
        with contextlib.suppress(Killed):
            life = cell.life
            result = contain(life.policy, life.world, cell.clock.sleep_until, "leaked", "the matrix")
            cell.journal.lines.append(result.message)
            if result.exit_code == 0:
                check_contained(cell)
                break
        cell.restart()
        # If the mark was written, whoever runs acts on it. Else nothing was promised, and the person gives the order again.
        if cell.rig.ledger(cell.name)["compromised"] or not any(map(cell.rig.scaleway.accepts, cell.marked)):
            break
    cell.rest()


def check_contained(cell: Cell) -> None:
    """I3 and I8: contained is said when it is true."""
    for key in cell.marked:
        assert not cell.rig.scaleway.accepts(key), f"I3: {key} is called contained and lives"
    assert cell.rig.published(cell.name) not in cell.marked, "I3: contained, and still published"


SCENARIOS: dict[str, Scenario] = {"rotation": rotation, "first key": first_key, "compromise": compromise}


def name_of(scenario: Scenario) -> str:
    return next(name for name, known in SCENARIOS.items() if known is scenario)


__all__ = ["Call", "Cell", "SCENARIOS", "Scenario"]
