"""Random histories, and the stories of what they and a hostile reading of the protocol have found.

``python -m tests.histories COUNT START`` tries more; ``ROTATOR_HISTORIES=100000`` makes this suite try as many.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.decision.observation import RotationRequest
from rotator.domain.ledger import Intent, Ledger, RevokingKey, RotationMode
from rotator.domain.marker import incarnation_of, parse_marker
from rotator.domain.spec import VerificationPolicy
from rotator.errors import Conflict, PermissionDenied, Unavailable
from tests.histories import History
from tests.support.invariants import Monitor
from tests.support.scenarios import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    adopted,
    away,
    failing,
    lost,
    mark,
    marked_key,
    once,
    problem,
    rotate,
)
from tests.support.simulated import EPOCH, PATH, Actor, Killed, Sim, SimProvider, Version, no_hook

COUNT = int(os.environ.get("ROTATOR_HISTORIES", "1600"))
CHUNK = max(1, COUNT // 40)


@pytest.mark.parametrize("start", range(1, COUNT + 1, CHUNK))
def test_i1_to_i8_hold_in_random_histories_and_the_world_comes_to_rest(start: int) -> None:
    for seed in range(start, start + CHUNK):
        History(seed).run()


FOCUSED = max(1, COUNT // 8)


@pytest.mark.parametrize("start", [704_278, 704_500, *range(704_600, 704_600 + FOCUSED, max(1, FOCUSED // 5))])
def test_c17_i1_to_i8_hold_where_first_keys_are_marked_while_they_are_made(start: int) -> None:
    """704278 and 704500 deleted a first key that consumers read, before there was a fence for it."""
    for seed in range(start, start + max(1, FOCUSED // 5)):
        History(seed, focused=True).run()


def test_a_history_is_the_same_every_time_it_is_told() -> None:
    def told(seed: int) -> list[str]:
        history = History(seed)
        history.run()
        return history.stage.story

    assert told(4) == told(4)
    assert told(4) != told(5)


def test_the_histories_go_where_it_hurts() -> None:
    """Were the weather always fine, nothing would be tested."""
    seen: set[str] = set()
    for seed in (
        *range(1, 200),
        583,
        913,
    ):  # that a person publishes a condemned key again is rare; they do in these two
        history = History(seed)
        history.run()
        for player in history.players:
            seen |= set(player.actor.sink.names())
        seen |= {line.split()[4] for line in history.stage.story if line.split()[3:4] == ["late"]}
    wanted = {
        "rotation.taken_over",
        "rotation.abandoned",
        "rotation.verification_failed",
        "key.orphan_found",
        "key.republished",
        "key.published_key_invalid",
        "key.delete_unconfirmed",
        "document.changed_externally",
        "document.fenced",
        "compromise.contained",
        "application.blocked",
        "application.recovered",
        "create_key",
        "delete_key",
        "write_ledger",
        "write_document",
    }
    assert wanted <= seen, sorted(wanted - seen)


def test_the_histories_have_every_kind_of_trouble_with_vault() -> None:
    """Standbys that are behind, storms of each kind, ledgers that are damaged and repaired, versions pruned, a clock set."""
    told: list[str] = []
    for seed in range(1, 120):
        history = History(seed)
        history.run()
        told += history.stage.story
    for words in (
        "a standby answers, which is",
        "fails: rate_limited",
        "fails: server_error",
        "fails: unreachable",
        "the ledger is damaged",
        "pass.failed {'reason': 'ledger_unreadable'}",
        "a person undeletes the ledger",
        "a person repairs the ledger",
        "versions of the document",
        "Vault's clock is off",
    ):
        assert any(words in line for line in told), words


# --- rules 6 and 8: a key that was published again while nobody looked is owed its grace anew -----------------------------


def test_i2_a_key_in_grace_that_was_published_again_while_nobody_looked_gets_its_grace_anew() -> None:
    sim, daemon, first = adopted()
    monitor = Monitor(sim, DAY)
    sim.hook = lambda name, phase: monitor.check()
    second = rotate(daemon)
    sim.time.advance(20 * HOUR)
    sim.publish_by_hand(first)
    monitor.check()
    sim.time.advance(HOUR)
    sim.publish_by_hand(second)
    monitor.check()
    left = sim.time.now
    daemon.run_for(2 * DAY)
    assert sim.died(first) - left >= DAY


def test_i2_a_condemned_key_that_was_published_again_while_nobody_looked_gets_its_grace_anew() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    failing(sim, "delete_key", away("rate_limited"), times=1)
    sim.time.advance(25 * HOUR)
    daemon.run()
    assert sim.ledger().is_revoking(first)
    sim.publish_by_hand(first)
    sim.time.advance(HOUR)
    sim.publish_by_hand(second)
    left = sim.time.now
    daemon.run_for(2 * DAY)
    assert sim.died(first) - left >= DAY


def test_i2_nothing_is_deleted_before_the_ledger_has_followed_the_document() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)

    def hook(name: str, phase: str) -> None:
        if name in {"delete_key", "create_key"} and phase == "before":
            raise Unavailable("too many requests", service="acme", kind="rate_limited")

    sim.hook = hook
    sim.time.advance(25 * HOUR)
    daemon.run()
    assert sim.ledger().is_revoking(first)
    sim.publish_by_hand(first)
    theirs, _ = sim.make_key()
    sim.publish_by_hand(theirs.access_key)
    left = sim.time.now
    sim.keys[theirs.access_key].deleted_at = left
    daemon.run()  # consumers are down, and the first attempt to replace their key fails
    sim.hook = lambda name, phase: hook(name, phase) if name == "create_key" else None
    daemon.run()
    sim.hook = no_hook
    daemon.run_for(2 * DAY)
    assert sim.died(first) - left >= DAY


def test_r8_a_key_in_grace_that_a_list_does_not_show_is_neither_revoked_early_nor_forgotten() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    sim.hidden = {first}
    daemon.run_for(23 * HOUR)
    assert sim.live(first)
    daemon.run_for(2 * HOUR)
    assert not sim.live(first)


def test_i2_versions_that_cannot_be_read_any_more_are_assumed_to_have_held_every_key_in_grace() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    sim.publish_by_hand(first)
    sim.publish_by_hand(second)
    sim.kv["doc:" + PATH][2].deleted = True
    left = sim.time.now = sim.time.now + 23 * HOUR
    daemon.run_for(3 * DAY)
    assert sim.died(first) - left >= DAY


def test_i7_somebody_who_writes_the_document_all_the_time_does_not_keep_old_keys_alive() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    for _ in range(30):
        for note in range(4):
            sim.publish_by_hand(second, note=note)
        daemon.run()
        sim.time.advance(HOUR)
    assert not sim.live(first)


def test_r6_a_secret_edited_in_place_is_tried_though_this_process_has_just_proven_another() -> None:
    sim, daemon, _ = adopted()
    once(
        sim,
        "write_document",
        "after",
        lambda: sim.publish_by_hand(str(sim.published_key()), secret="not-the-secret-of-anything"),
    )
    outcome = daemon.run(RotationRequest("asked", sim.published_key()))
    assert outcome.wait is not None
    assert outcome.wait.reason == "secret_rejected"
    assert "rotation.committed" not in daemon.sink.names()


def test_r6_a_key_that_the_provider_does_not_show_yet_is_not_as_old_as_the_one_before_it() -> None:
    sim, daemon, first = adopted()
    sim.time.advance(29 * DAY)
    theirs, _ = sim.make_key()
    sim.publish_by_hand(theirs.access_key)
    true = sim.keys[theirs.access_key]
    provider = daemon.context.provider
    assert isinstance(provider, SimProvider)
    provider.get_key = lambda access_key: None  # type: ignore[method-assign]  # reads lag, also by name
    sim.hidden = {theirs.access_key}
    daemon.run_for(2 * DAY)
    assert sim.published_key() == true.key.access_key


# --- rule 9: emergencies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["the published key is compromised", "the published key is invalid"])
def test_i7_an_emergency_whose_attempt_failed_is_tried_again_within_seconds(mode: str) -> None:
    sim, daemon, first = adopted()
    if "dead" in mode:
        sim.keys[first].deleted_at = sim.time.now
    else:
        mark(daemon, first)
    failing(sim, "create_key", away("rate_limited"))
    outcome = daemon.run()
    assert outcome.wait.until - sim.time.now <= 5 * SECOND
    sim.hook = no_hook
    daemon.run_for(10 * SECOND)
    assert sim.published_key() != first


def test_i7_no_trouble_keeps_an_application_from_being_looked_at() -> None:
    sim, daemon, _ = adopted(resync_interval=15 * MINUTE)
    for _ in range(2):
        rotate(daemon)
    sim.time.advance(12 * HOUR)
    daemon.spec = replace(daemon.spec, every=HOUR)
    outcome = daemon.run()
    assert outcome.wait.reason == "too_many_keys"
    assert outcome.wait.until <= sim.time.now + 15 * MINUTE


@pytest.mark.parametrize(
    "first_key", [False, True], ids=["beside a published key", "in a document that holds none yet"]
)
def test_i1_r9_a_compromised_key_that_another_process_may_still_publish_is_fenced_off_before_it_dies(
    first_key: bool,
) -> None:
    """The first key of a document that only others have written: found by history 15611."""
    sim, daemon, _ = adopted()
    if first_key:
        sim = Sim(kv={"doc:" + PATH: [Version({"database": "kept"}, EPOCH)]})
        daemon = Actor(sim)
    monitor = Monitor(sim, DAY)
    monitor.check()
    other = Actor(sim, owner="daemon-2")

    def killed_once_it_has_deleted(name: str, phase: str) -> None:
        monitor.check()
        if (name, phase) == ("delete_key", "after"):
            sim.hook = lambda name, phase: monitor.check()
            raise Killed

    def hook(name: str, phase: str) -> None:
        if name == "write_document" and phase == "before":
            sim.hook = killed_once_it_has_deleted
            made = next(name for name, true in sim.keys.items() if parse_marker(true.key.description))
            mark(other, made)
            with pytest.raises(Killed):
                other.run()
            assert not sim.live(made)

    sim.hook = hook
    daemon.run(RotationRequest("asked", sim.published_key()))
    assert "document.fenced" in other.sink.names()
    version = sim.published()
    assert version is not None
    assert sim.works(version.data["secret_key"]), "a deleted key was published"
    assert version.data["database"] == "kept"


def test_i3_nothing_is_called_contained_while_consumers_still_read_it() -> None:
    sim, daemon, first = adopted()
    mark(daemon, first, mode="revoke_first")
    failing(sim, "create_key", away("rate_limited"))
    daemon.run()
    assert not sim.live(first)
    assert sim.published_key() == first
    assert "compromise.contained" not in daemon.sink.names()
    sim.hook = no_hook
    daemon.run_for(MINUTE)
    assert sim.published_key() != first
    assert "compromise.contained" in daemon.sink.names()


def test_i7_one_key_that_may_not_be_deleted_keeps_nothing_else_waiting() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    mark(daemon)

    class Stubborn(SimProvider):
        def delete_key(self, access_key: str) -> bool:
            if access_key == first:
                raise PermissionDenied("we may not delete keys", service="acme", kind="permissions_denied")
            return super().delete_key(access_key)

    daemon.context = replace(daemon.context, provider=Stubborn(sim))
    daemon.run_for(MINUTE)
    assert sim.published_key() != second
    assert not sim.live(second)
    assert sim.live(first)
    assert problem(daemon) == "delete_refused"
    assert sim.ledger().compromised_keys() == {first}


def test_i8_a_delete_that_never_arrived_is_not_taken_for_death_because_the_key_is_refused() -> None:
    sim, daemon, _ = adopted()
    short_lived = sim.make_key(expires=sim.time.now + HOUR)[0].access_key
    sim.publish_by_hand(short_lived)
    daemon.run()
    rotate(daemon)
    failing(sim, "delete_key", lost())
    sim.time.advance(26 * HOUR)
    daemon.run()
    assert sim.ledger().is_revoking(short_lived)
    sim.hook = no_hook
    daemon.run_for(HOUR)
    assert not sim.live(short_lived)


# --- secrets, intents, room -----------------------------------------------------------------------------------------------


def test_i6_a_secret_does_not_wait_for_ever_when_vault_goes_away_before_the_proof_has_ended() -> None:
    sim, daemon, first = adopted(verification=VerificationPolicy(3, MINUTE, 10 * MINUTE), stale_claim_timeout=HOUR)

    def hook(name: str, phase: str) -> None:
        if name == "authenticate" and phase == "after" and sim.calls.count("create_key"):
            sim.sealed = True

    sim.hook = hook
    sim.time.advance(30 * DAY)
    for _ in range(5000):
        outcome = daemon.run()
        sim.time.now = max(sim.time.now, outcome.wait.until)
        if sim.time.now > sim.keys[first].key.created_at + 30 * DAY + HOUR:
            break
    assert sim.sealed
    assert daemon.local_state.in_flight is not None
    assert daemon.local_state.in_flight.secret is None
    sim.hook, sim.sealed = no_hook, False
    daemon.run_for(HOUR)
    assert len(sim.live_keys()) == 2, "the first one in grace, and its replacement"


def test_i2_a_conflict_with_our_own_publish_is_no_licence_to_delete_its_key_at_once() -> None:
    sim, daemon, _ = adopted()
    monitor = Monitor(sim, DAY)
    made: list[str] = []

    def hook(name: str, phase: str) -> None:
        if phase == "after":
            monitor.check()
        if name == "write_document" and phase == "after" and not made:
            made.append(str(sim.published_key()))
            theirs, _ = sim.make_key()
            sim.publish_by_hand(theirs.access_key)
            monitor.check()
            raise Conflict("the version is not the base", service="vault", kind="conflict")

    sim.hook = hook
    daemon.run(RotationRequest("asked", sim.published_key()))
    daemon.run_for(HOUR)
    assert sim.live(made[0])
    daemon.run_for(2 * DAY)
    assert not sim.live(made[0])


def with_intent(sim: Sim, daemon: Actor, mode: RotationMode = RotationMode.REQUESTED, **changes: object) -> Ledger:
    """The ledger after a process claimed a rotation and died."""
    ledger, version = daemon.context.vault.read_ledger("billing")
    assert ledger is not None
    created = sim.kv["doc:" + PATH][-1].created
    intent = Intent("d" * 16, 1, incarnation_of(PATH, created), "asked", mode, "gone", sim.time.now)
    ledger = replace(ledger, intent=intent, **changes)  # type: ignore[arg-type]  # fields of the ledger
    daemon.context.vault.write_ledger(ledger, cas=version)
    return ledger


def count_passes(actor: Actor, span: timedelta) -> int:
    end, passes = actor.sim.time.now + span, 0
    while actor.sim.time.now < end and passes < 1000:
        outcome = actor.run()
        passes += 1
        actor.sim.time.now = max(actor.sim.time.now, outcome.wait.until)
    return passes


@pytest.mark.parametrize(
    "case",
    [
        "a dead intent of an orphan",
        "a dead intent after a failure",
        "a failure and no schedule",
        "an emergency after a failure",
    ],
)
def test_i7_nobody_spins(case: str) -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    if case == "a dead intent of an orphan":
        with_intent(sim, daemon)
        daemon.spec = replace(daemon.spec, configured=False)
        assert count_passes(daemon, 10 * HOUR) < 30
        assert sim.ledger().intent is None
        return
    if case == "a dead intent after a failure":
        with_intent(sim, daemon, not_before=sim.time.now + HOUR, failures=3)
    elif case == "a failure and no schedule":
        ledger, version = daemon.context.vault.read_ledger("billing")
        assert ledger is not None
        failed = replace(ledger, failures=1, not_before=sim.time.now + MINUTE)
        daemon.context.vault.write_ledger(failed, cas=version)
        daemon.spec = replace(daemon.spec, every=None)
    else:
        mark(daemon, second)
        ledger, version = daemon.context.vault.read_ledger("billing")
        assert ledger is not None
        sim.time.advance(DAY)
        failed = replace(ledger, failures=9, not_before=sim.time.now + MINUTE)
        daemon.context.vault.write_ledger(failed, cas=version)
    assert count_passes(daemon, 10 * HOUR) < 40
    assert sim.live(str(sim.published_key()))
    assert sim.ledger().intent is None


def test_i7_a_published_key_that_is_scheduled_for_revocation_is_no_reason_to_look_again_at_once() -> None:
    """Found by history 800904: until the claim of a process that stopped is taken over, five passes a second."""
    sim, daemon, first = adopted()
    rotate(daemon)
    daemon.run_for(3 * DAY)
    assert not sim.live(first)
    sim.publish_by_hand(first)
    ledger, version = daemon.context.vault.read_ledger("billing")
    assert ledger is not None
    again = RevokingKey(first, 1, "replaced", republished=True, not_before=sim.time.now - DAY)
    daemon.context.vault.write_ledger(replace(ledger, revoking=(again,)), cas=version)
    with_intent(sim, daemon, RotationMode.RECOVERY)
    assert count_passes(daemon, 30 * SECOND) < 10
    daemon.run_for(10 * MINUTE)
    assert sim.live(str(sim.published_key()))


def test_i7_with_no_room_for_another_key_a_provider_that_tells_no_head_room_is_given_a_fence() -> None:
    sim, daemon, first = adopted()
    marked_key(sim, 1)

    class Silent(SimProvider):
        def headroom(self, *, fresh: bool = False) -> int | None:
            return None

    daemon.context = replace(daemon.context, provider=Silent(sim))
    sim.quota = 2
    mark(daemon, first)
    daemon.run_for(10 * MINUTE)
    assert sim.published_key() != first
    assert not sim.live(first)


def test_i7_an_emergency_whose_answers_get_lost_does_not_fill_the_account() -> None:
    sim, daemon, first = adopted()
    mark(daemon, first)
    failing(sim, "create_key", lost(), phase="after")
    most = 0
    for _ in range(200):
        outcome = daemon.run()
        sim.time.now = max(sim.time.now, outcome.wait.until)
        most = max(most, len(sim.live_keys()))
    assert most <= daemon.spec.max_live_keys + 1
    sim.hook = no_hook
    daemon.run_for(HOUR)
    assert not sim.live(first)
    assert len(sim.live_keys()) == 1


def test_i2_a_document_that_was_recreated_says_nothing_of_what_consumers_read_before() -> None:
    """Found by history 56743: a key in grace was published again, then the document was recreated, and its versions climbed on."""
    sim, daemon, first = adopted()
    second = rotate(daemon)
    sim.time.advance(20 * HOUR)
    sim.publish_by_hand(first)  # nobody looks
    sim.time.advance(HOUR)
    left = sim.time.now
    sim.kv["doc:" + PATH] = []
    for _ in range(4):
        sim.publish_by_hand(second)
    daemon.run_for(3 * DAY)
    assert sim.died(first) - left >= DAY


def test_r5_a_paused_publish_does_not_land_in_a_document_that_was_recreated_at_the_same_version() -> None:
    """Found by history 70774: the version number fits, but it is another document."""
    sim, daemon, first = adopted()
    sim.time.advance(30 * DAY)
    theirs, _ = sim.make_key()

    def hook(name: str, phase: str) -> None:
        if (
            name == "authenticate" and phase == "after" and sim.calls.count("authenticate") == 3
        ):  # proven: now to publish
            sim.hook = no_hook
            sim.kv["doc:" + PATH] = []
            sim.publish_by_hand(theirs.access_key)

    sim.hook = hook
    daemon.run()
    assert sim.calls.count("write_document") == 0
    assert sim.published_key() == theirs.access_key
