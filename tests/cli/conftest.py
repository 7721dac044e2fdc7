"""The command line on the simulated world: real commands, real passes, and a Vault and a provider that tests own."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rotator.app import UnknownApplication
from rotator.cli.main import root
from rotator.cli.session import Session
from rotator.domain.facts import Endpoint, Facts, VaultFacts
from rotator.domain.keys import Key
from rotator.domain.ports import EventSink, Provider
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec
from rotator.errors import ConfigurationProblem
from rotator.observability.notifications import SILENT, NotificationSettings
from rotator.providers.management_key import FixedKeyName, ManagementKeyGuard
from rotator.reconciler.context import ReconcileContext
from rotator.reconciler.ledger_directory import LedgerDirectory
from tests.support.daemon_stage import SimAccount
from tests.support.simulated import EPOCH, Actor, ActorClock, Killed, Sim, SimProvider, spec
from tests.support.store import SimStore


@dataclass
class CountingProvider(SimProvider):
    """The simulated API, which does not let one command make keys without end."""

    most: int = 3
    made: int = 0

    def create_key(
        self, bearer: str, description: str, *, default_project_id: str | None, expires_at: datetime | None
    ) -> tuple[Key, Secret]:
        self.made += 1
        assert self.made <= self.most, "one command sent more creates than it may"
        return super().create_key(bearer, description, default_project_id=default_project_id, expires_at=expires_at)


@dataclass
class SimApp:
    """The composition root on the simulated world."""

    sim: Sim
    specs: dict[str, ApplicationSpec]
    sink: EventSink
    left: dict[str, ApplicationSpec] = field(default_factory=dict)
    kept: int = 10
    creates: int = 3
    closed: int = 0
    alarm: NotificationSettings = SILENT
    management_key: str | None = None
    world_of: Callable[[ReconcileContext], ReconcileContext] = lambda context: context
    """What a test makes of every world."""

    def __post_init__(self) -> None:
        self.vault = SimStore(self.sim, self.kept)
        self.ledgers = LedgerDirectory(self.vault, self.specs, lambda: self.sim.time.now)

    @property
    def set_aside(self) -> tuple[ConfigurationProblem, ...]:
        return ()

    @property
    def clock(self) -> ActorClock:
        return ActorClock(self.sim.time)

    @property
    def accounts(self) -> frozenset[str]:
        return frozenset(spec.account for spec in self.specs.values()) or frozenset({"acme"})

    def account(self, name: str) -> SimAccount:
        if name in self.accounts:
            return SimAccount(access_key=self.management_key)
        raise UnknownApplication(f"there is no account {name}; did you mean {min(self.accounts)}?")

    def provider(self, account: str) -> Provider:
        return self.guarded(SimProvider(self.sim, account))

    def guarded(self, provider: Provider) -> Provider:
        return ManagementKeyGuard(provider, FixedKeyName(self.management_key)) if self.management_key else provider

    def context(self, spec: ApplicationSpec) -> ReconcileContext:
        provider = self.guarded(CountingProvider(self.sim, spec.account, most=self.creates))
        world = ReconcileContext(
            provider, self.vault, self.clock, self.sink, "command-line", related=self.ledgers.related
        )
        return self.world_of(world)

    def facts(self) -> Facts:
        return Facts(self.sim.time.now, VaultFacts(Endpoint("https://vault.test")))

    def spec(self, name: str) -> ApplicationSpec:
        if name in self.specs:
            return self.specs[name]
        raise UnknownApplication(f"there is no application {name}; did you mean {min(self.specs)}?")

    def removed_applications(self, sink: EventSink | None = None) -> Mapping[str, ApplicationSpec]:
        return self.left

    def close(self) -> None:
        self.closed += 1


@dataclass
class Desk:
    """Where a person types commands. ``others`` runs whenever a command pauses: what a daemon does meanwhile."""

    sim: Sim
    specs: dict[str, ApplicationSpec] = field(default_factory=lambda: {"billing": spec()})
    left: dict[str, ApplicationSpec] = field(default_factory=dict)
    kept: int = 10
    creates: int = 3
    alarm: NotificationSettings = SILENT
    management_key: str | None = None
    others: list[Actor] = field(default_factory=list)
    pauses: int = 0

    def open(self, path: Path, sink: EventSink, only: Collection[str] = ()) -> SimApp:
        return SimApp(
            self.sim,
            self.specs,
            sink,
            self.left,
            self.kept,
            self.creates,
            alarm=self.alarm,
            management_key=self.management_key,
        )

    def pause(self, seconds: float) -> None:
        self.pauses += 1
        assert self.pauses < 5000, "the command never ends"
        before = self.sim.time.now
        for actor in self.others:
            actor.run()
        self.sim.time.now = max(self.sim.time.now, before + timedelta(seconds=seconds))

    def type(self, *words: str) -> Result:
        session = Session(opener=self.open, pause=self.pause, now=lambda: self.sim.time.now)
        return CliRunner().invoke(root, list(words), obj=session)

    def answer(self, text: str, *words: str) -> Result:
        """Type a command at a terminal, and then what it asks for."""
        session = Session(opener=self.open, pause=self.pause, now=lambda: self.sim.time.now, can_ask=lambda: True)
        return CliRunner().invoke(root, list(words), obj=session, input=text)

    def begin(self, *words: str) -> bool:
        """Type a command whose process is killed; whether it was."""
        session = Session(opener=self.open, pause=self.pause, now=lambda: self.sim.time.now)
        try:
            CliRunner().invoke(root, list(words), obj=session)
        except Killed:
            return True
        return False

    def json(self, *words: str) -> Any:
        result = self.type(*words, "--json")
        return json.loads(result.stdout)

    def daemon(self, **changes: Any) -> Actor:
        return Actor(self.sim, replace(self.specs["billing"], **changes))


@pytest.fixture
def desk() -> Desk:
    """A desk in a world where billing's key is published and its ledger knows it."""
    sim = Sim()
    key, _ = sim.make_key()
    sim.publish_by_hand(key.access_key, database="kept")
    desk = Desk(sim)
    desk.daemon().run()
    assert sim.time.now >= EPOCH
    return desk


@pytest.fixture
def empty() -> Desk:
    """A desk in a world where nothing was ever done."""
    return Desk(Sim())
