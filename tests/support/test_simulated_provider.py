"""The simulated API keeps the contract of a real one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from rotator.domain.audit import AuditEvent
from rotator.domain.secret import Secret
from rotator.errors import Indeterminate, Unavailable
from tests.providers.contract import ProviderContract, Verb
from tests.support.simulated import BEARER, Sim, SimProvider, Time, no_hook


@dataclass
class SimHand:
    """A person beside the simulated API, and its ground truth."""

    sim: Sim
    bearer: str = BEARER
    other_bearer: str = "another-bearer"
    unknown_bearer: str = "unknown-bearer"
    project: str = "side"
    unknown_key: str = "SCW00000000000000000"

    def make(self, bearer: str, description: str = "", expires_at: datetime | None = None) -> tuple[str, Secret]:
        created = min(self.sim.time.now, expires_at - timedelta(days=1)) if expires_at else None
        key, secret = self.sim.make_key(description, bearer=bearer, created=created, expires=expires_at)
        return key.access_key, secret

    def delete(self, access_key: str) -> None:
        self.sim.keys[access_key].deleted_at = self.sim.time.now

    def protect(self, access_key: str, *, deletable: bool, provider_managed: bool) -> None:
        true = self.sim.keys[access_key]
        true.key = replace(true.key, deletable=deletable, provider_managed=provider_managed)

    def live(self, bearer: str) -> Collection[str]:
        return [access_key for access_key in self.sim.live_keys() if self.sim.keys[access_key].key.bearer == bearer]

    def attempts(self, verb: Verb) -> int:
        return self.sim.calls.count(f"{verb}_key")

    def limit(self, room: int) -> None:
        self.sim.quota = len(self.sim.live_keys()) + room

    def lose_answer(self, verb: Verb) -> None:
        self._once(verb, "after")

    def fail_before(self, verb: Verb) -> None:
        self._once(verb, "before")

    def _once(self, verb: Verb, when: str) -> None:
        def hook(name: str, phase: str) -> None:
            if (name, phase) == (f"{verb}_key", when):
                self.sim.hook = no_hook
                raise Indeterminate("no answer", service="acme", kind="timeout")

        self.sim.hook = hook

    @contextmanager
    def down(self) -> Iterator[None]:
        def hook(name: str, phase: str) -> None:
            raise Unavailable("away", service="acme", kind="unreachable")

        self.sim.hook = hook
        yield
        self.sim.hook = no_hook

    def forbid(self) -> None:
        self.sim.forbidden = True

    def retire_management_key(self) -> None:
        self.sim.forbidden = True

    def turn_clock(self, by: timedelta) -> None:
        self.sim.time.skew_provider = by

    def act(self, bearer: str, method: str, *, source: str, agent: str) -> None:
        self.sim.audit_events.append((bearer, AuditEvent(self.sim.time.now, source, agent, "instance", method, 200)))


@pytest.fixture
def hand() -> SimHand:
    sim = Sim(time=Time(datetime.now(UTC)), projects={"side"})
    hand = SimHand(sim)
    sim.bearers = {hand.bearer, hand.other_bearer}
    return hand


@pytest.fixture
def provider(hand: SimHand) -> SimProvider:
    return SimProvider(hand.sim)


class TestSimProvider(ProviderContract):
    """The fixtures are those above."""
