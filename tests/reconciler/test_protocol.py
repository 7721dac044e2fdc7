"""The fourteen rules of DESIGN.md, section 3, and the hazards that they answer, each as a story on the simulated world."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotator.decision.observation import RotationRequest
from rotator.domain.ledger import Hold, Intent, RotationMode
from rotator.domain.marker import Marker, incarnation_of, parse_marker
from rotator.domain.spec import VerificationPolicy
from rotator.errors import Indeterminate, Unavailable
from rotator.vault.codec import dump_ledger
from tests.support.invariants import Monitor
from tests.support.scenarios import DAY, HOUR, MINUTE, adopted, failing, lost, mark, marked_key, once, problem, rotate
from tests.support.simulated import BEARER, EPOCH, PATH, Actor, Killed, Sim, Version, no_hook, spec

# --- rule 1: named before done --------------------------------------------------------------------------------------------


def test_r1_nothing_happens_at_the_provider_that_the_ledger_did_not_name_first() -> None:
    sim, daemon, first = adopted()
    named: list[str] = []

    def hook(name: str, phase: str) -> None:
        if phase == "before" and name == "create_key":
            intent = sim.ledger().intent
            assert intent is not None
            assert intent.owner == "daemon-1"
            named.append(name)
        if phase == "before" and name == "delete_key":
            assert [entry.access_key for entry in sim.ledger().revoking] == [first]
            named.append(name)

    sim.hook = hook
    daemon.run_for(32 * DAY)
    assert named == ["create_key", "delete_key"]


def test_r1_a_refused_check_and_set_ends_the_pass_and_the_next_look_decides_a15() -> None:
    sim, daemon, _ = adopted()
    other = Actor(sim, owner="daemon-2")
    sim.time.advance(30 * DAY)
    once(sim, "write_ledger", "before", other.run)  # claims, creates, publishes first
    daemon.run()
    assert sim.calls.count("create_key") == 1
    assert "pass.interrupted" in daemon.sink.names()


# --- rule 2: claim --------------------------------------------------------------------------------------------------------


def test_r2_only_the_process_that_holds_the_intent_in_memory_creates_for_it() -> None:
    sim, daemon, _ = adopted()

    def hook(name: str, phase: str) -> None:
        if name == "create_key" and phase == "before":
            raise Killed

    sim.time.advance(30 * DAY)
    sim.hook = hook
    with pytest.raises(Killed):
        daemon.run()
    sim.hook = no_hook
    claimed = sim.ledger().intent
    assert claimed is not None
    daemon.restart()
    daemon.run_for(HOUR)
    markers = [parse_marker(true.key.description) for true in sim.keys.values()]
    assert claimed.id not in [marker.rotation for marker in markers if marker]


def test_r2_the_marker_names_installation_application_rotation_base_and_incarnation_in_200_characters() -> None:
    sim, daemon, _ = adopted()
    created = sim.kv["doc:" + PATH][0].created
    key = rotate(daemon)
    marker = parse_marker(sim.keys[key].key.description)
    rotated = [entry for entry in sim.ledger().history if entry.access_key == key]
    assert marker == Marker("1" * 16, "billing", rotated[0].rotation_id, 1, incarnation_of(PATH, created))


# --- what a key is for


def description(sim: Sim, access_key: str) -> str:
    return sim.keys[access_key].key.description


def test_r2_the_purpose_of_the_key_that_is_taken_over_stays_over_every_rotation() -> None:
    sim, daemon, first = adopted()
    sim.keys[first].key = replace(sim.keys[first].key, description="checkout of the\nweb shop")
    for _ in range(3):
        key = rotate(daemon)
        assert description(sim, key).startswith("checkout of the web shop rotator:v2:")
        assert sim.ledger().current == replace(sim.ledger().current, purpose="checkout of the web shop")  # type: ignore[type-var]  # there is one


def test_r2_a_configured_purpose_is_used_and_an_empty_one_ends_what_was_carried_over() -> None:
    sim, daemon, _ = adopted(purpose="payments")
    assert description(sim, rotate(daemon)).startswith("payments rotator:v2:")
    daemon.spec = replace(daemon.spec, purpose="")
    assert description(sim, rotate(daemon)).startswith("rotator:v2:")


def test_r2_a_purpose_that_was_edited_at_the_provider_is_carried_over_and_the_key_stays_known() -> None:
    sim, daemon, _ = adopted(purpose=None)
    key = rotate(daemon)
    edited = "billing team, " + description(sim, key).removeprefix("made by hand ")
    sim.keys[key].key = replace(sim.keys[key].key, description=edited)
    assert description(sim, rotate(daemon)).startswith("billing team, rotator:v2:")


def test_r2_the_purpose_of_a_published_key_that_somebody_deleted_is_the_one_that_the_ledger_knows() -> None:
    sim, daemon, _ = adopted()
    first = rotate(daemon)
    sim.keys[first].deleted_at = sim.time.now
    daemon.run()
    assert description(sim, sim.published_key() or "").startswith("made by hand rotator:v2:")


@pytest.mark.parametrize(
    "purpose", ["", "\n", "x " * 200, "é" * 200, "rotator:v2:" + ":".join(["9" * 16] * 5), "\ud800 odd"]
)
def test_r2_whatever_the_purpose_contains_a_leftover_is_known_by_its_marker(purpose: str) -> None:
    sim, daemon, _ = adopted(purpose=purpose)
    failing(sim, "create_key", lost(), phase="after", times=1)
    sim.time.advance(30 * DAY)
    daemon.run_for(3 * DAY)
    assert "key.orphan_found" in daemon.sink.names()
    assert len(sim.live_keys()) == 1


def test_r2_keys_that_bear_a_marker_of_version_1_are_known_and_revoked_like_others() -> None:
    sim, daemon, first = adopted()
    sim.old_markers = True
    failing(sim, "create_key", lost(), phase="after", times=1)
    sim.time.advance(30 * DAY)
    daemon.run_for(HOUR)
    assert sum(true.key.description.startswith("rotator v1 ") for true in sim.keys.values()) == 2
    sim.old_markers = False
    daemon.run_for(33 * DAY)
    assert len(sim.live_keys()) == 1
    assert not sim.live(first)
    assert description(sim, sim.live_keys()[0]).startswith("rotator:v2:")


# --- rule 3: create once --------------------------------------------------------------------------------------------------


def test_a3_r3_a_lost_create_answer_is_never_repeated_and_the_leftover_is_found_by_its_marker() -> None:
    sim, daemon, first = adopted()
    failing(sim, "create_key", lost(), phase="after", times=1)
    sim.time.advance(30 * DAY)
    daemon.run_for(3 * DAY)
    rotations = [marker.rotation for true in sim.keys.values() if (marker := parse_marker(true.key.description))]
    assert len(rotations) == 2
    assert len(set(rotations)) == 2, "two creates for one intent"
    assert len(sim.live_keys()) == 1, "the leftover still lives"
    assert "key.orphan_found" in daemon.sink.names()
    assert not sim.live(first)


def test_b_a_create_that_lands_minutes_later_is_still_found_by_its_marker() -> None:
    sim, daemon, _ = adopted()
    late: list[str] = []

    def hook(name: str, phase: str) -> None:
        if name == "create_key" and phase == "before" and not late:
            intent = sim.ledger().intent
            assert intent is not None
            late.append(Marker("1" * 16, "billing", intent.id, intent.base, intent.incarnation).render())
            raise Indeterminate("no answer", service="acme", kind="timeout")

    sim.hook = hook
    sim.time.advance(30 * DAY)
    daemon.run_for(HOUR)
    landed, _ = sim.make_key(late[0])
    assert sim.live(landed.access_key)
    daemon.run_for(DAY)
    assert not sim.live(landed.access_key)


def test_b_a_create_refused_for_good_is_not_repeated_hotly() -> None:
    sim, daemon, _ = adopted()
    sim.quota = 1
    sim.time.advance(30 * DAY)
    daemon.run_for(HOUR)
    assert sim.calls.count("create_key") == 0, "head-room was looked at first (A5)"
    assert problem(daemon) == "quota"
    sim.quota = None
    daemon.run_for(HOUR)
    assert problem(daemon) is None
    assert sim.calls.count("create_key") == 1


def test_r3_with_no_document_and_two_possible_leftovers_a_person_is_awaited() -> None:
    sim = Sim()
    daemon = Actor(sim)
    failing(sim, "create_key", lost(), phase="after")
    daemon.run_for(DAY)
    assert len(sim.live_keys()) == 2
    assert problem(daemon) == "orphan_ambiguous"
    for access_key in sim.live_keys():
        sim.keys[access_key].deleted_at = sim.time.now
    sim.hook = no_hook
    daemon.run_for(DAY)
    assert sim.published_key() is not None


def test_a9_failed_attempts_back_off_and_the_creates_of_an_hour_are_bounded() -> None:
    sim, daemon, first = adopted()
    failing(sim, "create_key", lost("server_error"))
    sim.time.advance(30 * DAY)
    for _ in range(6):
        sim.calls.clear()
        daemon.run_for(HOUR)
        assert sim.calls.count("create_key") <= 20
    assert sim.published_key() == first
    sim.hook = no_hook
    daemon.run_for(2 * HOUR)
    assert sim.published_key() != first, "a fresh attempt can always start"
    assert sim.ledger().failures == 0


# --- rule 4: prove, then publish ------------------------------------------------------------------------------------------


def test_a8_r4_a_key_is_published_only_after_it_was_seen_to_work() -> None:
    sim, daemon, _ = adopted()
    sim.activation = MINUTE
    rotate(daemon)
    version = sim.published()
    assert version is not None
    new = sim.keys[version.data["access_key"]]
    assert version.created - new.alive_from >= timedelta(seconds=20), "three successes, ten seconds apart"


def test_b_401_for_ever_the_new_key_is_revoked_counted_and_the_old_one_stays() -> None:
    sim, daemon, first = adopted()
    sim.activation = 365 * DAY
    sim.time.advance(30 * DAY)
    daemon.run()
    assert sim.published_key() == first
    assert sim.live_keys() == [first]
    assert sim.ledger().failures == 1
    assert problem(daemon) == "verification_failed"
    assert sim.calls.count("write_document") == 0


def test_r4_a_refusal_between_successes_begins_the_row_anew() -> None:
    sim, daemon, _ = adopted()
    answers = iter([True, True, False, True, True, True])
    real = sim.works
    used: list[bool] = []

    def works(secret: str) -> bool:
        if not real(secret):
            return False
        used.append(next(answers))
        return used[-1]

    sim.works = works  # type: ignore[method-assign]  # the flapping API of this story
    rotate(daemon)
    assert used == [True, True, False, True, True, True]


# --- rule 5: publish is one check-and-set ---------------------------------------------------------------------------------


def test_a12_r5_other_fields_are_kept_and_there_is_one_new_version_per_rotation() -> None:
    sim, daemon, _ = adopted()
    rotate(daemon)
    version = sim.published()
    assert version is not None
    assert version.data["database"] == "kept"
    assert len(sim.kv["doc:" + PATH]) == 2


def test_r5_a_lost_publish_answer_is_settled_by_looking() -> None:
    sim, daemon, _ = adopted()
    failing(sim, "write_document", lost(), phase="after", times=1)
    rotate(daemon)
    assert len(sim.kv["doc:" + PATH]) == 2
    assert sim.calls.count("write_document") == 1


def test_r5_a_publish_that_did_not_arrive_is_sent_again_identically() -> None:
    sim, daemon, _ = adopted()
    failing(sim, "write_document", lost(), times=1)
    rotate(daemon)
    assert sim.calls.count("write_document") == 2
    assert sim.calls.count("create_key") == 1
    assert len(sim.kv["doc:" + PATH]) == 2


def test_r5_somebody_who_writes_the_document_first_wins_and_our_key_is_revoked() -> None:
    sim, daemon, _ = adopted()
    sim.time.advance(30 * DAY)
    theirs, _ = sim.make_key("by hand, in a hurry")
    once(sim, "authenticate", "after", lambda: sim.publish_by_hand(theirs.access_key))
    daemon.run_for(HOUR)
    assert sim.published_key() == theirs.access_key
    assert sim.ledger().current.access_key == theirs.access_key  # type: ignore[union-attr]  # followed
    ours = [name for name, true in sim.keys.items() if parse_marker(true.key.description)]
    assert ours
    assert not any(sim.live(name) for name in ours)


def test_b_vault_away_after_the_create_the_secret_waits_in_memory_and_is_published_when_it_returns() -> None:
    sim, daemon, _ = adopted()
    sealed_at: list[datetime] = []

    def hook(name: str, phase: str) -> None:
        if name == "create_key" and phase == "after":
            sim.sealed = True
            sealed_at.append(sim.time.now)
        if sim.sealed and sim.time.now - sealed_at[0] > MINUTE:
            sim.sealed = False

    sim.hook = hook
    rotate(daemon)
    assert sim.calls.count("create_key") == 1


def test_b_vault_away_for_longer_than_the_publish_timeout_the_secret_is_dropped_and_its_key_revoked() -> None:
    sim, daemon, first = adopted()

    def hook(name: str, phase: str) -> None:
        if name == "create_key" and phase == "after":
            sim.sealed = True

    sim.hook = hook
    sim.time.advance(30 * DAY)
    for _ in range(200):
        outcome = daemon.run()
        sim.time.now = max(sim.time.now, outcome.wait.until)
    assert daemon.local_state.in_flight is not None
    assert daemon.local_state.in_flight.secret is None, "the secret outlived its time"
    sim.hook = no_hook
    sim.sealed = False
    daemon.run()
    assert sim.published_key() == first
    assert sim.live_keys() == [first]


# --- rule 6: the ledger follows the document ------------------------------------------------------------------------------


def test_r6_b_a_vault_kv_rollback_is_followed_and_the_other_key_gets_its_grace() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    sim.publish_by_hand(first)
    daemon.run()
    ledger = sim.ledger()
    assert ledger.current is not None
    assert ledger.current.access_key == first
    assert [entry.access_key for entry in ledger.retiring] == [second]
    daemon.run_for(20 * HOUR)
    assert sim.live(second)
    daemon.run_for(5 * HOUR)
    assert not sim.live(second)
    assert sim.live(first)


def test_r6_b_a_key_of_this_bearer_written_by_hand_is_followed() -> None:
    sim, daemon, first = adopted()
    theirs, _ = sim.make_key()
    sim.publish_by_hand(theirs.access_key)
    daemon.run_for(25 * HOUR)
    assert sim.live(theirs.access_key)
    assert not sim.live(first)


def test_r6_b_a_key_of_another_bearer_written_by_hand_blocks_and_revokes_nothing() -> None:
    sim, daemon, first = adopted()
    theirs, _ = sim.make_key(bearer="another-bearer")
    sim.publish_by_hand(theirs.access_key)
    daemon.run_for(40 * DAY)
    assert problem(daemon) == "foreign_key"
    assert sim.live_keys() == sorted([first, theirs.access_key])
    assert "create_key" not in sim.calls


def test_r6_a_secret_that_does_not_fit_blocks_and_clears_by_itself() -> None:
    sim, daemon, first = adopted()
    sim.publish_by_hand(first, secret="00000000-0000-0000-0000-00000000beef")
    daemon.run_for(HOUR)
    assert problem(daemon) == "secret_rejected"
    sim.publish_by_hand(first)
    daemon.run_for(HOUR)
    assert problem(daemon) is None
    assert "application.recovered" in daemon.sink.names()


def test_a14_r6_b_a_published_key_that_is_dead_is_replaced_at_once() -> None:
    sim, daemon, first = adopted()
    sim.keys[first].deleted_at = sim.time.now
    daemon.run()
    assert sim.published_key() != first
    version = sim.published()
    assert version is not None
    assert sim.works(version.data["secret_key"])
    assert "key.published_key_invalid" in daemon.sink.names()


def test_r6_an_expired_published_key_is_dead_though_it_is_still_listed() -> None:
    sim = Sim()
    key, _ = sim.make_key(expires=EPOCH + DAY)
    sim.publish_by_hand(key.access_key)
    daemon = Actor(sim, spec(every=None, cron="0 0 1 1 *"))
    daemon.run()
    sim.time.advance(2 * DAY)
    daemon.run()
    assert sim.published_key() != key.access_key


def test_b_every_key_looks_unknown_at_once_blocks_instead_of_a_mass_rotation() -> None:
    sim, daemon, first = adopted()
    sim.bearers.clear()
    sim.keys[first].deleted_at = sim.time.now
    daemon.run_for(HOUR)
    assert problem(daemon) == "bearer_gone"
    assert "create_key" not in sim.calls


def test_r6_several_dead_at_once_block_until_a_person_asks() -> None:
    sim, daemon, first = adopted()
    daemon.context.casualties.note("shop", sim.time.now)
    daemon.context.casualties.note("reports", sim.time.now)
    sim.keys[first].deleted_at = sim.time.now
    daemon.run()
    assert problem(daemon) == "many_keys_invalid"
    assert "create_key" not in sim.calls
    daemon.run(RotationRequest("they really died", first))
    assert sim.published_key() != first


def test_r6_b_a_document_that_a_person_deleted_is_their_decision() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    sim.kv["doc:" + PATH][-1].deleted = True
    daemon.run_for(3 * DAY)
    assert problem(daemon) == "document_deleted"
    assert sim.live_keys() == sorted([first, second]), "nothing was revoked"
    sim.kv["doc:" + PATH][-1].deleted = False
    daemon.run_for(HOUR)
    assert sim.live_keys() == [second]


# --- rule 7: the version after its base tells -----------------------------------------------------------------------------


def test_r7_a_key_that_may_still_be_published_is_left_alone_as_long_as_somebody_is_at_it() -> None:
    sim, daemon, _ = adopted()
    possible = marked_key(sim, 1)
    at_it = Intent("e" * 16, 1, "0" * 16, "interval", RotationMode.SCHEDULED, "daemon-2", sim.time.now)
    vault = Actor(sim).context.vault
    ledger, version = vault.read_ledger("billing")
    assert ledger is not None
    vault.write_ledger(replace(ledger, intent=at_it), cas=version)
    daemon.run()
    assert sim.live(possible)
    assert len(sim.kv["doc:" + PATH]) == 1
    sim.publish_by_hand(possible)
    daemon.run()
    assert sim.ledger().current.access_key == possible  # type: ignore[union-attr]  # published after all


def test_i4_r7_what_a_lost_attempt_left_behind_does_not_live_until_the_next_rotation_which_may_be_a_month_away() -> (
    None
):
    sim, daemon, _ = adopted()
    possible = marked_key(sim, 1)
    daemon.run_for(HOUR)
    assert not sim.live(possible)
    before, after = sim.kv["doc:" + PATH]
    assert after.data == before.data, "the document moved on; what consumers read did not change"


def test_i4_a_wish_whose_answer_is_lost_leaves_nothing_behind() -> None:
    sim, daemon, first = adopted()
    failing(sim, "create_key", lost(), phase="after", times=1)
    daemon.run(RotationRequest("asked", first))
    daemon.run_for(HOUR)
    assert len(sim.keys) == 2, "a wish is one attempt"
    assert sim.live_keys() == [first]


def test_r7_a_key_that_another_one_overtook_is_a_leftover_and_dies_at_once() -> None:
    sim, daemon, _ = adopted()
    leftover = marked_key(sim, 1)
    rotate(daemon)
    daemon.run()
    assert not sim.live(leftover)


def test_r7_a_key_that_was_published_and_that_no_ledger_names_gets_its_grace() -> None:
    sim, daemon, _ = adopted()
    second = marked_key(sim, 1)
    sim.publish_by_hand(second)
    third, _ = sim.make_key()
    sim.publish_by_hand(third.access_key)
    del sim.kv["ledger:billing"]
    daemon.run()
    assert [entry.access_key for entry in sim.ledger().retiring] == [second]
    daemon.run_for(23 * HOUR)
    assert sim.live(second)
    daemon.run_for(2 * HOUR)
    assert not sim.live(second)


@pytest.mark.parametrize("case", ["the version after its base was destroyed", "the incarnation does not fit"])
def test_r7_what_cannot_be_told_is_assumed_to_have_been_published(case: str) -> None:
    sim, daemon, _ = adopted()
    unknown = marked_key(sim, 1, fits=case != "the incarnation does not fit")
    theirs, _ = sim.make_key()
    sim.publish_by_hand(theirs.access_key)
    sim.publish_by_hand(theirs.access_key)
    if case == "the version after its base was destroyed":
        sim.kv["doc:" + PATH][1].deleted = True
    began = sim.time.now
    daemon.run_for(30 * HOUR)
    assert sim.died(unknown) - began >= DAY


def test_b_r7_a_document_recreated_at_version_1_is_an_alarm_and_nothing_is_touched() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    sim.kv["doc:" + PATH] = []
    sim.publish_by_hand(second)
    del sim.kv["ledger:billing"]
    ahead = marked_key(sim, 7)
    restarted = Actor(sim)
    restarted.run_for(40 * DAY)
    assert sim.live_keys() == sorted([first, second, ahead])
    assert "write_document" not in restarted.sim.calls[-50:]


def test_r7_a_paused_daemon_cannot_publish_a_key_that_was_just_deleted() -> None:
    sim, sleeper, _ = adopted()
    other = Actor(sim, owner="daemon-2")
    made: list[str] = []

    def hook(name: str, phase: str) -> None:
        if name == "write_document" and phase == "before":
            sim.hook = no_hook
            made.append(next(name for name, true in sim.keys.items() if parse_marker(true.key.description)))
            other.run_for(2 * DAY)  # takes over, rotates, and finds the sleeper's key to be a leftover

    sim.hook = hook
    sim.time.advance(30 * DAY)
    sleeper.run()
    assert not sim.live(made[0])
    assert sim.published_key() != made[0]
    version = sim.published()
    assert version is not None
    assert sim.works(version.data["secret_key"])


def test_r7_a_possible_leftover_that_must_go_sooner_is_fenced_off_and_deleted() -> None:
    sim, daemon, first = adopted()
    possible = marked_key(sim, 1)
    sim.quota = 2
    sim.time.advance(30 * DAY)
    daemon.run_for(HOUR)
    assert "document.fenced" in daemon.sink.names()
    assert not sim.live(possible)
    assert sim.published_key() not in {first, possible}, "the room was used"


def test_r7_a_fence_does_not_cut_off_a_rotation_that_was_claimed_since_the_ledger_was_read() -> None:
    """Fleet history 1240072: two daemons cut off each other's rotations by turns, and none was published."""
    sim, daemon, first = adopted()
    marked_key(sim, 1)
    sim.time.advance(2 * HOUR)
    other = Actor(sim, daemon.spec, owner="daemon-2")

    def ends_before_its_publish(name: str, phase: str) -> None:
        if name == "write_document":
            raise Killed

    def hook(name: str, phase: str) -> None:
        if name == "list_keys" and phase == "after":
            sim.hook = ends_before_its_publish
            with pytest.raises(Killed):
                other.run(RotationRequest("asked", first))
            sim.hook = no_hook

    sim.hook = hook
    before = sim.published()
    daemon.run()
    assert "document.fenced" not in daemon.sink.names()
    assert sim.published() == before, "the other one's publish is based on this version"
    daemon.run_for(2 * HOUR)
    assert "document.fenced" in daemon.sink.names(), "its claim is over"


