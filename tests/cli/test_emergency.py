"""A key leaked: from what is in hand to a proven death, on the simulated world. Every refusal is tried."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from rotator.decision.observation import RotationRequest
from rotator.errors import Unavailable
from tests.cli.conftest import Desk
from tests.cli.test_rotate import fail
from tests.support.simulated import Killed, spec

OLD = "SCW00000000000000001"
NEW = "SCW00000000000000002"
THIRD = "SCW00000000000000003"
LEAK = ("--compromised", "--reason", "found on a wiki")
DAY = timedelta(days=1)


# --- by the name of the key -----------------------------------------------------------------------------------------------


def test_a_leaked_key_is_contained_by_its_name_alone(desk: Desk) -> None:
    result = desk.type("rotate", OLD, *LEAK)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"billing: contained: {OLD} is revoked (refused); {NEW} is published in version 2")
    assert desk.sim.live_keys() == [NEW]


def test_no_account_is_asked_before_the_mark_of_a_key_that_a_ledger_names(desk: Desk) -> None:
    desk.specs["mailer"] = spec(application="mailer", bearer="another", path="secret/apps/mailer")
    desk.sim.calls.clear()
    desk.type("rotate", OLD, *LEAK)
    before_the_mark = desk.sim.calls[: desk.sim.calls.index("write_ledger")]
    assert [call for call in before_the_mark if call in {"get_key", "list_keys", "list_all_keys"}] == []


def test_each_account_is_asked_once_for_a_leaked_key_that_no_ledger_names(desk: Desk) -> None:
    desk.specs["mailer"] = spec(application="mailer", bearer="another", path="secret/apps/mailer")
    unnamed, _ = desk.sim.make_key("by hand")
    desk.sim.calls.clear()
    desk.type("rotate", unnamed.access_key, *LEAK, "--confirm", unnamed.access_key)
    before_the_mark = desk.sim.calls[: desk.sim.calls.index("write_ledger")]
    assert [call for call in before_the_mark if call in {"get_key", "list_keys", "list_all_keys"}] == ["get_key"]


def test_a_key_in_grace_takes_the_whole_application_with_it(desk: Desk) -> None:
    desk.type("rotate", "billing")
    assert desk.type("rotate", OLD, *LEAK).exit_code == 0
    assert desk.sim.live_keys() == [THIRD]


def test_an_application_that_is_named_twice_in_different_words_is_contained_once(desk: Desk) -> None:
    answer = desk.json("rotate", "billing", OLD, *LEAK)
    assert [entry["name"] for entry in answer["applications"]] == ["billing"]
    assert desk.sim.live_keys() == [NEW]


def test_a_key_that_is_dying_of_an_earlier_mark_is_watched_and_nothing_newer_is_marked(desk: Desk) -> None:
    fail(desk, "delete_key", Unavailable("acme is away", service="acme", kind="unreachable"))
    assert desk.type("rotate", "billing", *LEAK).exit_code == 3
    desk.sim.hook = lambda *_: None
    assert desk.type("rotate", OLD, *LEAK).exit_code == 0
    assert desk.sim.live_keys() == [NEW]
    assert len(desk.sim.ledger().incidents) == 1


def test_a_key_of_ours_that_no_ledger_names_yet_dies_with_its_application(desk: Desk) -> None:
    def kill(name: str, phase: str) -> None:
        if (name, phase) == ("create_key", "after"):
            raise Killed

    daemon = desk.daemon()
    desk.sim.hook = kill
    with pytest.raises(Killed):
        daemon.run(RotationRequest("asked", OLD))
    desk.sim.hook = lambda *_: None
    assert desk.type("rotate", NEW, *LEAK).exit_code == 0
    assert desk.sim.live_keys() == [THIRD]


def without_provider(desk: Desk, kind: str) -> None:
    """No call to the provider is answered."""
    calls = {"get_key", "list_keys", "list_all_keys", "create_key", "delete_key", "authenticate", "headroom"}

    def away(name: str, phase: str) -> None:
        if name in calls and phase == "before":
            raise Unavailable("acme is away", service="acme", kind=kind)

    desk.sim.hook = away


@pytest.mark.parametrize("kind", ["unreachable", "timeout", "500"])
def test_the_mark_of_a_key_that_a_ledger_names_needs_no_provider(desk: Desk, kind: str) -> None:
    without_provider(desk, kind)
    result = desk.type("rotate", OLD, *LEAK)
    assert result.exit_code == 3, result.stderr
    assert desk.sim.ledger().compromised_keys() == {OLD}
    assert f"rotator rotate {OLD} --compromised" in result.stderr


def test_a_grace_ends_early_although_no_provider_answers(desk: Desk) -> None:
    desk.type("rotate", "billing")
    without_provider(desk, "500")
    desk.type("revoke", OLD, "--confirm", OLD)
    assert any(entry.event == "grace_ended" for entry in desk.sim.ledger().history)


# --- the same order again -------------------------------------------------------------------------------------------------


def interrupted_after(desk: Desk, effect: str) -> None:
    """An emergency whose command ends right after this effect."""

    def kill(name: str, phase: str) -> None:
        if (name, phase) == (effect, "after"):
            raise Killed

    desk.sim.hook = kill
    assert desk.begin("rotate", "billing", *LEAK)
    desk.sim.hook = lambda *_: None


@pytest.mark.parametrize("effect", ["write_document", "delete_key"])
@pytest.mark.parametrize("name", ["billing", OLD])
def test_the_same_emergency_again_causes_no_second_outage(desk: Desk, effect: str, name: str) -> None:
    interrupted_after(desk, effect)
    assert desk.sim.published_key() == NEW
    result = desk.type("rotate", name, *LEAK)
    assert result.exit_code == 0, result.stderr
    assert desk.sim.live_keys() == [NEW]
    [incident] = desk.sim.ledger().incidents
    assert incident.access_keys == (OLD,)
    if name == "billing":
        assert f"if it leaked too, name it: rotator rotate {NEW} --compromised" in result.stdout


def test_a_key_of_an_incident_that_is_over_is_named_again_and_nothing_newer_is_marked(desk: Desk) -> None:
    assert desk.type("rotate", "billing", *LEAK).exit_code == 0
    result = desk.type("rotate", OLD, *LEAK)
    assert (result.exit_code, desk.sim.live_keys()) == (0, [NEW]), result.stderr
    assert len(desk.sim.ledger().incidents) == 1


def test_a_replacement_that_leaked_too_is_marked_by_its_name_while_the_incident_is_open(desk: Desk) -> None:
    interrupted_after(desk, "delete_key")
    assert desk.type("rotate", NEW, *LEAK).exit_code == 0
    assert desk.sim.live_keys() == [THIRD]


def test_an_open_incident_about_an_unmanaged_key_keeps_no_emergency_of_the_application_back(desk: Desk) -> None:
    stranger, _ = desk.sim.make_key("by hand")
    desk.type("hold", "billing", "--reason", "migration")
    assert desk.type("rotate", stranger.access_key, *LEAK, "--confirm", stranger.access_key).exit_code == 4
    desk.type("resume", "billing")
    assert desk.type("rotate", "billing", *LEAK).exit_code == 0
    assert not desk.sim.live(OLD)
    assert not desk.sim.live(stranger.access_key)


def test_a_replacement_that_a_person_published_is_marked_with_the_application(desk: Desk) -> None:
    fail(desk, "delete_key", Unavailable("acme is away", service="acme", kind="unreachable"))
    assert desk.type("rotate", "billing", *LEAK).exit_code == 3
    by_hand, _ = desk.sim.make_key("by hand")
    desk.sim.publish_by_hand(by_hand.access_key)
    desk.sim.hook = lambda *_: None
    desk.daemon().run()
    assert desk.type("rotate", "billing", *LEAK).exit_code == 0
    assert not desk.sim.live(by_hand.access_key)


def test_the_advice_after_an_interrupt_names_the_leaked_key(desk: Desk) -> None:
    def interrupt(name: str, phase: str) -> None:
        if (name, phase) == ("delete_key", "after"):
            raise KeyboardInterrupt

    desk.sim.hook = interrupt
    result = desk.type("rotate", "billing", *LEAK)
    assert result.exit_code == 130, result.stderr
    assert f"rotator rotate {OLD} --compromised" in result.stderr
    assert "same command again" not in result.stderr


# --- refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("billing",), (OLD,), ("--all",)])
def test_without_a_reason_nothing_is_contacted(desk: Desk, words: tuple[str, ...]) -> None:
    desk.sim.calls.clear()
    for reason in ((), ("--reason", " ")):
        result = desk.type("rotate", *words, "--compromised", *reason)
        assert result.exit_code == 2
        assert "say why, with --reason" in result.stderr
    assert desk.sim.calls == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rotate", OLD), "is an access key: name its application, or say --compromised"),
        (("rotate", "billing", "--revoke-first"), "are for --compromised"),
        (("rotate", "billing", "--override-hold"), "are for --compromised"),
        (("rotate", "billing", "--confirm", OLD), "are for --compromised"),
        (("rotate", "--all", "--revoke-first", *LEAK), "a mass rotation takes no access keys"),
        (("rotate", "--created-before", "9d", OLD, *LEAK), "a mass rotation takes no access keys"),
    ],
)
def test_words_that_do_not_go_together_are_refused(desk: Desk, words: tuple[str, ...], said: str) -> None:
    result = desk.type(*words)
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_an_unknown_key_is_refused_and_stops_no_other(desk: Desk) -> None:
    answer = desk.json("rotate", "SCWUNKNOWNUNKNOWNUNK", "billing", *LEAK)
    assert [(entry["name"], entry["exit_code"]) for entry in answer["applications"]] == [
        ("billing", 0),
        ("SCWUNKNOWNUNKNOWNUNK", 4),
    ]
    assert "no account of this configuration has a key" in answer["applications"][1]["error"]["message"]


def test_a_key_of_another_bearer_is_refused(desk: Desk) -> None:
    theirs, _ = desk.sim.make_key(bearer="not-ours")
    result = desk.type("rotate", theirs.access_key, *LEAK, "--confirm", theirs.access_key)
    assert (result.exit_code, "is no application of this configuration" in result.stderr) == (4, True)
    assert desk.sim.live(theirs.access_key)


def test_i5_a_compromised_stranger_dies_only_when_named_in_full_and_confirmed(desk: Desk) -> None:
    stranger, _ = desk.sim.make_key("by hand")
    name = stranger.access_key
    for confirm in ((), ("--confirm", name[:-1]), ("--confirm", OLD)):
        result = desk.type("rotate", name, *LEAK, *confirm)
        assert result.exit_code == 4
        assert f"repeat its full name: --confirm {name}" in result.stderr
    assert desk.sim.live(name)
    assert desk.type("rotate", name, *LEAK, "--confirm", name).exit_code == 0
    assert desk.sim.live_keys() == [OLD], "the application's own key lives on"


def test_an_account_that_does_not_answer_is_not_taken_for_one_without_the_key(desk: Desk) -> None:
    unnamed, _ = desk.sim.make_key("by hand")
    fail(desk, "get_key", Unavailable("acme cannot be reached", service="acme", kind="unreachable"))
    result = desk.type("rotate", unnamed.access_key, *LEAK)
    assert (result.exit_code, "acme cannot be reached" in result.stderr) == (3, True)


def test_a_held_application_is_refused_and_the_flag_is_named_that_goes_through(desk: Desk) -> None:
    desk.type("hold", "billing", "--reason", "migration")
    result = desk.type("rotate", "billing", *LEAK)
    assert result.exit_code == 4
    assert "--override-hold" in result.stderr
    assert desk.sim.live_keys() == [OLD]
    assert desk.type("rotate", "billing", *LEAK, "--override-hold").exit_code == 0
    assert desk.sim.live_keys() == [NEW]
    ledger = desk.sim.ledger()
    assert ledger.hold is not None
    assert [incident.override_hold for incident in ledger.incidents] == [False, True]


# --- revoke first ---------------------------------------------------------------------------------------------------------


def test_revoke_first_says_what_outage_that_means_before_and_how_long_it_was_after(desk: Desk) -> None:
    order: list[str] = []
    desk.sim.hook = lambda name, phase: (
        order.append(name) if phase == "after" and name in {"delete_key", "create_key"} else None
    )
    result = desk.type("rotate", "billing", *LEAK, "--revoke-first")
    assert result.exit_code == 0, result.stderr
    assert order == ["delete_key", "create_key"]
    assert "billing can do nothing with what Vault holds, until a new key is made" in result.stderr
    assert "Vault held no valid key for" in result.stdout
    assert desk.sim.live_keys() == [NEW]


def test_a_second_order_can_make_an_emergency_sharper(desk: Desk) -> None:
    desk.creates = 1000
    fail(desk, "create_key", Unavailable("acme is away", service="acme", kind="unreachable"))
    assert desk.type("rotate", "billing", *LEAK).exit_code == 3
    assert desk.sim.live(OLD)
    assert desk.type("rotate", "billing", *LEAK, "--revoke-first").exit_code == 3
    assert not desk.sim.live(OLD)
    desk.sim.hook = lambda *_: None
    desk.daemon().run_for(timedelta(minutes=5))
    assert desk.sim.live_keys() == [desk.sim.published_key()]


def test_the_outage_is_told_to_machines_too(desk: Desk) -> None:
    [answer] = desk.json("rotate", "billing", *LEAK, "--revoke-first")["applications"]
    assert answer["outage_seconds"] > 0
    [answer] = desk.json("rotate", "billing", *LEAK)["applications"]
    assert "outage_seconds" not in answer


# --- what is left for a report --------------------------------------------------------------------------------------------


def test_the_incident_tells_who_asked_why_how_each_key_died_and_which_versions_are_destroyed(desk: Desk) -> None:
    desk.type("rotate", "billing")
    desk.type("rotate", "billing", *LEAK)
    [incident] = desk.sim.ledger().incidents
    assert (incident.reason, incident.mode, "@" in incident.by) == ("found on a wiki", "replace_first", True)
    assert {
        revocation.access_key: (revocation.verification, revocation.destroyed) for revocation in incident.revocations
    } == {
        OLD: ("refused", (1,)),
        NEW: ("refused", (2,)),
    }
    assert incident.closed_at is not None
    assert all(incident.opened_at <= revocation.at <= incident.closed_at for revocation in incident.revocations)


def test_a_vault_that_lets_nothing_be_destroyed_delays_no_containment(desk: Desk) -> None:
    desk.sim.keeps_versions = True
    assert desk.type("rotate", "billing", *LEAK).exit_code == 0
    assert desk.sim.ledger().incidents[0].revocations[0].remark == "our token may not destroy"


# --- killed anywhere ------------------------------------------------------------------------------------------------------


def effects(desk: Desk, words: tuple[str, ...]) -> int:
    """How many effects that command has, counted before and after each."""
    count = 0

    def hook(name: str, phase: str) -> None:
        nonlocal count
        count += 1

    desk.sim.hook = hook
    assert desk.type(*words).exit_code == 0
    return count


def dying_at(moment: int) -> Callable[[str, str], None]:
    passed = 0

    def hook(name: str, phase: str) -> None:
        nonlocal passed
        passed += 1
        if passed == moment:
            raise Killed

    return hook


@pytest.mark.parametrize("words", [("billing",), (OLD,), ("billing", "--revoke-first"), ("billing", "--override-hold")])
def test_i3_a_command_killed_at_any_step_after_the_mark_leaves_no_grace_to_the_leaked_keys(
    desk: Desk, words: tuple[str, ...]
) -> None:
    def begin() -> Desk:
        fresh = Desk(type(desk.sim)())
        key, _ = fresh.sim.make_key()
        fresh.sim.publish_by_hand(key.access_key, database="kept")
        fresh.daemon().run()
        fresh.type("rotate", "billing")
        if "--override-hold" in words:
            fresh.type("hold", "billing", "--reason", "migration")
        return fresh

    total = effects(begin(), ("rotate", *words, *LEAK))
    marked = 0
    for moment in range(1, total + 1):
        killed = begin()
        killed.sim.hook = dying_at(moment)
        assert killed.begin("rotate", *words, *LEAK)
        killed.sim.hook = lambda *_: None
        leaked = killed.sim.ledger().compromised_keys()
        if not leaked and not killed.sim.ledger().incidents:
            continue  # not durable yet: the command had not said so
        marked += 1
        before = killed.sim.time.now
        killed.daemon().run_for(timedelta(minutes=10))
        for access_key in (OLD, NEW):
            revocation = killed.sim.keys[access_key].deleted_at
            assert revocation is not None, f"{access_key} lives on after a kill at {moment}"
            assert revocation - before < timedelta(minutes=2), f"{access_key} was given grace after a kill at {moment}"
        if killed.sim.ledger().hold:
            assert killed.type("resume", "billing").exit_code == 0  # what the killed command left over waits for that
            killed.daemon().run_for(timedelta(minutes=10))
        assert killed.sim.live_keys() == [killed.sim.published_key()]
    assert marked > total / 2
