"""One application in the daemon: what a pass leaves behind, and how it goes over to another configuration."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.daemon.application_task import ApplicationTask, PassResult, PassSummary, result_of, used_runtimes
from rotator.daemon.looks import SHORTEST
from rotator.daemon.removed_applications import RemovedApplications, remove_from_configuration
from rotator.decision.observation import InFlightRotation
from rotator.decision.ownership import REMOVED_CLAIM_TIMEOUT
from rotator.decision.steps import Wait
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.keys import Key
from rotator.domain.ledger import (
    CompromisedKey,
    CurrentKey,
    HistoryEntry,
    Hold,
    Intent,
    Ledger,
    Problem,
    RetiringKey,
    RevokingKey,
    RotationMode,
)
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec
from rotator.domain.status import NextAction
from rotator.errors import (
    Indeterminate,
    LedgerUnreadable,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    Refused,
    RotatorError,
    Unavailable,
)
from rotator.reconciler.context import LocalState, PassOutcome
from tests.support.daemon_stage import FakeFleet, application, runtime
from tests.support.simulated import Recorder

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WAIT = Wait(NOW + HOUR, "observe", "nothing is due")
PROBLEM = Problem("quota", "the quota is used up", NOW)
WELL = PassSummary(PassResult.OK, NextAction(NOW + HOUR, "observe", ""))
INTENT = Intent("r1", 1, "-", "due", RotationMode.SCHEDULED, "me", NOW)


def task(made: FakeFleet | None = None, **changes: Any) -> ApplicationTask:
    made = made or runtime("billing")
    return ApplicationTask(**{"spec": application(), "runtime": made, "started": NOW, "due": NOW, **changes})


def ledger(**changes: Any) -> Ledger:
    return replace(new_ledger(application()), current=CurrentKey("SCW1", 1, NOW, NOW), **changes)


# --- what a pass leaves behind --------------------------------------------------------------------------------------------


def test_a_pass_without_a_problem_is_a_success_and_its_ledger_is_kept_without_its_past() -> None:
    one = task(crashes=3)
    past = ledger(history=(HistoryEntry(NOW, "rotated", "SCW1"),))
    keys = (Key("SCW1", "b", "", NOW), Key("SCW2", "b", "", NOW))
    assert one.conclude(PassOutcome(WAIT, past, keys=keys), NOW) == NOW + HOUR
    assert (one.crashes, one.last_reconciled_at, one.last_success_at, one.key_count) == (0, NOW, NOW, 2)
    assert one.ledger == past.without_past()
    assert one.summary is not None
    assert (one.summary.result, one.summary.next, one.result) == (
        PassResult.OK,
        NextAction(NOW + HOUR, "observe", "nothing is due"),
        PassResult.OK,
    )


def test_what_a_pass_did_not_see_stays_as_it_was_seen_before() -> None:
    one = task(key_count=2, ledger=ledger(), last_success_at=NOW - HOUR, last_reconciled_at=NOW - HOUR)
    one.conclude(PassOutcome(WAIT, error=Unavailable("away", service="vault", kind="sealed")), NOW)
    assert (one.key_count, one.ledger) == (2, ledger())
    assert (one.last_success_at, one.last_reconciled_at) == (NOW - HOUR, NOW - HOUR)


def test_a_pass_that_was_stopped_by_a_problem_got_through_and_is_no_success() -> None:
    one = task()
    one.conclude(PassOutcome(replace(WAIT, problem=PROBLEM), ledger()), NOW)
    assert (one.last_reconciled_at, one.last_success_at) == (NOW, None)
    assert one.summary is not None
    assert (one.summary.problem, one.summary.observed, one.summary.settled) == (PROBLEM, PROBLEM, True)


def test_the_next_pass_never_begins_at_once() -> None:
    assert task().conclude(PassOutcome(replace(WAIT, until=NOW)), NOW) == NOW + SHORTEST
    assert task().conclude(PassOutcome(replace(WAIT, until=NOW + SHORTEST * 2)), NOW) == NOW + SHORTEST * 2


def test_a_pass_says_what_comes_next_where_the_decision_did() -> None:
    one = task()
    one.conclude(PassOutcome(replace(WAIT, next=NextAction(NOW, "rotate", "due"))), NOW)
    assert one.summary is not None
    assert one.summary.next == NextAction(NOW, "rotate", "due")


@pytest.mark.parametrize(
    ("changes", "urgent", "settled", "in_grace"),
    [
        ({}, False, True, 0),
        ({"retiring": (RetiringKey("SCW0", 0, NOW, ""), RetiringKey("SCW9", 0, NOW, ""))}, False, False, 2),
        ({"revoking": (RevokingKey("SCW0", 0, ""),)}, False, False, 0),
        ({"compromised": (CompromisedKey("SCW0", "leak", "ops", NOW),)}, True, False, 0),
        ({"intent": INTENT}, False, False, 0),
        ({"intent": replace(INTENT, mode=RotationMode.COMPROMISED)}, True, False, 0),
    ],
)
def test_a_ledger_says_whether_it_is_urgent_and_whether_anything_is_left_to_do(
    changes: dict[str, Any], urgent: bool, settled: bool, in_grace: int
) -> None:
    one = task()
    one.conclude(PassOutcome(WAIT, ledger(**changes)), NOW)
    assert one.summary is not None
    assert (one.summary.urgent, one.summary.settled, one.summary.in_grace) == (urgent, settled, in_grace)


def test_after_an_error_nothing_counts_as_done() -> None:
    one = task()
    one.conclude(PassOutcome(WAIT, ledger(), error=NotFound("no bearer", service="acme", kind="not_found")), NOW)
    assert one.summary is not None
    assert not one.summary.settled


def test_a_hold_and_what_is_overdue_are_remembered() -> None:
    one = task(spec=application(every=timedelta(days=30)))
    old = CurrentKey("SCW1", 1, NOW - timedelta(days=40), NOW - timedelta(days=40))
    one.conclude(PassOutcome(WAIT, ledger(hold=Hold("x", "ops", NOW))), NOW)
    assert one.summary is not None
    assert one.summary.on_hold
    late = task(spec=one.spec)
    late.conclude(PassOutcome(WAIT, replace(ledger(), current=old)), NOW)
    assert late.summary is not None
    assert not late.summary.on_hold
    assert late.summary.overdue_at is not None
    assert late.summary.overdue_at < NOW


@pytest.mark.parametrize(
    ("error", "away", "unreadable"),
    [
        (Unavailable("x", service="vault", kind="sealed"), True, False),
        (Indeterminate("x", service="vault", kind="lost"), True, False),
        (LedgerUnreadable("x"), False, True),
        (Refused("x"), False, False),
    ],
)
def test_a_service_that_is_away_is_no_problem_of_the_application(
    error: RotatorError, away: bool, unreadable: bool
) -> None:
    for seen in (None, ledger()):
        one = task()
        one.conclude(PassOutcome(replace(WAIT, problem=PROBLEM), seen, error=error), NOW)
        assert one.summary is not None
        assert (one.summary.service_away, one.summary.unreadable) == (away, unreadable)
        assert one.summary.problem == PROBLEM
        assert one.summary.observed == (None if away else PROBLEM)


@pytest.mark.parametrize(
    ("error", "result", "exit_code"),
    [
        (Unavailable("x", service="vault", kind="sealed"), PassResult.UNREACHABLE, 3),
        (Indeterminate("x", service="vault", kind="lost"), PassResult.UNREACHABLE, 3),
        (PermissionDenied("x", service="vault", kind="policy"), PassResult.FAILED, 1),
        (Refused("x"), PassResult.REFUSED, 4),
        (QuotaExceeded("x", service="acme", resource="keys", current=1, quota=1), PassResult.REFUSED, 4),
    ],
)
def test_an_error_stands_for_the_result_that_its_exit_code_says(
    error: RotatorError, result: PassResult, exit_code: int
) -> None:
    assert result_of(error) is result
    assert result.exit_code == exit_code
    one = task()
    one.conclude(PassOutcome(WAIT, error=error), NOW)
    assert one.result is result


def test_the_result_of_a_problem_is_that_of_its_reason_and_of_no_pass_that_of_a_service() -> None:
    one, crashed = task(), task(crashes=1, summary=WELL)
    one.conclude(PassOutcome(replace(WAIT, problem=PROBLEM), ledger()), NOW)
    assert [task().result, one.result, crashed.result] == [
        PassResult.UNREACHABLE,
        PassResult.REFUSED,
        PassResult.FAILED,
    ]
    assert PassResult.OK.exit_code == 0


# --- its place among others -----------------------------------------------------------------------------------------------


def in_flight(key: str = "", mode: RotationMode = RotationMode.SCHEDULED, *, publish_sent: bool = False) -> LocalState:
    made = Key(key, "b", "", NOW) if key else None
    secret = Secret("s") if key else None
    return LocalState(InFlightRotation(replace(INTENT, mode=mode), key=made, secret=secret, publish_sent=publish_sent))


def test_a_task_holds_a_key_from_the_create_on() -> None:
    assert not task().holding
    assert not task(local_state=in_flight()).holding
    assert task(local_state=in_flight("SCW2")).holding


def test_what_endangers_consumers_is_urgent_and_what_an_operator_asked_for_too() -> None:
    assert not task().urgent
    assert task(expedited=True).urgent
    assert task(local_state=in_flight(mode=RotationMode.COMPROMISED)).urgent
    assert not task(local_state=in_flight()).urgent
    assert task(summary=replace(WELL, urgent=True)).urgent
    assert not task(summary=WELL).urgent


def test_only_what_is_between_two_passes_and_not_urgent_may_wait_for_a_service() -> None:
    assert task().may_wait
    assert not task(local_state=in_flight()).may_wait
    assert not task(expedited=True).may_wait
    assert not task(passing=iter(())).may_wait


def test_readers_see_every_fact_and_no_secret() -> None:
    later = NOW + HOUR
    one = task(
        due=later,
        running=True,
        parked=True,
        crashes=2,
        summary=WELL,
        ledger=ledger(),
        key_count=3,
        last_reconciled_at=NOW,
        last_success_at=later,
        left_at=later,
        local_state=replace(in_flight("SCW2"), unmanaged_keys=frozenset({"SCW7", "SCW8"})),
    )
    seen = one.snapshot()
    assert {
        "spec": one.spec,
        "started": NOW,
        "due": later,
        "running": True,
        "parked": True,
        "holding": True,
        "rotating": True,
        "crashes": 2,
        "summary": WELL,
        "ledger": ledger(),
        "key_count": 3,
        "unmanaged_key_count": 2,
        "last_reconciled_at": NOW,
        "last_success_at": later,
        "left_at": later,
    } == vars(seen)
    assert not task().snapshot().rotating
    assert seen.name == "billing"


# --- another configuration ------------------------------------------------------------------------------------------------


def switched(spec: ApplicationSpec, **changes: Any) -> tuple[ApplicationTask, bool]:
    one = task(ledger=ledger(), key_count=2, local_state=LocalState(floor=7, reported=PROBLEM), **changes)
    one._world = object()  # type: ignore[assignment]  # the connections of the former configuration
    other = runtime("other")
    one.pending_runtime = (spec, other)
    return one, one.switch_runtime()


def test_the_same_policy_keeps_everything_and_is_no_change() -> None:
    one, changed = switched(application())
    assert not changed
    assert (one.ledger, one.key_count, one.local_state.floor) == (ledger(), 2, 7)
    assert one.pending_runtime is None
    assert one._world is None
    assert one.runtime is not task().runtime


def test_another_policy_of_the_same_document_keeps_what_was_seen() -> None:
    one, changed = switched(application(grace=HOUR))
    assert changed
    assert (one.spec.grace, one.ledger, one.key_count, one.local_state.floor) == (HOUR, ledger(), 2, 7)


@pytest.mark.parametrize("change", [{"account": "other"}, {"bearer": "another"}, {"path": "secret/elsewhere"}])
def test_another_account_bearer_or_path_forgets_what_was_seen_there_but_not_what_was_reported(
    change: dict[str, Any],
) -> None:
    one, changed = switched(application(**change))
    assert changed
    assert (one.ledger, one.key_count, one.local_state) == (None, None, LocalState(reported=PROBLEM))


@pytest.mark.parametrize("middle", [{"running": True}, {"passing": iter(())}])
def test_a_task_does_not_go_over_in_the_middle_of_a_pass(middle: dict[str, Any]) -> None:
    one, changed = switched(application(grace=HOUR), **middle)
    assert not changed
    assert one.pending_runtime is not None
    assert one.spec == application()


def test_nothing_pending_is_no_change() -> None:
    assert not task().switch_runtime()


def test_the_runtimes_in_use_are_those_of_now_and_those_that_wait() -> None:
    one, two, waiting = runtime("a"), runtime("b"), runtime("c")
    tasks = [task(one), task(two, pending_runtime=(application(), waiting))]
    assert [id(used) for used in used_runtimes(tasks)] == [id(one), id(waiting), id(two)]


# --- the end of the daemon ------------------------------------------------------------------------------------------------


class Pass:
    """A pass in the middle."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def __next__(self) -> datetime:
        return NOW