# --- rule 8: revoke -------------------------------------------------------------------------------------------------------


def test_r8_the_order_is_ledger_document_delete_proof_ledger() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    sim.calls.clear()
    daemon.run_for(25 * HOUR)
    at = sim.calls.index("delete_key")
    assert sim.calls[at - 2 : at + 6] == [
        "write_ledger",
        "read_document",
        "delete_key",
        "read_version",
        "authenticate",
        "authenticate",
        "authenticate",
        "write_ledger",
    ]
    assert sim.ledger().history[-1].reason == "replaced; refused"
    assert not sim.live(first)


def test_r8_a_condemned_key_that_a_person_publishes_again_is_replaced_at_once_and_then_gets_its_grace() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    monitor = Monitor(sim, DAY)
    again: list[int] = []

    def hook(name: str, phase: str) -> None:
        if phase == "after":
            monitor.check()
        if name == "write_ledger" and phase == "after" and sim.ledger().revoking and not again:
            again.append(sim.publish_by_hand(first))  # between the condemnation and the last look

    sim.hook = hook
    sim.time.advance(DAY)
    daemon.run()
    sim.hook = lambda name, phase: monitor.check()
    assert sim.live(first), "it was deleted under the consumers' feet"
    assert sim.published_key() != first, "it was replaced at once"
    daemon.run_for(2 * DAY)
    assert not sim.live(first)
    assert "key.republished" in daemon.sink.names()


