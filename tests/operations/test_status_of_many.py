"""The status of very many applications is answered from what the daemon saw, and says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rotator.decision.transitions.publication import new_ledger
from rotator.operations.daemon_handle import ObservedLedger
from rotator.operations.queries.status import MAX_READ, status_report
from tests.support.daemon_stage import FakeFleet, runtime

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def fleet(count: int) -> tuple[FakeFleet, dict[str, ObservedLedger]]:
    """So many applications, and what a daemon saw of them, each a second after the one before."""
    made = runtime(*(f"app-{number}" for number in range(count)))
    seen = {
        name: ObservedLedger(new_ledger(spec), NOW - timedelta(minutes=12) + timedelta(seconds=number % 60))
        for number, (name, spec) in enumerate(made.specs.items())
    }
    return made, seen


def reads(made: FakeFleet) -> int:
    return made.stages["acme"].calls.count("read_ledger")


def test_the_ledgers_of_many_applications_are_shown_as_the_daemon_saw_them_and_since_when() -> None:
    made, seen = fleet(MAX_READ + 1)
    report = status_report(made, [], NOW, observed_ledgers=lambda: seen)
    assert [view.name for view in report.views] == list(made.specs)
    assert all(view.ledger == seen[view.name].ledger for view in report.views)
    assert report.observed_since == NOW - timedelta(minutes=12)
    assert reads(made) == 0


def test_a_ledger_that_no_pass_saw_yet_is_read_among_many_others() -> None:
    made, seen = fleet(MAX_READ + 1)
    del seen["app-7"]
    report = status_report(made, [], NOW, observed_ledgers=lambda: seen)
    assert [view.name for view in report.views] == list(made.specs)
    assert report.views[7].phase == "new"
    assert reads(made) == 1


@pytest.mark.parametrize("names", [[], ["app-3"]])
def test_a_few_applications_are_read_from_vault(names: list[str]) -> None:
    made, seen = fleet(20)
    report = status_report(made, names, NOW, observed_ledgers=lambda: seen)
    assert len(report.views) == reads(made) == (len(names) or 20)
    assert report.observed_since is None


def test_the_application_that_is_named_is_read_from_vault_however_many_there_are() -> None:
    made, seen = fleet(MAX_READ + 1)
    assert status_report(made, ["app-3"], NOW, observed_ledgers=lambda: seen).observed_since is None
    assert reads(made) == 1
