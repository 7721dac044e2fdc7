"""What is due in the next days, from ledgers written by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from rotator.decision.status import status_of
from rotator.domain.ledger import Hold
from rotator.domain.status import ApplicationStatus
from rotator.operations.queries.agenda import AgendaEntry, agenda
from tests.support.observations import (
    CURRENT,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    OTHER,
    PUBLISHED,
    THIRD,
    ledger,
    mark,
    retiring,
    revoking,
)
from tests.support.simulated import spec

WEEK = NOW + 7 * DAY
EXPIRING = NOW + DAY - 32 * DAY / 10
"""When a key that lives for 32 days, until tomorrow, is to be replaced."""


def view(**changes: Any) -> ApplicationStatus:
    """An application whose key is 10 days old, and is replaced at the age of 30 days."""
    return status_of(spec(), ledger(**changes), NOW)


def told(*views: ApplicationStatus, days: int = 7) -> list[tuple[str, str, timedelta, bool]]:
    return [(one.action, one.access_key, one.at - NOW, one.held) for one in agenda(views, NOW + days * DAY)]


def test_a_rotation_is_on_the_agenda_when_its_time_is_within_the_days() -> None:
    assert told(view(), days=19) == []
    assert told(view(), days=20) == [("rotate", PUBLISHED, 20 * DAY, False)]


def test_everything_that_is_due_stands_in_the_order_of_time_and_what_is_overdue_first() -> None:
    young = replace(CURRENT, expires_at=NOW + 3 * DAY)
    found = told(
        view(retiring=(retiring(OTHER, 2 * HOUR), retiring(THIRD, -HOUR))),
        view(current=young, revoking=(revoking(THIRD, not_before=NOW + DAY, republished=True),)),
        view(compromised=(mark(OTHER),)),
    )
    assert [one[:3] for one in found if one[0] != "rotate"] == [
        ("revoke", THIRD, -HOUR),
        ("contain", OTHER, -MINUTE),
        ("revoke", OTHER, 2 * HOUR),
        ("revoke", THIRD, DAY),
        ("expire", PUBLISHED, 3 * DAY),
    ]
    assert [one[2] for one in found] == sorted(one[2] for one in found)


def test_what_a_hold_puts_off_says_so_until_the_hold_ends() -> None:
    held = {"retiring": (retiring(OTHER, HOUR), retiring(THIRD, 3 * DAY))}
    ends = Hold("freeze", "ann", NOW - DAY, NOW + 2 * DAY)
    assert told(view(**held, hold=ends)) == [
        ("revoke", OTHER, HOUR, True),
        ("hold_ends", "", 2 * DAY, False),
        ("revoke", THIRD, 3 * DAY, False),
    ]
    assert [one[3] for one in told(view(**held, hold=replace(ends, until=None)))] == [True, True]
    assert [one[3] for one in told(view(**held, hold=replace(ends, until=NOW)))] == [False, False]


def test_a_key_that_another_document_still_publishes_and_a_compromised_one_are_not_revoked_by_the_calendar() -> None:
    both = {"retiring": (retiring(OTHER, HOUR),), "compromised": (mark(OTHER),)}
    assert told(view(**both)) == [("contain", OTHER, -MINUTE, False)]


def test_an_application_that_left_the_configuration_has_no_rotation_left() -> None:
    removed = status_of(spec(configured=False), ledger(retiring=(retiring(OTHER, HOUR),)), NOW)
    assert told(removed, days=90) == [("revoke", OTHER, HOUR, False)]
    assert agenda([status_of(spec(), None, NOW)], WEEK) == []


def test_each_entry_says_what_is_due_for_whom_and_why() -> None:
    hold = Hold("freeze", "ann", NOW - DAY, NOW + 2 * DAY)
    marked = (replace(mark(OTHER), override_hold=True), mark(THIRD))
    found = agenda(
        [
            view(hold=hold, compromised=marked),
            view(
                current=replace(CURRENT, expires_at=NOW + DAY, created_at=NOW - 31 * DAY),
                retiring=(retiring(OTHER, HOUR),),
                revoking=(revoking(THIRD, reason="leftover"),),
                hold=hold,
            ),
        ],
        WEEK,
    )
    assert found == [
        AgendaEntry(
            EXPIRING, "billing", "rotate", "acme", PUBLISHED, "the key expires at 2026-01-02 00:00 UTC", held=True
        ),
        AgendaEntry(NOW - MINUTE, "billing", "contain", "acme", OTHER, "compromised: leaked"),
        AgendaEntry(NOW - MINUTE, "billing", "contain", "acme", THIRD, "compromised: leaked", held=True),
        AgendaEntry(NOW, "billing", "revoke", "acme", THIRD, "leftover", held=True),
        AgendaEntry(NOW + HOUR, "billing", "revoke", "acme", OTHER, "its grace ends", held=True),
        AgendaEntry(NOW + DAY, "billing", "expire", "acme", PUBLISHED, "the provider stops accepting the key"),
        AgendaEntry(NOW + 2 * DAY, "billing", "hold_ends", "acme", "", "freeze (ann)"),
        AgendaEntry(NOW + 2 * DAY, "billing", "hold_ends", "acme", "", "freeze (ann)"),
    ]


def test_the_entry_for_machines_has_every_field() -> None:
    assert AgendaEntry(NOW, "billing", "rotate", "acme", PUBLISHED, "every 30d").as_json() == {
        "at": "2026-01-01T00:00:00Z",
        "action": "rotate",
        "application": "billing",
        "account": "acme",
        "access_key": PUBLISHED,
        "reason": "every 30d",
        "held": False,
    }
