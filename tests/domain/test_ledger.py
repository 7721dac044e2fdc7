"""What a ledger keeps of the past, in numbers that people rely on."""

from __future__ import annotations

from datetime import timedelta

from rotator.decision.transitions.compromise import incidents_within_limit
from rotator.domain.ledger import HistoryEntry, Incident, Intent, Ledger, Predecessor, RotationMode
from tests.support.observations import FOURTH, NOW, OTHER, PUBLISHED, THIRD, intent, ledger, mark, retiring, revoking

MINUTE = timedelta(minutes=1)


def happened(number: int) -> HistoryEntry:
    return HistoryEntry(NOW + number * MINUTE, "created", f"SCW{number}")


def incident(number: int, *, closed: bool) -> Incident:
    return Incident(f"i{number}", NOW, "leaked", "ops", (OTHER,), closed_at=NOW + MINUTE if closed else None)


def test_c1_a_ledger_keeps_the_last_fifty_things_that_happened() -> None:
    filled = ledger()
    for number in range(60):
        filled = filled.with_history(happened(number))
    assert filled.history == tuple(happened(number) for number in range(10, 60))


def test_c1_a_ledger_keeps_the_last_twenty_closed_incidents() -> None:
    closed = tuple(incident(number, closed=True) for number in range(25))
    assert incidents_within_limit(closed) == closed[5:]
    assert incidents_within_limit(closed[:20]) == closed[:20]


def test_c5_an_open_incident_is_kept_whatever_came_after_it() -> None:
    some = (incident(0, closed=False), *(incident(number, closed=True) for number in range(1, 25)))
    assert incidents_within_limit(some) == (some[0], *some[6:])
    opened = tuple(incident(number, closed=False) for number in range(25))
    assert incidents_within_limit(opened) == opened


def test_a_ledger_names_every_key_that_it_owes_something() -> None:
    assert ledger(current=None).names() == frozenset()
    full = ledger(retiring=(retiring(OTHER),), revoking=(revoking(THIRD),), compromised=(mark(FOURTH),))
    assert full.names() == {PUBLISHED, OTHER, THIRD, FOURTH}
    assert full.compromised_keys() == {FOURTH}
    assert [full.is_revoking(key) for key in (THIRD, OTHER)] == [True, False]


def test_the_highest_version_is_that_of_whatever_names_one() -> None:
    def highest(claimed: Intent | None = None, **changes: object) -> int:
        filled: Ledger = ledger(**{"current": None, **changes, "intent": claimed})
        return filled.highest_version()

    assert highest() == 0
    assert highest(current=ledger().current) == 3
    assert highest(retiring=(retiring(version=4),)) == 4
    assert highest(revoking=(revoking(version=5),)) == 5
    assert highest(intent(base=6)) == 6


def test_an_earlier_name_is_known_once_as_it_was_told_last() -> None:
    first, second = Predecessor("a", "p", "k", "s"), Predecessor("b", "p", "k", "s", access_key=OTHER)
    named = ledger().with_predecessor(first).with_predecessor(second)
    assert (named.predecessor("a"), named.predecessor("b"), named.predecessor("c")) == (first, second, None)
    assert named.published_elsewhere() == {OTHER}
    told = Predecessor("a", "p", "k", "s", taken_over=True)
    assert named.with_predecessor(told).predecessors == (second, told)


def test_an_emergency_and_a_recovery_are_in_a_hurry() -> None:
    assert [mode.value for mode in RotationMode if mode.urgent] == ["compromised", "recovery"]
