"""What the status of one application says: its phase, what comes next, what is late, and the entry of ``status --json``."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.decision.status import mismatch_problem, overdue_at, phase_and_lateness, status_of, unreadable_status
from rotator.domain.ledger import CompromisedKey, CurrentKey, Hold, Ledger, Predecessor, Problem
from rotator.domain.status import PHASES, NextAction
from rotator.util.formatting import format_timestamp
from tests.support.observations import (
    BORN,
    CURRENT,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    OTHER,
    PUBLISHED,
    SECOND,
    THIRD,
    VERSION,
    WRITTEN,
    intent,
    ledger,
    mark,
    retiring,
    revoking,
)
from tests.support.simulated import PATH, spec

HOLD = Hold("audit", "ops", NOW - HOUR)
TIMEOUT = spec().verification.timeout


def test_an_application_without_a_ledger_is_new_and_observed_now() -> None:
    status = status_of(spec(), None, NOW)
    assert (status.phase, status.next, status.problem) == ("new", NextAction(NOW, "observe", "no ledger yet"), None)
    assert (status.name, status.ledger, status.as_of, status.late) == ("billing", None, NOW, timedelta(0))
    assert not status.hold_forgotten


def test_an_application_without_a_ledger_has_the_phase_of_what_its_daemon_saw() -> None:
    seen = Problem("vault_permission_missing", "Vault denies it", NOW)
    status = status_of(spec(), None, NOW, seen)
    assert (status.phase, status.problem) == ("blocked", seen)


def test_a_ledger_that_cannot_be_read_is_a_phase_of_its_own_with_its_reason() -> None:
    status = unreadable_status(spec(), "ledger_unreadable", "it is damaged", NOW)
    assert (status.spec, status.ledger, status.as_of, status.phase) == (spec(), None, NOW, "unreadable")
    assert status.next == NextAction(NOW, "observe", "the ledger cannot be read")
    assert status.problem == Problem("ledger_unreadable", "it is damaged", NOW)


FAILED = Problem("verification_failed", "the key was never valid", NOW - MINUTE)
BLOCKED = Problem("quota", "the bearer has too many keys", NOW - MINUTE)
TRUTHS: dict[str, dict[str, Any]] = {
    "compromised": {"compromised": (mark(),)},
    "held": {"hold": replace(HOLD, until=NOW + HOUR)},
    "rotating": {"intent": intent()},
    "failing": {"failures": 1},
    "blocked": {"problem": BLOCKED},
    "overdue": {"retiring": (retiring(after=-DAY),)},
    "revoking": {"revoking": (revoking(THIRD),)},
    "grace": {"retiring": (retiring(after=HOUR),)},
    "new": {"current": None},
    "idle": {},
}


@pytest.mark.parametrize("phase", TRUTHS)
def test_the_phase_is_the_first_that_is_true(phase: str) -> None:
    assert status_of(spec(), ledger(**TRUTHS[phase]), NOW).phase == phase


@pytest.mark.parametrize("less", TRUTHS)
@pytest.mark.parametrize("phase", TRUTHS)
@pytest.mark.parametrize("owner", ["", "invoices"])
def test_a_scrape_and_the_status_agree_about_the_phase_and_about_what_is_late(
    phase: str, less: str, owner: str
) -> None:
    of, held = spec(owner=owner), ledger(**{**TRUTHS[less], **TRUTHS[phase]})
    for observed in (None, BLOCKED):
        status = status_of(of, held, NOW, observed)
        assert phase_and_lateness(of, held, NOW, observed) == (status.phase, status.late)
    assert phase_and_lateness(of, None, NOW, BLOCKED) == ("blocked", timedelta(0))


@pytest.mark.parametrize(
    ("phase", "less"),
    [
        ("compromised", "held"),
        ("held", "rotating"),
        ("rotating", "failing"),
        ("rotating", "blocked"),
        ("failing", "overdue"),
        ("blocked", "overdue"),
        ("overdue", "revoking"),
        ("revoking", "grace"),
        ("grace", "new"),
    ],
)
def test_the_more_pressing_of_two_phases_is_shown(phase: str, less: str) -> None:
    assert PHASES.index(phase) < PHASES.index(less)
    assert status_of(spec(), ledger(**{**TRUTHS[less], **TRUTHS[phase]}), NOW).phase == phase


@pytest.mark.parametrize(
    ("reason", "phase"),
    [
        ("verification_failed", "failing"),
        ("quota", "blocked"),
        ("ledger_unreadable", "unreadable"),
        ("held", "idle"),
        ("never heard", "failing"),
    ],
)
def test_the_phase_of_a_problem_is_that_of_its_reason(reason: str, phase: str) -> None:
    assert status_of(spec(), ledger(problem=Problem(reason, "", NOW)), NOW).phase == phase


def test_failures_are_no_phase_beside_a_problem_that_blocks() -> None:
    assert status_of(spec(), ledger(failures=2, problem=BLOCKED), NOW).phase == "blocked"


def test_the_problem_is_what_the_configuration_contradicts_else_the_ledgers_else_the_daemons() -> None:
    seen = Problem("delete_refused", "no right to delete", NOW)
    assert status_of(spec(), ledger(), NOW, seen).problem == seen
    assert status_of(spec(), ledger(problem=BLOCKED), NOW, seen).problem == BLOCKED
    moved = status_of(spec(), ledger(problem=BLOCKED, path="secret/other"), NOW, seen)
    assert moved.problem == mismatch_problem(spec(), ledger(path="secret/other"), NOW)
    assert moved.problem is not None
    assert (moved.problem.since, moved.phase) == (NOW, "blocked")


def test_a_ledger_that_fits_the_configuration_has_no_problem_of_its_own() -> None:
    assert mismatch_problem(spec(), ledger(), NOW) is None


@pytest.mark.parametrize(("owner", "successor"), [("invoices", ""), ("", "invoices"), ("invoices", "invoices")])
def test_c5_what_another_application_owns_is_blocked_whatever_its_ledger_holds(owner: str, successor: str) -> None:
    held = ledger(successor=successor, hold=HOLD, retiring=(retiring(after=-DAY),))
    status = status_of(spec(owner=owner), held, NOW)
    assert (status.phase, status.next) == ("blocked", NextAction(NOW, "observe", "another application owns it"))
    assert status.problem is not None
    assert (status.problem.reason, status.problem.since) == ("superseded", NOW)
    assert "billing" in status.problem.message
    assert "invoices" in status.problem.message
    assert (status.ledger, status.as_of, status.spec.owner, status.late) == (held, NOW, owner, timedelta(0))


# --- what comes next, and what is late ---


def test_an_application_at_rest_rotates_when_its_interval_ends() -> None:
    status = status_of(spec(), ledger(), NOW)
    assert (status.next.action, status.late, status.overdue) == ("rotate", timedelta(0), False)
    assert NOW < status.next.at <= BORN + 33 * DAY


def test_a_grace_that_has_ended_is_late_since_its_end_and_named() -> None:
    status = status_of(spec(), ledger(retiring=(retiring(after=-HOUR),)), NOW)
    assert status.next == NextAction(NOW - HOUR, "revoke", f"grace of {OTHER} ended")
    assert (status.late, status.overdue) == (HOUR, True)


def test_a_grace_that_ends_this_moment_is_due_and_not_yet_overdue() -> None:
    status = status_of(spec(), ledger(retiring=(retiring(after=timedelta(0)),)), NOW)
    assert status.next == NextAction(NOW, "revoke", f"grace of {OTHER} ended")
    assert (status.late, status.overdue) == (timedelta(0), False)


def test_what_is_late_is_overdue_only_when_it_takes_longer_than_a_verification() -> None:
    assert not status_of(spec(), ledger(retiring=(retiring(after=-TIMEOUT),)), NOW).overdue
    assert status_of(spec(), ledger(retiring=(retiring(after=-TIMEOUT - SECOND),)), NOW).overdue


def test_a_key_that_a_former_document_still_publishes_is_not_late() -> None:
    former = Predecessor("invoices", "secret/former", "access_key", "secret_key", taken_over=True, access_key=OTHER)
    kept = ledger(retiring=(retiring(after=-DAY),), predecessors=(former,))
    status = status_of(spec(), kept, NOW)
    assert (status.late, status.next.action) == (timedelta(0), "rotate")


def test_an_emergency_is_late_since_the_mark_and_comes_before_everything_else() -> None:
    status = status_of(spec(), ledger(compromised=(mark(PUBLISHED),), retiring=(retiring(after=-DAY),)), NOW)
    assert status.next == NextAction(NOW - MINUTE, "contain", f"{PUBLISHED} is compromised")
    assert status.late == MINUTE


def test_a_hold_owes_nothing_but_an_emergency_that_goes_through_it() -> None:
    late = {"hold": HOLD, "retiring": (retiring(after=-DAY),)}
    assert status_of(spec(), ledger(**late), NOW).late == timedelta(0)
    assert status_of(spec(), ledger(**late, compromised=(mark(),)), NOW).late == timedelta(0)
    status = status_of(spec(), ledger(**late, compromised=(replace(mark(), override_hold=True),)), NOW)
    assert (status.late, status.next.action) == (MINUTE, "contain")


def old(**changes: Any) -> Ledger:
    """A ledger whose current key is a hundred days old."""
    born = NOW - 100 * DAY
    return ledger(**{"current": CurrentKey(PUBLISHED, VERSION, born, born, None, born), **changes})


def test_i7_a_rotation_that_was_missed_is_late_whoever_restarts() -> None:
    status = status_of(spec(), old(), NOW)
    assert (status.phase, status.next.action) == ("overdue", "rotate")
    assert status.next.at == NOW - status.late
    assert 66 * DAY < status.late <= 70 * DAY


def test_i7_a_rotation_is_late_since_it_was_due_from_the_moment_that_it_is_overdue_on() -> None:
    spread = spec(startup_spread=HOUR)
    latest = overdue_at(spread, old())
    assert latest is not None
    assert status_of(spread, old(), latest).late == HOUR
    assert status_of(spread, old(), latest - SECOND).late == timedelta(0)


def test_i7_a_rotation_whose_retry_waits_is_late_and_shown_with_the_time_of_the_retry() -> None:
    retry = NOW + HOUR
    status = status_of(spec(), old(failures=1, not_before=retry), NOW)
    assert status.late > 66 * DAY
    assert (status.next.action, status.next.at) == ("rotate", retry)


def test_a_retry_whose_time_has_come_no_longer_hides_since_when_the_rotation_is_late() -> None:
    status = status_of(spec(), old(failures=1, not_before=NOW), NOW)
    assert status.next.at == NOW - status.late


def test_the_retry_of_a_rotation_does_not_hide_a_grace_that_ended() -> None:
    waiting = old(failures=1, not_before=NOW + HOUR, retiring=(retiring(after=-HOUR),))
    assert status_of(spec(), waiting, NOW).next == NextAction(NOW - HOUR, "revoke", f"grace of {OTHER} ended")


def test_a_removed_application_owes_no_rotation() -> None:
    assert status_of(spec(configured=False), old(), NOW).late == timedelta(0)
    assert overdue_at(spec(configured=False), old()) is None


def test_i7_the_policy_says_from_when_on_something_is_overdue_whatever_holds_it_back() -> None:
    alone = overdue_at(spec(), ledger())
    assert alone is not None
    assert BORN + 30 * DAY <= alone <= BORN + 33 * DAY
    assert overdue_at(spec(), ledger(hold=HOLD)) == alone
    assert overdue_at(spec(), ledger(retiring=(retiring(),))) == NOW + HOUR
    assert overdue_at(spec(), ledger(hold=HOLD, compromised=(mark(),))) == NOW - MINUTE
    assert overdue_at(spec(every=None), ledger()) is None


# --- status --json ---


def test_the_entry_of_an_application_without_a_ledger_says_so_with_nulls() -> None:
    assert status_of(spec(), None, NOW).as_json() == {
        "name": "billing",
        "account": "acme",
        "path": PATH,
        "configured": True,
        "as_of": format_timestamp(NOW),
        "phase": "new",
        "current": None,
        "retiring": [],
        "revoking": [],
        "compromised": [],
        "hold": None,
        "next": {"action": "observe", "at": format_timestamp(NOW), "reason": "no ledger yet"},
        "overdue_seconds": 0,
        "problem": None,
    }


def test_the_entry_of_an_application_in_trouble_names_every_key_with_its_time() -> None:
    full = ledger(
        current=CurrentKey(PUBLISHED, VERSION, WRITTEN, BORN, NOW + DAY, WRITTEN, "nightly invoices"),
        retiring=(retiring(after=-HOUR),),
        revoking=(revoking(THIRD, not_before=NOW + HOUR), revoking("SCWFOURTH")),
        compromised=(CompromisedKey(THIRD, "leaked", "ops", NOW - MINUTE, incident="i1"),),
        hold=HOLD,
        problem=BLOCKED,
    )
    entry = status_of(spec(configured=False), full, NOW).as_json()
    assert entry["configured"] is False
    assert entry["current"] == {
        "access_key": PUBLISHED,
        "since": format_timestamp(WRITTEN),
        "version": VERSION,
        "created_at": format_timestamp(BORN),
        "expires_at": format_timestamp(NOW + DAY),
        "purpose": "nightly invoices",
        "age_seconds": 10 * 86400,
    }
    assert entry["retiring"] == [
        {"access_key": OTHER, "revoke_after": format_timestamp(NOW - HOUR), "reason": "replaced"}
    ]
    assert entry["revoking"] == [
        {"access_key": THIRD, "reason": "replaced", "not_before": format_timestamp(NOW + HOUR)},
        {"access_key": "SCWFOURTH", "reason": "replaced", "not_before": None},
    ]
    assert entry["compromised"] == [
        {"access_key": THIRD, "reason": "leaked", "by": "ops", "at": format_timestamp(NOW - MINUTE), "incident": "i1"}
    ]
    assert entry["hold"] == {"reason": "audit", "by": "ops", "at": format_timestamp(NOW - HOUR), "until": None}
    assert entry["problem"] == {"reason": "quota", "message": BLOCKED.message, "since": format_timestamp(NOW - MINUTE)}
    assert entry["overdue_seconds"] == 0


def test_the_entry_names_the_end_of_a_hold_that_has_one() -> None:
    entry = status_of(spec(), ledger(hold=replace(HOLD, until=NOW + HOUR)), NOW).as_json()
    assert entry["hold"]["until"] == format_timestamp(NOW + HOUR)


def test_the_entry_counts_what_is_late_in_seconds_and_a_purpose_that_is_not_set_is_null() -> None:
    entry = status_of(spec(), ledger(retiring=(retiring(after=-HOUR),)), NOW).as_json()
    assert (entry["overdue_seconds"], entry["current"]["purpose"]) == (3600, None)


def test_a_key_whose_birth_is_not_known_is_as_old_as_its_publication() -> None:
    entry = status_of(spec(), ledger(current=replace(CURRENT, created_at=None)), NOW).as_json()
    assert (entry["current"]["created_at"], entry["current"]["age_seconds"]) == (None, 9 * 86400)


def test_the_entry_of_a_ledger_that_cannot_be_read_says_null_for_what_only_it_tells_and_never_an_empty_list() -> None:
    view = unreadable_status(spec(), "ledger_unreadable", "it is damaged", NOW)
    entry = view.as_json()
    unknown = {"current", "retiring", "revoking", "compromised", "hold", "overdue_seconds"}
    assert {name for name, value in entry.items() if value is None} == unknown
    assert (entry["phase"], entry["name"], view.known) == ("unreadable", "billing", False)
    read = status_of(spec(), ledger(problem=Problem("ledger_unreadable", "", NOW)), NOW)
    assert (read.phase, read.known, read.as_json()["retiring"]) == ("unreadable", True, [])


def test_a_hold_that_has_ended_holds_nothing() -> None:
    ended = replace(HOLD, until=NOW - MINUTE)
    assert status_of(spec(), ledger(hold=ended), NOW).next == status_of(spec(), ledger(), NOW).next
