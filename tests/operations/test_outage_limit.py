"""How long an operation waits for a service that is away: reads are repeated until the limit, and writes never."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from rotator.domain.ports import Clock
from rotator.errors import Indeterminate, PermissionDenied, ServiceError, Unavailable
from rotator.operations.outage_limit import READS, OutageLimit, context_with_retried_reads, runtime_with_retried_reads
from rotator.operations.runtime import Runtime
from rotator.reconciler.context import ReconcileContext
from tests.cli.conftest import SimApp
from tests.support.simulated import EPOCH, ActorClock, Recorder, Sim, SimProvider, SimVault, spec

SECOND = timedelta(seconds=1)
AWAY = Unavailable("away", service="vault", kind="unreachable")
LOST = Indeterminate("lost", service="vault", kind="timeout")
DENIED = PermissionDenied("denied", service="vault", kind="policy")


@dataclass
class Service:
    """It fails with these errors, one after the other, and then answers."""

    errors: list[ServiceError] = field(default_factory=list)
    asked: int = 0

    def call(self, *arguments: object, **options: object) -> tuple[object, ...]:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return (*arguments, *options.items())


def patience(sim: Sim, limit: timedelta) -> OutageLimit:
    return OutageLimit(ActorClock(sim.time), sleeps(sim), limit)


def sleeps(sim: Sim) -> Callable[[datetime], None]:
    def sleep(until: datetime) -> None:
        sim.time.now = max(sim.time.now, until)

    return sleep


def test_a_call_is_repeated_every_half_second_until_the_limit() -> None:
    sim, service = Sim(), Service([AWAY] * 100)
    with pytest.raises(Unavailable):
        patience(sim, 3 * SECOND).ask(service.call)
    assert (service.asked, sim.time.now - EPOCH) == (7, 3 * SECOND)


@pytest.mark.parametrize("error", [AWAY, LOST])
def test_an_answer_ends_the_wait_and_the_next_outage_has_the_whole_limit_again(error: ServiceError) -> None:
    sim = Sim()
    patient = patience(sim, 3 * SECOND)
    for _ in range(3):
        assert patient.ask(Service([error] * 6).call) == ()
    assert sim.time.now - EPOCH == 9 * SECOND


def test_two_calls_share_one_limit() -> None:
    sim = Sim()
    patient = patience(sim, 3 * SECOND)
    patient.wait_after(AWAY)
    sim.time.advance(3 * SECOND)
    with pytest.raises(Indeterminate):
        patient.wait_after(LOST)
    patient.answered()
    patient.wait_after(LOST)


def test_a_refusal_is_not_repeated() -> None:
    service = Service([DENIED])
    with pytest.raises(PermissionDenied):
        patience(Sim(), 3 * SECOND).ask(service.call)
    assert service.asked == 1


class Names:
    """Something every attribute of which is that call."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def __getattr__(self, name: str) -> Any:
        if name in ("vault", "urgent", "provider"):
            return Names(self.service) if name == "vault" else lambda *_: Names(self.service)
        return self.service.call


def runtime(sim: Sim, service: Service, limit: timedelta = 20 * SECOND) -> Any:
    """A runtime whose Vault, provider and contexts are that service."""
    app = SimApp(sim, {"billing": spec(publish_timeout=limit), "other": spec(publish_timeout=SECOND)}, Recorder())
    names: Any = Names(service)
    app.vault, app.provider = names, lambda account: names  # type: ignore[method-assign]  # what this test tells
    context = ReconcileContext(
        names, names, ActorClock(sim.time), Recorder(), "desk", related=lambda spec: cast("Any", service.call(spec))
    )
    app.context = lambda spec: context  # type: ignore[method-assign]  # as above
    app.removed_applications = lambda sink=None: cast("Any", service.call(sink))  # type: ignore[method-assign]
    return cast("Runtime", app)


def sleep(clock: Clock, until: datetime) -> None:
    assert isinstance(clock, ActorClock)
    clock.time.now = max(clock.time.now, until)


@pytest.mark.parametrize("name", sorted(READS - {"removed_applications"}))
def test_every_read_of_a_query_is_repeated_with_its_arguments(name: str) -> None:
    sim, service = Sim(), Service()
    patient: Any = runtime_with_retried_reads(runtime(sim, service), sleep, changes=False)
    context: Any = patient.context(spec())
    for place in (patient.vault, patient.provider("acme"), patient.provider("acme").urgent(), context.vault):
        service.errors = [AWAY, LOST]
        assert getattr(place, name)("a", b=1) == ("a", ("b", 1))
    service.errors = [AWAY, LOST]
    assert getattr(context.provider, name)("a") == ("a",)
    service.errors = [AWAY]
    assert context.related(spec()) == (spec(),)
    service.errors = [AWAY]
    assert patient.removed_applications(None) == (None,)


def test_a_write_is_sent_once() -> None:
    service = Service([AWAY])
    patient: Any = runtime_with_retried_reads(runtime(Sim(), service), sleep, changes=True)
    with pytest.raises(Unavailable):
        patient.vault.write_ledger()
    assert service.asked == 1


@pytest.mark.parametrize(("changes", "seconds"), [(False, 3), (True, 20)])
def test_a_query_waits_for_seconds_and_a_command_as_long_as_the_longest_policy(changes: bool, seconds: int) -> None:
    sim = Sim()
    patient = runtime_with_retried_reads(runtime(sim, Service([AWAY] * 1000)), sleep, changes=changes)
    with pytest.raises(Unavailable):
        patient.vault.list_ledgers()
    assert sim.time.now - EPOCH == seconds * SECOND


def test_a_command_without_an_application_waits_for_two_minutes() -> None:
    sim = Sim()
    sim.sealed = True
    app = cast("Runtime", SimApp(sim, {}, Recorder()))
    with pytest.raises(Unavailable):
        runtime_with_retried_reads(app, sleep, changes=True).vault.list_ledgers()
    assert sim.time.now - EPOCH == 120 * SECOND


def test_the_reads_of_a_context_are_repeated_as_long_as_its_policy_says() -> None:
    sim = Sim()
    context = ReconcileContext(SimProvider(sim), SimVault(sim), ActorClock(sim.time), Recorder(), "desk")
    sim.sealed = True
    with pytest.raises(Unavailable):
        context_with_retried_reads(spec(publish_timeout=10 * SECOND), context, sleeps(sim)).vault.list_ledgers()
    assert sim.time.now - EPOCH == 10 * SECOND