def test_b_a_lost_delete_answer_is_settled_by_probing_and_404_is_done() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    failing(sim, "delete_key", lost(), phase="after", times=1)
    daemon.run_for(25 * HOUR)
    assert sim.calls.count("delete_key") == 1
    assert first not in sim.ledger().names()


def test_b_an_old_key_that_still_answers_after_delete_is_not_done_and_said_to_be() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    sim.lingering = HOUR
    daemon.run_for(DAY + 30 * MINUTE)
    assert sim.ledger().is_revoking(first)
    assert problem(daemon) == "revocation_unverified"
    assert "key.revocation_unverified" in daemon.sink.names()
    daemon.run_for(HOUR)
    assert first not in sim.ledger().names()


def test_r8_without_a_readable_old_version_death_is_reported_as_gone_not_probed() -> None:
    sim, daemon, _ = adopted()
    rotate(daemon)
    sim.kv["doc:" + PATH][0].deleted = True
    daemon.run_for(25 * HOUR)
    assert sim.ledger().history[-1].reason == "replaced; gone, not probed"


# --- rule 9: compromised is a mark ----------------------------------------------------------------------------------------


def test_r9_everything_marked_dies_at_once_the_published_key_after_its_replacement() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    monitor = Monitor(sim, DAY)
    sim.hook = lambda name, phase: monitor.check()
    mark(daemon)
    began = sim.time.now
    daemon.run()
    assert not sim.live(first)
    assert not sim.live(second)
    assert sim.time.now - began < MINUTE
    assert sim.ledger().compromised == ()
    assert sim.ledger().incidents[-1].closed_at is not None
    assert "compromise.contained" in daemon.sink.names()


