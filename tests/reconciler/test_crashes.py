"""Killed, or left without an answer, at every single effect: the next start goes on and nothing is broken.

Every effect of every scenario is a point. At each point one of these happens: the actor is killed before the effect, or after
it; or the answer is lost, so that the actor sees an error though the effect took place; or the call fails without effect; or a
second actor makes a whole pass in between. Then the faults stop, and the world must come to rest with every invariant intact.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from rotator.decision.observation import RotationRequest
from rotator.decision.transitions.compromise import mark_compromised
from rotator.domain.ledger import Ledger
from rotator.errors import Conflict, Indeterminate, Unavailable
from tests.support.invariants import Monitor
from tests.support.simulated import Actor, Killed, Sim

WRITES = {"write_ledger", "write_document", "create_key", "delete_key"}
GRACE = timedelta(hours=24)


class Story:
    """A world with an adopted key, its monitor, and one daemon; scenarios begin here."""

    def __init__(self) -> None:
        self.sim = Sim()
        key, _ = self.sim.make_key()
        self.sim.publish_by_hand(key.access_key, database="kept")
        self.first = key.access_key
        stranger, _ = self.sim.make_key("somebody else's")
        self.monitor = Monitor(self.sim, GRACE, strangers={stranger.access_key})
        self.daemon = Actor(self.sim)
        self.daemon.run()
        self.sim.calls.clear()


def scheduled(story: Story) -> None:
    story.daemon.run_for(timedelta(days=32))


def ask(story: Story) -> None:
    for _ in range(60):
        outcome = story.daemon.run(RotationRequest("asked", story.first))
        if story.sim.published_key() != story.first and outcome.error is None:
            return
        story.sim.time.advance(timedelta(seconds=30))
    raise AssertionError("the request was never fulfilled")


def requested(story: Story) -> None:
    ask(story)
    story.daemon.run_for(timedelta(hours=25))


def compromised(story: Story) -> None:
    mark(story)
    story.daemon.run_for(timedelta(hours=1))


def compromised_in_grace(story: Story) -> None:
    ask(story)
    mark(story)
    story.daemon.run_for(timedelta(hours=1))


def mark(story: Story) -> None:
    """What ``rotate --compromised`` does first; it insists."""
    for _ in range(3):
        try:
            return mark_once(story)
        except (Unavailable, Indeterminate, Conflict):
            continue
    raise AssertionError("the mark was never written")


def mark_once(story: Story) -> None:
    vault = story.daemon.context.vault
    ledger, version = vault.read_ledger("billing")
    assert ledger is not None
    published = story.sim.published_key()
    assert published is not None
    marked = mark_compromised(
        ledger,
        {published, *ledger.names()},
        reason="leaked",
        by="test",
        at=story.sim.time.now,
        incident="i1",
        mode="replace_first",
    )
    vault.write_ledger(marked, cas=version)


SCENARIOS: dict[str, Callable[[Story], None]] = {
    "a scheduled rotation and its revocation": scheduled,
    "a rotation that a person asked for": requested,
    "a compromised key": compromised,
    "a key compromised while it is in grace": compromised_in_grace,
}


def count_effects(scenario: Callable[[Story], None]) -> int:
    story = Story()
    scenario(story)
    return len(story.sim.calls)


def interesting(scenario: Callable[[Story], None]) -> list[int]:
    """The points to try: every effect but the idle observations, whose kind is tried by the first ones."""
    story = Story()
    names: list[str] = []
    story.sim.hook = lambda name, phase: names.append(name) if phase == "before" else None
    scenario(story)
    busy = {n for n, name in enumerate(names) if name not in {"read_ledger", "read_document", "list_keys"}}
    near = {n + offset for n in busy for offset in range(-4, 5)}
    return sorted(n for n in range(len(names)) if n in near or n < 4)


def disturb(scenario: Callable[[Story], None], point: int, what: str) -> Story:
    """Run the scenario with one disturbance at one effect, then let it rest."""
    story = Story()
    other = Actor(story.sim, owner="daemon-2")
    at = -1
    done = False

    def hook(name: str, phase: str) -> None:
        nonlocal at, done
        story.monitor.check() if phase == "after" else None
        at += phase == "before"
        if at != point or done:
            return
        if phase == "before" and what == "killed before":
            done = True
            raise Killed
        if phase == "before" and what == "fails":
            done = True
            raise Unavailable("away for a moment", service="test", kind="unreachable")
        if phase == "before" and what == "another actor acts before":
            done = True
            other.run()
        if phase == "after" and what == "killed after":
            done = True
            raise Killed
        if phase == "after" and what == "answer lost":
            done = True
            error = Indeterminate if name in WRITES else Unavailable
            raise error("the answer was lost", service="test", kind="timeout")
        if phase == "after" and what == "another actor acts after":
            done = True
            other.run()

    story.sim.hook = hook
    try:
        scenario(story)
    except Killed:
        story.daemon.restart()
        scenario(story)
    story.daemon.run_for(timedelta(days=3))
    if what.startswith("another"):
        other.run_for(timedelta(days=3))
        story.daemon.run_for(timedelta(days=1))
    story.sim.hook = lambda name, phase: None
    story.monitor.check()
    return story


DISTURBANCES = (
    "killed before",
    "killed after",
    "answer lost",
    "fails",
    "another actor acts before",
    "another actor acts after",
)


@pytest.mark.parametrize("what", DISTURBANCES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_r1_to_r8_every_effect_disturbed_comes_to_rest_with_all_invariants(name: str, what: str) -> None:
    scenario = SCENARIOS[name]
    points = interesting(scenario)
    assert len(points) >= 14, "the scenario lost its effects"
    for point in points:
        try:
            story = disturb(scenario, point, what)
            ledger: Ledger = story.sim.ledger()
            story.monitor.check_rest(ledger)
            assert ledger.current is not None
            assert ledger.current.access_key != story.first, "the rotation never happened"
            assert not story.sim.live(story.first), "the replaced key still lives"
        except AssertionError as error:
            error.add_note(f"at effect {point}, disturbed so: {what}")
            raise


def test_i3_a_kill_does_not_lengthen_the_life_of_a_compromised_key() -> None:
    for point in range(count_effects(compromised)):
        story = Story()
        at = -1

        def hook(name: str, phase: str, point: int = point) -> None:
            nonlocal at
            at += phase == "before"
            if at == point and phase == "after":
                raise Killed

        story.sim.hook = hook
        began = story.sim.time.now
        try:
            compromised(story)
        except Killed:
            story.daemon.restart()
            story.sim.hook = lambda name, phase: None
            ledger = story.sim.ledger()
            if not ledger.compromised and not ledger.incidents:
                continue  # killed before the mark was written: nothing was acknowledged
            story.daemon.run_for(timedelta(minutes=5))
            deleted = story.sim.keys[story.first].deleted_at
            assert deleted is not None, f"killed at effect {point}: the compromised key still lives"
            assert deleted - began < timedelta(minutes=5)
