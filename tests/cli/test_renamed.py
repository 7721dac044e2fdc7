"""After a rename the commands know the keys that the old name's ledger still holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.decision.ownership import removed_application
from rotator.decision.transitions.compromise import mark_compromised
from tests.cli.conftest import Desk
from tests.support.simulated import Actor, Sim, spec

SKEW = timedelta(seconds=30)
NEW = spec(application="payments")


@pytest.fixture
def renamed() -> tuple[Desk, str, str]:
    """Billing has rotated once and is called payments from now on; no pass was made since. The keys in grace and published."""
    sim = Sim()
    daemon = Actor(sim, spec())
    daemon.run()
    first = sim.published_key()
    sim.time.advance(timedelta(days=31))
    daemon.run()
    second = sim.published_key()
    assert first is not None
    assert second is not None
    desk = Desk(sim, specs={"payments": NEW})
    leave(desk)
    return desk, first, second


def leave(desk: Desk) -> None:
    ledger = desk.sim.ledger("billing")
    desk.left = {"billing": removed_application(ledger, desk.specs.values(), organization_id="", max_clock_skew=SKEW)}


def test_c5_rotate_compromised_contains_what_the_old_names_ledger_holds(renamed: tuple[Desk, str, str]) -> None:
    desk, first, second = renamed
    desk.others = [Actor(desk.sim, NEW)]
    result = desk.type("rotate", "payments", "--compromised", "--reason", "leaked")
    assert result.exit_code == 0, result.output
    assert first in result.output
    assert second in result.output
    assert not desk.sim.live(first)
    assert not desk.sim.live(second)
    assert desk.sim.ledger("billing").names() == frozenset()


def test_c5_lookup_knows_a_key_in_grace_under_its_old_name(renamed: tuple[Desk, str, str]) -> None:
    desk, first, second = renamed
    found = {one["access_key"]: one for one in desk.json("lookup", first, second)["keys"]}
    assert (found[first]["state"], found[first]["application"]) == ("grace", "payments")
    assert (found[second]["state"], found[second]["application"]) == ("current", "payments")


def test_c5_the_plan_takes_the_old_ledger_over_and_calls_no_key_unmanaged(renamed: tuple[Desk, str, str]) -> None:
    desk, first, _ = renamed
    result = desk.type("plan")
    assert result.exit_code == 0
    assert "take over the ledger of billing" in " ".join(result.output.split())
    assert "unmanaged" not in result.output
    assert "stranger" not in result.output


def test_c5_a_mass_rotation_after_a_rename_ends_with_a_complete_coverage_proof(renamed: tuple[Desk, str, str]) -> None:
    desk, first, second = renamed
    desk.sim.time.advance(timedelta(minutes=5))
    result = desk.type("rotate", "--all", "--compromised", "--reason", "leaked")
    assert result.exit_code == 0, result.output
    assert not {first, second} & set(desk.sim.live_keys())


def test_c5_status_shows_a_renamed_application_once_with_its_keys_in_grace(renamed: tuple[Desk, str, str]) -> None:
    desk, first, _ = renamed
    shown = desk.json("status")["applications"]
    assert [one["name"] for one in shown] == ["payments"]
    assert [entry["access_key"] for entry in shown[0]["retiring"]] == [first]


def test_c5_history_goes_back_beyond_the_rename(renamed: tuple[Desk, str, str]) -> None:
    desk, first, _ = renamed
    assert first in desk.type("history", "payments").output


def test_c5_a_command_about_the_old_name_says_the_new_one_and_changes_nothing(renamed: tuple[Desk, str, str]) -> None:
    desk, first, _ = renamed
    before = len(desk.sim.kv["ledger:billing"])
    for words in (
        ("rotate", "billing", "--compromised", "--reason", "leaked"),
        ("hold", "billing", "--reason", "audit"),
    ):
        result = desk.type(*words)
        assert result.exit_code == 4
        assert "payments" in result.output
    assert len(desk.sim.kv["ledger:billing"]) == before
    assert desk.sim.live(first)


def test_c5_a_removed_application_whose_document_another_one_has_is_shown_as_blocked(
    renamed: tuple[Desk, str, str],
) -> None:
    desk, first, _ = renamed
    desk.specs = {"payments": replace(NEW, bearer="another-bearer")}
    leave(desk)
    shown = {one["name"]: one for one in desk.json("status")["applications"]}
    assert shown["billing"]["phase"] == "blocked"
    assert shown["billing"]["problem"]["reason"] == "superseded"
    assert desk.sim.live(first)


def test_c5_an_emergency_marked_under_the_old_name_is_finished_under_the_new_one(
    renamed: tuple[Desk, str, str],
) -> None:
    desk, first, _ = renamed
    ledger = desk.sim.ledger("billing")
    marked = mark_compromised(
        ledger, [first], reason="leaked", by="ops", at=desk.sim.time.now, incident="i1", mode="replace_first"
    )
    Actor(desk.sim).context.vault.write_ledger(marked, cas=len(desk.sim.kv["ledger:billing"]))
    result = desk.type("extend", "payments", "--by", "1h")
    assert result.exit_code in (0, 4)
    assert desk.sim.ledger("payments").compromised_keys() == {first}


def test_c20_the_management_key_is_refused_with_what_to_do(renamed: tuple[Desk, str, str]) -> None:
    desk, first, _ = renamed
    desk.management_key = first
    for words in (
        ("rotate", first, "--compromised", "--reason", "leaked"),
        ("revoke", first, "--confirm", first),
    ):
        result = desk.type(*words)
        assert result.exit_code == 4, result.output
        assert "[accounts.acme]" in result.output
    assert desk.sim.live(first)
    assert desk.json("lookup", first)["keys"][0]["state"] == "management"
