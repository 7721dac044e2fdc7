"""The world of a history of a fleet: one Vault, two accounts, what befalls each call, and processes with the daemon's own engine."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar
from unittest.mock import patch

from rotator.config import load
from rotator.daemon import engine as engine_module
from rotator.daemon import periodic, service_monitor
from rotator.daemon.engine import Engine
from rotator.daemon.main_loop import REMOVED_APPLICATIONS_INTERVAL
from rotator.daemon.services import VAULT, ServiceState
from rotator.decision.ownership import removed_application
from rotator.domain.keys import Key, ProbeResult
from rotator.domain.ledger import Ledger
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Indeterminate, RotatorError, Unavailable
from rotator.http.service_clock import ServiceClock
from rotator.reconciler.context import InvalidKeyBreaker, ReconcileContext
from rotator.reconciler.ledger_directory import LedgerDirectory
from rotator.util.single_flight import SingleFlight
from tests.histories.clockwork import Clockwork, SimScheduler, patched_now
from tests.support.daemon_stage import FakeFleet
from tests.support.invariants import Monitor
from tests.support.simulated import EPOCH, Killed, Recorder, Sim, SimProvider, TrueKey, Version
from tests.support.store import SimStore

T = TypeVar("T")
DAY, HOUR, MINUTE, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
ACCOUNTS = ("acme", "zeta")
WRITES = {"write_ledger", "write_document", "create_key", "delete_key"}
KINDS = (
    'every = "3h"\ngrace = "20m"',
    'every = "8h"\ngrace = "1h"',
    'every = "1d"\ngrace = "6h"',
    'cron = "20 */6 * * *"\ngrace = "30m"\ntimezone = "Europe/Paris"',
    'every = "4h"\nmax_age = "20h"\ngrace = "30m"\nwindow = { hours = "08:00-20:00" }',
    'every = "6h"\nlifetime = "1d"\ngrace = "1h"',
)
TIMEOUT = 30 * SECOND
"""How long a call that hangs keeps its worker: the timeout of an account that the configuration does not name one for."""


class Violated(BaseException):
    """What must always hold does not. No error handling of the program is to catch this."""


@cache
def spec_of_kind(kind: str) -> ApplicationSpec:
    """An application of which the configuration says its schedule only."""
    with TemporaryDirectory() as folder:
        secret = Path(folder, "secret")
        secret.write_text("5ec2e7f0-aaaa-4bbb-8ccc-1234567890ab")
        secret.chmod(0o400)
        path = Path(folder, "rotator.toml")
        path.write_text(
            f'[vault]\naddress = "https://vault.internal:8200"\nledger_path = "secret/rotator"\n'
            f'auth = {{ method = "approle", role_id = "file:{secret}", secret_id = "file:{secret}" }}\n'
            f'[accounts.acme]\norganization_id = "1f0e2d3c-1111-4111-8111-111111111111"\nsecret_key = "file:{secret}"\n'
            f'[applications.one]\napplication_id = "2f0e2d3c-2222-4222-8222-222222222222"\npath = "secret/apps/one"\n{kind}\n'
        )
        return load(path).specs["one"]


# --- the world ---


@dataclass
class Trouble:
    """What is wrong with one service until then. A call of this share hangs or fails."""

    until: datetime
    share: float
    hangs: bool


@dataclass
class Chances:
    """How bad it is: chances for each call."""

    kill: float = 0
    fail: float = 0
    lose: float = 0
    late: float = 0
    latency: timedelta = 0.2 * SECOND

    @classmethod
    def of(cls, dice: random.Random) -> Chances:
        latency = dice.choice([0.1, 0.1, 1, 5]) * SECOND
        return cls(
            dice.choice([0, 0.002]), dice.choice([0, 0.02]), dice.choice([0, 0.02]), dice.choice([0, 0.02]), latency
        )


@dataclass
class World(Sim):
    """The Vault of all, and what happens to every call."""

    clockwork: Clockwork = field(init=False)
    dice: random.Random = field(default_factory=random.Random)
    chances: Chances = field(default_factory=Chances)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    accounts: dict[str, AccountSim] = field(init=False)
    monitor: Monitor = field(init=False)
    story: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    """The owners of processes that have ended."""
    hung: int = 0
    read: dict[str, tuple[Version, Ledger]] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)
    """How often each event was reported."""

    def __post_init__(self) -> None:
        self.clockwork = Clockwork(self.time)
        self.accounts = {name: AccountSim(time=self.time, world=self, name=name, bearers=set()) for name in ACCOUNTS}
        for account in self.accounts.values():
            account.keys, account._serial = self.keys, self._serial
        self.monitor = Monitor(self, HOUR)

    @property
    def moving(self) -> Process | None:
        strand = self.clockwork.strand
        return strand.process.process if strand else None  # type: ignore[attr-defined]  # all strands here are lives of processes

    def tell(self, text: str) -> None:
        self.story.append(f"{self.time.now:%d %H:%M:%S.%f} {self.moving.name if self.moving else 'world':9} {text}")

    def check(self) -> None:
        try:
            self.monitor.check()
        except AssertionError as error:
            raise Violated(str(error)) from error

    def effect(self, name: str, execute: Callable[[], T]) -> T:
        return self.call(VAULT, name, execute)

    def call(self, service: str, name: str, execute: Callable[[], T]) -> T:
        """One call of a process, with all that may befall it."""
        process = self.moving
        if process is None:
            answer = execute()
            self.check()
            return answer
        dice, chances, write = self.dice, self.chances, name in WRITES
        sent = self.time.now
        self.clockwork.pause(dice.random() * chances.latency)
        trouble = self.troubles.get(service)
        if trouble and self.time.now < trouble.until and dice.random() < trouble.share:
            self.hung += trouble.hangs
            if trouble.hangs:
                self.clockwork.pause(TIMEOUT)
            raise (Indeterminate if write and trouble.hangs else Unavailable)(
                "in trouble", service=service, kind="timeout"
            )
        roll = dice.random()
        if (roll := roll - chances.kill) < 0:
            self.tell(f"killed before {name}")
            process.kill()
            raise Killed
        if (roll := roll - chances.fail) < 0:
            raise Unavailable("away", service=service, kind="unreachable")
        if write and (roll := roll - chances.late) < 0:
            self.clockwork.after(
                dice.choice([2 * SECOND, 2 * MINUTE, 2 * HOUR]) * dice.random(), lambda: self.land(name, execute)
            )
            raise Indeterminate("no answer", service=service, kind="timeout")
        answer = execute()
        if write:
            self.tell(f"{name} {answer if name != 'create_key' else answer[0].access_key}")  # type: ignore[index]  # a pair
            self.check()
        if dice.random() < 0.3:
            self.clockwork.pause(dice.random() * chances.latency)
        if (roll := roll - chances.lose) < 0:
            raise (Indeterminate if write else Unavailable)("no answer", service=service, kind="timeout")
        if (roll := roll - chances.kill) < 0:
            self.tell(f"killed after {name}")
            process.kill()
            raise Killed
        process.answered(service, sent)
        return answer

    def land(self, name: str, execute: Callable[[], object]) -> None:
        """What was under way arrives."""
        try:
            execute()
            self.tell(f"late {name} lands")
        except RotatorError as error:
            self.tell(f"late {name} comes too late: {type(error).__name__}")
        self.check()


@dataclass
class AccountSim(Sim):
    """One account at the provider. The keys of all accounts are in one place; its own are those of its bearers."""

    world: World = field(kw_only=True)
    name: str = field(kw_only=True)

    def effect(self, name: str, execute: Callable[[], T]) -> T:
        return self.world.call(self.name, name, execute)

    def live_keys(self) -> list[str]:
        return [name for name in super().live_keys() if self.keys[name].key.bearer in self.bearers]


@dataclass
class AccountProvider(SimProvider):
    """The ``Provider`` of one process for one account: it does not know the keys of another one."""

    process: Process = field(kw_only=True)

    def _known(self, access_key: str) -> TrueKey | None:
        true = super()._known(access_key)
        return true if true and true.key.bearer in self.sim.bearers else None

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        return tuple(key for key in super().list_keys(bearer) if bearer in self.sim.bearers)

    def authenticate(self, access_key: str, secret: Secret) -> ProbeResult:
        try:
            return super().authenticate(access_key, secret)
        except Unavailable:
            return ProbeResult.INCONCLUSIVE

    def clock_offset(self) -> timedelta:
        return self.process.offset(self.name)


@dataclass
class ProcessVault(SimStore):
    """The ``VaultStore`` of one process. Reads of an unchanged ledger cost nothing: histories are many."""

    sim: World
    process: Process = field(kw_only=True)

    def _load(self, application: str, version: Version) -> Ledger:
        known = self.sim.read.get(application)
        if known is None or known[0] is not version:
            known = self.sim.read[application] = (version, super()._load(application, version))
        return known[1]

    def clock_offset(self) -> timedelta:
        return self.process.offset(VAULT)


class _Unshared(SingleFlight[None]):
    """Each strand asks itself: one that waited for another one's answer would stop the clock of the history for ever."""

    def ask(self, call: Callable[[], None], *, since: float | None = None) -> None:
        call()


