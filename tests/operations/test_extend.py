"""``rotator extend``: what it says is what becomes of the keys."""

from __future__ import annotations

from datetime import datetime, timedelta

from rotator.operations.commands.extend import extend
from rotator.operations.result import OperationResult
from tests.support.scenarios import DAY, HOUR, adopted, failing, lost, once, rotate
from tests.support.simulated import Actor, Sim


def in_grace() -> tuple[Sim, Actor, str]:
    """A world after a rotation a moment ago, and its key in grace."""
    sim, daemon, first = adopted()
    rotate(daemon)
    return sim, daemon, first


def extended(actor: Actor, longer: timedelta, by: str = "ops") -> OperationResult:
    """The order, as the command line gives it."""

    def sleep(until: datetime) -> None:
        actor.sim.time.now = max(actor.sim.time.now, until)

    return extend(actor.spec, actor.context, sleep, longer, by)


def deadline(sim: Sim) -> datetime:
    """The end of the grace, by the ledger."""
    (entry,) = sim.ledger().retiring
    return entry.revoke_after


def test_i8_an_extension_that_would_end_in_the_past_is_refused_and_says_how_long_it_must_be() -> None:
    sim, daemon, first = in_grace()
    before = deadline(sim)
    sim.time.advance(24 * HOUR + 30 * HOUR)  # the daemon was away for 30 hours after the deadline
    result = extended(daemon, DAY)
    assert result.exit_code == 4
    assert first in result.message
    assert "more than 1d6h" in result.message
    assert deadline(sim) == before
    assert extended(daemon, 31 * HOUR).exit_code == 0
    daemon.run()
    assert sim.live(first)


def test_two_operators_who_extend_at_once_both_get_what_they_asked_for() -> None:
    sim, daemon, first = in_grace()
    before = deadline(sim)
    other = Actor(sim, daemon.spec, owner="second")
    results: list[OperationResult] = []
    once(sim, "write_ledger", "before", lambda: results.append(extended(other, DAY)))
    results.append(extended(daemon, DAY))
    assert [result.exit_code for result in results] == [0, 0]
    assert deadline(sim) == before + 2 * DAY
    assert results[-1].until == {first: before + 2 * DAY}


def test_an_extension_whose_answer_was_lost_counts_once() -> None:
    sim, daemon, _ = in_grace()
    before = deadline(sim)
    failing(sim, "write_ledger", lost(), phase="after", times=1)
    assert extended(daemon, DAY).exit_code == 0
    assert deadline(sim) == before + DAY
