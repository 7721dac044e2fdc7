"""``rotator rotate`` on the simulated world: what it does, what it refuses, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.decision.observation import RotationRequest
from rotator.decision.transitions.compromise import mark_compromised
from rotator.domain.ledger import Hold
from rotator.errors import Indeterminate, Rejected, Unavailable
from rotator.util.formatting import format_timestamp
from tests.cli.conftest import Desk
from tests.support.simulated import spec

OLD = "SCW00000000000000001"
NEW = "SCW00000000000000002"


def change_ledger(desk: Desk, **changes: object) -> None:
    store = desk.open(None, None).vault  # type: ignore[arg-type]  # neither is used here
    ledger, version = store.read_ledger("billing")
    assert ledger
    store.write_ledger(replace(ledger, **changes), cas=version)  # type: ignore[arg-type]  # names are the test's


def fail(
    desk: Desk, effect: str, error: Exception | Callable[[], None], *, phase: str = "before", times: int = 10_000
) -> None:
    left = [times]

    def hook(name: str, when: str) -> None:
        if (name, when) == (effect, phase) and left[0] > 0:
            left[0] -= 1
            if isinstance(error, Exception):
                raise error
            error()

    desk.sim.hook = hook


# --- an ordinary rotation -------------------------------------------------------------------------------------------------


def test_a7_rotated_is_said_of_what_is_published_and_current(desk: Desk) -> None:
    result = desk.type("rotate", "billing")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        f"billing: rotated: {NEW} is published in version 2 of secret/apps/billing/scaleway"
    )
    assert f"{OLD} stays valid until 2026-01-02" in result.stdout
    assert result.stderr == ""
    assert desk.sim.published_key() == NEW
    ledger = desk.sim.ledger()
    assert ledger.current is not None
    assert ledger.current.access_key == NEW


def test_the_reason_is_in_the_history(desk: Desk) -> None:
    desk.type("rotate", "billing", "--reason", "the contractor left")
    assert desk.sim.ledger().history[-1].reason.startswith("the contractor left, by ")


def test_the_json_answer_names_the_new_and_the_old_key(desk: Desk) -> None:
    [answer] = desk.json("rotate", "billing")["applications"]
    assert answer["outcome"] == "rotated"
    assert (answer["access_key"], answer["replaced"], answer["version"]) == (NEW, OLD, 2)


def test_the_first_key_of_an_application_is_made_on_request(empty: Desk) -> None:
    result = empty.type("rotate", "billing")
    assert result.exit_code == 0, result.stderr
    assert empty.sim.published_key() == "SCW00000000000000001"


def test_a15_somebody_else_was_faster_and_the_command_says_what_it_saw(desk: Desk) -> None:
    daemon = desk.daemon()

    def others() -> None:
        desk.sim.hook = lambda *_: None
        daemon.run(RotationRequest("by the daemon", OLD))

    fail(desk, "list_keys", others, times=1)
    result = desk.type("rotate", "billing")
    assert result.exit_code == 0
    assert "another process was faster" in result.stdout
    assert desk.sim.published_key() == NEW
    assert NEW in result.stdout
    assert desk.sim.calls.count("create_key") == 1


def test_a_held_application_is_refused_with_who_holds_it(desk: Desk) -> None:
    change_ledger(desk, hold=Hold("migration", "bob", desk.sim.time.now))
    result = desk.type("rotate", "billing")
    assert result.exit_code == 4
    assert "held by bob (migration)" in result.stderr
    assert desk.sim.published_key() == OLD


def test_a5_no_room_at_the_provider_is_refused_and_nothing_is_deleted(desk: Desk) -> None:
    desk.sim.quota = 1
    result = desk.type("rotate", "billing")
    assert result.exit_code == 4
    assert "no room for another key" in result.stderr
    assert desk.sim.live_keys() == [OLD]


def test_too_many_live_keys_are_refused(desk: Desk) -> None:
    desk.specs = {"billing": spec(max_live_keys=1)}
    result = desk.type("rotate", "billing")
    assert result.exit_code == 4
    assert "valid keys already" in result.stderr


def test_b_a_create_refused_for_good_is_reported_and_not_repeated(desk: Desk) -> None:
    attempts = []

    def refuse() -> None:
        attempts.append(1)
        assert len(attempts) == 1, "the create was repeated"
        raise Rejected("the application was refused by the provider", service="acme", kind="invalid")

    fail(desk, "create_key", refuse)
    result = desk.type("rotate", "billing")
    assert result.exit_code == 1
    assert "refused by the provider" in result.stderr
    assert desk.sim.published_key() == OLD


def test_a3_a_create_with_a_lost_answer_is_not_repeated_by_the_same_request(desk: Desk) -> None:
    attempts = []

    def lose() -> None:
        attempts.append(1)
        raise Indeterminate("no answer came", service="acme", kind="bad_answer")

    fail(desk, "create_key", lose, phase="after")
    result = desk.type("rotate", "billing")
    assert result.exit_code == 1
    assert len(attempts) == 1


def test_a8_a_key_that_never_comes_alive_leaves_the_old_one_in_force(desk: Desk) -> None:
    desk.sim.activation = timedelta(days=1)
    result = desk.type("rotate", "billing")
    assert result.exit_code == 1
    assert "did not authenticate" in result.stderr
    assert desk.sim.published_key() == OLD
    assert desk.sim.live_keys() == [OLD]


def test_c9_a_sealed_vault_ends_the_command_with_exit_code_3_once_it_was_waited_for(desk: Desk) -> None:
    desk.sim.sealed, before = True, desk.sim.time.now
    result = desk.type("rotate", "billing")
    assert result.exit_code == 3
    assert "sealed" in result.stderr
    assert desk.sim.time.now - before == desk.specs["billing"].publish_timeout


def test_a_provider_that_stays_away_is_waited_for_as_long_as_the_policy_says(desk: Desk) -> None:
    fail(desk, "list_keys", Unavailable("acme cannot be reached", service="acme", kind="unreachable"))
    before = desk.sim.time.now
    result = desk.type("rotate", "billing")
    assert result.exit_code == 3
    assert "acme cannot be reached" in result.stderr
    assert desk.sim.time.now - before >= spec().publish_timeout


def test_a_provider_that_comes_back_in_time_is_no_failure(desk: Desk) -> None:
    fail(desk, "list_keys", Unavailable("acme cannot be reached", service="acme", kind="unreachable"), times=5)
    assert desk.type("rotate", "billing").exit_code == 0


def test_missing_rights_are_told_with_path_and_capability_before_anything_is_created(desk: Desk) -> None:
    desk.sim.lacking = ("update",)
    result = desk.type("rotate", "billing")
    assert result.exit_code == 1
    assert "may not update secret/apps/billing/scaleway" in result.stderr
    assert "create_key" not in desk.sim.calls


def test_several_applications_are_rotated_and_one_failure_stops_no_other(desk: Desk) -> None:
    desk.specs["mailer"] = spec(application="mailer", bearer="another-bearer", path="secret/apps/mailer")
    desk.specs["shop"] = spec(application="shop", bearer="unknown-bearer", path="secret/apps/shop")
    desk.sim.bearers.add("another-bearer")
    answer = desk.json("rotate", "shop", "billing", "mailer")
    assert [entry["name"] for entry in answer["applications"]] == ["shop", "billing", "mailer"]
    assert [entry["exit_code"] for entry in answer["applications"]] == [4, 0, 0]
    assert desk.type("rotate", "shop", "billing").exit_code == 4


def test_an_application_named_twice_is_rotated_once(desk: Desk) -> None:
    assert len(desk.json("rotate", "billing", "billing")["applications"]) == 1


# --- a compromise ---------------------------------------------------------------------------------------------------------


def test_rule_9_the_mark_is_written_before_anything_else(desk: Desk) -> None:
    desk.sim.calls.clear()
    desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    before = desk.sim.calls[: desk.sim.calls.index("write_ledger")]
    assert set(before) <= {"read_ledger", "list_ledgers", "read_document"}, (
        "nothing but reads of Vault comes before the mark"
    )


def test_i3_contained_means_replaced_and_proven_dead(desk: Desk) -> None:
    result = desk.type("rotate", "billing", "--compromised", "--reason", "found on a wiki")
    assert result.exit_code == 0
    assert f"{OLD} is revoked (refused)" in result.stdout
    assert f"{NEW} is published in version 2" in result.stdout
    assert "after the mark" in result.stdout
    assert desk.sim.live_keys() == [NEW]
    assert desk.sim.published_key() == NEW
    [incident] = desk.sim.ledger().incidents
    assert (incident.reason, incident.access_keys) == ("found on a wiki", (OLD,))
    assert incident.closed_at is not None


def test_keys_in_grace_die_as_well(desk: Desk) -> None:
    desk.type("rotate", "billing")
    [answer] = desk.json("rotate", "billing", "--compromised", "--reason", "leak")["applications"]
    assert answer["outcome"] == "contained"
    assert [key["access_key"] for key in answer["revoked"]] == [OLD, NEW]
    assert desk.sim.live_keys() == [answer["access_key"]]


def test_a_mark_that_lost_a_race_is_written_again_on_what_is_there_then(desk: Desk) -> None:
    daemon = desk.daemon()

    def others() -> None:
        desk.sim.hook = lambda *_: None
        daemon.run(RotationRequest("by the daemon", OLD))

    fail(desk, "write_ledger", others, times=1)
    [answer] = desk.json("rotate", "billing", "--compromised", "--reason", "leak")["applications"]
    assert answer["outcome"] == "contained"
    assert {key["access_key"] for key in answer["revoked"]} == {OLD, NEW}


def test_a_mark_whose_answer_was_lost_is_found_and_not_written_twice(desk: Desk) -> None:
    fail(desk, "write_ledger", Indeterminate("no answer", service="vault", kind="timeout"), phase="after", times=1)
    [answer] = desk.json("rotate", "billing", "--compromised", "--reason", "leak")["applications"]
    assert answer["outcome"] == "contained"
    assert len(desk.sim.ledger().incidents) == 1


def test_a_replacement_is_not_marked_by_a_command_that_reads_its_mark_back_late(desk: Desk) -> None:
    """The mark is durable, its answer is lost, and the daemon has revoked the key before the command reads the ledger again."""
    daemon, lost_at = desk.daemon(), desk.sim.time.now

    def contained_by_the_daemon() -> None:
        nonlocal lost_at
        lost_at = desk.sim.time.now
        desk.sim.hook = lambda *_: None
        daemon.run_for(timedelta(minutes=5))
        assert desk.sim.live_keys() == [NEW]
        raise Indeterminate("no answer", service="vault", kind="timeout")

    fail(desk, "write_ledger", contained_by_the_daemon, phase="after", times=1)
    [answer] = desk.json("rotate", "billing", "--compromised", "--reason", "leak")["applications"]
    assert (answer["outcome"], answer["access_key"]) == ("contained", NEW)
    assert answer["revoked"] == [{"access_key": OLD, "verification": "refused"}]
    assert answer["marked_at"] == format_timestamp(lost_at)
    assert desk.sim.live_keys() == [NEW]


def test_a_mark_that_may_or_may_not_be_there_is_not_called_missing(desk: Desk) -> None:
    def lose() -> None:
        desk.sim.sealed = True
        raise Indeterminate("no answer", service="vault", kind="timeout")

    fail(desk, "write_ledger", lose, phase="after", times=1)
    result = desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 3
    assert "not known" in result.stderr
    assert "nothing was marked" not in result.stderr


def test_vault_that_goes_away_after_the_mark_leaves_the_work_to_the_daemon(desk: Desk) -> None:
    def seal() -> None:
        desk.sim.sealed = True

    fail(desk, "list_keys", seal, phase="before", times=1)
    result = desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 3
    assert f"{OLD} not verified as revoked" in result.stderr
    assert "the mark is in the ledger and stays" in result.stderr
    desk.sim.sealed = False
    desk.daemon().run_for(timedelta(minutes=5))
    assert desk.sim.live_keys() == [desk.sim.published_key()]


def test_a_daemon_that_contains_it_first_is_as_good(desk: Desk) -> None:
    desk.others = [desk.daemon()]
    [answer] = desk.json("rotate", "billing", "--compromised", "--reason", "leak")["applications"]
    assert answer["outcome"] == "contained"
    assert answer["revoked"] == [{"access_key": OLD, "verification": "refused"}]


def test_b_an_old_key_that_still_answers_after_delete_is_not_called_dead(desk: Desk) -> None:
    desk.sim.lingering = timedelta(hours=1)
    result = desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 1
    assert "still answers" in result.stderr
    assert desk.sim.ledger().compromised_keys() == {OLD}


def test_a_held_application_keeps_the_mark_and_is_refused(desk: Desk) -> None:
    change_ledger(desk, hold=Hold("migration", "bob", desk.sim.time.now))
    result = desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 4
    assert "held by bob" in result.stderr
    assert desk.sim.ledger().compromised_keys() == {OLD}
    assert desk.sim.live_keys() == [OLD]


def test_a_key_that_no_ledger_knows_yet_can_be_compromised(empty: Desk) -> None:
    key, _ = empty.sim.make_key()
    empty.sim.publish_by_hand(key.access_key)
    result = empty.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 0, result.stderr
    assert not empty.sim.live(key.access_key)


def test_without_any_key_there_is_nothing_to_mark(empty: Desk) -> None:
    result = empty.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 4
    assert "has no key yet" in result.stderr
    assert empty.sim.kv == {}


def test_an_open_mark_of_somebody_else_is_worked_off_without_a_second_one(desk: Desk) -> None:
    ledger = desk.sim.ledger()
    marked = mark_compromised(
        ledger, [OLD], reason="first", by="alice", at=desk.sim.time.now, incident="a" * 16, mode="replace_first"
    )
    change_ledger(desk, compromised=marked.compromised, incidents=marked.incidents)
    assert desk.type("rotate", "billing", "--compromised", "--reason", "leak").exit_code == 0
    [incident] = desk.sim.ledger().incidents
    assert incident.by == "alice"


@pytest.mark.parametrize("words", [("rotate", "billing"), ("rotate", "billing", "--compromised", "--reason", "leak")])
def test_a_killed_command_leaves_the_rest_to_the_daemon(desk: Desk, words: tuple[str, ...]) -> None:
    def interrupt(name: str, phase: str) -> None:
        if (name, phase) == ("write_document", "after"):
            desk.sim.hook = lambda *_: None
            raise KeyboardInterrupt

    desk.sim.hook = interrupt
    result = desk.type(*words)
    assert result.exit_code == 130
    assert "nothing is lost" in result.stderr
    desk.daemon().run_for(timedelta(days=3))
    ledger = desk.sim.ledger()
    assert ledger.current
    assert desk.sim.live_keys() == [ledger.current.access_key] == [desk.sim.published_key()]


def test_ctrl_c_before_the_mark_says_that_it_must_be_repeated(desk: Desk) -> None:
    def interrupt(name: str, phase: str) -> None:
        raise KeyboardInterrupt

    desk.sim.hook = interrupt
    result = desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 130
    assert "before the mark of billing was confirmed" in result.stderr


def test_i3_a_containment_whose_creates_keep_failing_gives_up_in_time_and_names_the_key(desk: Desk) -> None:
    desk.creates = 1000
    fail(desk, "create_key", Indeterminate("the server failed (503)", service="acme", kind="server_error"))
    before = desk.sim.time.now
    result = desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    waited = desk.sim.time.now - before
    assert result.exit_code == 3, result.stderr
    assert f"{OLD} not verified as revoked: the server failed (503)" in result.stderr
    assert spec().publish_timeout <= waited <= 2 * spec().publish_timeout
    assert desk.sim.ledger().compromised_keys() == {OLD}


def test_i3_a_delete_that_is_never_confirmed_says_what_was_heard_instead(desk: Desk) -> None:
    fail(desk, "delete_key", Indeterminate("the server failed (503)", service="acme", kind="server_error"))
    result = desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert result.exit_code == 3, result.stderr
    assert f"{OLD} still answers: the server failed (503)" in result.stderr