def test_r9_an_open_rotation_is_abandoned_and_its_key_revoked_also_in_the_middle_of_a_long_proof() -> None:
    sim, daemon, first = adopted()
    sim.activation = 3 * MINUTE
    marked_at: list[datetime] = []

    def hook(name: str, phase: str) -> None:
        if name == "authenticate" and phase == "after":
            sim.hook = no_hook
            marked_at.append(sim.time.now)
            sim.activation = timedelta(0)
            mark(daemon)

    sim.hook = hook
    sim.time.advance(30 * DAY)
    daemon.run_for(HOUR)
    made_before = next(name for name, true in sim.keys.items() if parse_marker(true.key.description))
    assert not sim.live(made_before)
    assert sim.died(first) - marked_at[0] < MINUTE
    assert not sim.live(first)
    assert len(sim.live_keys()) == 1


def test_r9_a_failed_rotation_does_not_delay_an_emergency() -> None:
    sim, daemon, first = adopted()
    sim.activation = 365 * DAY
    sim.time.advance(30 * DAY)
    daemon.run()
    assert sim.ledger().not_before is not None
    sim.activation = timedelta(0)
    mark(daemon)
    daemon.run()
    assert not sim.live(first)


def test_r9_revoke_first_kills_the_published_key_before_its_replacement() -> None:
    sim, daemon, first = adopted()
    mark(daemon, first, mode="revoke_first")
    daemon.run()
    order = [name for name in sim.calls if name in {"delete_key", "create_key"}]
    assert order[:2] == ["delete_key", "create_key"]
    assert sim.published_key() != first


