"""The description of a key: a purpose in the words of its owner, and the marker by which rotator knows its keys."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.domain.marker import LIMIT, MAX_PURPOSE, Marker, parse_marker, purpose_of

MARKER = Marker("1" * 16, "billing", "2" * 16, 1, "3" * 16)
LONGEST = Marker("f" * 16, "a" * 64, "f" * 16, 999_999_999, "f" * 16)
OF_VERSION_1 = (
    f"rotator v1 installation={'1' * 16} application=billing rotation={'2' * 16} base=1 incarnation={'3' * 16}"
)
PURPOSES = [
    "",
    "checkout of the web shop",
    "rotator",
    "rotator:v2:",
    MARKER.render(),
    OF_VERSION_1,
    replace(MARKER, application="shop").render("purpose"),
    "l\u2019été des clés \N{KEY}" * 20,
    "\x1b[31mred\x1b[0m\nsecond line\ttab",
    "\ud800",
    " spaces  around ",
    "x" * 300,
]


@pytest.mark.parametrize(
    "marker", [MARKER, LONGEST, replace(MARKER, incarnation="-", base=0)], ids=["usual", "longest", "first"]
)
@pytest.mark.parametrize("purpose", PURPOSES, ids=range(len(PURPOSES)))
def test_r2_the_marker_survives_whatever_the_purpose_contains(marker: Marker, purpose: str) -> None:
    description = marker.render(purpose)
    assert parse_marker(description) == marker
    assert len(description.encode()) <= LIMIT
    assert description.isprintable()


def test_r2_the_longest_marker_leaves_60_letters_for_the_purpose() -> None:
    assert MAX_PURPOSE >= 60
    purpose = "p" * MAX_PURPOSE
    assert purpose_of(LONGEST.render(purpose)) == purpose


def test_r2_a_purpose_has_all_the_room_that_the_marker_leaves() -> None:
    assert len(MARKER.render("p" * LIMIT)) == LIMIT


def test_r2_a_purpose_that_is_cut_after_a_word_ends_with_the_word() -> None:
    assert purpose_of(f"{'p' * (LIMIT - 1)} of the web shop") == "p" * (LIMIT - 1)


@pytest.mark.parametrize("purpose", ["checkout of the web shop", "", "rotator:v2: is the name of a marker"])
def test_r2_a_purpose_reads_back_as_it_was_given(purpose: str) -> None:
    assert purpose_of(MARKER.render(purpose)) == purpose


def test_r2_the_purpose_of_a_key_without_a_marker_is_its_description() -> None:
    assert purpose_of("made by\nterraform  ") == "made by terraform"


def test_c18_a_description_without_bounds_is_a_purpose_within_them() -> None:
    assert purpose_of("p" * 1_000_000) == "p" * LIMIT
    assert len(purpose_of("\u00e9" * 1_000_000).encode()) == LIMIT


def test_i6_what_looks_like_a_secret_key_is_no_purpose() -> None:
    for text in (
        MARKER.render("key 6b3f0a52-9d1c-4e77-8a55-0f2c9d1e7b60"),
        purpose_of("key 6b3f0a52-9d1c-4e77-8a55-0f2c9d1e7b60"),
    ):
        assert text.startswith("key [secret]")
        assert "6b3f0a52" not in text


def test_r2_a_marker_of_version_1_is_understood_and_says_no_purpose() -> None:
    assert parse_marker(OF_VERSION_1) == MARKER
    assert purpose_of(OF_VERSION_1) == ""


@pytest.mark.parametrize(
    "form", [MARKER.render(), MARKER.render("purpose"), OF_VERSION_1], ids=["bare", "purpose", "version 1"]
)
@pytest.mark.parametrize("edited", ["", "rotator", "{0} ", "{0} and more", "{0}\n", "x{0}", "({0})"])
def test_r2_a_marker_that_was_edited_is_none(form: str, edited: str) -> None:
    found = parse_marker(edited.format(form))
    assert found is None or (edited == "x{0}" and form == MARKER.render("purpose")), "only the purpose may be edited"


def test_r2_a_marker_of_version_1_is_the_whole_description() -> None:
    assert parse_marker(f"purpose {OF_VERSION_1}") is None
    assert parse_marker(f"{OF_VERSION_1} purpose") is None
