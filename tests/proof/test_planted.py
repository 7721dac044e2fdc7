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
