"""What is remembered of an account: waivers that count and end, mass rotations that can be gone on with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotator.domain.account import KEPT, MAX_WAIVERS, AccountDocument, MassRotation, Waiver
from rotator.errors import Refused

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def begun(number: int, words: str = "--all") -> MassRotation:
    return MassRotation(f"i{number}", words, NOW, compromised=True, reason="breach", by="ops", begun_at=NOW)


def test_a_waiver_counts_until_its_time_and_without_one_for_good() -> None:
    document = AccountDocument("acme").with_waiver(Waiver("SCWA", "break glass", "ops", NOW))
    document = document.with_waiver(Waiver("SCWB", "moves on Monday", "ops", NOW, NOW + HOUR))
    assert document.waiver("SCWA", NOW + 9000 * HOUR) is not None
    assert document.waiver("SCWB", NOW + HOUR - timedelta(seconds=1)) is not None
    assert document.waiver("SCWB", NOW + HOUR) is None
    assert document.waiver("SCWC", NOW) is None


def test_a_second_waiver_for_a_key_takes_the_place_of_the_first_and_one_can_be_withdrawn() -> None:
    document = AccountDocument("acme").with_waiver(Waiver("SCWA", "first", "ops", NOW))
    document = document.with_waiver(Waiver("SCWA", "second", "ops", NOW))
    assert [waiver.reason for waiver in document.waivers] == ["second"]
    assert document.without_waiver("SCWA").waivers == ()


def test_a_mass_rotation_is_gone_on_with_by_the_same_words_until_it_has_ended() -> None:
    document = AccountDocument("acme").with_mass_rotation(begun(1)).with_mass_rotation(begun(2, "--match a*"))
    assert document.unfinished("--all", NOW) == begun(1)
    assert document.unfinished("--match b*", NOW) is None
    document = document.with_mass_rotation(replace(begun(1), ended_at=NOW))
    assert document.unfinished("--all", NOW) is None
    assert len(document.mass_rotations) == 2


def test_one_that_was_begun_too_long_ago_is_not_gone_on_with() -> None:
    document = AccountDocument("acme").with_mass_rotation(begun(1))
    assert document.unfinished("--all", NOW) is not None
    assert document.unfinished("--all", NOW + timedelta(seconds=1)) is None


def test_of_mass_rotations_that_never_ended_the_oldest_are_dropped_too() -> None:
    document = AccountDocument("acme")
    for number in range(KEPT + 5):
        document = document.with_mass_rotation(begun(number, f"w{number}"))
    assert next(one.id for one in document.mass_rotations) == "i4"


def test_of_mass_rotations_that_ended_the_oldest_are_dropped_before_an_open_one() -> None:
    document = AccountDocument("acme").with_mass_rotation(begun(0))
    for number in range(1, KEPT + 5):
        document = document.with_mass_rotation(replace(begun(number, f"w{number}"), ended_at=NOW))
    kept = [one.id for one in document.mass_rotations]
    assert "i0" in kept
    assert kept[-1] == f"i{KEPT + 4}"
    assert len(kept) == KEPT + 2


def waived(number: int, until: datetime | None = None) -> AccountDocument:
    waivers = tuple(Waiver(f"SCW{one}", "break glass", "ops", NOW, until) for one in range(number))
    return AccountDocument("acme", waivers)


def test_c1_a_waiver_for_which_there_is_no_room_is_refused_by_name_and_its_key_can_still_be_waived_in_place_of_another() -> (
    None
):
    full = waived(MAX_WAIVERS)
    with pytest.raises(Refused) as caught:
        full.with_waiver(Waiver("SCWNEW", "break glass", "ops", NOW))
    assert str(caught.value) == (
        "account acme has 100 waivers, as many as its document has room for: SCWNEW is not waived; "
        "revoke keys that are not needed, or withdraw a waiver with `rotator waive ACCESS_KEY --withdraw`"
    )
    assert len(full.with_waiver(Waiver("SCW7", "another word", "ops", NOW)).waivers) == MAX_WAIVERS
    assert full.without_waiver("SCW7").with_waiver(Waiver("SCWNEW", "break glass", "ops", NOW)).waiver("SCWNEW", NOW)


def test_c1_expired_waivers_make_room_for_another() -> None:
    after = waived(MAX_WAIVERS, NOW + HOUR).with_waiver(Waiver("SCWNEW", "break glass", "ops", NOW + HOUR))
    assert [waiver.access_key for waiver in after.waivers] == ["SCWNEW"]
