"""Several daemons of one installation that share their looks, in simulated time: what it costs, and who looks when one is gone,
hangs, lies, or has another configuration."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from rotator.daemon.look_shares import TAKE_BACK_SHARE
from rotator.daemon.looks import LONGEST_LEFT
from rotator.daemon.presence import EXPIRY, LATE, SCHEMA, DaemonPresence
from rotator.daemon.presence_keeper import RENEWAL_INTERVAL
from rotator.daemon.services import ServiceState
from rotator.domain.ledger import Problem
from rotator.domain.presence import MAX_DAEMONS
from rotator.errors import Unavailable
from tests.support.looks import INTERVAL, MINUTE, ROUND, Installation, SimDaemon
from tests.support.simulated import EPOCH, Recorder

SETTLING = 3 * RENEWAL_INTERVAL + INTERVAL
"""After so much time the daemons know of each other, and every look that was begun before is over."""

SECOND = timedelta(seconds=1)


def sharing(count: int, daemons: int, *accounts: str) -> Installation:
    """So many daemons that have shared their looks for a while."""
    made = Installation(count, accounts or ("acme",))
    made.add(daemons)
    made.run_for(SETTLING)
    return made


def told(sink: Recorder, *names: str) -> list[tuple[str, dict[str, object]]]:
    return [(name, fields) for name, fields in sink.events if name in (names or ("looks.shared", "looks.not_shared"))]


# --- the cost ---


@pytest.mark.parametrize(("count", "intervals"), [(1_000, 4), (10_000, 2)])
def test_three_daemons_on_idle_applications_look_as_often_in_sum_as_one(count: int, intervals: int) -> None:
    sums = {}
    for daemons in (1, 3):
        made = sharing(count, daemons)
        since = made.run_for(intervals * INTERVAL)
        looks = made.looks_by(since)
        sums[daemons] = sum(looks) / intervals / count
        assert made.longest_gap(since) <= INTERVAL + SECOND
        assert min(looks) > 0.6 * max(looks), looks
        assert [daemon.shares.daemons for daemon in made.daemons] == [daemons] * daemons
        assert made.presences() == set(made.stage.kv), "nothing else is written"
    assert sums[1] == 1.0
    assert 1.0 <= sums[3] <= 1.0 + 2 * (INTERVAL / LONGEST_LEFT) * 1.6, sums


def test_looks_of_a_share_are_spread_evenly_over_the_interval() -> None:
    made = sharing(3_000, 3)
    since = made.run_for(INTERVAL)
    for daemon in range(3):
        times = [when for looks in made.looks.values() for when, by in looks if by == daemon and when > since]
        tenths = Counter(int((when - since) / (INTERVAL / 10)) for when in times)
        assert all(50 < tenths[tenth] < 170 for tenth in range(10)), tenths


def test_a_daemon_that_joins_moves_only_its_own_share() -> None:
    made = sharing(1_000, 2)
    before = {name: looks[-1][1] for name, looks in made.looks.items()}
    made.add()
    made.run_for(SETTLING)
    since = made.run_for(INTERVAL)
    after = {name: [by for when, by in looks if when > since] for name, looks in made.looks.items()}
    moved = {name for name, daemons in after.items() if before[name] not in daemons}
    assert 200 < len(moved) < 470
    assert sum(2 not in after[name] for name in moved) < 50, "but for the few looks once a day"


def test_each_daemon_looks_at_every_application_once_a_day_whatever_the_others_say() -> None:
    made = sharing(60, 3)
    since = made.run_for(LONGEST_LEFT + INTERVAL)
    for looks in made.looks.values():
        assert {by for when, by in looks if when > since} == {0, 1, 2}
    alone = [
        when
        for name, looks in made.looks.items()
        for when, by in looks
        if when > since and by != Counter(one for at, one in looks if at > since).most_common(1)[0][0]
    ]
    quarters = Counter(int((when - since) / (LONGEST_LEFT / 4)) for when in alone)
    assert all(10 < quarters[quarter] < 60 for quarter in range(4)), "these looks are no wave"


# --- one is gone, or cannot ---


def assert_shared_by(made: Installation, *daemons: int) -> None:
    since = made.run_for(INTERVAL)
    looks = made.looks_by(since)
    assert made.longest_gap(since) <= INTERVAL + SECOND
    assert all(looks[number] > 0.2 * made.count for number in daemons), looks
    assert sum(looks) <= 1.05 * made.count


def test_the_applications_of_a_daemon_that_is_killed_are_looked_at_by_the_others() -> None:
    made = sharing(1_000, 3)
    made.daemons[1].kill()
    since = made.run_for(EXPIRY + RENEWAL_INTERVAL + INTERVAL)
    assert made.longest_gap(since) <= EXPIRY + RENEWAL_INTERVAL + INTERVAL
    assert all(any(when > since and by != 1 for when, by in looks) for looks in made.looks.values())
    heirs = [when for looks in made.looks.values() for when, by in looks if by != 1 and when > since + EXPIRY]
    minutes = Counter(int((when - since) / MINUTE) for when in heirs)
    assert max(minutes.values()) < 300, "they are spread over some minutes, and no wave"
    assert_shared_by(made, 0, 2)


LOSS = EXPIRY + RENEWAL_INTERVAL + INTERVAL / TAKE_BACK_SHARE + ROUND
"""How much longer than an interval a change waits at most when the daemon that would see it is gone."""


def owner(made: Installation, name: str) -> SimDaemon:
    """The living daemon in whose share the application is."""
    living = [daemon for daemon in made.daemons if daemon.alive]
    return max(living, key=lambda daemon: sha256(f"{daemon.keeper._daemon} {name}".encode()).digest())


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_change_that_a_lost_daemon_would_have_seen_is_seen_some_minutes_later(end: str) -> None:
    made = sharing(60, 3)
    name = next(name for name in made.applications if owner(made, name) is made.daemons[0])
    last = made.looks[name][-1][0]
    made.run_for(last + INTERVAL - 2 * SECOND - made.time.now)  # right before its next look
    assert made.looks[name][-1][0] == last
    getattr(made.daemons[0], end)()
    made.run_for(2 * INTERVAL)
    seen = min(when for when, _ in made.looks[name] if when > last)
    assert INTERVAL <= seen - last <= INTERVAL + (LOSS if end == "kill" else LOSS - EXPIRY)


def test_daemons_that_are_lost_one_after_the_other_delay_a_look_by_minutes_each() -> None:
    made = sharing(60, 6)
    name = next(iter(made.looks))
    last = made.looks[name][-1][0]
    made.run_for(last + INTERVAL - 2 * SECOND - made.time.now)
    for _ in range(5):
        owner(made, name).kill()
        made.run_for(EXPIRY)  # the next one is gone before it knows that the look is its own
    made.run_for(2 * INTERVAL)
    seen = min(when for when, _ in made.looks[name] if when > last)
    assert seen - last <= INTERVAL + 5 * LOSS


def test_a_daemon_that_is_stopped_takes_its_presence_back_and_the_others_wait_for_no_expiry() -> None:
    made = sharing(1_000, 3)
    made.daemons[1].stop()
    since = made.run_for(RENEWAL_INTERVAL + INTERVAL)
    assert all(any(when > since and by != 1 for when, by in looks) for looks in made.looks.values())
    assert [daemon.shares.daemons for daemon in (made.daemons[0], made.daemons[2])] == [2, 2]
    assert made.presences() == {"presence:1", "presence:2", "presence:3"}, "its place is free and stays"
    made.add()
    made.run_for(2 * MINUTE)
    assert made.presences() == {"presence:1", "presence:2", "presence:3"}, "the next one takes it"


def test_an_account_that_hangs_in_one_daemon_falls_to_the_others_and_the_other_account_stays() -> None:
    made = sharing(1_000, 3, "acme", "beta")
    made.daemons[0].hanging.add("beta")
    since = made.run_for(LATE + 2 * RENEWAL_INTERVAL + 2 * INTERVAL)
    assert all(any(when > since for when, _ in looks) for looks in made.looks.values())
    since = made.run_for(INTERVAL)
    assert made.longest_gap(since) <= INTERVAL + SECOND
    assert made.looks_by(since, "beta")[0] == 0
    assert made.looks_by(since, "acme")[0] > 100
    assert sum(made.looks_by(since)) <= 1.05 * made.count


def test_an_application_that_one_daemon_alone_cannot_look_at_falls_to_another_and_that_daemon_goes_on_trying() -> None:
    made = sharing(300, 3)
    name = next(name for name, looks in made.looks.items() if looks[-1][1] == 0)
    made.daemons[0].broken[name] = Problem("policy", "the policy of the login does not allow it", EPOCH)
    made.daemons[0].tasks[name].only_look = False  # it finds out now
    made.run_for(INTERVAL + 2 * RENEWAL_INTERVAL)
    since = made.run_for(INTERVAL)
    by = Counter(by for when, by in made.looks[name] if when > since)
    assert by[0] > 10
    assert by[1] + by[2] == 1
    assert sum(made.looks_by(since)) - by[0] <= 1.05 * made.count, "the others of the account stay shared"


def test_what_every_daemon_sees_of_an_application_takes_it_from_no_share() -> None:
    made = sharing(300, 3)
    problem = Problem("quota", "the quota is used up", EPOCH)
    for daemon in made.daemons:
        daemon.broken["app-00000"] = problem
        daemon.tasks["app-00000"].only_look = False
    made.run_for(INTERVAL + 2 * RENEWAL_INTERVAL)
    since = made.run_for(INTERVAL)
    others = sum(1 for name, looks in made.looks.items() if name != "app-00000" for when, _ in looks if when > since)
    assert others <= 1.05 * made.count


def test_a_daemon_that_says_it_is_well_and_never_looks_hides_nothing_for_longer_than_a_day() -> None:
    made = sharing(60, 3)
    made.daemons[2].lying = True
    since = made.run_for(LONGEST_LEFT + INTERVAL)
    assert made.longest_gap(since) <= LONGEST_LEFT + INTERVAL
    assert all({0, 1} <= {by for when, by in looks if when > since} for looks in made.looks.values())


def test_a_daemon_that_begins_gets_no_share_before_it_has_looked_at_every_application() -> None:
    made = sharing(1_000, 2)
    (new,) = made.add(hanging={"acme"})
    since = made.run_for(INTERVAL + 2 * RENEWAL_INTERVAL)
    assert made.longest_gap(since) <= INTERVAL + SECOND
    assert made.looks_by(since)[2] == 0
    assert new.shares.daemons == 3


# --- configurations ---


def test_while_a_daemon_has_another_configuration_every_daemon_looks_at_everything() -> None:
    made = sharing(300, 3)
    changed = {name: replace(spec, grace=timedelta(hours=9)) for name, spec in made.applications.items()}
    made.daemons[0].reload(changed)
    made.run_for(RENEWAL_INTERVAL)
    since = made.run_for(INTERVAL)
    assert made.looks_by(since) == [300, 300, 300]
    assert [daemon.shares.daemons for daemon in made.daemons] == [1, 1, 1]
    assert told(made.daemons[1].sink)[-1][1]["reason"] == "configuration"
    for daemon in made.daemons[1:]:
        daemon.reload(changed)
    made.run_for(2 * RENEWAL_INTERVAL + INTERVAL)
    assert_shared_by(made, 0, 1, 2)
    assert told(made.daemons[1].sink)[-1] == ("looks.shared", {"daemons": 3})


def test_after_a_reload_each_application_is_looked_at_once_by_every_daemon() -> None:
    made = sharing(300, 3)
    for daemon in made.daemons:
        daemon.reload(dict(made.applications))
    since = made.run_for(INTERVAL)
    assert made.looks_by(since) == [300, 300, 300]


def test_a_daemon_whose_option_is_removed_takes_its_presence_back_and_looks_at_everything() -> None:
    made = sharing(300, 3)
    made.daemons[0].runtime = replace(made.daemons[0].runtime, share_looks=False)
    made.daemons[0].keeper.follow()
    made.run_for(RENEWAL_INTERVAL + INTERVAL)
    since = made.run_for(INTERVAL)
    looks = made.looks_by(since)
    assert looks[0] == 300
    assert 300 <= looks[1] + looks[2] <= 310
    assert made.daemons[0].shares.daemons is None


# --- Vault, clocks and what others write ---


def test_a_presence_is_judged_by_the_clock_of_vault_and_not_by_those_of_the_machines() -> None:
    made = Installation(300)
    for error in (-3, 0, 5):
        made.add(clock_error=timedelta(hours=error))
    made.run_for(SETTLING)
    assert_shared_by(made, 0, 1, 2)


@pytest.mark.parametrize("call", ["read_presences", "write_presence"])
def test_where_presences_cannot_be_exchanged_every_daemon_looks_at_everything_and_says_so_once(call: str) -> None:
    made = sharing(300, 3)

    def away(name: str, phase: str) -> None:
        if name == call:
            raise Unavailable("Vault did not answer", service="vault", kind="timeout")

    made.stage.hook = away
    made.run_for(RENEWAL_INTERVAL)
    since = made.run_for(INTERVAL)
    assert made.looks_by(since) == [300, 300, 300]
    for daemon in made.daemons:
        assert told(daemon.sink)[-1] == (
            "looks.not_shared",
            {"reason": "unavailable", "message": "Vault did not answer"},
        )
        assert len(told(daemon.sink, "looks.not_shared")) == 1
    made.stage.hook = lambda name, phase: None
    made.run_for(2 * RENEWAL_INTERVAL + INTERVAL)
    assert_shared_by(made, 0, 1, 2)


def test_while_vault_is_down_it_is_not_asked_and_every_look_is_ones_own() -> None:
    made = sharing(300, 3)
    made.daemons[0].vault_state = ServiceState.DOWN
    made.stage.calls.clear()
    made.daemons[0].keeper.renew()
    assert made.stage.calls == []
    since = made.run_for(INTERVAL)
    assert made.looks_by(since)[0] == 300


def test_shares_that_are_not_renewed_are_not_believed_for_longer_than_a_presence() -> None:
    made = sharing(300, 3)
    suspended = made.daemons[0]
    suspended.renew = lambda: None  # type: ignore[method-assign]  # its worker hangs in a call
    made.run_for(RENEWAL_INTERVAL + EXPIRY)
    since = made.run_for(INTERVAL)
    assert made.looks_by(since)[0] == 300
    assert suspended.shares.daemons == 1


SOUND = DaemonPresence("0" * 16, "0" * 64, frozenset({"acme"}), frozenset()).as_json()
ODD: dict[str, dict[str, Any]] = {
    "of a newer schema": {**SOUND, "schema": SCHEMA + 1},
    "without a field": {name: value for name, value in SOUND.items() if name != "digest"},
    "with a field too many": {**SOUND, "note": "hello"},
    "with an id that is none": {**SOUND, "daemon": "../../applications"},
    "with a number for a text": {**SOUND, "digest": 7},
    "with accounts that are no list": {**SOUND, "accounts": {"acme": True}},
    "with a name that is none": {**SOUND, "accounts": ["acme\x1b[31m"]},
    "with too many accounts": {**SOUND, "accounts": [f"a{number}" for number in range(501)]},
    "with too many applications": {**SOUND, "failing": [f"a{number}" for number in range(101)]},
    "with a list in a list": {**SOUND, "failing": [["app"]]},
    "quite foreign": {"hello": "world"},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_document_that_is_no_presence_is_ignored_reported_once_and_not_overwritten(odd: dict[str, Any]) -> None:
    made = Installation(300)
    made.stage.append("presence:1", odd)
    made.add(2)

    def again() -> None:
        made.stage.append("presence:1", odd)
        made.at(made.time.now + MINUTE, again)

    again()
    made.run_for(SETTLING)
    assert_shared_by(made, 0, 1)
    assert made.stage.kv["presence:1"][-1].data == odd
    for daemon in made.daemons:
        assert told(daemon.sink, "looks.presence_ignored") == [("looks.presence_ignored", {"place": 1})]


def test_a_place_whose_document_nobody_renews_is_taken() -> None:
    made = Installation(10)
    made.stage.append("presence:1", {"hello": "world"})
    made.run_for(EXPIRY)
    made.add()
    made.run_for(MINUTE)
    assert made.stage.kv["presence:1"][-1].data["schema"] == SCHEMA


def test_a_presence_from_far_in_the_future_is_not_fresh_for_ever() -> None:
    made = Installation(300)
    made.add()
    own = made.daemons[0].keeper
    made.run_for(MINUTE)
    digest = made.stage.kv["presence:1"][-1].data["digest"]
    made.time.skew_vault = timedelta(days=300)
    made.stage.append("presence:2", {**SOUND, "digest": digest})
    made.time.skew_vault = timedelta(0)
    own.renew()
    assert made.daemons[0].shares.daemons == 1


def test_daemons_that_begin_together_take_places_of_their_own_and_one_too_many_looks_alone() -> None:
    made = Installation(10)
    made.add(MAX_DAEMONS + 1)
    made.run_for(SETTLING)
    assert len(made.presences()) == MAX_DAEMONS
    *among, last = made.daemons
    assert {daemon.shares.daemons for daemon in among} == {MAX_DAEMONS}
    assert last.shares.daemons == 1
    assert told(last.sink)[-1][1]["reason"] == "unavailable"
    since = made.run_for(INTERVAL)
    assert made.looks_by(since)[-1] == 10


def test_a_place_that_another_daemon_takes_in_the_same_moment_is_left_to_it() -> None:
    made = Installation(10)
    made.add()
    taken = itertools.count()

    def race(name: str, phase: str) -> None:
        if name == "write_presence" and phase == "before" and next(taken) == 0:
            made.stage.append("presence:1", SOUND)

    made.stage.hook = race
    made.run_for(SECOND)
    assert made.presences() == {"presence:1", "presence:2"}, "at once"
    assert made.stage.kv["presence:1"][-1].data == SOUND


def test_a_daemon_whose_place_is_always_taken_looks_at_everything() -> None:
    made = sharing(300, 2)

    def race(name: str, phase: str) -> None:
        if name == "write_presence" and phase == "before":
            made.stage.append("presence:1", made.stage.kv["presence:1"][-1].data)

    made.stage.hook = race
    made.daemons[0].keeper.renew()
    made.stage.hook = lambda name, phase: None
    assert told(made.daemons[0].sink)[-1][1]["reason"] == "unavailable"
    assert made.daemons[0].shares.daemons == 1
