"""The sentence for ``systemctl status``."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.daemon.application_task import ApplicationTask, PassResult, PassSummary
from rotator.daemon.services import ServiceState
from rotator.daemon.snapshot import ServiceSnapshot, TaskSnapshot
from rotator.daemon.status_line import status_line
from rotator.domain.ledger import Problem
from rotator.domain.status import NextAction
from tests.support.daemon_stage import application, runtime

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WELL = PassSummary(PassResult.OK, NextAction(NOW + timedelta(hours=1), "observe", "nothing is due"))
PROBLEM = Problem("no_room", "there is no room", NOW)


def seen(name: str = "billing", summary: PassSummary | None = WELL, *, holding: bool = False) -> TaskSnapshot:
    task = ApplicationTask(application(name), runtime(name), started=NOW, due=NOW, summary=summary).snapshot()
    return replace(task, holding=holding)


def next_(action: str, wait: timedelta, **changes: Any) -> PassSummary:
    return replace(WELL, next=NextAction(NOW + wait, action, ""), **changes)


def service(
    state: ServiceState, name: str = "vault", since: datetime | None = NOW - timedelta(minutes=3)
) -> ServiceSnapshot:
    return ServiceSnapshot(name, state, since, "no_answer", "")


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([], "0 applications"),
        ([seen()], "1 application"),
        ([seen("a"), seen("b", None)], "2 applications"),
        ([seen("a", replace(WELL, in_grace=2)), seen("b", replace(WELL, in_grace=1))], "2 applications: 2 in grace"),
        ([seen(holding=True)], "1 application: 1 rotating"),
        ([seen(summary=None, holding=True)], "1 application: 1 rotating"),
        ([seen(summary=replace(WELL, urgent=True))], "1 application: 1 in an emergency"),
        ([seen(summary=next_("held", SECOND))], "1 application: 1 held"),
        ([seen(summary=replace(WELL, problem=PROBLEM))], "1 application: 1 with a problem"),
        (
            [seen("a", replace(WELL, urgent=True, problem=PROBLEM)), seen("b", replace(WELL, in_grace=1))],
            "2 applications: 1 in grace, 1 in an emergency, 1 with a problem",
        ),
    ],
)
def test_it_counts_what_the_applications_are_in(tasks: list[TaskSnapshot], expected: str) -> None:
    assert status_line(tasks, [], NOW) == expected


@pytest.mark.parametrize(
    ("action", "wait", "expected"),
    [
        ("rotate", timedelta(hours=4, minutes=30), "next: billing rotates in 4h"),
        ("revoke", timedelta(days=2), "next: billing revokes an old key in 2d"),
        ("takeover", timedelta(minutes=5), "next: billing takes over a rotation in 5m"),
        ("fence", SECOND, "next: billing tidies up after a failed rotation in 1s"),
        ("rotate", SECOND * 0.9, "next: billing rotates now"),
        ("rotate", -SECOND, "next: billing rotates now"),
    ],
)
def test_it_says_what_comes_next_and_when(action: str, wait: timedelta, expected: str) -> None:
    assert status_line([seen(summary=next_(action, wait))], [], NOW) == f"1 application; {expected}"


def test_the_first_of_all_comes_next_and_a_look_is_no_action() -> None:
    tasks = [
        seen("a", next_("observe", SECOND)),
        seen("b", next_("rotate", 9 * SECOND)),
        seen("c", next_("revoke", 5 * SECOND)),
    ]
    assert status_line(tasks, [], NOW) == "3 applications; next: c revokes an old key in 5s"


@pytest.mark.parametrize(
    ("away", "expected"),
    [
        (service(ServiceState.UP), ""),
        (service(ServiceState.SUSPECT), ""),
        (service(ServiceState.UNKNOWN), "; Vault: no answer yet"),
        (service(ServiceState.DOWN, since=None), "; Vault: no answer yet"),
        (service(ServiceState.DOWN), "; Vault: no answer for 3m"),
        (service(ServiceState.DOWN, "acme"), "; account acme: no answer for 3m"),
    ],
)
def test_it_names_a_service_that_is_away_and_since_when(away: ServiceSnapshot, expected: str) -> None:
    assert status_line([seen()], [away], NOW) == "1 application" + expected


def test_everything_is_one_sentence_with_the_remark_last() -> None:
    services = [service(ServiceState.UP), service(ServiceState.DOWN, "acme")]
    said = status_line([seen(summary=next_("rotate", 9 * SECOND))], services, NOW, remark="a remark")
    assert said == "1 application; next: billing rotates in 9s; account acme: no answer for 3m; a remark"
