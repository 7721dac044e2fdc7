"""A fleet for tests of the daemon: the simulated Vault and providers, on the real clock and safe for threads."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from rotator.app import UnknownApplication
from rotator.config import Control, Listener, Webhook
from rotator.daemon.composition import build_daemon, build_sinks
from rotator.daemon.main_loop import MainLoop
from rotator.daemon.single_run import SingleRun
from rotator.domain.facts import Endpoint, Facts, VaultFacts
from rotator.domain.keys import Key
from rotator.domain.login import LoginProblem
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec, VerificationPolicy
from rotator.errors import ConfigurationError, ConfigurationProblem
from rotator.observability.notifications import SILENT, NotificationSettings, Notifier
from rotator.reconciler.context import InvalidKeyBreaker, ReconcileContext
from rotator.reconciler.ledger_directory import LedgerDirectory
from rotator.system.process import Signals
from rotator.system.sd_notify import ServiceManager
from tests.support.simulated import Recorder, Sim, SimProvider, spec
from tests.support.store import SimPresences, SimStore

T = TypeVar("T")
PATIENCE = 60.0
"""Seconds that a condition is waited for before the test fails; a sound run needs a small part of them."""

QUICK = VerificationPolicy(2, timedelta(milliseconds=50), timedelta(seconds=20))


def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until the condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what or condition}"
        time.sleep(0.01)


@dataclass
class Now:
    """The real time, in the shape that the simulation wants."""

    skew_vault: timedelta = timedelta(0)
    skew_provider: timedelta = timedelta(0)
    tokens: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def token(self) -> str:
        return f"{next(self.tokens):016x}"


@dataclass
class RealClock:
    time: Now

    def now(self) -> datetime:
        return self.time.now

    def token(self) -> str:
        return self.time.token()


@dataclass
class Stage(Sim):
    """The simulation for several threads: hooks may block, what they surround is done one at a time."""

    one_at_a_time: Any = field(default_factory=threading.RLock)

    def effect(self, name: str, execute: Callable[[], T]) -> T:
        self.calls.append(name)
        self.hook(name, "before")
        with self.one_at_a_time:
            answer = execute()
        self.hook(name, "after")
        return answer

    def make_key(self, description: str = "made by hand", **more: Any) -> tuple[Key, Secret]:
        with self.one_at_a_time:
            return super().make_key(description, **more)


@dataclass(frozen=True)
class SimAccount:
    """What the configuration says of the account."""

    rate_limit: float = 50.0
    access_key: str | None = None
    own_key: str = ""


@dataclass
class FakeFleet:
    """Applications on a stage for each account; ``acme`` also holds the Vault."""

    applications: dict[str, ApplicationSpec]
    stages: dict[str, Stage]
    workers: int = 4
    share_looks: bool = False
    shutdown_timeout: timedelta = timedelta(seconds=30)
    sink: Any = field(default_factory=Recorder)
    source: str = "test.toml"
    warnings: tuple[ConfigurationProblem, ...] = ()
    next_one: FakeFleet | Exception | None = None
    closed: bool = False
    tended: int = 0
    listen: Listener | None = None
    control: Control | None = None
    webhook: Webhook | None = None
    casualties: dict[str, InvalidKeyBreaker] = field(default_factory=dict)
    alarm: NotificationSettings = SILENT
    login_failure: LoginProblem | None = None

    @property
    def specs(self) -> Mapping[str, ApplicationSpec]:
        return self.applications

    @property
    def accounts(self) -> frozenset[str]:
        return frozenset(self.stages)

    def account(self, name: str) -> SimAccount:
        if name not in self.stages:
            raise UnknownApplication(f"there is no account {name} in {self.source}; there is none like it")
        return SimAccount()

    @property
    def vault(self) -> SimStore:
        return SimStore(self.stages["acme"])

    @property
    def presences(self) -> SimPresences:
        return SimPresences(self.stages["acme"])

    @property
    def clock(self) -> RealClock:
        return RealClock(self.stages["acme"].time)  # type: ignore[arg-type]  # the stage's time is the real one

    def spec(self, name: str) -> ApplicationSpec:
        if name not in self.applications:
            raise UnknownApplication(f"there is no application {name} in {self.source}; there is none like it")
        return self.applications[name]

    def provider(self, account: str) -> SimProvider:
        return SimProvider(self.stages[account], account)

    def context(self, spec: ApplicationSpec) -> ReconcileContext:
        stage = self.stages[spec.account]
        return ReconcileContext(
            self.provider(spec.account),
            self.vault,
            RealClock(stage.time),  # type: ignore[arg-type]  # the stage's time is the real one
            self.sink,
            "0123456789abcdef.-.1.1",
            self.casualties.setdefault(spec.account, InvalidKeyBreaker()),
            related=LedgerDirectory(self.vault, self.applications, self.clock.now).related,
        )

    def facts(self) -> Facts:
        return Facts(self.clock.now(), VaultFacts(Endpoint("https://vault.test")))

    def removed_applications(self, sink: Any = None) -> Mapping[str, ApplicationSpec]:
        names = set(self.vault.list_ledgers()) - set(self.applications)
        return {name: application(name, configured=False) for name in names}

    def maintain(self) -> None:
        self.tended += 1

    def login_life(self) -> tuple[timedelta, timedelta] | None:
        return timedelta(minutes=40), timedelta(hours=1)

    def login_problem(self) -> LoginProblem | None:
        return self.login_failure

    def reopen(self) -> FakeFleet:
        if isinstance(self.next_one, Exception):
            raise self.next_one
        assert self.next_one is not None
        return self.next_one

    def close(self) -> None:
        self.closed = True


def main_loop(made: FakeFleet, supervisor: ServiceManager, signals: Signals) -> MainLoop:
    """The daemon of this fleet. What it reports ends in the fleet's sink."""
    return build_daemon(made, made.reopen, build_sinks(made.sink), supervisor, signals)


