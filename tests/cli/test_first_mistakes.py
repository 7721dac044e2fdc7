"""What people type in their first days, and at night: each mistake is answered by what is wrong with it, in a line that can be read."""

from __future__ import annotations

import re

import pytest

from rotator.cli.output.mass_rotation import ProgressSink
from tests.cli.conftest import Desk
from tests.cli.test_mass_rotation import LEAK, Fleet, fleet
from tests.support.simulated import spec

__all__ = ["fleet"]

KEY = "SCW00000000000000001"
TYPED = {
    f" {KEY}": "begins or ends with a blank",
    f"{KEY} ": "begins or ends with a blank",
    "SCW0000 0000000000001": "has a blank in it",
    KEY.lower(): "has small letters",
    "ScwAAAAAAAAAAAAAAAAA": "has small letters",
    KEY[:-1]: "has 19 characters, one is missing",
    KEY[:-3]: "has 17 characters, 3 are missing",
    KEY + "0": "has 21 characters, one is too many",
    "SCW00000000000-00001": "has a character that is neither a capital letter nor a digit",
}
COMMANDS = {
    "an emergency": ("rotate", "{}", *LEAK),
    "lookup": ("lookup", "{}"),
    "revoke": ("revoke", "{}", "--reason", "x"),
    "waive": ("waive", "{}", "--reason", "x"),
}


@pytest.mark.parametrize("typed", TYPED)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_key_that_is_not_quite_one_is_answered_by_what_is_wrong_with_it(desk: Desk, name: str, typed: str) -> None:
    result = desk.type(*(word.format(typed) for word in COMMANDS[name]))
    assert result.exit_code == 2
    assert f"{typed.strip()} is no access key: it {TYPED[typed]}" in result.stderr
    assert "no application" not in result.stderr
    assert desk.sim.live_keys() == [KEY]


def test_a_name_that_only_begins_like_a_key_is_a_name(desk: Desk) -> None:
    assert "there is no application scw-proxy" in desk.type("rotate", "scw-proxy").stderr


def test_an_unknown_name_among_many_names_a_few_of_them(desk: Desk) -> None:
    from rotator.util.suggestions import closest_match

    names = [f"app-{number:03d}" for number in range(204)]
    said = closest_match("zzz", names)
    assert said == "there are 204 names, such as app-000, app-001, app-002, app-003, app-004, app-005, app-006, app-007"
    assert closest_match("app-1000", names).startswith("did you mean app-")
    assert closest_match("zzz", names[:3]) == "write one of: app-000, app-001, app-002"


@pytest.mark.parametrize(
    ("words", "said"),
    [(("help",), "Rotate Scaleway API keys"), (("help", "rotate"), "Rotate now, and wait until the new key")],
)
def test_help_is_a_word_too(desk: Desk, words: tuple[str, ...], said: str) -> None:
    result = desk.type(*words)
    assert result.exit_code == 0
    assert said in result.stdout


def test_help_of_what_is_no_command_names_the_nearest(desk: Desk) -> None:
    result = desk.type("help", "rotat")
    assert (result.exit_code, "did you mean rotate?" in result.stderr) == (2, True)


def test_the_first_letter_of_a_key_is_no_capital_to_be_lowered(desk: Desk) -> None:
    desk.specs["mailer"] = spec(application="mailer", path="secret/apps/mailer", bearer="another")
    result = desk.type("rotate", KEY)
    assert f"rotator: {KEY} is an access key: name its application" in result.stderr
    assert result.stderr.startswith("rotator: SCW")
    assert desk.type("rotate").stderr.startswith("rotator: say which applications")
    assert desk.type("rotate", "--nonsense").stderr.startswith("rotator: no such option")


# --- many at once ---------------------------------------------------------------------------------------------------------


def test_c20_a_mass_emergency_on_a_terminal_says_what_it_means_and_asks(fleet: Fleet) -> None:
    refused = fleet.answer("\n", "rotate", "--all", *LEAK)
    assert refused.exit_code == 0
    assert "8 applications with 8 keys from before" in refused.stderr
    assert "every one of these keys is revoked within seconds of its replacement" in refused.stderr
    assert "nothing was done" in refused.stdout
    assert fleet.alive() == fleet.first_keys()
    assert fleet.answer("y\n", "rotate", "--all", *LEAK).exit_code == 0
    assert not fleet.alive()


@pytest.mark.parametrize("words", [("--yes",), ("--json",)])
def test_a_mass_emergency_that_cannot_or_need_not_ask_starts(fleet: Fleet, words: tuple[str, ...]) -> None:
    result = fleet.answer("", "rotate", "--all", *LEAK, *words)
    assert result.exit_code == 0, result.stderr
    assert "go on?" not in result.stderr
    assert not fleet.alive()


def test_a_mass_emergency_in_a_pipe_waits_for_nobody(fleet: Fleet) -> None:
    assert fleet.type("rotate", "--all", *LEAK).exit_code == 0


def test_an_ordinary_mass_rotation_does_not_ask(fleet: Fleet) -> None:
    assert "go on?" not in fleet.answer("", "rotate", "--all").stderr


def test_the_rate_that_is_shown_is_that_of_the_whole_and_not_of_a_moment() -> None:
    clock = iter([0.0, *(100.0 + 0.0001 * n for n in range(20))])
    sink = ProgressSink(shown=True, say=None, elapsed=lambda: next(clock))
    with sink:
        sink.emit(
            "mass_rotation.started", incident="i", applications=10, account="acme", created_before="x", compromised=True
        )
        for _ in range(10):
            sink.emit("mass_rotation.application_done", account="acme", application="a")
        assert sink.rates() == {"acme": "0.1 a second"}


# --- on whose word --------------------------------------------------------------------------------------------------------


def test_who_ordered_a_plain_rotation_is_in_the_ledger_and_in_every_answer_about_it(desk: Desk) -> None:
    assert desk.type("rotate", "billing", "--reason", "the contractor left").exit_code == 0
    (entry,) = [one for one in desk.sim.ledger().history if one.event == "rotated"]
    assert re.fullmatch(r"the contractor left, by \S+@\S+", entry.reason)
    assert entry.reason in desk.type("history", "billing").stdout


def test_who_ordered_it_is_in_the_status_while_it_is_under_way(desk: Desk) -> None:
    seen: list[str] = []

    def hook(effect: str, phase: str) -> None:
        if effect == "create_key" and phase == "before":
            intent = desk.sim.ledger().intent
            seen.append(intent.reason if intent else "")

    desk.sim.hook = hook
    desk.type("rotate", "billing")
    assert re.fullmatch(r"requested, by \S+@\S+", seen[0])


def test_who_ordered_an_ordinary_mass_rotation_is_in_each_ledger(fleet: Fleet) -> None:
    fleet.type("rotate", "--all", "--reason", "yearly")
    reasons = {one.reason for name in fleet.specs for one in fleet.sim.ledger(name).history if one.event == "rotated"}
    assert all(re.fullmatch(r"yearly, by \S+@\S+", reason) for reason in reasons)
    assert len(reasons) == 1
