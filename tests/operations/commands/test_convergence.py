"""How long a command goes on: an obstacle ends it once it has lasted for the limit of the policy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotator.decision.steps import Wait
from rotator.domain.ledger import CompromisedKey, Hold, Ledger, Problem
from rotator.errors import Unavailable
from rotator.operations.commands.convergence import Deadline, blocking_reason, wait_for_next_pass
from rotator.operations.result import OperationResult
from rotator.reconciler.context import PassOutcome, ReconcileContext
from tests.support.observations import intent, ledger
from tests.support.simulated import EPOCH, Actor, Sim, spec

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
AWAY = OperationResult("billing", "unreachable", 3, "away", "sealed")
FULL = OperationResult("billing", "refused", 4, "no room", "quota")


@dataclass
class Command:
    """A command with a limit of ten seconds, which looks once in a while."""

    def __post_init__(self) -> None:
        self.sim = Sim()
        self.deadline = Deadline(spec(publish_timeout=10 * SECOND), Actor(self.sim).context)

    def after(
        self, seconds: int, obstacle: OperationResult | None, found: Ledger | None = None
    ) -> OperationResult | None:
        self.sim.time.advance(seconds * SECOND)
        return self.deadline.over(obstacle, found)


def test_an_obstacle_ends_the_command_once_it_has_lasted_for_the_limit() -> None:
    command = Command()
    assert [command.after(5, AWAY) for _ in range(3)] == [None, None, AWAY]


def test_the_last_obstacle_is_the_one_that_is_told() -> None:
    command = Command()
    assert [command.after(5, AWAY), command.after(5, FULL), command.after(5, FULL)] == [None, None, FULL]


@pytest.mark.parametrize("found", [None, ledger(), ledger(failures=0, intent=intent())])
def test_a_pass_without_an_obstacle_begins_the_limit_anew(found: Ledger | None) -> None:
    command = Command()
    assert command.after(0, AWAY) is None
    assert command.after(20, None, found) is None
    assert command.after(0, AWAY, found) is None
    assert command.after(9, AWAY, found) is None
    assert command.after(1, AWAY, found) is AWAY


@pytest.mark.parametrize("failures", [1, 2])
def test_the_pause_between_two_failed_attempts_counts(failures: int) -> None:
    command = Command()
    assert command.after(0, AWAY) is None
    assert command.after(9, None, ledger(failures=failures)) is None
    assert command.after(1, None, ledger(failures=failures)) is AWAY


def test_an_attempt_in_progress_may_finish() -> None:
    command, trying = Command(), ledger(failures=1, intent=intent())
    assert command.after(0, AWAY) is None
    assert command.after(20, None, trying) is None
    assert command.after(0, AWAY, trying) is AWAY, "it failed"


def test_failures_of_earlier_passes_are_no_obstacle_of_this_command() -> None:
    command = Command()
    assert [command.after(20, None, ledger(failures=3)) for _ in range(3)] == [None] * 3


# --- why a pass did not complete it -----------------------------------------------------------------------------------

QUOTA = Problem("quota", "no room", EPOCH)
HOLD = Hold("migration", "bob", EPOCH)
MARK = CompromisedKey("SCWX", "leaked", "ann", EPOCH)


def waiting(reason: str = "rotate", problem: Problem | None = None) -> Wait:
    return Wait(EPOCH + DAY, reason, "a message", problem)


HELD = "billing is held by bob (migration): nothing is claimed or revoked until "

REASONS: dict[str, tuple[PassOutcome, tuple[int, str, str] | None]] = {
    "a pass that rests": (PassOutcome(waiting(), ledger()), None),
    "a pass without a ledger": (PassOutcome(waiting()), None),
    "an error": (
        PassOutcome(waiting(), error=Unavailable("sealed now", service="vault", kind="sealed")),
        (3, "sealed", "sealed now"),
    ),
    "a hold": (PassOutcome(waiting(), ledger(hold=HOLD)), (4, "held", f"{HELD}it is resumed")),
    "a hold with an end": (
        PassOutcome(waiting(), ledger(hold=replace(HOLD, until=EPOCH + DAY))),
        (4, "held", f"{HELD}2026-01-02 00:00:00 UTC"),
    ),
    "a hold that has ended": (PassOutcome(waiting(), ledger(hold=replace(HOLD, until=EPOCH))), None),
    "a hold that does not apply to a marked key": (
        PassOutcome(waiting(), ledger(hold=HOLD, compromised=(MARK, replace(MARK, override_hold=True)))),
        None,
    ),
    "a hold that applies to a marked key": (
        PassOutcome(waiting(), ledger(hold=HOLD, compromised=(MARK,))),
        (4, "held", f"{HELD}it is resumed"),
    ),
    "a problem that blocks": (PassOutcome(waiting("quota", QUOTA), ledger()), (4, "quota", "no room")),
    "a problem that blocks without a ledger": (PassOutcome(waiting("quota", QUOTA)), (4, "quota", "no room")),
    "a problem of an attempt that failed in this pass": (
        PassOutcome(waiting("rotate", QUOTA), ledger(failures=3)),
        (4, "quota", "no room"),
    ),
    "a problem of an attempt that failed before": (PassOutcome(waiting("rotate", QUOTA), ledger(failures=2)), None),
    "a problem without a ledger that does not block": (PassOutcome(waiting("rotate", QUOTA)), None),
}


@pytest.mark.parametrize(("outcome", "reason"), REASONS.values(), ids=REASONS)
def test_the_reason_why_a_pass_did_not_complete_the_request(
    outcome: PassOutcome, reason: tuple[int, str, str] | None
) -> None:
    found = blocking_reason(spec(), outcome, 2, EPOCH)
    assert (found and (found.exit_code, found.reason, found.message)) == reason
    assert found is None or found.application == "billing"


@pytest.mark.parametrize(("seconds", "pause"), [(-5, 0.2), (0.1, 0.2), (0.5, 0.5), (60, 1)])
def test_the_work_of_another_process_is_looked_at_every_second_or_sooner(seconds: float, pause: float) -> None:
    context: ReconcileContext = Actor(Sim()).context
    slept: list[datetime] = []
    outcome: Any = PassOutcome(replace(waiting(), until=EPOCH + seconds * SECOND))
    wait_for_next_pass(context, slept.append, outcome)
    assert slept == [EPOCH + pause * SECOND]