def test_what_is_not_published_when_the_time_is_up_is_to_be_revoked() -> None:
    made, middle = runtime("billing"), Pass()
    made.stages["acme"].sealed = True  # the next pass gets no further than its first call
    one = task(made, local_state=in_flight("SCW2"), abandoning=True, passing=middle)
    one.advance()
    assert middle.closed
    assert not one.abandoning
    assert one.local_state.in_flight is not None
    failure = one.local_state.in_flight.failure
    assert failure is not None
    assert (failure.reason, failure.message) == (
        "stopping",
        "the daemon was stopped before the new key was verified and published",
    )


def test_a_publish_that_was_sent_is_not_given_up() -> None:
    middle = Pass()
    one = task(local_state=in_flight("SCW2", publish_sent=True), abandoning=True, passing=middle)
    assert one.advance() == NOW
    assert not middle.closed
    assert not one.abandoning
    assert one.local_state.in_flight is not None
    assert one.local_state.in_flight.failure is None


def test_an_error_of_the_program_ends_the_pass_so_that_the_next_one_begins_anew() -> None:
    made = runtime("billing")

    def odd(name: str, phase: str) -> None:
        raise KeyError("odd")

    made.stages["acme"].hook = odd
    one = task(made, expedited=True)
    with pytest.raises(KeyError):
        one.advance()
    assert one.passing is None
    assert not one.expedited