class Runtime(FakeFleet):
    """One configuration in one process."""

    def __init__(self, process: Process, specs: Mapping[str, ApplicationSpec]) -> None:
        super().__init__(dict(specs), {}, workers=4, sink=Witness(process.world))
        self.process = process
        self._vault = ProcessVault(process.world, process=process)
        self._ledgers = LedgerDirectory(self._vault, self.applications, process.now)
        self._ledgers._listing = _Unshared()

    def reopen(self) -> Self:
        raise NotImplementedError  # here a person reloads

    @property
    def accounts(self) -> frozenset[str]:
        return frozenset(ACCOUNTS)

    @property
    def vault(self) -> SimStore:
        return self._vault

    @property
    def clock(self) -> Any:
        return self.process

    def provider(self, account: str) -> AccountProvider:
        return AccountProvider(self.process.world.accounts[account], account, process=self.process)

    def context(self, spec: ApplicationSpec) -> ReconcileContext:
        process = self.process
        return ReconcileContext(
            self.provider(spec.account),
            self._vault,
            process,
            self.sink,
            process.owner,
            self.casualties.setdefault(spec.account, InvalidKeyBreaker()),
            is_gone=lambda owner: owner in process.world.gone and owner.startswith(process.machine),
            related=self._ledgers.related,
        )

    def removed_applications(self, sink: Any = None) -> Mapping[str, ApplicationSpec]:
        return {
            name: removed_application(ledger, self.specs.values(), organization_id="", max_clock_skew=30 * SECOND)
            for name, ledger in self._ledgers.removed(lambda name, error: None).items()
        }


