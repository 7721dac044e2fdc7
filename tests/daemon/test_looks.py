"""What of an application's passes is only a look that another daemon may make, and what is never left to one."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.daemon.application_task import ApplicationTask
from rotator.daemon.health_rounds import UnhealthyReason, unhealthy_reason
from rotator.daemon.look_shares import LookShares, Shares
from rotator.daemon.looks import LONGEST_LEFT, MOST_LEFT, leaves_only_a_look, longest_left, must_look_itself
from rotator.daemon.presence import MAX_FAILING, DaemonPresence, able_to_look, configuration_digest, parse_presence
from rotator.daemon.services import VAULT, ServiceState
from rotator.daemon.snapshot import ServiceSnapshot
from rotator.decision.observation import InFlightRotation
from rotator.decision.steps import Wait
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CompromisedKey, Hold, Intent, Problem, RetiringKey, RevokingKey, RotationMode
from rotator.domain.spec import ApplicationSpec, MaintenanceWindow
from rotator.domain.status import NextAction
from rotator.errors import Unavailable
from rotator.reconciler.context import PassOutcome
from tests.support.daemon_stage import application, runtime

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
INTERVAL = timedelta(minutes=15)
HOUR = timedelta(hours=1)
ME, OTHER = "0" * 16, "f" * 16
LEDGER = new_ledger(application())
INTENT = Intent("r1", 1, "-", "due", RotationMode.SCHEDULED, "me", NOW)
PROBLEM = Problem("quota", "the quota is used up", NOW)


def outcome(at: timedelta = 9 * HOUR, action: str = "rotate", **changes: Any) -> PassOutcome:
    following = NextAction(NOW + at, action, "its age")
    wait = Wait(min(following.at, NOW + INTERVAL), action, "", changes.pop("problem", None), following)
    return PassOutcome(changes.pop("wait", wait), **{"ledger": LEDGER, **changes})


def task(last: PassOutcome | None = None, **changes: Any) -> ApplicationTask:
    """An application after a pass with this outcome."""
    one = ApplicationTask(application(), runtime("billing"), started=NOW, due=NOW)
    for name, value in changes.items():
        setattr(one, name, value)
    one.due = one.conclude(last or outcome(), NOW)
    return one


def shares(*others: DaemonPresence, own: DaemonPresence | None = None) -> Shares:
    return Shares(own or presence(ME), others)


def presence(daemon: str, *failing: str, accounts: tuple[str, ...] = ("acme",)) -> DaemonPresence:
    return DaemonPresence(daemon, "0" * 64, frozenset(accounts), frozenset(failing))


def spec_of(owner: str, *daemons: str) -> ApplicationSpec:
    """An application that belongs to this one of the daemons."""
    for number in range(1000):
        one = application(f"app-{number}")
        if owner == max(daemons, key=lambda daemon: weight(daemon, one.application)):
            return one
    raise AssertionError


def weight(daemon: str, name: str) -> bytes:
    return hashlib.sha256(f"{daemon} {name}".encode()).digest()


# --- what is only a look ---


def test_a_look_that_is_left_is_due_again_at_its_place_in_the_next_interval() -> None:
    one = task()
    following = one.leave_look(OTHER, one.due)
    assert following == one.due + INTERVAL
    assert (one.left_to, one.left_at) == (OTHER, one.due)
    assert one.summary
    assert one.summary.next.at == NOW + 9 * HOUR, "what is due stays as it is"


def test_a_look_at_an_application_without_a_schedule_is_left_and_its_plan_goes_on_so_that_it_never_looks_late() -> None:
    specs = (application(f"app-{number}") for number in range(100))
    spec = next(spec for spec in specs if not must_look_itself(spec, NOW, NOW + 5 * INTERVAL))
    one, left = task(outcome(INTERVAL, "observe"), spec=spec), 0
    while (following := one.leave_look(OTHER, one.due)) is not None:  # until the daemon's own turn
        assert following == one.due + INTERVAL
        one.due, left = following, left + 1
        assert unhealthy_reason([one.snapshot()], [], one.due) is None
    assert left >= 3


def test_what_is_due_before_the_next_look_is_not_passed_over() -> None:
    one = task(outcome(INTERVAL + timedelta(minutes=1)))
    due = NOW + INTERVAL + timedelta(minutes=1)
    following = one.leave_look(OTHER, one.due)
    assert following is not None
    while following < due:
        before, following = following, one.leave_look(OTHER, following)
        assert following is not None
        assert before < following <= due
    assert following == due
    assert one.leave_look(OTHER, due) is None, "this daemon knows that it is due"
    assert one.leave_look(OTHER, due + HOUR) is None


GRACE = replace(LEDGER, retiring=(RetiringKey("SCW1", 1, NOW + 5 * HOUR, "x"),))


def test_a_look_at_an_application_in_grace_is_left_and_the_end_of_the_grace_is_not() -> None:
    one = task(outcome(5 * HOUR, "revoke", ledger=GRACE))
    assert one.leave_look(OTHER, one.due) == one.due + INTERVAL
    assert one.leave_look(OTHER, NOW + 5 * HOUR) is None


NEVER: dict[str, PassOutcome] = {
    "a problem": outcome(problem=PROBLEM),
    "a service that is away": outcome(error=Unavailable("no answer", service="vault", kind="timeout")),
    "a hold": outcome(INTERVAL, "held", ledger=replace(LEDGER, hold=Hold("x", "ann", NOW))),
    "a hold, whatever follows": outcome(ledger=replace(LEDGER, hold=Hold("x", "ann", NOW))),
    "a key scheduled for revocation": outcome(ledger=replace(LEDGER, revoking=(RevokingKey("SCW1", 1, "x"),))),
    "a compromised key": outcome(ledger=replace(LEDGER, compromised=(CompromisedKey("SCW1", "x", "ann", NOW),))),
    "a rotation of another process": outcome(INTERVAL + HOUR, "takeover", ledger=replace(LEDGER, intent=INTENT)),
    "no ledger": outcome(ledger=None),
    "a rotation that is due": outcome(timedelta(minutes=5)),
    "an earlier look": outcome(wait=Wait(NOW + timedelta(seconds=30), "x", "")),
}


@pytest.mark.parametrize("last", NEVER.values(), ids=NEVER)
def test_an_application_that_is_not_at_rest_is_looked_at_by_every_daemon(last: PassOutcome) -> None:
    assert not leaves_only_a_look(last)
    one = task(last)
    assert one.leave_look(OTHER, one.due) is None
    assert one.left_at is None


BUSY: dict[str, dict[str, Any]] = {
    "it was never looked at": {"summary": None},
    "it crashed": {"crashes": 1},
    "a command asks for it": {"expedited": True},
    "a pass is in the middle": {"passing": iter(())},
}


@pytest.mark.parametrize("changes", BUSY.values(), ids=BUSY)
def test_a_pass_that_is_more_than_a_look_is_not_left(changes: dict[str, Any]) -> None:
    one = task()
    for name, value in changes.items():
        setattr(one, name, value)
    assert one.leave_look(OTHER, one.due) is None


def test_a_rotation_in_memory_is_not_left() -> None:
    one = task()
    one.local_state.in_flight = InFlightRotation(INTENT)
    assert one.leave_look(OTHER, one.due) is None


def test_the_first_pass_under_another_configuration_is_not_left() -> None:
    one = task()
    one.pending_runtime = (one.spec, runtime("billing"))
    one.switch_runtime()
    assert one.leave_look(OTHER, one.due) is None
    one.conclude(outcome(), NOW)
    assert one.leave_look(OTHER, one.due) is not None


def test_an_application_that_left_the_configuration_is_looked_at_by_every_daemon() -> None:
    one = task(spec=application(configured=False))
    assert one.leave_look(OTHER, one.due) is None


def test_what_was_overdue_at_the_last_look_is_looked_at_by_every_daemon() -> None:
    """It may be rotated by now, and only a look tells; until then it would be called overdue."""
    one = task(spec=application(every=timedelta(days=1)))
    assert one.summary
    for overdue_at, left in ((one.due, False), (one.due + timedelta(seconds=1), True), (None, True)):
        one.summary = replace(one.summary, overdue_at=overdue_at)
        assert (one.leave_look(OTHER, one.due) is not None) is left


def test_a_pass_that_gets_through_ends_the_time_in_which_looks_were_left() -> None:
    one = task()
    left = one.due
    assert one.leave_look(OTHER, left)
    one.conclude(outcome(error=Unavailable("no answer", service="vault", kind="timeout")), NOW + HOUR)
    assert one.snapshot().left_at == left, "what is remembered is as old as before"
    one.conclude(outcome(), NOW + HOUR)
    assert one.snapshot().left_at is None


def test_a_look_that_was_left_to_a_daemon_that_is_gone_is_taken_back_soon() -> None:
    look_shares = LookShares(lambda: 0.0)
    one = task(spec=spec_of(OTHER, ME, OTHER))
    look_shares.remember_daemons({OTHER})
    look_shares.share(shares(presence(OTHER)), since=0.0)
    following = look_shares.leave(one, one.due)
    assert following
    left, one.due = one.due, following
    look_shares.look_alone()
    assert look_shares.take_back(one, left) is None, "it is there, and looks as well"
    look_shares.remember_daemons({"e" * 16})
    for busy in ("running", "parked"):
        setattr(one, busy, True)
        assert look_shares.take_back(one, left) is None
        setattr(one, busy, False)
    back = look_shares.take_back(one, left)
    assert back
    assert left <= back <= left + INTERVAL / 8
    assert look_shares.take_back(one, left) is None, "once"
    assert look_shares.take_back(task(), following) is None, "it was never left"


def test_a_look_that_is_due_before_it_would_be_taken_back_keeps_its_time() -> None:
    one, look_shares = task(spec=spec_of(OTHER, ME, OTHER)), LookShares(lambda: 0.0)
    look_shares.share(shares(presence(OTHER)), since=0.0)
    following = look_shares.leave(one, one.due)
    assert following
    one.due = following
    look_shares.remember_daemons(())
    assert look_shares.take_back(one, following) == following


# --- the daemon's own looks ---


@pytest.mark.parametrize(
    ("interval", "longest"),
    [
        (timedelta(seconds=2), MOST_LEFT * timedelta(seconds=2)),
        (INTERVAL, LONGEST_LEFT),
        (6 * HOUR, LONGEST_LEFT),
        (3 * LONGEST_LEFT, 3 * LONGEST_LEFT),
    ],
)
def test_looks_are_left_for_a_day_at_most_and_for_so_many_intervals(interval: timedelta, longest: timedelta) -> None:
    assert longest_left(application(resync_interval=interval)) == longest


def test_a_daemon_looks_itself_once_in_that_time() -> None:
    spec = application()
    own = [minute for minute in range(24 * 60) if must_look_itself(spec, NOW, NOW + timedelta(minutes=minute))]
    assert own == list(range(own[0], 24 * 60)), "from that moment on until it has"
    one = task()
    assert one.leave_look(OTHER, NOW + timedelta(minutes=own[0])) is None
    assert one.leave_look(OTHER, NOW + timedelta(minutes=own[0] - 1)) is not None


# --- whose look it is ---


def test_alone_every_look_is_its_own() -> None:
    assert not any(shares().owner(application(f"app-{number}")) for number in range(100))


def test_of_two_daemons_each_leaves_what_the_other_does_not() -> None:
    one, two = Shares(presence(ME), (presence(OTHER),)), Shares(presence(OTHER), (presence(ME),))
    left = [one.owner(application(f"app-{number}")) for number in range(1000)]
    assert set(left) == {OTHER, ""}
    assert [ME if not owner else "" for owner in left] == [
        two.owner(application(f"app-{number}")) for number in range(1000)
    ]
    assert 400 < left.count(OTHER) < 600


def test_a_daemon_that_cannot_look_at_an_application_is_given_none_and_leaves_none() -> None:
    for owner, left_to in ((OTHER, OTHER), (ME, "")):
        assert shares(presence(OTHER)).owner(spec_of(owner, ME, OTHER)) == left_to
    mine, others = spec_of(ME, ME, OTHER), spec_of(OTHER, ME, OTHER)
    for unable in (presence(OTHER, accounts=()), presence(OTHER, others.application), presence(OTHER, accounts=("b",))):
        assert not shares(unable).owner(others)
    for own in (presence(ME, accounts=()), presence(ME, mine.application, others.application)):
        assert not shares(presence(OTHER), own=own).owner(mine)
        assert not shares(presence(OTHER), own=own).owner(others)


def test_shares_are_believed_for_three_minutes_and_counted() -> None:
    seconds = [0.0]
    look_shares = LookShares(lambda: seconds[0])
    one = task(spec=spec_of(OTHER, ME, OTHER))
    assert (look_shares.daemons, look_shares.leave(one, one.due)) == (None, None)
    look_shares.share(shares(presence(OTHER)), since=10.0)
    for moment, daemons, left in ((10.0, 2, 1), (189.9, 2, 2), (190.0, 1, 2)):
        seconds[0] = moment
        assert look_shares.daemons == daemons
        assert (look_shares.leave(one, one.due) is not None) is (daemons == 2)
        assert look_shares.left == left
    seconds[0] = 10.0
    for own in (presence(ME), None):
        look_shares.look_alone(own)
        assert look_shares.daemons == (1 if own else None)
        assert look_shares.leave(one, one.due) is None


# --- what a daemon says of itself ---


def able(tasks: list[ApplicationTask], every: list[ServiceSnapshot]) -> tuple[set[str], set[str]]:
    accounts, failing = able_to_look([one.snapshot() for one in tasks], every, NOW)
    return set(accounts), set(failing)


def services(**states: ServiceState) -> list[ServiceSnapshot]:
    return [ServiceSnapshot(name, state, None, "", "") for name, state in {VAULT: ServiceState.UP, **states}.items()]


UP = ServiceState.UP


def test_a_daemon_can_look_at_the_accounts_that_answer_while_vault_does() -> None:
    every = services(acme=UP, beta=ServiceState.DOWN, gamma=ServiceState.SUSPECT)
    assert able([task()], every) == ({"acme"}, set())
    assert able([], services(vault=ServiceState.DOWN, acme=UP)) == (set(), set())


HERE: dict[str, dict[str, Any]] = {
    "never looked at": {"summary": None},
    "crashed": {"crashes": 1},
    "late": {"due": NOW - timedelta(minutes=3)},
}


@pytest.mark.parametrize("changes", HERE.values(), ids=HERE)
def test_an_application_that_hangs_crashes_or_was_not_looked_at_yet_is_named(changes: dict[str, Any]) -> None:
    one = task()
    for name, value in changes.items():
        setattr(one, name, value)
    assert able([one], services(acme=UP)) == ({"acme"}, {"billing"})


def test_an_emergency_is_named_so_that_every_daemon_sees_it() -> None:
    marked = replace(LEDGER, compromised=(CompromisedKey("SCW1", "leak", "me", NOW),))
    assert able([task(outcome(ledger=marked))], services(acme=UP)) == ({"acme"}, {"billing"})


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        *((reason, True) for reason in ("policy", "clock_skew", "rate_limited", "of_a_plugin")),
        *((reason, True) for reason in ("verification_failed", "publish_timeout", "stopping", "delete_refused")),
        *((reason, False) for reason in ("quota", "bearer_gone", "ledger_unreadable", "held")),
    ],
)
def test_a_problem_is_named_that_another_daemon_may_not_have(reason: str, named: bool) -> None:
    one = task(outcome(problem=Problem(reason, "so it is", NOW)))
    assert able([one], services(acme=UP))[1] == ({"billing"} if named else set())


def test_a_task_that_is_parked_or_in_time_is_not_late() -> None:
    parked = task()
    parked.parked, parked.due = True, NOW - HOUR
    in_time = task()
    in_time.due = NOW - timedelta(minutes=1)
    assert able([parked, in_time], services(acme=UP))[1] == set()


def test_an_account_with_too_many_failing_applications_is_left_out_as_a_whole() -> None:
    many = [
        replace(task().snapshot(), spec=application(f"app-{number}", account=account), summary=None)
        for account, count in (("acme", MAX_FAILING), ("beta", 1), ("gamma", 0))
        for number in range(count)
    ]
    accounts, failing = able_to_look(many, services(acme=UP, beta=UP, gamma=UP), NOW)
    assert (set(accounts), set(failing)) == ({"beta", "gamma"}, {"app-0"})


def test_a_presence_reads_back_as_it_was_written() -> None:
    one = DaemonPresence(ME, "a" * 64, frozenset({"acme", "beta"}), frozenset({"billing"}))
    assert parse_presence(one.as_json()) == one


DIFFERENT: dict[str, dict[str, Any]] = {
    "the path": {"path": "secret/apps/other"},
    "the bearer": {"bearer": "bearer-2"},
    "the account": {"account": "beta"},
    "the grace": {"grace": timedelta(hours=7)},
    "the interval of looks": {"resync_interval": HOUR},
    "the window": {"window": MaintenanceWindow(frozenset({0, 3}), 0, 60)},
    "the fields": {"fields": {"id": "{access_key}", "key": "{secret_key}"}},
}


@pytest.mark.parametrize("changes", DIFFERENT.values(), ids=DIFFERENT)
def test_two_configurations_that_differ_in_an_application_have_two_digests(changes: dict[str, Any]) -> None:
    other = application("other")
    digest = configuration_digest([application(), other])
    assert configuration_digest([other, application()]) == digest
    assert configuration_digest([application(**changes), other]) != digest
    assert configuration_digest([application()]) != digest


# --- what is told of an application whose looks are left ---


def test_an_application_whose_looks_are_left_is_well_and_one_whose_own_look_does_not_come_is_not() -> None:
    one = task()
    one.due = one.leave_look(OTHER, one.due) or NOW
    assert unhealthy_reason([one.snapshot()], [], one.due) is None
    late = one.due + one.spec.stale_claim_timeout + timedelta(seconds=1)
    assert unhealthy_reason([one.snapshot()], [], late) == UnhealthyReason("stuck", "billing")
