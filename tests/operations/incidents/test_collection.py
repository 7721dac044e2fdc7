"""Incidents as ledgers tell them: each whole, with what became of every key."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotator.decision.transitions.publication import new_ledger
from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.domain.ledger import CurrentKey, HistoryEntry, Incident, RevocationRecord
from rotator.operations.incidents.audit_calls import Group, count_calls, trail_as_json
from rotator.operations.incidents.collection import impact_of
from rotator.operations.incidents.report import ApplicationImpact, KeyRevocation
from tests.support.simulated import BEARER, PATH, spec

T = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
INCIDENT = Incident("i1", T, "leaked", "ann", ("SCWA", "SCWB"), T + 9 * SECOND, "revoke_first")
IMPACT = ApplicationImpact(
    application="billing",
    account="acme",
    path=PATH,
    bearer=BEARER,
    opened_at=T,
    closed_at=T + 9 * SECOND,
    reason="leaked",
    by="ann",
    mode="revoke_first",
    revocations=(KeyRevocation("SCWA", None), KeyRevocation("SCWB", None)),
)


def entry(seconds: int, event: str, key: str, reason: str = "", version: int = 0) -> HistoryEntry:
    return HistoryEntry(T + seconds * SECOND, event, key, version, "r1", reason)


REVOKED = (KeyRevocation("SCWA", T + SECOND, "refused"), KeyRevocation("SCWB", None))
REPLACED = replace(IMPACT, replacement="SCWNEW", version=4, replaced_at=T)

HISTORIES: dict[str, tuple[tuple[HistoryEntry, ...], ApplicationImpact]] = {
    "nothing": ((), IMPACT),
    "a revocation": (
        (entry(0, "rotated", "SCWB"), entry(1, "revoked", "SCWA", "compromised; refused")),
        replace(IMPACT, revocations=REVOKED),
    ),
    "a revocation at the time of the mark": (
        (entry(0, "revoked", "SCWA", "compromised; refused; twice"),),
        replace(IMPACT, revocations=(KeyRevocation("SCWA", T, "refused; twice"), KeyRevocation("SCWB", None))),
    ),
    "a revocation before the mark": ((entry(-1, "revoked", "SCWA", "replaced; refused"),), IMPACT),
    "a replacement at the time of the mark": ((entry(0, "rotated", "SCWNEW", "", 4),), REPLACED),
    "a key that another writer published": ((entry(0, "followed", "SCWNEW", "", 4),), REPLACED),
    "a replacement at the end": (
        (entry(9, "rotated", "SCWNEW", "", 4),),
        replace(REPLACED, replaced_at=T + 9 * SECOND),
    ),
    "the first of two replacements": (
        (entry(0, "rotated", "SCWNEW", "", 4), entry(1, "rotated", "SCWNEXT", "", 5)),
        REPLACED,
    ),
    "a key that was published before, afterwards, or that leaked too": (
        (
            entry(-1, "rotated", "SCWNEW", "", 4),
            entry(1, "rotated", "SCWA", "", 5),
            entry(1, "extended", "SCWNEW", "", 5),
            entry(10, "rotated", "SCWNEW", "", 6),
        ),
        IMPACT,
    ),
}


@pytest.mark.parametrize(("history", "impact"), HISTORIES.values(), ids=HISTORIES)
def test_the_impact_of_an_incident_is_what_the_history_tells(
    history: tuple[HistoryEntry, ...], impact: ApplicationImpact
) -> None:
    assert impact_of(INCIDENT, replace(new_ledger(spec()), history=history)) == impact


def test_an_open_incident_has_any_later_replacement() -> None:
    ledger = replace(new_ledger(spec()), history=(entry(100, "rotated", "SCWNEW", "", 4),))
    found = impact_of(replace(INCIDENT, closed_at=None), ledger)
    assert found == replace(REPLACED, closed_at=None, replaced_at=T + 100 * SECOND)


def test_what_is_recorded_of_a_revocation_comes_before_the_history() -> None:
    record = RevocationRecord("SCWB", T + SECOND, "gone by its name", (3,), "denied")
    history = (entry(5, "revoked", "SCWB", "compromised; refused"),)
    current = CurrentKey("SCWNEW", 4, T, purpose="invoices")
    ledger = replace(new_ledger(spec()), history=history, current=current)
    assert impact_of(replace(INCIDENT, revocations=(record,)), ledger) == replace(
        IMPACT,
        revocations=(
            KeyRevocation("SCWA", None),
            KeyRevocation("SCWB", T + SECOND, "gone by its name", (3,), "denied"),
        ),
        purpose="invoices",
    )


# --- the calls of a trail ---------------------------------------------------------------------------------------------


def call(number: int, method: str) -> AuditEvent:
    return AuditEvent(T + number * SECOND, "198.51.100.4", "curl/8", "instance", method, 200)


COUNTS: dict[str, tuple[AuditTrail, str]] = {
    "no region": (AuditTrail(), "calls unknown: the audit trail could not be read (no region answered)"),
    "two regions without an answer": (
        AuditTrail(unavailable=("a: no", "b: no")),
        "calls unknown: the audit trail could not be read (a: no; b: no)",
    ),
    "one call": (AuditTrail((call(1, "A"),), ("a",)), "1 call on the audit trail of a"),
    "more calls than were read": (
        AuditTrail((call(1, "A"),), ("a", "b"), truncated=True),
        "at least 1 call on the audit trail of a, b; it has more calls than were read",
    ),
    "a region without an answer": (
        AuditTrail((), ("a",), ("b: no", "c: no")),
        "at least 0 calls on the audit trail of a; the rest could not be read (b: no; c: no)",
    ),
}


@pytest.mark.parametrize(("trail", "count"), COUNTS.values(), ids=COUNTS)
def test_calls_are_counted_as_far_as_they_are_known(trail: AuditTrail, count: str) -> None:
    assert count_calls(trail) == count


def test_a_person_reads_the_five_most_frequent_methods_and_machines_twenty() -> None:
    methods = [f"M{number}" for number in range(22) for _ in range(30 - number)]
    calls = tuple(call(number, method) for number, method in enumerate(methods))
    assert Group("a", "b", calls).methods() == ["M0 x 30", "M1 x 29", "M2 x 28", "M3 x 27", "M4 x 26"]
    (source,) = trail_as_json(AuditTrail(calls, ("a",)))["sources"]
    assert source["methods"] == [f"M{number} x {30 - number}" for number in range(20)]
