"""What the stories on the simulated world begin with, and what befalls them: a call fails, an answer is lost, a process is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from rotator.decision.observation import RotationRequest
from rotator.decision.transitions.compromise import mark_compromised
from rotator.domain.marker import Marker, incarnation_of
from rotator.errors import Indeterminate, Unavailable
from tests.support.simulated import PATH, Actor, Sim, no_hook, spec

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


def adopted(**changes: Any) -> tuple[Sim, Actor, str]:
    """A world in which a key that somebody made long ago is published and has been taken over."""
    sim = Sim()
    key, _ = sim.make_key()
    sim.publish_by_hand(key.access_key, database="kept")
    daemon = Actor(sim, spec(**changes))
    daemon.run()
    sim.calls.clear()
    daemon.sink.events.clear()
    return sim, daemon, key.access_key


def rotate(actor: Actor) -> str:
    """One rotation that a person asked for; the new key."""
    before = actor.sim.published_key()
    actor.run(RotationRequest("asked", before))
    after = actor.sim.published_key()
    assert after is not None
    assert after != before
    return after


def mark(actor: Actor, *keys: str, mode: str = "replace_first", override_hold: bool = False) -> None:
    """Somebody marks these keys compromised; without names, all that the document and the ledger name."""
    vault = actor.context.vault
    ledger, version = vault.read_ledger("billing")
    assert ledger is not None
    named = set(keys) or {actor.sim.published_key() or "", *ledger.names()}
    vault.write_ledger(
        mark_compromised(
            ledger,
            named,
            reason="leaked",
            by="test",
            at=actor.sim.time.now,
            incident="i1",
            mode=mode,
            override_hold=override_hold,
        ),
        cas=version,
    )


def change(actor: Actor, **changes: Any) -> None:
    """Somebody writes the ledger."""
    vault = actor.context.vault
    ledger, version = vault.read_ledger("billing")
    assert ledger is not None
    vault.write_ledger(replace(ledger, **changes), cas=version)


def problem(actor: Actor) -> str | None:
    """Why the application is in trouble, as its ledger says."""
    found = actor.sim.ledger().problem
    return found.reason if found else None


def marked_key(sim: Sim, base: int, *, fits: bool = True) -> str:
    """A key of ours that no ledger names, made for that version of the document, or for another document."""
    created = sim.kv["doc:" + PATH][base - 1].created if 0 < base <= len(sim.kv.get("doc:" + PATH, [])) else None
    marker = Marker("1" * 16, "billing", "e" * 16, base, incarnation_of(PATH, created) if fits else "0" * 16)
    return sim.make_key(marker.render())[0].access_key


def away(kind: str = "unreachable") -> Unavailable:
    """The call was surely not executed."""
    return Unavailable("it is away", service="test", kind=kind)


def lost(kind: str = "timeout") -> Indeterminate:
    """The call was executed, or not: nobody knows."""
    return Indeterminate("no answer", service="test", kind=kind)


def failing(
    sim: Sim, name: str, error: BaseException, *, phase: str = "before", times: int = 1_000_000, after: int = 0
) -> list[datetime]:
    """From now on these calls fail so; when each did."""
    failed: list[datetime] = []
    passed = 0

    def hook(effect: str, when: str) -> None:
        nonlocal passed
        if effect == name and when == phase:
            passed += 1
            if after < passed <= after + times:
                failed.append(sim.time.now)
                raise error

    sim.hook = hook
    return failed


def once(sim: Sim, name: str, phase: str, act: Callable[[], object], *, since: str = "") -> None:
    """Somebody acts at the next such call, or at the next one since there was another."""

    def hook(effect: str, when: str) -> None:
        if effect == name and when == phase and (not since or since in sim.calls):
            sim.hook = no_hook
            act()

    sim.hook = hook