def single_run(made: FakeFleet) -> int:
    """One round of passes over this fleet; the exit code."""
    with Signals() as signals:
        return SingleRun(made, Notifier(made.sink, made.alarm), signals).run()


def bearer_of(name: str) -> str:
    return f"bearer-{name}"


def application(name: str = "billing", **changes: Any) -> ApplicationSpec:
    """An application whose proofs take a moment only."""
    values: dict[str, Any] = {
        "application": name,
        "bearer": bearer_of(name),
        "path": f"secret/apps/{name}",
        "verification": QUICK,
        "emergency_verification": QUICK,
        "resync_interval": timedelta(minutes=15),
    }
    return spec(**{**values, **changes})


def runtime(*names: str, accounts: Mapping[str, str] | None = None, **options: Any) -> FakeFleet:
    """A fleet with these applications, all new: each will make its first key. ``accounts`` maps some to another account."""
    accounts = accounts or {}
    stages = {account: Stage(time=Now()) for account in {"acme", *accounts.values()}}  # type: ignore[arg-type]  # same
    applications = {name: application(name, account=accounts.get(name, "acme")) for name in names}
    for stage in stages.values():
        stage.bearers |= {bearer_of(name) for name in names}
    return FakeFleet(applications, stages, **options)


def settled(name: str, made: FakeFleet) -> None:
    """Give the application a key that is published already, so that nothing is due for it."""
    spec = made.applications[name]
    stage, store = made.stages[spec.account], made.stages["acme"]
    key, secret = stage.make_key(bearer=spec.bearer)
    store.publish_by_hand(key.access_key, secret.reveal(), path=spec.path)


def published(made: FakeFleet, name: str) -> str | None:
    return made.stages["acme"].published_key(f"secret/apps/{name}")


__all__ = [
    "ConfigurationError",
    "FakeFleet",
    "Recorder",
    "Stage",
    "application",
    "bearer_of",
    "eventually",
    "published",
    "replace",
    "runtime",
    "settled",
]
