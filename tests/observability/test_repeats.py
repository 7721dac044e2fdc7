"""Say once, then count: the log has the first line of a problem, and after that how often and of whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from rotator.observability.repeats import MAX_GROUPS, REMIND, RepeatFilter

MINUTE = 60.0


@dataclass
class Log:
    """What is logged, and a clock that the test moves."""

    now: float = 1000.0
    lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sink: RepeatFilter = field(init=False)

    def __post_init__(self) -> None:
        self.sink = RepeatFilter(self, lambda: self.now)

    def emit(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    def fails(
        self, name: str = "billing", message: str = "the ledger of {} is damaged", reason: str = "ledger_unreadable"
    ) -> None:
        self.sink.emit("pass.failed", application=name, account="acme", reason=reason, message=message.format(name))

    def decides(self, name: str = "billing") -> None:
        self.sink.emit("pass.decided", application=name, account="acme", reason="at_rest")

    def names(self) -> list[str]:
        return [event for event, _ in self.lines if event != "pass.decided"]


@pytest.fixture
def log() -> Log:
    return Log()


def test_c2_one_damaged_ledger_is_a_line_at_once_and_then_one_an_hour(log: Log) -> None:
    for _ in range(24 * 60):
        log.fails()
        log.now += MINUTE
    assert log.names()[:2] == ["pass.failed", "logs.repeated"]
    assert 24 <= len(log.lines) <= 25
    assert log.lines[1][1] == {
        "repeated": "pass.failed",
        "reason": "ledger_unreadable",
        "message": "the ledger of NAME is damaged",
        "applications": ["billing"],
        "times": 59,
    }


def test_an_error_that_two_hundred_applications_share_is_a_line_and_a_count_within_the_minute(log: Log) -> None:
    for number in range(204):
        log.fails(f"app-{number:03d}")
    log.now += MINUTE
    log.decides("another")
    assert log.names() == ["pass.failed", "logs.repeated"]
    told = log.lines[-2][1] if log.lines[-1][0] == "pass.decided" else log.lines[-1][1]
    assert told["times"] == 203
    assert len(told["applications"]) == 20
    assert told["more"] == 184


def test_another_error_of_the_same_application_is_a_line_of_its_own(log: Log) -> None:
    log.fails()
    log.fails(message="the policy allows nothing", reason="policy")
    assert log.names() == ["pass.failed"] * 2


def test_after_a_recovery_the_same_error_is_news(log: Log) -> None:
    log.fails()
    log.decides()
    log.fails()
    assert log.names() == ["pass.failed"] * 2


def test_what_was_counted_is_told_at_the_recovery(log: Log) -> None:
    log.fails()
    for _ in range(3):
        log.fails()
    log.decides()
    assert log.names() == ["pass.failed", "logs.repeated"]
    assert next(fields for event, fields in log.lines if event == "logs.repeated")["times"] == 3


def test_what_was_counted_is_told_at_the_end_of_the_process(log: Log) -> None:
    for number in range(204):
        log.fails(f"app-{number:03d}")
    log.sink.close()
    assert log.names() == ["pass.failed", "logs.repeated"]
    assert log.lines[-1][1]["times"] == 203


@pytest.mark.parametrize("event", ["rotation.published", "compromise.marked", "application.blocked", "pass.crashed"])
def test_what_is_news_each_time_is_a_line_each_time(log: Log, event: str) -> None:
    for _ in range(3):
        log.sink.emit(event, application="billing", message="the same", reason="the same")
    assert log.names() == [event] * 3


def test_however_many_kinds_of_errors_there_are_little_is_kept(log: Log) -> None:
    for number in range(3 * MAX_GROUPS):
        log.fails(message=f"error {number}")
        log.now += REMIND / MAX_GROUPS / 10
    assert len(log.sink.groups) <= MAX_GROUPS
    assert len(log.names()) >= 3 * MAX_GROUPS
