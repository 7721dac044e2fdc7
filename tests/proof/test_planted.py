"""The planted bugs are caught, or the proof proves nothing."""

from __future__ import annotations

import pytest

from tests.proof.planted import BUGS, Bug, hunt_in_a_copy


def test_at_least_25_bugs_are_planted() -> None:
    assert len({planted.name for planted in BUGS}) >= 25


@pytest.mark.parametrize("planted", [planted for planted in BUGS if not planted.deep], ids=lambda planted: planted.name)
def test_a_planted_bug_is_caught(planted: Bug) -> None:
    found = hunt_in_a_copy(planted)
    assert found.check, f"nothing noticed, after {found.states} states and {found.histories} histories"


NAMED = (
    "what is wrong with the document goes before containment",
    "that the POST was sent is remembered only after its answer",
    "the history keeps three things that happened",
    "one incident is kept",
    "a signature is forgotten one tolerance after it was accepted, and is good again",
    "contained is said although a marked key is published",
    "a token near its maximum life is renewed until it ends",
    "one bearer may be configured twice, under two names of its account",
    "a probe that a reload overtook speaks of the new configuration",
    "the same trouble is told again after ten years",
    "an idle connection is used again for ten minutes",
)
"""Wrong versions that lived through the whole suite once."""


def test_the_wrong_versions_that_lived_once_stay_planted_and_are_hunted_with_the_suite() -> None:
    assert set(NAMED) <= {planted.name for planted in BUGS if not planted.deep}