def test_r9_a_person_who_publishes_a_compromised_key_again_gets_it_replaced_again() -> None:
    sim, daemon, first = adopted()
    mark(daemon, first)
    once(sim, "write_document", "after", lambda: sim.publish_by_hand(first))
    daemon.run_for(HOUR)
    assert sim.published_key() != first
    assert not sim.live(first)


def test_i8_r9_a_key_that_was_proven_dead_before_the_ledger_followed_is_not_said_to_be_in_grace() -> None:
    sim, daemon, first = adopted()
    mark(daemon)
    failing(sim, "write_document", Killed(), phase="after", times=1)
    with pytest.raises(Killed):
        daemon.run()
    daemon.restart()
    daemon.run()
    assert sim.published_key() != first
    assert not sim.live(first)
    assert sim.ledger().retiring == ()
    assert [entry.event for entry in sim.ledger().history if entry.access_key == first].count("revoked") == 1


# --- rule 10: strangers ---------------------------------------------------------------------------------------------------


def test_i5_r10_strangers_are_reported_and_never_touched() -> None:
    sim, daemon, _ = adopted()
    stranger, _ = sim.make_key("terraform")
    elsewhere, _ = sim.make_key(Marker("9" * 16, "billing", "e" * 16, 1, "0" * 16).render())
    namesake, _ = sim.make_key(Marker("1" * 16, "shop", "e" * 16, 1, "0" * 16).render())
    daemon.run_for(90 * DAY)
    for key in (stranger, elsewhere, namesake):
        assert sim.live(key.access_key)
    seen = {fields["access_key"] for name, fields in daemon.sink.events if name == "key.unmanaged_found"}
    assert seen == {stranger.access_key, elsewhere.access_key, namesake.access_key}


