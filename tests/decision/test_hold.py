"""A hold with an end: it is in force until every clock has passed its end, and then it leaves the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotator.decision.next_action import next_action
from rotator.decision.state import ApplicationState
from rotator.decision.status import overdue_at, status_of
from rotator.decision.steps import CheckPreconditions, DeleteKey, Event, Wait
from rotator.decision.transitions.hold import clear_hold, end_hold, set_hold
from rotator.domain.ledger import HistoryEntry, Hold, stronger_hold
from rotator.domain.status import NextAction
from tests.support.observations import (
    CURRENT,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    OTHER,
    PUBLISHED,
    SECOND,
    clocks,
    decided,
    key,
    ledger,
    mark,
    observe,
    records,
    retiring,
    revoking,
    waits,
)
from tests.support.simulated import spec


def hold(after: timedelta | None = None) -> Hold:
    """A hold that ends so long after now; None for one without an end."""
    return Hold("migration", "ops", NOW - DAY, None if after is None else NOW + after)


DUE: dict[str, Any] = {
    "keys": (key(created_at=NOW - 40 * DAY),),
    "ledger": {"current": replace(CURRENT, created_at=NOW - 40 * DAY)},
}


def due(held: Hold | None, **changes: Any) -> Any:
    return decided(observe(keys=DUE["keys"], ledger={**DUE["ledger"], "hold": held}, **changes))


@pytest.mark.parametrize(
    ("held", "shifts"),
    [
        (hold(), {}),
        (hold(SECOND), {}),
        (hold(-MINUTE), {"vault": -2 * MINUTE}),
        (hold(-MINUTE), {"provider": -2 * MINUTE}),
        (hold(HOUR), {"vault": 2 * HOUR, "provider": 2 * HOUR}),
    ],
    ids=[
        "without an end",
        "a second left",
        "not over for Vault",
        "not over for the provider",
        "not over for this machine",
    ],
)
def test_r13_a_hold_is_in_force_while_one_clock_has_not_passed_its_end(
    held: Hold, shifts: dict[str, timedelta]
) -> None:
    state = ApplicationState(spec(), observe(ledger={"hold": held}, clocks=clocks(**shifts)))
    assert state.on_hold
    step = due(held, clocks=clocks(**shifts))
    assert isinstance(step, Wait)
    assert step.reason == "held"


@pytest.mark.parametrize("after", [timedelta(0), -SECOND, -40 * DAY])
def test_r13_a_hold_whose_end_every_clock_has_passed_leaves_the_ledger_and_the_rest_goes_on(after: timedelta) -> None:
    held = hold(after)
    step = records(observe(ledger={"hold": held}))
    assert step.ledger.hold is None
    assert step.events == (Event("application.hold_ended", {"until": held.until, "reason": "migration", "by": "ops"}),)
    assert step.ledger.history[-1] == HistoryEntry(NOW, "resumed", "", reason="the hold of ops has ended")
    assert isinstance(due(None), CheckPreconditions), "the next step is the rotation that was held back"


def test_r9_an_emergency_does_not_wait_for_the_write_that_ends_a_hold() -> None:
    doomed = {
        "compromised": (mark(OTHER),),
        "revoking": (revoking(OTHER, reason="compromised"),),
        "hold": hold(-SECOND),
    }
    assert decided(observe(ledger=doomed)) == DeleteKey(OTHER, "compromised")
    spared = {**doomed, "hold": hold(SECOND)}
    assert waits(observe(ledger=spared)).reason == "held"


def test_i7_a_held_application_is_looked_at_when_its_hold_ends_by_the_slowest_clock() -> None:
    held = waits(observe(ledger={"hold": hold(MINUTE)}, clocks=clocks(vault=-20 * SECOND)))
    assert held == Wait(NOW + MINUTE + 20 * SECOND, "held", "held by ops: migration")
    far = waits(observe(ledger={"hold": hold(40 * DAY)}))
    assert far.until < NOW + DAY, "it is observed meanwhile as any other"


def test_an_emergency_that_goes_through_a_hold_is_not_put_off_to_its_end() -> None:
    marks = (replace(mark(PUBLISHED), override_hold=True),)
    state = ApplicationState(spec(), observe(ledger={"compromised": marks, "hold": hold(HOUR)}))
    assert next_action(state) == NextAction(
        NOW + timedelta(milliseconds=200), "contain", "an emergency goes through the hold"
    )


def test_the_status_of_a_hold_that_is_over_is_that_of_no_hold() -> None:
    late = {"retiring": (retiring(after=-DAY),)}
    free, held = (status_of(spec(), ledger(**late, hold=one), NOW) for one in (None, hold(-SECOND)))
    assert (held.phase, held.next, held.late) == (free.phase, free.next, free.late)
    assert held.phase == "overdue"
    assert overdue_at(spec(), ledger(**late, hold=hold(-SECOND))) == overdue_at(spec(), ledger(**late))
    assert status_of(spec(), ledger(hold=hold(SECOND)), NOW).phase == "held"


WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("held", "forgotten"),
    [
        (None, False),
        (Hold("x", "ops", NOW - WEEK), True),
        (Hold("x", "ops", NOW - WEEK + SECOND), False),
        (Hold("x", "ops", NOW - 40 * DAY, NOW + SECOND), False),
    ],
    ids=["none", "a week old", "not yet a week old", "with an end"],
)
def test_a_hold_without_an_end_is_forgotten_after_a_week(held: Hold | None, forgotten: bool) -> None:
    assert status_of(spec(), ledger(hold=held), NOW).hold_forgotten == forgotten


# --- orders of people -------------------------------------------------------------------------------------------------------


def until(after: timedelta | None) -> datetime | None:
    return None if after is None else NOW + after


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        (HOUR, DAY, DAY),
        (DAY, HOUR, DAY),
        (None, HOUR, None),
        (HOUR, None, None),
        (HOUR, HOUR, HOUR),
        (-HOUR, DAY, DAY),
        (-HOUR, None, None),
    ],
    ids=str,
)
def test_a_hold_never_ends_before_the_latest_end_that_was_asked_for(
    before: timedelta | None, wanted: timedelta | None, after: timedelta | None
) -> None:
    held = set_hold(ledger(hold=hold(before)), "freeze", "ann", NOW, until(wanted))
    assert held.hold is not None
    assert held.hold.until == until(after)
    changed = until(before) != until(after)
    assert (held.hold.by == "ann") == changed, "who set the hold that counts is named"
    assert (held == ledger(hold=hold(before))) != changed


def test_a_hold_that_is_over_is_cleared_by_a_pass_and_by_resume() -> None:
    over = ledger(hold=hold(-SECOND))
    assert clear_hold(over, "ann", NOW).hold is None
    ended, event = end_hold(over, hold(-SECOND), NOW)
    assert ended.hold is None
    assert event.name == "application.hold_ended"


@pytest.mark.parametrize(
    ("ours", "theirs", "kept"),
    [
        (None, None, None),
        (hold(HOUR), None, hold(HOUR)),
        (None, hold(HOUR), hold(HOUR)),
        (hold(HOUR), hold(DAY), hold(DAY)),
        (hold(HOUR), hold(), hold()),
        (hold(), hold(HOUR), hold()),
    ],
    ids=str,
)
def test_of_two_holds_that_meet_in_one_ledger_the_longer_one_stays(
    ours: Hold | None, theirs: Hold | None, kept: Hold | None
) -> None:
    assert stronger_hold(ours, theirs) == kept
