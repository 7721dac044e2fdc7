"""How many applications may be under way at once: never so many that their keys would not fit, whoever makes them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.domain.ports import NullEventSink, TapSink
from rotator.domain.spec import VerificationPolicy
from rotator.observability.events import CATALOGUE
from rotator.operations.mass_rotation.admission import QUOTA_REFRESH_INTERVAL, AdmissionController, AdmissionRecorder
from rotator.operations.mass_rotation.estimate import estimate, max_parallel, request_count
from rotator.operations.mass_rotation.free_quota import PARALLEL_WITHOUT_QUOTA, RESERVE, free_slots
from tests.support.simulated import Recorder

QUICK = VerificationPolicy(2, timedelta(seconds=0.5), timedelta(minutes=1))
SLOW = VerificationPolicy(3, timedelta(seconds=10), timedelta(minutes=5))


@pytest.mark.parametrize(
    ("room", "unmade", "under_way", "expected"),
    [
        (20, 0, 0, 20 - RESERVE),
        (20, 5, 9, 20 - RESERVE - 5),
        (RESERVE, 0, 0, 1),
        (1, 0, 0, 1),
        (0, 0, 0, 0),
        (1, 1, 0, 0),
        (RESERVE, 0, 1, 0),
        (None, 0, 0, PARALLEL_WITHOUT_QUOTA),
        (None, 2, PARALLEL_WITHOUT_QUOTA, 0),
    ],
)
def test_whoever_is_let_in_could_make_a_key_and_so_could_all_who_made_none_yet(
    room: int | None, unmade: int, under_way: int, expected: int
) -> None:
    assert free_slots(room, unmade, under_way) == expected


class Room:
    """What the provider would say, and a clock."""

    def __init__(self, room: int | None) -> None:
        self.room = room
        self.asked = 0
        self.time = 0.0

    def __call__(self) -> int | None:
        self.asked += 1
        return self.room

    def now(self) -> float:
        return self.time


def gate_of(room: Room, most: int = 64) -> AdmissionController:
    return AdmissionController(room, most, now=room.now)


def let_in(admission: AdmissionController, count: int, prefix: str = "app") -> list[str]:
    names = [f"{prefix}-{number}" for number in range(count)]
    return [name for name in names if admission.try_admit(name, needs_room=True)]


def test_a5_no_more_are_let_in_than_there_is_room_for_less_the_reserve() -> None:
    room = Room(10)
    assert len(let_in(gate_of(room), 50)) == 10 - RESERVE
    assert room.asked == 1


def test_no_more_are_let_in_than_may_be_under_way_at_once() -> None:
    admission = gate_of(Room(100), most=3)
    assert let_in(admission, 9) == ["app-0", "app-1", "app-2"]
    admission.finished("app-1")
    assert admission.try_admit("next", needs_room=True)


def test_an_application_that_needs_no_key_does_not_wait_for_room() -> None:
    admission = gate_of(Room(0))
    assert admission.try_admit("grace-only", needs_room=False)
    assert not admission.try_admit("other", needs_room=True)


def test_the_last_one_under_way_lets_the_provider_be_asked_at_once() -> None:
    """Else a mass rotation would end for want of room that there is."""
    room = Room(1)
    admission = gate_of(room)
    assert let_in(admission, 2) == ["app-0"]
    admission.key_created("app-0")
    admission.finished("app-0")
    assert let_in(admission, 1, "next") == ["next-0"]


def test_who_left_makes_room_only_when_the_provider_says_so() -> None:
    """Without a compromise the old key stays for its grace, so that who is done has freed nothing."""
    room = Room(4)
    admission = gate_of(room)
    first = let_in(admission, 9)
    assert len(first) == 2
    for name in first:
        admission.key_created(name)
        admission.finished(name)
    room.room = 2
    room.time += QUOTA_REFRESH_INTERVAL
    assert len(let_in(admission, 9, "later")) == 1
    room.room, room.time = 1, room.time + QUOTA_REFRESH_INTERVAL
    assert not let_in(admission, 9, "last")


def test_the_provider_is_asked_again_only_after_a_moment_and_only_when_it_matters() -> None:
    room = Room(4)
    admission = gate_of(room)
    let_in(admission, 20)
    assert room.asked == 1
    room.time += QUOTA_REFRESH_INTERVAL
    let_in(admission, 20, "more")
    assert room.asked == 2


def test_a_key_that_was_made_makes_room_for_the_next_one_at_once() -> None:
    """The provider has counted it; what it counts is not counted twice."""
    room = Room(RESERVE + 2)
    admission = gate_of(room)
    assert len(let_in(admission, 9)) == 2
    admission.key_created("app-0")
    room.room, room.time = RESERVE + 1 + 1, QUOTA_REFRESH_INTERVAL  # one was made, and somebody deleted another
    assert len(let_in(admission, 9, "next")) == 1


def test_a3_a_rotation_that_is_begun_anew_counts_as_one_that_made_no_key() -> None:
    room = Room(RESERVE + 2)
    admission = gate_of(room)
    keeper = TapSink(NullEventSink(), AdmissionRecorder(admission).saw)
    let_in(admission, 2)
    keeper.emit("rotation.created", application="app-0")
    keeper.emit("rotation.claimed", application="app-0")
    room.time += QUOTA_REFRESH_INTERVAL
    assert not let_in(admission, 9, "next")


def test_a_provider_that_tells_no_room_gets_few_at_once_and_one_that_stopped_telling_none() -> None:
    unavailable = gate_of(Room(None))
    assert len(let_in(unavailable, 20)) == PARALLEL_WITHOUT_QUOTA
    room = Room(RESERVE + 1)
    admission = gate_of(room)
    let_in(admission, 1)
    room.room, room.time = None, QUOTA_REFRESH_INTERVAL
    assert not let_in(admission, 9, "next")


@given(
    quota=st.integers(1, 30),
    steps=st.lists(st.tuples(st.sampled_from(["admit", "create", "end", "tick"]), st.integers(0, 40)), max_size=120),
    keeps=st.booleans(),
)
def test_a5_whatever_happens_in_between_no_create_ever_finds_the_quota_used_up(
    quota: int, steps: list[tuple[str, int]], keeps: bool
) -> None:
    """``keeps``: the old key stays (its grace). Keys of others and lost answers are what the reserve is for. It is two keys, and the
    first rotation of all may take them: then a create can be refused for lack of quota, and its application waits."""
    truth, room = {"keys": 0}, Room(quota)
    admission = gate_of(room)
    keeper = TapSink(NullEventSink(), AdmissionRecorder(admission).saw)
    waiting: list[str] = []
    made: list[str] = []
    for number, (step, which) in enumerate(steps):
        room.room = quota - truth["keys"]
        if step == "admit" and admission.try_admit(f"app-{number}", needs_room=True):
            waiting.append(f"app-{number}")
        elif step == "create" and waiting:
            name = waiting.pop(which % len(waiting))
            truth["keys"] += 1
            keeper.emit("rotation.created", application=name)
            made.append(name)
        elif step == "end" and made:
            admission.finished(made.pop(which % len(made)))
            truth["keys"] -= 0 if keeps else 1
        elif step == "tick":
            room.time += QUOTA_REFRESH_INTERVAL
        assert truth["keys"] + len(waiting) <= quota


def test_an_estimate_is_bound_by_the_rate_of_calls_or_by_the_room() -> None:
    roomy, narrow = estimate(1000, 500, 50.0, QUICK), estimate(1000, RESERVE + 1, 50.0, QUICK)
    assert roomy.calls == narrow.calls == 1000 * request_count(QUICK)
    assert roomy.duration == timedelta(seconds=1000 * request_count(QUICK) / 50)
    assert narrow.at_once == 1
    assert narrow.duration > roomy.duration
    assert max_parallel(50.0, SLOW) > max_parallel(50.0, QUICK) > max_parallel(5.0, QUICK) >= 1


def test_a_rotation_takes_its_calls_and_the_pauses_between_the_answers_of_two_verifications() -> None:
    """Two lists, the create, the delete and three answers of each verification: ten calls; two pauses of ten seconds each time."""
    assert request_count(SLOW) == 10
    alone = estimate(1, 50, 1000.0, SLOW)
    assert (alone.duration, alone.calls) == (timedelta(seconds=2 * 2 * 10 + 10 * 0.25), 10)
    assert alone.at_once == 50 - RESERVE
    assert estimate(49, 50, 1000.0, SLOW).duration == 2 * alone.duration
    assert estimate(1, 0, 1000.0, SLOW).at_once == 1
    assert max_parallel(1.0, SLOW) == 6
    assert max_parallel(1000.0, SLOW) == 64


def test_a_key_that_exists_is_reported_to_the_gate_and_everything_is_passed_on() -> None:
    room, sink = Room(RESERVE + 2), Recorder()
    admission = gate_of(room)
    keeper = TapSink(sink, AdmissionRecorder(admission).saw)
    assert let_in(admission, 9) == ["app-0", "app-1"]
    event = {"access_key": "SCW1", "rotation_id": "r1", "version": 1, "base": 0}
    created = {name: event.get(name, "x") for name in CATALOGUE["rotation.created"].fields}
    keeper.emit("rotation.created", application="app-0", **created)
    assert sink.events == [("rotation.created", {"application": "app-0", **created})]
    room.room, room.time = RESERVE + 2, QUOTA_REFRESH_INTERVAL  # an old key was deleted as well
    assert let_in(admission, 9, "next") == ["next-0"], "only app-1 has made no key yet"