@pytest.mark.parametrize("change", [{"provider_managed": True}, {"deletable": False}])
def test_b_a_key_that_becomes_managed_or_not_deletable_is_never_touched_and_reported(change: dict[str, Any]) -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    sim.keys[first].key = replace(sim.keys[first].key, **change)
    daemon.run_for(3 * DAY)
    assert sim.live(first)
    assert problem(daemon) == "not_revocable"


# --- rule 11: what we cannot read is not empty ----------------------------------------------------------------------------


def test_r11_a_first_key_is_made_where_there_is_nothing_and_published_as_version_1() -> None:
    sim = Sim()
    daemon = Actor(sim)
    daemon.run()
    assert sim.published_key() is not None
    assert len(sim.kv["doc:" + PATH]) == 1
    assert sim.ledger().history[-1].event == "rotated"


def test_r11_a_document_without_any_of_our_fields_gets_a_first_key_beside_them() -> None:
    sim = Sim()
    sim.kv["doc:" + PATH] = [Version({"database": "kept"}, EPOCH)]
    Actor(sim).run()
    version = sim.published()
    assert version is not None
    assert version.data["database"] == "kept"
    assert version.data["access_key"] in sim.live_keys()


def test_a10_r11_a_usable_key_without_a_ledger_is_taken_over_as_it_is() -> None:
    sim = Sim()
    key, _ = sim.make_key()
    sim.publish_by_hand(key.access_key)
    daemon = Actor(sim)
    daemon.run()
    assert "create_key" not in sim.calls
    assert sim.ledger().current.access_key == key.access_key  # type: ignore[union-attr]  # adopted
    assert daemon.sink.names().count("application.adopted") == 1


@pytest.mark.parametrize("damage", ["newer schema", "unknown field", "not a ledger", "deleted"])
def test_a10_r11_a_ledger_that_cannot_be_read_blocks_and_changes_nothing(damage: str) -> None:
    sim, daemon, first = adopted()
    data = dump_ledger(sim.ledger())
    if damage == "newer schema":
        data["schema"] = 99
    elif damage == "unknown field":
        data["surprise"] = 1
    elif damage == "not a ledger":
        data = {"hello": "world"}
    sim.kv["ledger:billing"].append(Version(data, sim.time.now, deleted=damage == "deleted"))
    outcome = daemon.run_for(60 * DAY)
    assert outcome.error is not None
    assert outcome.error.exit_code == 4
    assert sim.live_keys() == [first]
    assert not {"create_key", "delete_key", "write_document", "write_ledger"} & set(sim.calls)


@pytest.mark.parametrize("change", [{"account": "other"}, {"bearer": "other-bearer"}, {"path": "secret/elsewhere"}])
def test_r11_a_changed_path_account_or_bearer_blocks(change: dict[str, str]) -> None:
    sim, _, first = adopted()
    if "path" in change:
        sim.publish_by_hand(first, path="secret/elsewhere")
    changed = Actor(sim, spec(**change))
    outcome = changed.run_for(60 * DAY)
    assert outcome.wait.reason == "configuration_moved"
    assert not {"create_key", "delete_key", "write_document", "write_ledger"} & set(sim.calls)


