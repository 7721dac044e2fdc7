"""The share of the proof that runs with the suite: small scenarios whole, of the large ones the first states."""

from __future__ import annotations

import pytest

from tests.proof.explorer import Explorer
from tests.proof.scenarios import ALL, Scenario

SHARE = 21_000
"""States that the suite explores of each large scenario. With the small ones, whole, these are more than 100,000."""


def test_the_suite_explores_at_least_100_000_states() -> None:
    assert sum(min(scenario.least, SHARE) for scenario in ALL) >= 100_000


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_r1_to_r14_in_every_state_all_invariants_hold_and_rest_is_reached(scenario: Scenario) -> None:
    count = Explorer(scenario, most=SHARE).run()
    assert count.states >= min(scenario.least, SHARE), "fewer states than there were: something is no longer tried"
    kinds = {fault for fault in scenario.faults if count.faults[fault]}
    assert kinds or scenario.hand or not scenario.budget, "no fault was tried"
