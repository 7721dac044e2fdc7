"""What of a ledger and of an account document is dropped, in which order, for which share of the budget: without a
server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.domain.account import AccountDocument, MassRotation, Waiver
from rotator.domain.ledger import HistoryEntry, Incident, Ledger
from rotator.errors import Rejected, Unavailable
from rotator.vault import budget
from rotator.vault.budget import count_strings, reduced_accounts, reduced_ledgers, write_first_accepted
from rotator.vault.codec import dump_account, dump_ledger
from tests.vault.contract import ledger

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "strings"),
    [
        ("", 1),
        ("text", 1),
        (5, 0),
        (None, 0),
        (True, 0),
        ([], 0),
        ({}, 0),
        (["a", "b", ["c"], 5], 3),
        (("a", "b"), 2),
        ({"a": 1, "b": {"c": "d"}}, 4),
    ],
)
def test_names_and_texts_are_counted(value: Any, strings: int) -> None:
    assert count_strings(value) == strings


def entry(number: int, reason: str = "every 30d") -> HistoryEntry:
    return HistoryEntry(NOW, "rotation.published", f"SCW{number:017d}", number, f"{number:016x}", reason)


def incident(number: int, *, closed: bool) -> Incident:
    return Incident(f"{number:016x}", NOW, "leaked", "ops", (f"SCW{number:017d}",), NOW if closed else None)


def fits(stored: Mapping[str, Any], share: float) -> bool:
    return count_strings(stored) <= share * budget.MAX_STRINGS and budget._size(stored) <= share * budget.MAX_BYTES


FULL = replace(
    ledger(),
    history=tuple(entry(number) for number in range(150)),
    incidents=tuple(incident(number, closed=number not in {3, 19}) for number in range(20)),
)


def offers_of(full: Ledger) -> list[tuple[int, list[int]]]:
    """How many history entries and which incidents each offer has; each is the ledger without the others."""
    found = []
    for stored in reduced_ledgers(full):
        kept = [int(row[0], 16) for row in stored["incidents"]]
        history = full.history[len(full.history) - len(stored["history"]) :]
        incidents = tuple(one for one in full.incidents if int(one.id, 16) in kept)
        assert stored == dump_ledger(replace(full, history=history, incidents=incidents))
        found.append((len(history), kept))
    return found


def test_c1_the_past_of_a_ledger_goes_oldest_first_then_closed_incidents_then_the_latest_ten() -> None:
    everything = list(range(20))
    assert offers_of(FULL) == [
        (142, everything),
        (52, everything),
        (10, list(range(2, 20))),
        (0, [3, 19]),
    ]


def test_c1_each_offer_is_the_largest_that_fits_its_share() -> None:
    assert list(budget.REDUCTIONS) == [1, 0.5, 0.25, 0]
    for share, stored, (entries, _) in zip((1, 0.5), reduced_ledgers(FULL), offers_of(FULL), strict=False):
        assert fits(stored, share)
        more = replace(FULL, history=FULL.history[len(FULL.history) - entries - 1 :])
        assert not fits(dump_ledger(more), share)


def test_c1_a_ledger_within_the_budget_is_offered_whole_and_then_smaller() -> None:
    small = replace(ledger(), history=(entry(1), entry(2)), incidents=(incident(1, closed=True),))
    assert offers_of(small) == [(2, [1]), (0, [])]
    assert offers_of(ledger()) == [(0, [])]


def test_c1_bytes_count_as_they_are_sent() -> None:
    wide = "\N{GRINNING FACE}" * 1000
    full = replace(ledger(), history=tuple(entry(number, wide) for number in range(100)))
    offers = list(reduced_ledgers(full))
    assert [len(stored["history"]) for stored in offers] == [63, 31, 15, 0]
    for stored, share in zip(offers, (1, 0.5, 0.25), strict=False):
        assert fits(stored, share)
        more = replace(full, history=full.history[99 - len(stored["history"]) :])
        assert not fits(dump_ledger(more), share)


def rotation(number: int, *, ended: bool) -> MassRotation:
    return MassRotation(f"{number:016x}", "--all", NOW, True, "leaked", "ops", NOW, NOW if ended else None)


def test_c1_of_an_account_ended_mass_rotations_go_first_then_unfinished_ones_and_the_latest_never() -> None:
    waivers = tuple(
        Waiver(f"SCW{number:017d}", "break glass", "ops", NOW, NOW + timedelta(days=9)) for number in range(170)
    )
    rotations = tuple(rotation(number, ended=number % 2 == 1) for number in range(10))
    document = AccountDocument("acme", waivers, rotations)
    kept = []
    for stored in reduced_accounts(document):
        numbers = [int(row[0], 16) for row in stored["mass_rotations"]]
        left = tuple(rotations[number] for number in numbers)
        assert stored == dump_account(replace(document, mass_rotations=left))
        kept.append(numbers)
    assert kept == [[0, 2, 4, 6, 7, 8, 9], [9]]
    assert [dump_account(AccountDocument("acme"))] == list(reduced_accounts(AccountDocument("acme")))


def too_large(number: int) -> Rejected:
    return Rejected(f"offer {number} is too large", service="vault", kind="too_large")


def test_c1_the_first_offer_that_is_taken_is_written() -> None:
    written: list[Mapping[str, Any]] = []

    def write(data: Mapping[str, Any]) -> int:
        written.append(data)
        if data["offer"] < 3:
            raise too_large(data["offer"])
        return 7

    assert write_first_accepted([{"offer": number} for number in (1, 2, 3, 4)], write) == 7
    assert [data["offer"] for data in written] == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Rejected("wrong", service="vault", kind="bad_request"), "wrong"),
        (Unavailable("sealed", service="vault", kind="sealed"), "sealed"),
    ],
)
def test_c1_any_other_failure_ends_the_attempts(error: Exception, said: str) -> None:
    tried: list[Mapping[str, Any]] = []

    def write(data: Mapping[str, Any]) -> int:
        tried.append(data)
        raise error

    with pytest.raises(type(error), match=said):
        write_first_accepted([{}, {}], write)
    assert len(tried) == 1


def test_c1_when_every_offer_is_too_large_the_last_refusal_is_raised() -> None:
    def write(data: Mapping[str, Any]) -> int:
        raise too_large(data["offer"])

    with pytest.raises(Rejected, match="offer 2 is too large"):
        write_first_accepted([{"offer": 1}, {"offer": 2}], write)
    with pytest.raises(AssertionError, match=r"^there is always one offer$"):
        write_first_accepted([], write)