def test_r11_a_damaged_document_blocks() -> None:
    sim, daemon, first = adopted()
    sim.kv["doc:" + PATH].append(Version({"access_key": first}, sim.time.now))
    daemon.run_for(60 * DAY)
    assert problem(daemon) == "document_damaged"
    assert sim.live_keys() == [first]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"access_key": "<redacted>", "secret_key": "x" * 36}, "foreign_key"),
        ({"access_key": "nobody", "secret_key": "x" * 36}, "foreign_key"),
        ({"access_key": 5, "secret_key": "x"}, "document_damaged"),
        ({"secret_key": "alone"}, "document_damaged"),
    ],
)
def test_b_nonsense_written_by_hand_blocks_and_a_compromised_key_dies_all_the_same(
    data: dict[str, object], reason: str
) -> None:
    """No provider has a key of such a name, and asking for one is refused: that must not end every pass."""
    sim, daemon, first = adopted()
    second = rotate(daemon)
    mark(daemon, first)
    sim.kv["doc:" + PATH].append(Version(data, sim.time.now))
    daemon.run_for(HOUR)
    assert problem(daemon) == reason
    assert sim.live_keys() == [second]


def test_r11_an_emptied_document_is_no_invitation_to_make_a_first_key() -> None:
    sim, daemon, first = adopted()
    sim.kv["doc:" + PATH].append(Version({"database": "kept"}, sim.time.now))
    daemon.run_for(60 * DAY)
    assert problem(daemon) == "document_emptied"
    assert sim.live_keys() == [first]


def test_a10_a_lost_ledger_causes_no_create_and_no_delete_by_itself() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    del sim.kv["ledger:billing"]
    sim.calls.clear()
    Actor(sim).run_for(2 * DAY)
    assert "create_key" not in sim.calls
    assert sim.live(second)
    assert sim.live(first), (
        "not ours by its marker, and no ledger names it any more: a stranger (said in the documentation)"
    )


def test_b_an_application_that_left_the_configuration_still_has_its_keys_revoked_on_time() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    orphan = Actor(sim, spec(configured=False, every=None))
    orphan.run_for(60 * DAY)
    assert not sim.live(first)
    assert sim.live_keys() == [second]


# --- rule 12: takeover ----------------------------------------------------------------------------------------------------


def test_r12_an_intent_of_another_owner_is_replaced_only_after_its_time() -> None:
    sim, daemon, first = adopted()
    failing(sim, "create_key", Killed())
    sim.time.advance(30 * DAY)
    with pytest.raises(Killed):
        daemon.run()
    sim.hook = no_hook
    other = Actor(sim, owner="daemon-2")
    other.run_for(9 * MINUTE)
    assert sim.published_key() == first
    other.run_for(2 * MINUTE)
    assert sim.published_key() != first
    assert "rotation.taken_over" in other.sink.names()


def test_r12_an_owner_known_to_be_gone_is_replaced_at_once() -> None:
    sim, daemon, first = adopted()
    failing(sim, "create_key", Killed())
    sim.time.advance(30 * DAY)
    with pytest.raises(Killed):
        daemon.run()
    sim.hook = no_hook
    other = Actor(sim, owner="daemon-2")
    other.context = replace(other.context, is_gone=lambda owner: owner == "daemon-1")
    other.run()
    assert sim.published_key() != first


# --- rule 13: time --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clock", ["untracked", "Vault's", "the provider's"])
def test_b_r13_a_clock_that_jumps_forward_revokes_and_rotates_nothing_early(clock: str) -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    leap = 365 * DAY
    if clock == "untracked":
        daemon.context = replace(daemon.context, clock=type(daemon.context.clock)(sim.time, leap))  # type: ignore[call-arg]  # ActorClock
        daemon.skew = leap
        sim.time.skew_vault = sim.time.skew_provider = -leap
    elif clock == "Vault's":
        sim.time.skew_vault = leap
    else:
        sim.time.skew_provider = leap
    sim.calls.clear()
    for _ in range(20):
        daemon.run()
        sim.time.advance(MINUTE)
    assert sim.live(first)
    assert sim.published_key() == second
    assert not {"create_key", "delete_key"} & set(sim.calls)


def test_b_r13_clocks_that_differ_by_more_than_the_tolerance_make_revocations_wait_and_say_so() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    sim.time.skew_provider = timedelta(minutes=5)
    daemon.run_for(3 * DAY)
    assert sim.live(first)
    assert daemon.run().wait.reason == "clock_skew"
    sim.time.skew_provider = timedelta(0)
    daemon.run_for(HOUR)
    assert not sim.live(first)
    assert problem(daemon) is None


def test_r13_an_emergency_does_not_wait_for_clocks() -> None:
    sim, daemon, first = adopted()
    sim.time.skew_provider = HOUR
    mark(daemon, first)
    daemon.run()
    assert not sim.live(first)


# --- rule 14: reads may be stale ------------------------------------------------------------------------------------------


def test_r14_b_a_document_older_than_the_ledger_knows_is_no_observation() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    newest = sim.kv["doc:" + PATH].pop()
    sim.calls.clear()
    outcome = daemon.run_for(60 * DAY)
    assert (outcome.wait.reason, problem(daemon)) == ("document_restored", "document_restored")
    assert not {"create_key", "delete_key", "write_document"} & set(sim.calls)
    assert sim.calls.count("write_ledger") == 1, "what it says, once"
    assert sim.live_keys() == sorted([first, second])
    sim.kv["doc:" + PATH].append(newest)
    assert daemon.run().wait.problem is None


