"""When an application, a service or a whole daemon is well, and when it is not: the judgement by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from rotator.daemon import health_rounds
from rotator.daemon.application_task import ApplicationTask, PassResult, PassSummary
from rotator.daemon.health_rounds import HealthCheck, UnhealthyReason, unhealthy_reason
from rotator.daemon.services import ServiceState
from rotator.daemon.snapshot import ServiceSnapshot, TaskSnapshot
from rotator.domain.ledger import Hold, RetiringKey
from rotator.domain.login import LoginProblem
from rotator.domain.secret import Secret
from rotator.domain.status import NextAction
from rotator.observability.notifications import HeartbeatSettings, NotificationSettings
from tests.support.daemon_stage import application, runtime, settled
from tests.support.simulated import Recorder

if TYPE_CHECKING:
    from rotator.daemon.engine import Engine
    from rotator.observability.notifications import Notifier

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
WELL = PassSummary(PassResult.OK, NextAction(NOW + 10 * MINUTE, "observe", "nothing is due"))


def task(**changes: Any) -> TaskSnapshot:
    one = ApplicationTask(
        application(stale_claim_timeout=10 * MINUTE),
        runtime("billing"),
        started=NOW,
        due=NOW + 10 * MINUTE,
        summary=WELL,
    )
    for name, value in changes.items():
        setattr(one, name, value)
    return one.snapshot()


def vault(state: ServiceState = ServiceState.UP, name: str = "vault") -> ServiceSnapshot:
    return ServiceSnapshot(name, state, None, "", "")


def test_all_is_well_when_every_service_is_up_and_every_application_is_in_time() -> None:
    assert unhealthy_reason([task(), task()], [vault()], NOW) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    {
        "it was never looked at": ({"summary": None}, "not_looked_at"),
        "its pass crashed": ({"crashes": 1}, "crashed"),
        "its next look is later than a takeover would be": ({"due": NOW - 11 * MINUTE}, "stuck"),
        "a worker has had it for so long": ({"due": NOW - 11 * MINUTE, "running": True}, "stuck"),
        "what should be done was not done": (
            {"summary": replace(WELL, next=NextAction(NOW - 11 * MINUTE, "rotate", ""))},
            "overdue",
        ),
        "a hold keeps back what is due": ({"summary": replace(WELL, overdue_at=NOW - SECOND, on_hold=True)}, "overdue"),
        "by the policy it is overdue, whatever is planned": (
            {"summary": replace(WELL, overdue_at=NOW - 11 * MINUTE)},
            "overdue",
        ),
        "its last pass failed": ({"summary": replace(WELL, result=PassResult.FAILED)}, "problem"),
        "it is blocked": ({"summary": replace(WELL, result=PassResult.REFUSED)}, "problem"),
        "its services were away": ({"summary": replace(WELL, result=PassResult.UNREACHABLE)}, "problem"),
    }.values(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_application_that_is_not_well_is_enough(changes: dict[str, Any], reason: str) -> None:
    assert unhealthy_reason([task(), task(**changes)], [vault()], NOW) == UnhealthyReason(reason, "billing")


@pytest.mark.parametrize("state", [ServiceState.UNKNOWN, ServiceState.SUSPECT, ServiceState.DOWN])
def test_one_service_that_is_not_up_is_enough(state: ServiceState) -> None:
    assert unhealthy_reason([task()], [vault(), vault(state, "acme")], NOW) == UnhealthyReason("service_away", "acme")


def test_work_that_takes_its_time_is_no_reason_for_doubt() -> None:
    assert (
        unhealthy_reason(
            [
                task(
                    due=NOW - 9 * MINUTE,
                    running=True,
                    summary=replace(WELL, next=NextAction(NOW - 9 * MINUTE, "rotate", "")),
                )
            ],
            [vault()],
            NOW,
        )
        is None
    )


# --- a hold ---


def facts_under_a_hold(changes: Callable[[Any], Any]) -> PassSummary | None:
    made = runtime("billing")
    settled("billing", made)
    stage = made.stages["acme"]
    one = ApplicationTask(made.applications["billing"], made, started=datetime.now(UTC), due=datetime.now(UTC))
    while isinstance(outcome := one.advance(), datetime):
        pass
    assert outcome.ledger
    held = changes(replace(outcome.ledger, hold=Hold("migration", "ann", datetime.now(UTC))))
    version = made.vault.read_ledger("billing")[1]
    made.vault.write_ledger(held, cas=version)
    while isinstance(outcome := one.advance(), datetime):
        pass
    one.conclude(outcome, datetime.now(UTC))
    assert stage.ledger("billing").hold
    return one.summary


def test_a_hold_under_which_nothing_is_due_is_well() -> None:
    summary = facts_under_a_hold(lambda ledger: ledger)
    assert summary
    assert summary.result is PassResult.OK
    assert summary.overdue_at is None or summary.overdue_at > datetime.now(UTC)


def test_a_hold_that_keeps_a_grace_from_ending_is_not() -> None:
    old = RetiringKey("SCWOLD", 0, datetime.now(UTC) - timedelta(hours=1), "rotated")
    summary = facts_under_a_hold(lambda ledger: replace(ledger, retiring=(old,)))
    assert summary
    assert summary.overdue_at
    assert summary.on_hold
    assert summary.overdue_at < datetime.now(UTC)


# --- rounds ---


class Rounds:
    """A health check on an engine, a notifier and a clock that the test owns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
        self.now = 100.0
        self.tasks: list[TaskSnapshot] = [task(due=datetime.now(UTC) + 10 * MINUTE, summary=FRESH)]
        self.services = [vault()]
        self.progress = 0
        self.login: LoginProblem | None = None
        self.pings = 0
        self.settings = NotificationSettings(**settings)
        self.sink = Recorder()
        self.runtime = SimpleNamespace(login_problem=lambda: self.login)
        monkeypatch.setattr(health_rounds, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.check = HealthCheck(cast("Engine", self), self.sink, cast("Notifier", self), idle=60.0)

    def snapshot(self) -> SimpleNamespace:
        return SimpleNamespace(tasks=self.tasks, services=self.services)

    def ping(self) -> None:
        self.pings += 1

    def after(self, seconds: float, *, work: bool = True) -> list[tuple[str, dict[str, object]]]:
        """Look so many seconds later; what was said."""
        self.now += seconds
        self.progress += int(work)
        self.sink.events.clear()
        self.check.look()
        return list(self.sink.events)


FRESH = replace(WELL, next=NextAction(datetime(2100, 1, 1, tzinfo=UTC), "observe", ""))
PING = HeartbeatSettings(lambda: Secret("http://ping.test"), every=timedelta(seconds=30))


def test_a_round_is_made_as_often_as_the_heartbeat_is_sent_and_else_as_often_as_messages_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds = Rounds(monkeypatch, ping=PING)
    rounds.after(29.9)
    assert rounds.pings == 0
    rounds.after(0.1)
    assert rounds.pings == 1
    rounds.after(29.9)
    assert rounds.pings == 1
    rounds.after(0.1)
    assert rounds.pings == 2
    silent = Rounds(monkeypatch, notify_every=timedelta(minutes=5))
    silent.after(299)
    assert silent.pings == 0
    silent.after(1)
    assert silent.pings == 1


def test_a_change_for_the_worse_and_back_is_an_event_each_and_stops_the_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds = Rounds(monkeypatch, ping=PING)
    assert rounds.after(30) == []
    rounds.services = [vault(ServiceState.DOWN)]
    assert rounds.after(30) == [("heartbeat.unhealthy", {"reason": "service_away", "subject": "vault"})]
    assert rounds.after(30) == []
    rounds.services, rounds.login = [vault()], LoginProblem("refused", timedelta(days=1))
    assert rounds.after(30) == [("heartbeat.unhealthy", {"reason": "login_failing", "subject": "vault"})]
    assert rounds.pings == 1
    rounds.login = None
    assert rounds.after(30) == [("heartbeat.healthy", {})]
    assert rounds.pings == 2


def test_a6_workers_through_which_nothing_goes_count_as_hung_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = Rounds(monkeypatch, ping=PING)
    rounds.after(30)
    assert rounds.after(30, work=False) == []
    assert rounds.after(30, work=False) == []
    assert rounds.after(30, work=False) == [("heartbeat.unhealthy", {"reason": "idle", "subject": ""})]
    assert rounds.pings == 3
    assert rounds.after(30) == [("heartbeat.healthy", {})]
    assert rounds.pings == 4
