"""The limit of an outage begins with the order: one rule for every command and every question."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rotator.errors import ServiceError, Unavailable
from tests.cli.conftest import Desk
from tests.support.scenarios import away, lost
from tests.support.simulated import Sim

ERRORS: dict[str, ServiceError] = {
    "502": Unavailable("Vault answered 502: try again later", service="vault", kind="server_error"),
    "503": away("sealed"),
    "a lost answer": lost(),
}

COMMANDS = {
    "an emergency": ("rotate", "billing", "--compromised", "--reason", "leak"),
    "an emergency by key": ("rotate", "SCW00000000000000001", "--compromised", "--reason", "leak"),
    "revoke first": ("rotate", "billing", "--compromised", "--revoke-first", "--reason", "leak"),
    "a rotation": ("rotate", "billing"),
    "a hold": ("hold", "billing", "--reason", "x"),
    "a resume": ("resume", "billing"),
    "a mass rotation": ("rotate", "--all", "--reason", "breach"),
    "a compromised mass rotation": ("rotate", "--all", "--compromised", "--reason", "breach"),
    "a drill": ("drill", "billing", "--yes"),
    "a waiver": ("waive", "SCW00000000000000001", "--reason", "x"),
    "status": ("status",),
    "plan": ("plan",),
    "history": ("history", "billing"),
    "lookup": ("lookup", "SCW00000000000000001"),
    "coverage": ("coverage", "--created-before", "2025-12-31T00:00:00Z"),
    "incidents": ("incident", "list"),
}


@pytest.fixture
def desk() -> Desk:
    """A desk in a world where billing's key is published and its ledger knows it."""
    sim = Sim()
    key, _ = sim.make_key()
    sim.publish_by_hand(key.access_key, database="kept")
    desk = Desk(sim)
    desk.daemon().run()
    return desk


def calls_of(words: tuple[str, ...]) -> list[str]:
    """The calls that the command makes when nothing fails, up to the first of its passes."""
    sim = Sim()
    key, _ = sim.make_key()
    sim.publish_by_hand(key.access_key, database="kept")
    calm = Desk(sim)
    calm.daemon().run()
    sim.calls.clear()
    assert calm.type(*words).exit_code in (0, 5), words
    return sim.calls[:3]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("command", COMMANDS)
def test_c9_a_blip_at_the_first_calls_of_any_operation_is_ridden_out(desk: Desk, command: str, error: str) -> None:
    words = COMMANDS[command]
    for number in range(len(calls_of(words))):
        sim = Sim()
        key, _ = sim.make_key()
        sim.publish_by_hand(key.access_key, database="kept")
        fresh = Desk(sim)
        fresh.daemon().run()
        seen = 0

        def hook(name: str, phase: str, number: int = number) -> None:
            nonlocal seen
            if phase == "before":
                seen += 1
                if number < seen <= number + 2:
                    raise ERRORS[error]

        sim.hook = hook
        result = fresh.type(*words)
        assert result.exit_code in (0, 5), (number, result.output)
        assert "nothing was marked" not in result.output


def test_c9_an_emergency_rides_out_an_absence_from_its_first_call_to_its_deadline(desk: Desk) -> None:
    back = desk.sim.time.now + timedelta(seconds=100)

    def hook(name: str, phase: str) -> None:
        if desk.sim.time.now < back:
            raise ERRORS["503"]

    desk.sim.hook = hook
    result = desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 0, result.output
    assert desk.sim.time.now >= back


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (("rotate", "billing", "--compromised", "--reason", "leak"), 120),
        (("hold", "billing", "--reason", "x"), 120),
        (("status",), 3),
    ],
)
def test_c9_patience_ends_after_the_publish_timeout_and_that_of_a_question_after_seconds(
    desk: Desk, words: tuple[str, ...], seconds: int
) -> None:
    desk.sim.sealed, before = True, desk.sim.time.now
    result = desk.type(*words)
    assert result.exit_code == 3
    assert timedelta(seconds=seconds) <= desk.sim.time.now - before < timedelta(seconds=2 * seconds)
