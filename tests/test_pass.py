"""Passes that meet odd answers: what is seen again, what ends, and what is said."""

from __future__ import annotations

from tests.simulated import PATH, no_hook
from tests.test_protocol import DAY, HOUR, adopted, trouble


def test_i7_a_document_that_is_damaged_while_a_key_is_proven_ends_the_rotation_and_is_said() -> None:
    sim, daemon, first = adopted()
    sim.time.advance(30 * DAY)

    def hook(name: str, phase: str) -> None:
        if name == "authenticate" and phase == "after" and sim.calls.count("create_key"):
            sim.hook = no_hook
            sim.append("doc:" + PATH, {"access_key": first})

    sim.hook = hook
    daemon.run_for(HOUR)
    assert daemon.memory.held is None
    assert trouble(daemon) == "document_damaged"
    sim.publish_by_hand(first)
    daemon.run_for(HOUR)
    assert len(sim.live_keys()) == 2, "the first one in grace, and its replacement; the one that was proven is gone"
