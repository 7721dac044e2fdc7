"""Histories of a fleet: several accounts and applications, in daemons that are the daemon's own engine.

``python -m tests.histories COUNT START --fleet`` tries more of them, as ``make prove`` does.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.histories.fleet import FleetHistory

COUNT = int(os.environ.get("ROTATOR_HISTORIES", "1600")) // 400
"""How many; each takes about as long as forty of one application."""


@pytest.mark.parametrize("seed", [6, 20, *range(101, 101 + COUNT)])
def test_i1_to_i8_hold_for_a_fleet_whatever_is_renamed_restarted_and_hangs_and_no_account_delays_another(
    seed: int,
) -> None:
    """Seed 6 revoked a key that a former document published, seed 20 had the keys of two applications in one ledger."""
    FleetHistory(seed).run()


def test_the_fleets_go_where_it_hurts() -> None:
    """Were nothing ever renamed, blocked or hanging, nothing would be tested."""
    said: Counter[str] = Counter()
    told: list[str] = []
    hung = 0
    for seed in range(109, 117):
        history = FleetHistory(seed)
        history.run()
        said += history.world.said
        told += history.world.story
        hung += history.world.hung
    wanted = {
        "application.renamed",
        "application.blocked",
        "daemon.application_removed",
        "compromise.contained",
        "rotation.abandoned",
        "rotation.taken_over",
        "service.down",
        "service.up",
    }
    assert wanted <= set(said), sorted(wanted - set(said))
    for words in (
        "cron starts",
        "reloads",
        "killed before",
        "are swapped",
        "lands",
        "the clock of",
        "another path",
    ):
        assert any(words in line for line in told), words
    assert hung > 100


def test_a_fleet_history_is_the_same_every_time_it_is_told() -> None:
    def told(seed: int) -> list[str]:
        history = FleetHistory(seed)
        history.run()
        return history.world.story

    assert told(4) == told(4)
