"""What stops work is reported once when it appears and once when it clears, whoever sees it, and is not written by turns."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.domain.reasons import REASONS, Reason
from tests.support.scenarios import DAY, HOUR, MINUTE, SECOND, adopted, rotate
from tests.support.simulated import PATH, Actor, Sim, SimProvider, SimVault, spec


class VaultOf(SimVault):
    """Vault as a process whose own clock is off sees it: the difference is on the side of Vault."""

    skew = timedelta(0)

    def clock_offset(self) -> timedelta:
        return -self.skew


class ProviderOf(SimProvider):
    """The same for the provider."""

    skew = timedelta(0)

    def clock_offset(self) -> timedelta:
        return -self.skew


def process(sim: Sim, owner: str, skew: timedelta = timedelta(0)) -> Actor:
    actor = Actor(sim, spec(resync_interval=15 * MINUTE), owner=owner, skew=skew)
    vault, provider = VaultOf(sim), ProviderOf(sim)
    vault.skew = provider.skew = skew
    actor.context = replace(actor.context, vault=vault, provider=provider)
    return actor


def told(actor: Actor, *names: str) -> list[tuple[str, object]]:
    return [(name, fields["reason"]) for name, fields in actor.sink.events if name in names]


def stops(actor: Actor) -> list[tuple[str, object]]:
    return told(actor, "application.blocked", "application.recovered")


def test_c19_two_daemons_of_which_one_has_a_wrong_clock_do_not_write_their_opinions_by_turns() -> None:
    sim = Sim()
    key, _ = sim.make_key()
    sim.publish_by_hand(key.access_key)
    sound, wrong = process(sim, "sound"), process(sim, "wrong", 60 * SECOND)
    sound.run()
    sim.time.advance(31 * DAY)
    sound.run()
    before, end = len(sim.kv["ledger:billing"]), sim.time.now + 23 * HOUR
    wake = {actor.owner: sim.time.now for actor in (sound, wrong)}
    for actor in (sound, wrong):
        actor.sink.events.clear()
    while True:
        actor = min((sound, wrong), key=lambda one: wake[one.owner])
        if wake[actor.owner] > end:
            break
        sim.time.now = max(sim.time.now, wake[actor.owner])
        outcome = actor.run()
        wake[actor.owner] = max(outcome.wait.until - actor.skew, sim.time.now + SECOND)
    assert len(sim.kv["ledger:billing"]) - before <= 5
    assert stops(sound) == []
    assert stops(wrong) == [("application.blocked", "clock_skew")], "once, by the process that sees it"


@pytest.mark.parametrize("reason", ["clock_skew", "vault_permission_missing", "configuration_moved", "fields_renamed"])
def test_c2_a_block_that_the_ledger_does_not_record_is_reported_once_and_so_is_its_end(reason: str) -> None:
    sim, daemon, _ = adopted()
    rotate(daemon)
    daemon.sink.events.clear()
    sound = daemon.spec
    match reason:
        case "clock_skew":
            sim.time.skew_provider = 5 * MINUTE
        case "vault_permission_missing":
            sim.lacking = ("update",)
            daemon.run_for(32 * DAY)
        case "configuration_moved":
            daemon.spec = replace(sound, path=PATH + "/new")
        case _:
            daemon.spec = replace(sound, fields={"id": "{access_key}", "secret_key": "{secret_key}"})
    since = [daemon.run().wait.problem for _ in range(3)]
    assert stops(daemon) == [("application.blocked", reason)]
    assert len({problem.since for problem in since if problem}) == 1
    messages = [fields["message"] for name, fields in daemon.sink.events if name == "application.blocked"]
    assert REASONS[Reason(reason)].action.split("{", maxsplit=1)[0] in str(messages[0]), "with the way out"
    assert sim.ledger().problem is None
    daemon.spec, sim.time.skew_provider, sim.lacking = sound, timedelta(0), ()
    daemon.run()
    assert stops(daemon) == [("application.blocked", reason), ("application.recovered", reason)]


def test_c2_a_block_before_the_first_ledger_is_reported_too() -> None:
    sim = Sim()
    daemon = Actor(sim)
    sim.lacking = ("create", "update")
    daemon.run()
    daemon.run()
    assert stops(daemon) == [("application.blocked", "vault_permission_missing")]


def test_c2_a_recorded_block_that_ends_with_a_rotation_is_reported_as_over() -> None:
    sim, daemon, _ = adopted()
    sim.quota = len(sim.live_keys())
    daemon.run_for(31 * DAY)
    assert stops(daemon) == [("application.blocked", "quota")]
    sim.quota += 2
    daemon.run_for(HOUR)
    assert sim.ledger().problem is None
    assert stops(daemon) == [("application.blocked", "quota"), ("application.recovered", "quota")]


def test_c19_what_stops_only_a_persons_request_is_not_written_into_the_ledger() -> None:
    """The daemon, which is not asked to rotate, sees no problem and would take it back: by turns, as often as the person asks."""
    from rotator.decision.observation import RotationRequest  # what a command adds

    sim, daemon, first = adopted()
    sim.quota = len(sim.live_keys())
    person, before = Actor(sim, owner="person"), len(sim.kv["ledger:billing"])
    for _ in range(5):
        assert person.run(RotationRequest("asked", first)).wait.reason == "quota"
        daemon.run()
    assert len(sim.kv["ledger:billing"]) == before
    assert stops(daemon) == []


def test_c2_a_quota_that_only_the_refusal_of_a_create_tells_is_reported_as_a_block_too() -> None:
    sim, daemon, _ = adopted()
    sim.quota = len(sim.live_keys())
    daemon.context.provider.headroom = lambda *, fresh=False: None  # type: ignore[method-assign]  # does not tell
    daemon.run_for(31 * DAY)
    assert stops(daemon) == [("application.blocked", "quota")]
    sim.quota += 2
    daemon.run_for(3 * HOUR)
    assert stops(daemon) == [("application.blocked", "quota"), ("application.recovered", "quota")]