def test_r14_a_document_older_than_this_process_has_seen_is_no_observation() -> None:
    sim, daemon, first = adopted()
    theirs, _ = sim.make_key()
    sim.publish_by_hand(first)
    daemon.run()
    sim.kv["doc:" + PATH].pop()
    sim.kv["ledger:billing"].pop()
    assert daemon.run().wait.reason == "document_stale"


# --- holds, requests, room ------------------------------------------------------------------------------------------------


def test_a_held_application_is_observed_but_neither_claimed_nor_revoked() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    ledger, version = daemon.context.vault.read_ledger("billing")
    assert ledger is not None
    daemon.context.vault.write_ledger(replace(ledger, hold=Hold("migration", "ops", sim.time.now)), cas=version)
    sim.calls.clear()
    outcome = daemon.run_for(60 * DAY)
    assert outcome.wait.reason == "held"
    assert sim.live_keys() == sorted([first, second])
    assert not {"create_key", "delete_key"} & set(sim.calls)


def test_a4_our_rights_on_the_credential_path_are_asked_for_before_a_claim() -> None:
    sim, daemon, first = adopted()
    sim.lacking = ("update",)
    sim.time.advance(30 * DAY)
    daemon.run_for(HOUR)
    assert daemon.run().wait.reason == "vault_permission_missing"
    assert sim.live_keys() == [first]
    assert sim.ledger().intent is None


def test_a5_head_room_is_looked_at_first_and_no_stranger_is_deleted_for_it() -> None:
    sim, daemon, first = adopted()
    strangers = [sim.make_key("somebody else's")[0].access_key for _ in range(4)]
    sim.quota = 5
    sim.time.advance(30 * DAY)
    daemon.run_for(DAY)
    assert problem(daemon) == "quota"
    assert sim.live_keys() == sorted([first, *strangers])


def test_too_many_live_keys_refuse_a_request_and_make_the_schedule_wait() -> None:
    sim, daemon, _ = adopted()
    for _ in range(4):
        rotate(daemon)
    outcome = daemon.run(RotationRequest("once more", sim.published_key()))
    assert outcome.wait.reason == "too_many_keys"
    assert len(sim.live_keys()) == 5


def test_a7_success_is_said_only_after_reading_back() -> None:
    sim, daemon, _ = adopted()
    order: list[str] = []
    sim.hook = lambda name, phase: order.append(name) if phase == "after" else None
    emit = daemon.sink.emit

    def emitting(event: str, **fields: object) -> None:
        order.append(event)
        emit(event, **fields)

    daemon.sink.emit = emitting  # type: ignore[method-assign]  # to see events among the effects
    rotate(daemon)
    assert order[order.index("write_document") + 1 :][:2] == ["read_document", "rotation.published"]


def test_a6_every_application_always_has_a_next_action_within_its_observation_interval() -> None:
    sim, daemon, _ = adopted()
    for _ in range(300):
        outcome = daemon.run()
        assert sim.time.now <= outcome.wait.until <= sim.time.now + daemon.spec.resync_interval
        sim.time.now = outcome.wait.until


def test_b_an_application_deleted_at_the_provider_is_held_without_a_retry_storm() -> None:
    sim, daemon, first = adopted()
    sim.bearers.clear()
    for true in sim.keys.values():
        true.deleted_at = sim.time.now
    daemon.run_for(2 * HOUR)
    assert problem(daemon) == "bearer_gone"
    assert "create_key" not in sim.calls
    assert sim.calls.count("list_keys") <= 2 * 60 * 2 + 2
    assert sim.published_key() == first


def test_the_default_project_is_copied_from_the_current_key() -> None:
    sim = Sim()
    key, _ = sim.make_key()
    sim.keys[key.access_key].key = replace(key, default_project_id="the-project-with-the-buckets")
    sim.publish_by_hand(key.access_key)
    daemon = Actor(sim)
    daemon.run()
    assert sim.keys[rotate(daemon)].key.default_project_id == "the-project-with-the-buckets"


def test_two_daemons_on_one_application_make_one_key_per_rotation() -> None:
    sim, one, _ = adopted()
    two = Actor(sim, owner="daemon-2")
    for _ in range(4 * 62):
        one.run()
        two.run()
        sim.time.advance(6 * HOUR)
    creates = sim.calls.count("create_key")
    assert creates == 2
    assert len(sim.live_keys()) == 1


def test_an_emergency_of_a_killed_command_is_finished_by_the_daemon_within_its_short_patience() -> None:
    sim, daemon, first = adopted(
        emergency_verification=VerificationPolicy(1, timedelta(seconds=1), timedelta(seconds=10))
    )
    command = Actor(sim, daemon.spec, owner="command")
    mark(command, first)
    failing(sim, "create_key", Killed(), phase="after")
    with pytest.raises(Killed):
        command.run()
    sim.hook = no_hook
    began = sim.time.now
    daemon.run_for(MINUTE)
    assert not sim.live(first)
    assert sim.died(first) - began < timedelta(seconds=30)


def test_unavailable_services_cut_a_pass_short_with_a_time_to_come_back() -> None:
    sim, daemon, _ = adopted()
    sim.sealed = True
    outcome = daemon.run()
    assert isinstance(outcome.error, Unavailable)
    assert outcome.wait.reason == "sealed"
    assert outcome.wait.until > sim.time.now
    assert outcome.error.exit_code == 3


def test_modes_say_whether_they_are_urgent() -> None:
    assert {mode for mode in RotationMode if mode.urgent} == {RotationMode.COMPROMISED, RotationMode.RECOVERY}


def test_the_simulated_bearer_is_the_one_of_the_policy() -> None:
    assert spec().bearer == BEARER
