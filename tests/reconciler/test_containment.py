"""Containment on the simulated world: first keys, documents that cannot be trusted, waits, and what is asked before a revocation
that cannot be taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from datetime import datetime
from typing import TypeVar

import pytest

from rotator.reconciler.context import PassOutcome
from rotator.reconciler.runner import reconcile
from tests.support.invariants import Monitor
from tests.support.scenarios import DAY, mark, once
from tests.support.simulated import PATH, Actor, Killed, Sim, no_hook

T = TypeVar("T")
DOCUMENT = "doc:" + PATH


class WatchedSim(Sim):
    """A world that checks the invariants at every effect, whatever hook a test sets."""

    monitor: Monitor

    def effect(self, name: str, execute: Callable[[], T]) -> T:
        def checked() -> T:
            answer = execute()
            self.monitor.check()
            return answer

        return super().effect(name, checked)


def watched() -> WatchedSim:
    sim = WatchedSim()
    sim.monitor = Monitor(sim, DAY)
    return sim


def go_on(sim: Sim, passing: Generator[datetime, None, PassOutcome]) -> None:
    """Let a pass that waits go on to its end."""
    for until in passing:
        sim.time.now = max(sim.time.now, until)


def kill() -> None:
    """The process that makes this call ends here."""
    raise Killed


def works(sim: Sim) -> bool:
    """Whether what consumers read works."""
    version = sim.published()
    return version is not None and sim.works(version.data["secret_key"])


# --- a first key, for which there is no document yet (rule 7, C17) ----------------------------------------------------------


def test_c17_a_marked_first_key_is_not_deleted_while_the_process_that_made_it_publishes_it() -> None:
    """The last look before the DELETE finds no document; the key is published; the DELETE lands."""
    sim = watched()
    maker, revoker = Actor(sim, owner="daemon-A"), Actor(sim, owner="daemon-B")
    making = reconcile(maker.spec, maker.context, maker.local_state)
    next(making)  # the key is there, and its verification waits
    (first,) = sim.live_keys()
    mark(revoker, first)

    def publish_and_be_killed() -> None:
        once(sim, "write_document", "after", kill)
        with contextlib.suppress(Killed):
            go_on(sim, making)
        sim.hook = no_hook

    once(sim, "delete_key", "before", publish_and_be_killed)
    revoker.run()
    maker.restart()
    maker.run_for(DAY)
    assert not sim.live(first)
    assert works(sim)
    assert sim.published_key() != first


def test_c17_a_marked_first_key_is_not_published_after_it_was_deleted() -> None:
    """The process that made the key is paused right before its publish; whoever deletes the key is killed right after that."""
    sim = watched()
    maker, revoker = Actor(sim, owner="daemon-A"), Actor(sim, owner="daemon-B")

    def meanwhile() -> None:
        (first,) = sim.live_keys()
        mark(revoker, first)

        once(sim, "delete_key", "after", kill)
        with pytest.raises(Killed):
            revoker.run()
        sim.hook = no_hook

    once(sim, "write_document", "before", meanwhile)
    maker.run_for(DAY)
    (first,) = sim.monitor.marked
    assert not sim.live(first)
    assert works(sim)


def test_c17_the_fence_of_a_first_key_leaves_an_empty_document_that_gets_a_first_key() -> None:
    sim = watched()
    maker, revoker = Actor(sim, owner="daemon-A"), Actor(sim, owner="daemon-B")
    next(reconcile(maker.spec, maker.context, maker.local_state))
    (first,) = sim.live_keys()
    mark(revoker, first)
    revoker.run()
    assert sim.kv[DOCUMENT][0].data == {}
    maker.restart()
    maker.run_for(DAY)
    assert (len(sim.kv[DOCUMENT]), works(sim)) == (2, True)
    assert sim.live_keys() == [sim.published_key()]