# --- applications that left -----------------------------------------------------------------------------------------------


def test_c17_a_removed_application_gets_a_parked_task_unless_it_has_one_or_its_account_left() -> None:
    made = runtime("kept")
    removed = RemovedApplications(Recorder())
    found = {
        "gone": application("gone", configured=False),
        "known": application("known", configured=False),
        "kept": application("kept", configured=False),
        "away": application("away", account="left", configured=False),
    }
    (one,) = removed.tasks(found, {"known"}, made, NOW)
    assert (one.name, one.runtime, one.started, one.due, one.parked) == ("gone", made, NOW, NOW, True)


def test_an_application_whose_account_left_too_is_reported_once_and_one_with_an_owner_never() -> None:
    sink = Recorder()
    removed = RemovedApplications(sink)
    stuck = [
        application("owned", account="left", owner="kept"),
        application("here"),
        application("away", account="left"),
        application("too", account="left"),
    ]
    removed.report_stuck(stuck, runtime("kept"))
    removed.report_stuck(stuck, runtime("kept"))
    assert [fields["application"] for _, fields in sink.events] == ["away", "too"]
    assert sink.events[0] == (
        "daemon.removed_application_stuck",
        {
            "application": "away",
            "account": "left",
            "message": "its account left left the configuration too: put that back, so that old keys can be revoked on time",
        },
    )


def test_a_task_whose_application_left_only_revokes_from_its_next_pass_on() -> None:
    one, fresh = task(), runtime("kept")
    remove_from_configuration(one, fresh)
    assert (one.spec.configured, one.spec.owner, one.spec.stale_claim_timeout) == (False, "", REMOVED_CLAIM_TIMEOUT)
    assert one.runtime is fresh


def test_a_task_whose_account_left_goes_on_with_its_old_connections() -> None:
    before = runtime("billing", accounts={"billing": "left"})
    one = task(before, spec=application(account="left"))
    remove_from_configuration(one, runtime("kept"))
    assert one.runtime is before


@pytest.mark.parametrize("same", [{"bearer": application().bearer}, {"path": application().path}])
def test_c5_the_owner_of_a_removed_application_is_the_one_that_has_its_bearer_or_its_document(
    same: dict[str, Any],
) -> None:
    fresh = runtime("renamed")
    fresh.applications["renamed"] = application("renamed", **same)
    one = task(running=True)
    remove_from_configuration(one, fresh)
    assert one.spec == application(), "a pass that runs ends as it began"
    assert one.pending_runtime is not None
    assert one.pending_runtime[0].owner == "renamed"
