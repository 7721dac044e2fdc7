"""What became of a mass rotation: its exit code, and the same for machines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rotator.domain.account import MassRotation
from rotator.operations.coverage import CoverageReport
from rotator.operations.mass_rotation.coordinator import MassRotationResult, proof_of
from rotator.operations.result import OperationResult
from tests.support.simulated import spec

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ORDER = MassRotation("i1", "--all", NOW, True, "leaked", "ops", NOW)
COVERED = CoverageReport("acme", NOW, NOW, 3)
DONE = OperationResult("billing", "rotated", 0, "done")
FAILED = OperationResult("orders", "failed", 3, "away")
WHOLE = MassRotationResult(ORDER, (DONE,), COVERED, 2.0)


def test_c18_a_mass_rotation_is_done_only_when_every_application_found_room_and_was_rotated() -> None:
    assert COVERED.exit_code == 0
    assert WHOLE.exit_code == 0
    assert replace(WHOLE, results=()).exit_code == 0
    assert replace(WHOLE, rest=("invoices",)).exit_code == 1
    assert replace(WHOLE, results=(DONE, FAILED), rest=("invoices",)).exit_code == 3


def test_a_mass_rotation_says_to_machines_what_it_was_and_what_became_of_it() -> None:
    told = replace(WHOLE, results=(DONE, FAILED), rest=("invoices",), room_at=NOW + timedelta(hours=1)).as_json()
    assert told == {
        "id": "i1",
        "account": "acme",
        "created_before": "2026-01-02T00:00:00Z",
        "compromised": True,
        "reason": "leaked",
        "by": "ops",
        "begun_at": "2026-01-02T00:00:00Z",
        "rotated": 1,
        "seconds": 2.0,
        "per_second": 0.5,
        "applications": [DONE.as_json(), FAILED.as_json()],
        "without_room": ["invoices"],
        "room_at": "2026-01-02T01:00:00Z",
        "coverage": COVERED.as_json(),
    }
    assert replace(WHOLE, seconds=3.0).as_json()["per_second"] == 0.333
    assert replace(WHOLE, seconds=1.23456).as_json()["seconds"] == 1.235
    assert replace(WHOLE, seconds=0.0).as_json()["per_second"] is None
    assert WHOLE.as_json()["room_at"] is None


def test_the_keys_of_a_breach_prove_themselves_as_in_an_emergency_and_others_as_ever() -> None:
    assert proof_of(spec(), compromised=True) == spec().emergency_verification
    assert proof_of(spec(), compromised=False) == spec().verification
    assert spec().verification != spec().emergency_verification