class Witness(Recorder):
    """A journal that checks what it is told (I3, I8), and that no error of the program is among it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def emit(self, event: str, **fields: object) -> None:
        try:
            super().emit(event, **fields)
            self._check(event, fields)
        except AssertionError as error:
            raise Violated(str(error)) from error
        self.events.clear()
        if event not in {"pass.decided", "pass.interrupted", "service.up", "service.down", "pass.failed"}:
            about = {
                name: value
                for name, value in fields.items()
                if name in {"application", "access_key", "reason", "message"}
            }
            self.world.tell(f"    {event} {about}")
        self.world.said[event] += 1

    def _check(self, event: str, fields: Mapping[str, object]) -> None:
        world = self.world
        assert not event.endswith("crashed"), f"an error of the program: {fields}"
        if event == "rotation.published":
            assert fields["access_key"] in world.monitor._ever_published, "I8: said to be published, and is not"
        contained = fields["access_keys"] if event == "compromise.contained" else ()
        for access_key in [fields["access_key"]] if event == "key.revoked" else contained:  # type: ignore[attr-defined]  # a list of names
            true = world.keys.get(str(access_key))
            assert true is None or true.deleted_at or not world._accepts(true), (
                f"I8: {access_key} was said to be revoked, and works"
            )


class Process:
    """One process: a daemon, or one round of ``run --once``. It works on the configuration as it was when it last read it."""

    def __init__(self, world: World, name: str, machine: str) -> None:
        self.world, self.name, self.machine = world, name, machine
        self.skew = timedelta(0)
        self.alive = False
        self.lives = 0
        self.owner = ""
        self._clocks: dict[str, ServiceClock] = {}

    # --- its clock, and what it knows of the clocks of others ---

    def now(self) -> datetime:
        return self.world.time.now + self.skew

    def token(self) -> str:
        return self.world.time.token()

    def monotonic(self) -> float:
        return (self.world.time.now - EPOCH).total_seconds()

    def offset(self, service: str) -> timedelta:
        """As old as the last answer of the service."""
        clock = self._clocks.get(service)
        return clock.offset() if clock else timedelta(0)

    def answered(self, service: str, sent: datetime) -> None:
        clock = self._clocks.setdefault(service, ServiceClock(self.now, self.monotonic))
        clock.answered(format_datetime(self.world.time.now, usegmt=True), (sent - EPOCH).total_seconds())

    def set_clock(self, skew: timedelta) -> None:
        """Its clock is set, perhaps between two answers of one look. The main loop notices within a second."""
        step, self.skew = skew - self.skew, skew
        self.world.tell(f"the clock of {self.name} is off by {skew}")

        def noticed() -> None:
            self.world.clockwork.pause(SECOND)
            self.engine.clock_stepped(step)

        if self.lives:
            self.begin(noticed)

    # --- its life ---

    def start(self, specs: Mapping[str, ApplicationSpec], *, once: bool = False) -> None:
        """Begin to work, knowing nothing but the configuration."""
        life = self.live()
        with patch.object(engine_module, "Scheduler", lambda: SimScheduler(self.world.clockwork, life)):
            self.engine = Engine(Runtime(self, specs), Witness(self.world), once=once)
        self.begin(self._main)

    def live(self) -> Life:
        """Begin a life. A command has nothing but that: it does what it is asked to do, and no more."""
        self.alive, self.lives = True, self.lives + 1
        self.owner = f"{self.machine}-{self.name}-{self.lives}"
        self._clocks.clear()
        self.world.tell(f"{self.name} starts")
        self.life = Life(self, self.lives)
        return self.life

    def begin(self, work: Callable[[], object]) -> None:
        """Something that the main loop does, if it runs."""
        if self.alive:
            self.world.clockwork.begin(work, self.life)

    def _main(self) -> None:
        self.engine.start()
        self.engine.add_periodic("removed applications", self._removed_applications, delay=5 * SECOND)
        self.engine.add_periodic("lost dates", self._lost_dates, delay=MINUTE)
        while self.engine.once:
            self.world.clockwork.pause(SECOND)
            if self.engine.contacted() and not self.engine.unfinished():
                self.kill()

    def _removed_applications(self) -> timedelta:
        if self.engine.services[VAULT].state is not ServiceState.UP:
            return 5 * SECOND
        self.engine.add_removed_applications(self.engine.runtime.removed_applications())
        return REMOVED_APPLICATIONS_INTERVAL

    def _lost_dates(self) -> timedelta:
        self.engine.reschedule_lost()
        return MINUTE

    def reload(self, specs: Mapping[str, ApplicationSpec]) -> None:
        """Go over to the configuration as it is now."""
        self.world.tell(f"{self.name} reloads")
        self.begin(lambda: self.engine.apply_runtime(Runtime(self, specs)))

    def kill(self) -> None:
        """It ends here, wherever it is."""
        self.alive = False
        self.world.gone.add(self.owner)

    def stop(self) -> None:
        """It is asked to end, and may end what it holds within half a minute."""

        def stopping() -> None:
            self.engine.drain()
            for second in range(30):
                if not self.engine.unfinished():
                    break
                if second == 20:
                    self.engine.give_up()
                self.world.clockwork.pause(SECOND)
            self.kill()

        self.begin(stopping)


@dataclass
class Life:
    """One life of a process, to which strands belong: one of the next life must not bring back what the last one did."""

    process: Process
    number: int

    @property
    def alive(self) -> bool:
        return self.process.alive and self.process.lives == self.number

    def kill(self) -> None:
        if self.alive:
            self.process.kill()

    @property
    def skew(self) -> timedelta:
        return self.process.skew


@contextmanager
def simulated_time(world: World) -> Iterator[None]:
    """The modules of the engine that ask for the time are told that of the process that moves."""

    def now() -> datetime:
        return world.moving.now() if world.moving else world.time.now

    with ExitStack() as stack:
        stack.enter_context(patch.object(engine_module, "_now", now))
        for module in (periodic, service_monitor):
            stack.enter_context(patch.object(module, "datetime", patched_now(now)))
        yield
