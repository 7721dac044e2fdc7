"""``rotator agenda`` on the simulated world."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.cli.conftest import Desk

DAY = timedelta(days=1)


@pytest.fixture
def paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine is in Paris."""
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_the_days_are_those_of_the_local_calendar(desk: Desk, paris: None) -> None:
    desk.type("rotate", "billing")
    desk.type("hold", "billing", "--reason", "migration", "--until", "2d")
    assert desk.type("agenda").stdout.split("\n") == [
        "The next 7 days: 1 revocation, 1 end of a hold; times in CET (UTC+01:00)",
        "",
        "Tomorrow, Friday 2 January",
        "  01:00  revoke   billing  SCW00000000000000001, its grace ends, put off by a hold",
        "",
        "Saturday 3 January",
        "  01:00  resumes  billing  migration (" + desk.sim.ledger().hold.by + ")",  # type: ignore[union-attr]  # it has one
        "",
    ]


def test_what_is_overdue_stands_first(desk: Desk) -> None:
    desk.sim.time.advance(40 * DAY)
    lines = desk.type("agenda", "--days", "1").stdout.split("\n")
    assert lines[0].startswith("The next 1 day: 1 rotation; times in ")
    assert lines[2] == "Overdue"
    assert "rotate   billing  every 30d" in lines[3]


def test_nothing_due_is_said_in_one_line(desk: Desk) -> None:
    assert desk.type("agenda", "--days", "2").stdout.startswith("The next 2 days: nothing is due; times in ")


def test_for_machines_times_are_utc_and_the_range_is_named(desk: Desk) -> None:
    answer = desk.json("agenda", "--days", "40")
    assert answer["until"] == "2026-02-10T00:00:00Z"
    assert [(one["action"], one["at"]) for one in answer["entries"]] == [("rotate", "2026-01-31T00:00:00Z")]
    assert answer["not_shown"] == []


def test_a_ledger_that_cannot_be_read_is_named(desk: Desk) -> None:
    desk.sim.kv["ledger:billing"][-1].data["schema"] = 99
    result = desk.type("agenda")
    assert "rotator: billing: what is due is not known: " in result.stderr
