"""Emergencies on the simulated world: what they go through, what they leave behind, and what a ledger cannot talk them into."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rotator.domain.ledger import Hold, RevokingKey, RotationMode
from rotator.errors import Unavailable
from tests.support.scenarios import DAY, HOUR, MINUTE, adopted, change, failing, lost, mark, rotate
from tests.support.simulated import PATH, Actor, Killed, Sim, SimProvider, no_hook

DOCUMENT = "doc:" + PATH


# --- what an emergency goes through --------------------------------------------------------------------------------------


def test_r9_an_emergency_pre_empts_a_scheduled_rotation_that_is_under_way() -> None:
    sim, daemon, first = adopted()
    sim.time.advance(30 * DAY)
    failing(sim, "create_key", Killed(), phase="after")
    with pytest.raises(Killed):
        daemon.run()
    sim.hook = no_hook
    scheduled = sim.ledger().intent
    assert scheduled is not None
    assert scheduled.mode is RotationMode.SCHEDULED
    command = Actor(sim, daemon.spec, owner="command-line")
    mark(command)
    before = sim.time.now
    command.run()
    assert not sim.live(first)
    assert sim.time.now - before < MINUTE, "nobody waited for the other process"
    assert sim.ledger().history[-1].rotation_id != scheduled.id


def test_r9_an_emergency_uses_the_share_of_the_requests_that_is_kept_for_those() -> None:
    sim, daemon, _ = adopted()
    asked: list[str] = []

    class Account(SimProvider):
        def urgent(self) -> Account:
            asked.append("urgent")
            return self

    daemon.context = replace(daemon.context, provider=Account(sim))
    daemon.run()
    assert asked == []
    mark(daemon)
    sim.calls.clear()
    daemon.run()
    calls = [name for name in sim.calls if name in {"create_key", "authenticate", "delete_key"}]
    assert len(asked) >= len(calls) > 3


def test_r9_the_note_for_people_waits_until_the_compromised_key_is_verified_as_revoked() -> None:
    sim, daemon, first = adopted()
    mark(daemon)
    sim.calls.clear()
    daemon.run()
    assert not sim.live(first)
    assert sim.calls.index("annotate") > max(
        at for at, name in enumerate(sim.calls) if name in {"delete_key", "authenticate"}
    )
    assert sim.annotations[PATH]["rotator_access_key"] == sim.published_key()
    assert sim.calls.count("annotate") == 1


def test_the_note_for_people_is_written_when_another_service_ends_the_pass_after_the_publish() -> None:
    sim, daemon, first = adopted()
    mark(daemon)
    failing(sim, "read_version", Unavailable("the provider is away", service="acme", kind="timeout"))
    outcome = daemon.run()
    assert (outcome.error is not None, sim.live(first)) == (True, False)
    assert sim.annotations[PATH]["rotator_access_key"] == sim.published_key() != first


def test_r9_the_note_for_people_is_not_tried_at_a_vault_that_is_away() -> None:
    sim, daemon, first = adopted()
    mark(daemon)
    failing(sim, "write_ledger", Unavailable("vault is away", service="vault", kind="sealed"), after=2)
    sim.calls.clear()
    daemon.run()
    assert "annotate" not in sim.calls


def test_r9_a_hold_keeps_an_emergency_waiting_unless_it_goes_through() -> None:
    sim, daemon, first = adopted()
    change(daemon, hold=Hold("migration", "ops", sim.time.now))
    mark(daemon)
    daemon.run_for(HOUR)
    assert sim.live_keys() == [first]
    mark(daemon, override_hold=True)
    daemon.run()
    assert not sim.live(first)
    assert sim.ledger().hold is not None
    assert sim.ledger().compromised == ()


def test_a_failed_emergency_that_goes_through_a_hold_is_tried_again_in_seconds() -> None:
    sim, daemon, first = adopted()
    change(daemon, hold=Hold("migration", "ops", sim.time.now))
    mark(daemon, override_hold=True)
    failing(sim, "create_key", lost(), phase="after")
    outcome = daemon.run()
    sim.hook = no_hook
    assert outcome.wait.until - sim.time.now < MINUTE
    daemon.run_for(MINUTE)
    assert not sim.live(first)


# --- stored secrets of compromised keys -----------------------------------------------------------------------------------


def destroyed(sim: Sim) -> list[int]:
    return [number for number, version in enumerate(sim.kv[DOCUMENT], 1) if version.destroyed]


def test_the_versions_that_held_a_compromised_secret_are_destroyed_when_the_key_is_dead() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    sim.publish_by_hand(second, note="edited")
    third = rotate(daemon)
    mark(daemon, second, first)
    sim.calls.clear()
    daemon.run()
    assert destroyed(sim) == [1, 2, 3]
    assert sim.published_key() == third
    assert sim.calls.index("destroy_versions") > sim.calls.index("authenticate")
    [incident] = sim.ledger().incidents
    assert [
        (revocation.access_key, revocation.verification, revocation.destroyed) for revocation in incident.revocations
    ] == [
        (first, "refused", (1,)),
        (second, "refused", (2, 3)),
    ]
    assert all(revocation.at == sim.time.now or revocation.at < sim.time.now for revocation in incident.revocations)
    assert ("versions.destroyed", second, [2, 3]) in [
        (name, fields["access_key"], fields.get("versions"))
        for name, fields in daemon.sink.events
        if "access_key" in fields
    ]


def test_nothing_is_destroyed_after_an_ordinary_rotation() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    daemon.run_for(2 * DAY)
    assert not sim.live(first)
    assert destroyed(sim) == []


def test_that_versions_cannot_be_destroyed_is_said_and_keeps_no_emergency_open() -> None:
    sim, daemon, first = adopted()
    sim.keeps_versions = True
    mark(daemon)
    daemon.run()
    assert not sim.live(first)
    assert destroyed(sim) == []
    assert sim.ledger().compromised == ()
    [incident] = sim.ledger().incidents
    assert incident.closed_at is not None
    assert [(revocation.destroyed, revocation.remark) for revocation in incident.revocations] == [
        ((), "our token may not destroy")
    ]
    said = [fields["message"] for name, fields in daemon.sink.events if name == "versions.destroy_failed"]
    assert said == ["our token may not destroy"]


def test_nothing_is_destroyed_in_a_document_that_was_recreated_while_a_pass_looked_for_what_to_destroy() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    rotate(daemon)
    recreated: list[
        str
    ] = []  # the keys of its versions; what is read after the versions were listed is what may be destroyed

    def hook(name: str, phase: str) -> None:
        if (name, phase) == ("read_version", "after") and "list_versions" in sim.calls and not recreated:
            recreated.extend(version.data["access_key"] for version in sim.kv[DOCUMENT])
            sim.kv[DOCUMENT].clear()
            for access_key in recreated[1:]:
                sim.publish_by_hand(access_key)

    mark(daemon, first)
    sim.hook = hook
    sim.calls.clear()
    daemon.run()
    assert recreated[:2] == [first, second]
    assert not sim.live(first)
    assert destroyed(sim) == [], "the first version holds another key now"


def test_a_pass_that_was_killed_after_it_destroyed_leaves_the_next_one_to_tell() -> None:
    sim, daemon, first = adopted()
    mark(daemon)
    failing(sim, "destroy_versions", Killed(), phase="after")
    with pytest.raises(Killed):
        daemon.run()
    sim.hook = no_hook
    assert sim.ledger().compromised_keys() == {first}
    daemon.restart()
    daemon.run()
    [incident] = sim.ledger().incidents
    assert [(revocation.verification, revocation.destroyed) for revocation in incident.revocations] == [
        ("gone, not probed", (1,))
    ]


def test_a_compromised_key_that_no_version_held_leaves_nothing_to_destroy() -> None:
    sim, daemon, _ = adopted()
    stranger, _ = sim.make_key("by hand")
    mark(daemon, stranger.access_key)
    sim.calls.clear()
    daemon.run()
    assert not sim.live(stranger.access_key)
    assert "destroy_versions" not in sim.calls
    assert sim.ledger().incidents[-1].revocations[0].destroyed == ()


def test_versions_that_nobody_can_read_are_left_alone() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    sim.kv[DOCUMENT][0].deleted = True
    mark(daemon, first)
    daemon.run()
    assert destroyed(sim) == []
    assert sim.published_key() == second


# --- a ledger that says too much ------------------------------------------------------------------------------------------


def test_i5_a_ledger_that_condemns_another_bearers_key_does_not_get_it_deleted() -> None:
    sim, daemon, first = adopted()
    theirs, _ = sim.make_key("somebody else's", bearer="another-bearer")
    change(daemon, revoking=(RevokingKey(theirs.access_key, 0, "forged"),))
    daemon.run_for(HOUR)
    assert sim.live_keys() == sorted([first, theirs.access_key])
    found = sim.ledger().problem
    assert found is not None
    assert (found.reason, found.message) == (
        "delete_refused",
        (
            f"key {theirs.access_key} is scheduled for revocation in the ledger of billing and belongs to another bearer: it is not deleted;"
            " a person edited that ledger, so look at its earlier versions in Vault:"
            " give the management key of account acme the right to delete keys, or delete the key at the provider"
        ),
    )


def test_i1_the_document_is_read_last_before_a_key_that_the_list_does_not_show_is_deleted() -> None:
    """Found by history 802594: a person published the key again between that read and the delete."""
    sim, daemon, first = adopted()
    rotate(daemon)
    sim.hidden.add(first)
    daemon.run_for(2 * DAY)
    deletes = [number for number, call in enumerate(sim.calls) if call == "delete_key"]
    assert deletes
    assert {sim.calls[number - 1] for number in deletes} == {"read_document"}
    assert "get_key" in sim.calls[: deletes[0]]


def test_a_condemned_key_that_the_list_does_not_show_is_deleted_all_the_same() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    sim.hidden.add(first)
    daemon.run_for(2 * DAY)
    assert not sim.live(first)
