"""A mass rotation of one account: what it fixes first, whom it admits, how long it waits, and what it reports."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.domain.account import AccountDocument, MassRotation
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Unavailable
from rotator.operations.mass_rotation import admission, coordinator
from rotator.operations.mass_rotation.account_snapshot import AccountScope, take_snapshot
from rotator.operations.mass_rotation.coordinator import (
    RESUMABLE_FOR,
    RESUMABLE_FOR_COMPROMISE,
    MassRotationRequest,
    MassRotationResult,
    begin_mass_rotation,
    by_its_clock,
    run_mass_rotation,
    selected_applications,
)
from rotator.operations.mass_rotation.quota_wait import CLOCK_MARGIN, MAX_WAIT
from rotator.operations.mass_rotation.selection import Selection
from rotator.operations.refusal import OperationError
from rotator.reconciler.context import ReconcileContext
from tests.support.simulated import EPOCH, Actor, ActorClock, Recorder, Sim, SimProvider, spec
from tests.support.store import SimStore

DAY = timedelta(days=1)
NOW = EPOCH + timedelta(hours=1)
ORDER = MassRotation("i1", "--all", NOW, True, "leaked", "ops", NOW)
EVERYTHING = Selection()
ORDINARY = replace(ORDER, compromised=False, selector="--created-before x", reason="due")


class Counted(SimProvider):
    """The simulated API, which counts the questions for the quota."""

    questions = 0
    fresh: bool | None = None

    def headroom(self, *, fresh: bool = False) -> int | None:
        self.questions += 1
        self.fresh = fresh
        return super().headroom(fresh=fresh)


class Account:
    """An account of some applications, each with a published key, the first of which has the oldest."""

    def __init__(self, count: int = 3, **changes: Any) -> None:
        self.sim = Sim()
        self.sink = Recorder()
        self.passes = Recorder()
        self.provider = Counted(self.sim)
        self.specs: dict[str, ApplicationSpec] = {}
        self.slept: list[datetime] = []
        self.sim.time.now = NOW
        for number in range(count):
            one = spec(application=f"app-{number}", bearer=f"bearer-{number}", path=f"secret/apps/{number}", **changes)
            self.specs[one.application] = one
            self.sim.bearers.add(one.bearer)
            key, _ = self.sim.make_key(bearer=one.bearer, created=NOW - DAY * (count - number))
            self.sim.publish_by_hand(key.access_key, path=one.path)
            Actor(self.sim, one).run()
        self.sink.events.clear()

    @property
    def scope(self) -> AccountScope:
        return AccountScope(
            account="acme",
            provider=self.provider,
            vault=SimStore(self.sim),
            clock=ActorClock(self.sim.time),
            specs=self.specs,
            context=self.context,
            sink=self.sink,
            rate_limit=50.0,
        )

    def context(self, one: ApplicationSpec) -> ReconcileContext:
        return ReconcileContext(
            SimProvider(self.sim), SimStore(self.sim), ActorClock(self.sim.time), self.passes, "command"
        )

    def sleep(self, until: datetime) -> None:
        self.slept.append(until)
        assert len(self.slept) < 5_000, "it never ends"
        self.sim.time.now = max(self.sim.time.now, until)

    def run(self, order: MassRotation = ORDER, selection: Selection = EVERYTHING, **options: Any) -> MassRotationResult:
        options = {"again": False, "wait": False, **options}
        return run_mass_rotation(self.scope, selection, order, self.sleep, **options)

    def said(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.sink.events if name == event]

    def document(self) -> AccountDocument:
        return SimStore(self.sim).read_account("acme")[0]


def request(**changes: Any) -> MassRotationRequest:
    values: dict[str, Any] = {
        "selection": Selection(),
        "said_before": "2h",
        "created_before": NOW,
        "compromised": False,
        "reason": "leaked",
        "by": "ops",
        "at": NOW,
    }
    return MassRotationRequest(**{**values, **changes})


# --- what is fixed first --------------------------------------------------------------------------------------------------


def test_the_words_of_a_breach_hold_its_reason_and_the_words_of_another_one_do_not() -> None:
    assert request(compromised=True).selector == "--created-before 2h --compromised --reason leaked"
    assert request().selector == "--created-before 2h"
    assert request(said_before="").selector == "--all"


def test_a4_the_same_words_go_on_for_a_week_in_a_breach_for_an_hour_and_with_a_time_for_ever() -> None:
    assert request().since == NOW - RESUMABLE_FOR
    assert request(compromised=True).since == NOW - RESUMABLE_FOR_COMPROMISE
    assert request(fixed=True).since == request(fixed=True, compromised=True).since == datetime.min.replace(tzinfo=UTC)
    assert (timedelta(days=7), timedelta(hours=1)) == (RESUMABLE_FOR, RESUMABLE_FOR_COMPROMISE)


def test_an_order_has_all_that_was_requested_and_when_it_was_begun() -> None:
    begun = request(compromised=True, created_before=EPOCH).order("t1", NOW)
    assert begun == MassRotation(
        "t1", "--created-before 2h --compromised --reason leaked", EPOCH, True, "leaked", "ops", NOW, None
    )


def test_b_the_time_that_nobody_wrote_is_now_in_whole_seconds_by_the_clock_that_stamps_the_keys() -> None:
    account = Account()
    account.sim.time.now = NOW + timedelta(milliseconds=700)
    account.sim.time.skew_provider = timedelta(seconds=90)
    assert by_its_clock(account.scope, request(said_before="")).created_before == NOW + timedelta(seconds=90)
    assert by_its_clock(account.scope, request(created_before=EPOCH)).created_before == EPOCH


def test_a_mass_rotation_is_written_down_before_it_begins_and_the_same_words_find_it_again() -> None:
    account = Account()
    asked = request(said_before="", compromised=True)
    begun = begin_mass_rotation(account.scope, asked, account.sleep, "t1")
    assert begun == MassRotation("t1", asked.selector, NOW, True, "leaked", "ops", NOW)
    assert account.document().mass_rotations == (begun,)
    assert (account.provider.questions, account.provider.fresh) == (1, True)
    account.sim.time.advance(timedelta(minutes=59))
    assert begin_mass_rotation(account.scope, replace(asked, at=account.sim.time.now), account.sleep, "t2") == begun
    account.sim.time.advance(timedelta(minutes=2))
    later = begin_mass_rotation(account.scope, replace(asked, at=account.sim.time.now), account.sleep, "t3")
    assert (later.id, later.begun_at) == ("t3", account.sim.time.now)
    assert [one.id for one in account.document().mass_rotations] == ["t1", "t3"]


def test_a_time_that_was_written_needs_no_answer_of_the_provider_and_a_provider_that_is_away_stops_no_order() -> None:
    account = Account()
    begin_mass_rotation(account.scope, request(), account.sleep, "t1")
    assert account.provider.questions == 0

    class Away(SimProvider):
        def headroom(self, *, fresh: bool = False) -> int | None:
            raise Unavailable("acme is away", service="acme", kind="no_answer")

    scope = replace(account.scope, provider=Away(account.sim))
    assert begin_mass_rotation(scope, request(said_before=""), account.sleep, "t2").id == "t2"


# --- whose turn comes -----------------------------------------------------------------------------------------------------


def test_only_those_come_that_were_chosen_and_have_an_older_key() -> None:
    account = Account()
    chosen = selected_applications(take_snapshot(account.scope), Selection(names=("app-1", "app-2")), ORDER)
    assert [one.name for one in chosen] == ["app-1", "app-2"]
    older = replace(ORDER, created_before=NOW - DAY)
    assert [one.name for one in selected_applications(take_snapshot(account.scope), Selection(), older)] == [
        "app-0",
        "app-1",
    ]


# --- what is reported -----------------------------------------------------------------------------------------------------


def test_a_breach_is_reported_from_its_start_to_its_end_with_its_incident() -> None:
    account = Account()
    account.sim.quota = 20
    begin_mass_rotation(account.scope, request(compromised=True), account.sleep, "i1")
    order = account.document().mass_rotations[0]
    result = account.run(order, again=True)
    about = {"account": "acme", "incident": "i1"}
    assert account.said("mass_rotation.started") == [
        {
            **about,
            "created_before": NOW,
            "compromised": True,
            "reason": "leaked",
            "applications": 3,
            "begun_at": NOW,
            "again": True,
        }
    ]
    assert sorted(account.said("mass_rotation.application_done"), key=str) == [
        {**about, "application": name, "outcome": "contained"} for name in account.specs
    ]
    assert account.said("mass_rotation.application_failed") == []
    assert account.said("mass_rotation.finished") == [
        {**about, "rotated": 3, "broken": [], "without_room": [], "complete": True}
    ]
    assert (result.order, result.done, result.exit_code, result.rest, result.room_at) == (order, 3, 0, (), None)
    assert {one.application for one in result.results} == set(account.specs)
    assert result.coverage.complete
    assert result.coverage.created_before == NOW
    assert result.seconds == (account.sim.time.now - NOW).total_seconds() > 0
    assert account.document().mass_rotations[0].ended_at == account.sim.time.now


def test_the_marks_of_a_breach_bear_its_incident_its_reason_and_who_ordered_it() -> None:
    account = Account(1)
    account.run()
    (incident,) = account.sim.ledger("app-0").incidents
    assert (incident.id, incident.reason, incident.by) == ("i1", "leaked", "ops")
    assert "compromise.marked" in account.passes.names()


def test_a_breach_spares_the_key_that_was_made_since_and_revokes_the_older_one_in_grace() -> None:
    account = Account(1)
    account.sim.time.advance(timedelta(minutes=5))
    account.run(ORDINARY)
    published = account.sim.published_key("secret/apps/0")
    account.run()
    assert account.sim.published_key("secret/apps/0") == published
    assert account.sim.live_keys() == [published]


def test_what_is_broken_is_reported_stops_no_other_and_leaves_the_mass_rotation_open() -> None:
    account = Account()
    begin_mass_rotation(account.scope, request(compromised=True), account.sleep, "i1")
    account.sim.append("ledger:app-1", {"schema": 99})
    result = account.run(account.document().mass_rotations[0])
    (failed,) = account.said("mass_rotation.application_failed")
    assert (failed["application"], failed["account"], failed["incident"]) == ("app-1", "acme", "i1")
    assert failed["reason"] == "ledger_unreadable"
    assert "the ledger of app-1 was written by a newer rotator" in str(failed["message"])
    assert account.said("mass_rotation.started")[0]["applications"] == 2
    (finished,) = account.said("mass_rotation.finished")
    assert (finished["rotated"], finished["broken"], finished["complete"]) == (2, ["app-1"], False)
    assert ([one.application for one in result.broken], result.exit_code) == (["app-1"], 4)
    assert account.document().mass_rotations[0].ended_at is None


def test_a_ledger_that_cannot_be_read_is_no_failure_of_a_mass_rotation_that_is_not_about_it() -> None:
    account = Account()
    account.sim.append("ledger:app-1", {"schema": 99})
    result = account.run(selection=Selection(names=("app-0",)))
    assert [(one.application, one.exit_code) for one in result.results] == [("app-0", 0)]


def test_a5_who_found_no_room_is_named_with_the_time_of_the_next_grace_and_the_mass_rotation_stays_open() -> None:
    account = Account()
    account.sim.quota = 4
    begin_mass_rotation(account.scope, request(), account.sleep, "i1")
    result = account.run(account.document().mass_rotations[0])
    assert result.rest == ("app-1", "app-2")
    (grace,) = account.sim.ledger("app-0").retiring
    assert result.room_at == grace.revoke_after
    assert account.said("mass_rotation.finished")[0]["without_room"] == ["app-1", "app-2"]
    assert account.said("mass_rotation.waiting_for_quota") == []
    assert account.document().mass_rotations[0].ended_at is None
    assert [one.outcome for one in result.results] == ["rotated"]


def test_a5_where_no_ledger_names_a_grace_there_is_no_time_at_which_the_rest_can_follow() -> None:
    account = Account()
    account.sim.quota = 3
    result = account.run(ORDINARY)
    assert (result.rest, result.room_at, result.results) == (("app-0", "app-1", "app-2"), None, ())


def test_told_to_wait_it_looks_again_once_a_minute_and_at_the_end_of_a_grace() -> None:
    account = Account(2, grace=timedelta(seconds=150))
    account.sim.quota = 3
    account.run(ORDINARY, wait=True)
    waited = account.said("mass_rotation.waiting_for_quota")
    assert {(one["account"], one["incident"], one["applications"]) for one in waited} == {("acme", "i1", 1)}
    times = [one["until"] for one in waited]
    assert set(times) < set(account.slept)
    assert len(times) == 3
    assert times[1] - times[0] == MAX_WAIT  # type: ignore[operator]  # times
    assert times[2] - times[1] < MAX_WAIT  # type: ignore[operator]  # times


def test_a_grace_that_ends_within_the_minute_is_waited_for_and_its_key_is_revoked_without_a_daemon() -> None:
    account = Account(2)
    account.sim.quota = 3
    old = account.sim.published_key("secret/apps/0")
    assert old
    account.run(ORDINARY)
    (grace,) = account.sim.ledger("app-0").retiring
    account.sim.time.now = grace.revoke_after - timedelta(seconds=10)
    account.sink.events.clear()
    account.run(ORDINARY, wait=True)
    (waited,) = account.said("mass_rotation.waiting_for_quota")
    assert waited["until"] == grace.revoke_after + CLOCK_MARGIN
    assert not account.sim.live(old)
    assert len(account.sim.kv["doc:secret/apps/1"]) == 2


def test_room_that_others_make_is_used_while_a_rotation_is_still_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "QUOTA_REFRESH_INTERVAL", 0.01)
    monkeypatch.setattr(admission, "QUOTA_REFRESH_INTERVAL", 0.01)
    account, asked_again = Account(2), threading.Event()

    class Raised(Counted):
        def headroom(self, *, fresh: bool = False) -> int | None:
            self.questions += 1
            if self.questions > 1:
                asked_again.set()
            return 1 if self.questions == 1 else 50

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("create_key", "before"):
            assert asked_again.wait(60), "the room is asked for while a rotation is under way"

    account.provider, account.sim.hook = Raised(account.sim), hook
    assert account.run().done == 2


def test_what_another_process_rotated_meanwhile_is_not_rotated_again() -> None:
    account = Account(1)
    key, _ = account.sim.make_key(bearer="bearer-0", created=NOW)

    class Overtaken(Counted):
        def headroom(self, *, fresh: bool = False) -> int | None:
            self.sim.publish_by_hand(key.access_key, path="secret/apps/0")
            return None

    account.provider = Overtaken(account.sim)
    (result,) = account.run(ORDINARY).results
    assert (result.outcome, result.exit_code, result.access_key) == ("overtaken", 0, key.access_key)
    assert result.message == (
        f"another process was faster, so nothing was left to do: {key.access_key} is published at secret/apps/0"
    )


def test_a_document_that_was_removed_meanwhile_is_named_as_one_without_a_key() -> None:
    account = Account(1)

    class Removed(Counted):
        def headroom(self, *, fresh: bool = False) -> int | None:
            self.sim.remove("doc:secret/apps/0")
            return None

    account.provider = Removed(account.sim)
    (result,) = account.run(ORDINARY).results
    assert (result.outcome, result.access_key) == ("overtaken", "")
    assert "no key is published at secret/apps/0" in result.message


def test_a_vault_that_is_away_for_longer_than_the_patience_fails_the_application_by_name() -> None:
    account = Account(1)

    def away(name: str, phase: str) -> None:
        if name == "read_document" and account.sim.time.now < NOW + timedelta(minutes=30):
            raise Unavailable("Vault is sealed", service="vault", kind="sealed")

    account.sim.hook = away
    (result,) = account.run(ORDINARY).results
    assert (result.application, result.outcome, result.exit_code, result.message) == (
        "app-0",
        "unreachable",
        3,
        "Vault is sealed",
    )
    assert account.slept[0] - NOW < timedelta(seconds=1), "the first answer that is lost ends nothing"


# --- its end --------------------------------------------------------------------------------------------------------------


def test_a7_when_the_daemon_stops_no_more_are_admitted_and_those_under_way_are_waited_for() -> None:
    account = Account(3)
    account.sim.quota = 6 + 1  # room for two at once
    calls = threading.Lock()
    stopping: list[bool] = []

    def hook(name: str, phase: str) -> None:
        with calls:
            if name == "create_key":
                stopping.append(True)

    def go_on() -> None:
        if stopping:
            raise OperationError("stopping", "the daemon is stopping", 3)

    account.sim.hook = hook
    with pytest.raises(OperationError, match="the daemon is stopping"):
        account.run(go_on=go_on)
    assert [len(account.sim.kv[f"doc:secret/apps/{number}"]) for number in range(3)] == [2, 2, 1]
    assert account.said("mass_rotation.finished") == []


def test_a_defect_of_the_program_is_the_result_of_its_application_and_stops_no_other() -> None:
    account = Account(2)

    def defect(name: str, phase: str) -> None:
        if name == "create_key" and threading.current_thread().name == broken[0]:
            raise ZeroDivisionError

    broken: list[str] = []
    plain = account.context

    def context(one: ApplicationSpec) -> ReconcileContext:
        if one.application == "app-0":
            broken[:] = [threading.current_thread().name]
        return plain(one)

    account.context, account.sim.hook = context, defect  # type: ignore[method-assign]  # app-0 has a thread of its own
    account.sim.quota = 6
    by_name = {one.application: one for one in account.run().results}
    assert (by_name["app-0"].outcome, by_name["app-0"].exit_code) == ("failed", 1)
    assert "ZeroDivisionError" in by_name["app-0"].message
    assert by_name["app-1"].exit_code == 0


def test_ctrl_c_under_a_rotation_ends_the_command() -> None:
    account = Account(1)

    def interrupted(name: str, phase: str) -> None:
        if name == "create_key":
            raise KeyboardInterrupt

    account.sim.hook = interrupted
    with pytest.raises(KeyboardInterrupt):
        account.run()
