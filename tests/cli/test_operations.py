"""Hands on and hands off: hold, resume, extend, revoke, on the simulated world."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.domain.ledger import RevokingKey
from rotator.errors import Conflict, Indeterminate
from tests.cli.conftest import Desk
from tests.cli.test_rotate import change_ledger, fail
from tests.support.simulated import spec

OLD = "SCW00000000000000001"
NEW = "SCW00000000000000002"
DAY = timedelta(days=1)


def two(desk: Desk) -> None:
    """A second application beside billing."""
    desk.specs["mailer"] = spec(application="mailer", path="secret/apps/mailer", bearer="another")
    desk.sim.bearers.add("another")


# --- hold and resume ------------------------------------------------------------------------------------------------------


def test_a_held_application_is_left_alone_until_it_is_resumed(desk: Desk) -> None:
    result = desk.type("hold", "billing", "--reason", "migration")
    assert (result.exit_code, result.stdout) == (
        0,
        "billing: held: nothing is claimed or revoked until: rotator resume billing\n",
    )
    desk.daemon().run_for(40 * DAY)
    assert desk.sim.live_keys() == [OLD]
    assert desk.type("resume", "billing").stdout == "billing: resumed\n"
    desk.daemon().run()
    assert desk.sim.published_key() == NEW
    assert [entry.event for entry in desk.sim.ledger().history if entry.event in ("held", "resumed")] == [
        "held",
        "resumed",
    ]


def test_a_hold_is_shown_everywhere(desk: Desk) -> None:
    desk.specs["billing"] = spec(resync_interval=timedelta(seconds=2))
    desk.type("hold", "billing", "--reason", "migration")
    told = desk.type("status").stdout
    assert "billing  held " in told
    assert "(migration)" in told
    assert "next: held, until it is resumed" in told
    assert "held by" in desk.type("plan").stdout
    [entry] = desk.json("status")["applications"]
    assert entry["hold"]["reason"] == "migration"
    assert "WARNING" in desk.type("status", "--check").stdout
    assert "held" in desk.type("history", "billing").stdout


def test_all_applications_can_be_held_and_resumed_at_once(desk: Desk) -> None:
    two(desk)
    assert [entry["outcome"] for entry in desk.json("hold", "--all", "--reason", "freeze")["applications"]] == [
        "held"
    ] * 2
    assert desk.sim.ledger("mailer").hold is not None, "also one that no daemon has looked at yet"
    assert [entry["outcome"] for entry in desk.json("resume", "--all")["applications"]] == ["resumed"] * 2
    assert desk.sim.ledger("mailer").hold is None


def test_a_hold_that_is_there_already_stays_with_the_name_of_who_set_it(desk: Desk) -> None:
    desk.type("hold", "billing", "--reason", "first")
    assert "held already, by" in desk.type("hold", "billing", "--reason", "second").stdout
    hold = desk.sim.ledger().hold
    assert hold is not None
    assert hold.reason == "first"


def test_a_hold_with_an_end_ends_then_by_itself_and_what_was_held_back_is_done(desk: Desk) -> None:
    result = desk.type("hold", "billing", "--reason", "migration", "--until", "40d")
    assert result.stdout == (
        "billing: held: nothing is claimed or revoked until 2026-02-10 00:00:00 UTC, or: rotator resume billing\n"
    )
    assert "next: held, until 2026-02-10T00:00:00Z" in desk.type("status").stdout
    assert desk.json("status")["applications"][0]["hold"]["until"] == "2026-02-10T00:00:00Z"
    daemon = desk.daemon()
    daemon.run_for(40 * DAY - timedelta(minutes=5))
    assert desk.sim.live_keys() == [OLD]
    daemon.run_for(timedelta(minutes=10))
    assert desk.sim.published_key() == NEW
    assert desk.sim.ledger().hold is None
    assert [entry.event for entry in desk.sim.ledger().history if entry.event in ("held", "resumed")] == [
        "held",
        "resumed",
    ]


def test_a_later_end_counts_and_an_earlier_one_does_not(desk: Desk) -> None:
    desk.type("hold", "billing", "--reason", "first", "--until", "2d")
    [entry] = desk.json("hold", "billing", "--reason", "second", "--until", "1d")["applications"]
    assert entry["until"] == "2026-01-03T00:00:00Z"
    [entry] = desk.json("hold", "billing", "--reason", "second", "--until", "2026-01-05T00:00:00Z")["applications"]
    assert entry["until"] == "2026-01-05T00:00:00Z"
    [entry] = desk.json("hold", "billing", "--reason", "third")["applications"]
    assert entry["until"] is None


def test_a_hold_without_an_end_is_pointed_at_after_a_week(desk: Desk) -> None:
    desk.type("hold", "billing", "--reason", "migration")
    assert "forgotten" not in desk.type("status").stdout
    desk.sim.time.advance(7 * DAY)
    assert "(migration); it may have been forgotten" in desk.type("status").stdout


def test_a_rotation_of_a_held_application_is_refused_with_the_end_of_the_hold(desk: Desk) -> None:
    desk.type("hold", "billing", "--reason", "migration", "--until", "2d")
    result = desk.type("rotate", "billing")
    assert (result.exit_code, "until 2026-01-03 00:00:00 UTC" in result.stderr) == (4, True)


def test_what_was_not_held_need_not_be_resumed(desk: Desk) -> None:
    versions = len(desk.sim.kv["ledger:billing"])
    assert desk.type("resume", "billing").stdout == "billing: was not held\n"
    assert len(desk.sim.kv["ledger:billing"]) == versions


def test_who_resumes_is_told_which_keys_die_now(desk: Desk) -> None:
    desk.type("rotate", "billing")
    desk.type("hold", "billing", "--reason", "migration")
    desk.sim.time.advance(2 * DAY)
    assert (
        desk.type("resume", "billing").stdout == "billing: resumed; 1 key whose time has passed will be revoked now\n"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("hold", "billing"), "say why, with --reason"),
        (("hold", "billing", "--reason", " "), "say why, with --reason"),
        (("hold", "--reason", "x"), "say which applications"),
        (("hold", "billing", "--reason", "x", "--until", "yesterday"), "is no time"),
        (("hold", "billing", "--reason", "x", "--until", "2020-01-01T00:00:00Z"), "has passed"),
        (("hold", "billing", "--all", "--reason", "x"), "say which applications"),
        (("resume",), "say which applications"),
        (("extend", "billing"), "missing option"),
        (("extend", "billing", "--by", "soon"), "--by soon"),
        (("revoke",), "missing argument"),
    ],
)
def test_what_is_left_unsaid_is_asked_for_and_nothing_is_contacted(
    desk: Desk, words: tuple[str, ...], said: str
) -> None:
    desk.sim.calls.clear()
    result = desk.type(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert desk.sim.calls == []


def test_an_unknown_application_is_not_held(desk: Desk) -> None:
    result = desk.type("hold", "biling", "--reason", "x")
    assert (result.exit_code, "did you mean billing" in result.stderr) == (2, True)


def test_an_order_that_lost_a_race_is_given_again_on_what_is_there_then(desk: Desk) -> None:
    fail(desk, "write_ledger", Conflict("somebody was faster", service="vault", kind="conflict"), times=2)
    assert desk.type("hold", "billing", "--reason", "x").exit_code == 0
    assert desk.sim.ledger().hold is not None


def test_an_order_whose_answer_was_lost_is_found_and_not_given_twice(desk: Desk) -> None:
    versions = len(desk.sim.kv["ledger:billing"])
    fail(desk, "write_ledger", Indeterminate("no answer", service="vault", kind="timeout"), phase="after", times=1)
    assert desk.type("hold", "billing", "--reason", "x").exit_code == 0
    assert len(desk.sim.kv["ledger:billing"]) == versions + 1


def test_a_sealed_vault_takes_no_orders(desk: Desk) -> None:
    desk.sim.sealed = True
    for words in (
        ("hold", "billing", "--reason", "x"),
        ("resume", "billing"),
        ("extend", "billing", "--by", "1h"),
        ("revoke", OLD),
    ):
        result = desk.type(*words)
        assert result.exit_code == 3, words
        assert "sealed" in result.stderr


# --- extend ---------------------------------------------------------------------------------------------------------------


def test_a_key_in_grace_lives_on_for_as_long_as_it_was_extended(desk: Desk) -> None:
    desk.type("rotate", "billing")
    [before] = desk.sim.ledger().retiring
    result = desk.type("extend", "billing", "--by", "24h")
    assert result.exit_code == 0
    assert f"{OLD} is now valid until 2026-01-03" in result.stdout
    [after] = desk.sim.ledger().retiring
    assert after.revoke_after == before.revoke_after + DAY
    desk.daemon().run_for(DAY + timedelta(hours=1))
    assert desk.sim.live(OLD)
    desk.daemon().run_for(2 * DAY)
    assert not desk.sim.live(OLD)


def test_an_extension_whose_answer_was_lost_is_given_once(desk: Desk) -> None:
    desk.type("rotate", "billing")
    [before] = desk.sim.ledger().retiring
    fail(desk, "write_ledger", Indeterminate("no answer", service="vault", kind="timeout"), phase="after", times=1)
    assert desk.type("extend", "billing", "--by", "24h").exit_code == 0
    [after] = desk.sim.ledger().retiring
    assert after.revoke_after == before.revoke_after + DAY


def test_the_new_deadlines_are_told_to_machines(desk: Desk) -> None:
    desk.type("rotate", "billing")
    [answer] = desk.json("extend", "billing", "--by", "1h")["applications"]
    assert answer["outcome"] == "extended"
    assert list(answer["until"]) == [OLD]


def test_without_a_key_in_grace_there_is_nothing_to_extend(desk: Desk) -> None:
    result = desk.type("extend", "billing", "--by", "24h")
    assert (result.exit_code, "has no key in grace" in result.stderr) == (4, True)


def test_what_is_compromised_or_condemned_is_not_kept_alive(desk: Desk) -> None:
    desk.type("rotate", "billing")
    change_ledger(desk, retiring=(), revoking=(RevokingKey(OLD, 1, "replaced"),))
    result = desk.type("extend", "billing", "--by", "24h")
    assert (result.exit_code, "cannot be extended any more" in result.stderr) == (4, True)


def test_a_condemned_key_that_a_person_published_again_lives_on_when_its_new_grace_is_extended(desk: Desk) -> None:
    desk.type("rotate", "billing")
    until = desk.sim.time.now + DAY
    change_ledger(desk, retiring=(), revoking=(RevokingKey(OLD, 1, "replaced", republished=True, not_before=until),))
    assert desk.type("extend", "billing", "--by", "24h").exit_code == 0
    [entry] = desk.sim.ledger().revoking
    assert entry.not_before == until + DAY


# --- revoke ---------------------------------------------------------------------------------------------------------------


def test_a_grace_ends_early_when_the_full_name_is_repeated_and_the_key_is_seen_dead(desk: Desk) -> None:
    desk.type("rotate", "billing")
    result = desk.type("revoke", OLD, "--confirm", OLD, "--reason", "everybody has moved")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"billing: revoked: {OLD} is revoked (refused)\n"
    assert desk.sim.live_keys() == [NEW]
    assert (
        "everybody has moved"
        in next(entry for entry in desk.sim.ledger().history if entry.event == "grace_ended").reason
    )


@pytest.mark.parametrize("confirm", [(), ("--confirm", OLD[:-1]), ("--confirm", NEW)])
def test_a_grace_does_not_end_early_without_the_full_name(desk: Desk, confirm: tuple[str, ...]) -> None:
    desk.type("rotate", "billing")
    result = desk.type("revoke", OLD, *confirm)
    assert result.exit_code == 4
    assert f"repeat its full name: --confirm {OLD}" in result.stderr
    assert desk.sim.live_keys() == [OLD, NEW]


def test_the_published_key_is_never_revoked_and_the_right_command_is_named(desk: Desk) -> None:
    result = desk.type("revoke", OLD, "--confirm", OLD)
    assert result.exit_code == 4
    assert "replace it with: rotator rotate billing" in result.stderr
    assert desk.sim.live_keys() == [OLD]


def test_i5_a_stranger_dies_only_when_its_full_name_is_repeated(desk: Desk) -> None:
    stranger, _ = desk.sim.make_key("somebody else's")
    result = desk.type("revoke", stranger.access_key)
    assert result.exit_code == 4
    assert "is an unmanaged key" in result.stderr
    assert desk.sim.live(stranger.access_key)
    assert desk.type("revoke", stranger.access_key, "--confirm", stranger.access_key).exit_code == 0
    assert not desk.sim.live(stranger.access_key)
    assert desk.sim.live_keys() == [OLD]


def test_a_key_of_no_application_is_not_touched(desk: Desk) -> None:
    theirs, _ = desk.sim.make_key(bearer="not-ours")
    result = desk.type("revoke", theirs.access_key, "--confirm", theirs.access_key)
    assert result.exit_code == 4
    assert "no application of this configuration" in result.stderr
    assert desk.sim.live(theirs.access_key)


def test_a_key_that_nobody_knows_is_not_revoked(desk: Desk) -> None:
    unknown = "SCWUNKNOWNUNKNOWNUNK"
    result = desk.type("revoke", unknown, "--confirm", unknown)
    assert result.exit_code == 4
    assert f"no account of this configuration has a key {unknown}" in result.stderr


def test_a_key_that_is_dead_already_is_said_to_be(desk: Desk) -> None:
    desk.type("rotate", "billing")
    desk.type("revoke", OLD, "--confirm", OLD)
    result = desk.type("revoke", OLD, "--confirm", OLD)
    assert (result.exit_code, "is revoked already" in result.stderr) == (4, True)


def test_under_a_hold_no_grace_ends_early(desk: Desk) -> None:
    desk.type("rotate", "billing")
    desk.type("hold", "billing", "--reason", "migration")
    result = desk.type("revoke", OLD, "--confirm", OLD)
    assert (result.exit_code, "is held by" in result.stderr) == (4, True)
    assert desk.sim.live(OLD)


def test_a_condemned_key_is_seen_to_its_death_without_asking_again(desk: Desk) -> None:
    desk.type("rotate", "billing")
    change_ledger(desk, retiring=(), revoking=(RevokingKey(OLD, 1, "replaced"),))
    assert desk.type("revoke", OLD).exit_code == 0
    assert not desk.sim.live(OLD)


def test_several_keys_are_revoked_and_one_refusal_stops_no_other(desk: Desk) -> None:
    desk.type("rotate", "billing")
    answer = desk.json("revoke", NEW, OLD, "--confirm", OLD)
    assert [entry["outcome"] for entry in answer["applications"]] == ["refused", "revoked"]
    assert desk.sim.live_keys() == [NEW]


def test_a_managed_key_is_left_to_the_provider(desk: Desk) -> None:
    stranger, _ = desk.sim.make_key("somebody else's")
    true = desk.sim.keys[stranger.access_key]
    true.key = replace(true.key, provider_managed=True)
    result = desk.type("revoke", stranger.access_key, "--confirm", stranger.access_key)
    assert (result.exit_code, "managed or not deletable" in result.stderr) == (4, True)
    assert desk.sim.live(stranger.access_key)


def test_a_key_that_lives_on_although_it_was_deleted_is_not_called_dead(desk: Desk) -> None:
    desk.type("rotate", "billing")
    desk.sim.lingering = timedelta(hours=1)
    result = desk.type("revoke", OLD, "--confirm", OLD)
    assert result.exit_code == 1
    assert "still answers" in result.stderr


# --- at a terminal --------------------------------------------------------------------------------------------------------


def test_at_a_terminal_the_full_name_is_asked_for(desk: Desk) -> None:
    desk.type("rotate", "billing")
    result = desk.answer(f"{OLD}\n", "revoke", OLD)
    assert result.exit_code == 0, result.stderr
    assert "type the full name of the key to go on" in result.stderr
    assert desk.sim.live_keys() == [NEW]


@pytest.mark.parametrize("typed", ["\n", "y\n", f"{NEW}\n", ""])
def test_at_a_terminal_anything_else_leaves_the_key_alone(desk: Desk, typed: str) -> None:
    desk.type("rotate", "billing")
    result = desk.answer(typed, "revoke", OLD)
    assert result.exit_code in {4, 130}
    assert desk.sim.live_keys() == [OLD, NEW]


def test_at_a_terminal_an_emergency_asks_for_the_strangers_name_too(desk: Desk) -> None:
    stranger, _ = desk.sim.make_key("by hand")
    words = ("rotate", stranger.access_key, "billing", "--compromised", "--reason", "leak")
    result = desk.answer(f"{stranger.access_key}\n", *words)
    assert result.exit_code == 0, result.stderr
    assert desk.sim.live_keys() == [desk.sim.published_key()]


@pytest.mark.parametrize(
    "words",
    ["rotate {}", "rotate {} --compromised --reason x", "hold {} --reason x", "resume {}", "extend {} --by 1h", "drill {}", "revoke {}",
     "history {}", "status {}", "plan {}", "coverage --account {} --created-before 1h", "rotate --account {}", "waive {} --reason x"],
)  # fmt: skip
def test_i6_a_secret_key_in_the_place_of_a_name_is_repeated_by_no_command(desk: Desk, words: str) -> None:
    secret = "01234567-89ab-cdef-0123-456789abcdef"
    result = desk.type(*words.format(secret).split())
    assert result.exit_code not in (0, 1)
    assert secret not in result.stdout + result.stderr
    assert result.stderr.startswith("rotator: ")
