"""When an application, a service or a whole daemon is well, and when it is not: the judgement by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.daemon.application_task import ApplicationTask, PassResult, PassSummary
from rotator.daemon.health_rounds import UnhealthyReason, unhealthy_reason
from rotator.daemon.services import ServiceState
from rotator.daemon.snapshot import ServiceSnapshot, TaskSnapshot
from rotator.domain.ledger import Hold, RetiringKey
from rotator.domain.status import NextAction
from tests.support.daemon_stage import application, runtime, settled

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
