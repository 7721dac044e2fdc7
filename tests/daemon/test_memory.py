"""What a daemon keeps of an application between two passes does not grow with the application's past."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rotator.daemon.application_task import ApplicationTask
from rotator.domain.ledger import HISTORY_LIMIT, INCIDENT_LIMIT, HistoryEntry, Incident, Ledger
from rotator.reconciler.context import PassOutcome
from tests.support.daemon_stage import FakeFleet, runtime, settled

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def with_full_past(ledger: Ledger) -> Ledger:
    """The ledger after years of rotations and emergencies."""
    entry = HistoryEntry(
        THEN, "revoked", "SCWAAAAAAAAAAAAAAAAA", 3, "0123456789abcdef", "scheduled, at the end of its grace"
    )
    incident = Incident("1", THEN, "leaked", "root", ("SCWAAAAAAAAAAAAAAAAA",), THEN + timedelta(minutes=1))
    return replace(ledger, history=(entry,) * HISTORY_LIMIT, incidents=(incident,) * INCIDENT_LIMIT)


def after_a_pass(made: FakeFleet) -> ApplicationTask:
    now = datetime.now(UTC)
    task = ApplicationTask(made.spec("billing"), made, now, now)
    outcome = None
    while not isinstance(outcome, PassOutcome):
        outcome = task.advance()
    task.conclude(outcome, now)
    return task


def test_the_past_of_an_application_stays_in_vault_and_not_in_memory() -> None:
    made = runtime("billing")
    settled("billing", made)
    young = after_a_pass(made)
    ledger, version = made.vault.read_ledger("billing")
    assert ledger
    made.vault.write_ledger(with_full_past(ledger), cas=version)
    old = after_a_pass(made)
    assert old.ledger
    assert old.ledger.current == ledger.current
    assert (old.ledger.history, old.ledger.incidents) == ((), ())
    assert len(pickle.dumps(old.ledger)) < 2 * len(pickle.dumps(young.ledger))
    assert old.snapshot().key_count == young.snapshot().key_count == 1
    kept, _ = made.vault.read_ledger("billing")
    assert kept
    assert len(kept.history) == HISTORY_LIMIT
