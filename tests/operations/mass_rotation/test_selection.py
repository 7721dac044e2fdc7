"""Which applications a mass rotation is about, and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.decision.transitions.compromise import mark_compromised
from rotator.decision.transitions.publication import new_ledger
from rotator.decision.transitions.revocation import start_revocation
from rotator.domain.keys import Key
from rotator.domain.ledger import CurrentKey, Ledger, RetiringKey
from rotator.domain.marker import Marker
from rotator.domain.spec import ApplicationSpec
from rotator.operations.mass_rotation.selection import MAX_SELECTOR, Candidate, Selection, SelectionInput, candidates
from tests.support.simulated import spec

T = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
INSTALLATION = "1" * 16


def application(name: str, **changes: Any) -> ApplicationSpec:
    return spec(application=name, bearer=f"bearer-of-{name}", path=f"secret/apps/{name}", **changes)


def key(name: str, of: str, age: timedelta = HOUR, **said: Any) -> Key:
    """A key that is so much older than T."""
    return Key(name, f"bearer-of-{of}", said.pop("description", ""), T - age, **said)


def ledger(name: str, current: str = "", grace: str = "") -> Ledger:
    found = new_ledger(application(name))
    if current:
        found = replace(found, current=CurrentKey(current, 3, T - HOUR, T - HOUR))
    if grace:
        found = replace(found, retiring=(RetiringKey(grace, 2, T + HOUR, "replaced"),))
    return found


def chosen(survey: SelectionInput, *names: str, compromised: bool = True) -> dict[str, Candidate]:
    found = candidates([application(name) for name in names], survey, created_before=T, compromised=compromised)
    return {candidate.name: candidate for candidate in found}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), {"api-1", "api-2", "web-1"}),
        (Selection(globs=("api-*",)), {"api-1", "api-2"}),
        (Selection(globs=("api-*", "web-?")), {"api-1", "api-2", "web-1"}),
        (Selection(accounts=("acme",)), {"api-1", "web-1"}),
        (Selection(accounts=("acme",), globs=("api-*",)), {"api-1"}),
        (Selection(names=("api-2",)), {"api-2"}),
        (Selection(names=("api-2",), accounts=("acme",)), set()),
    ],
)
def test_what_is_asked_for_can_be_combined(selection: Selection, expected: set[str]) -> None:
    runtime = [application("api-1"), application("api-2", account="other"), application("web-1")]
    assert {one.application for one in runtime if selection.chooses(one)} == expected


def test_the_same_command_has_the_same_words_however_it_is_typed() -> None:
    one, other = Selection(("b", "a"), ("y", "x"), ("2*", "1*")), Selection(("a", "b"), ("x", "y"), ("1*", "2*"))
    words = one.selector(created_before="2h", compromised=True)
    assert words == other.selector(created_before="2h", compromised=True)
    assert words == "a b --account x --account y --match 1* --match 2* --created-before 2h --compromised"
    assert Selection().selector(created_before="", compromised=False) == "--all"
    assert Selection().selector(created_before="2h", compromised=False) == "--created-before 2h"


def test_only_applications_with_a_key_from_before_that_time_are_chosen() -> None:
    survey = SelectionInput(
        [key("SCWOLD", "old"), key("SCWNEW", "new", timedelta(0))],
        {"old": ledger("old", "SCWOLD"), "new": ledger("new", "SCWNEW")},
    )
    assert chosen(survey, "old", "new")["old"].keys == {"SCWOLD"}
    assert set(chosen(survey, "old", "new")) == {"old"}


def test_in_a_compromise_only_keys_from_before_that_time_are_chosen_and_a_new_current_one_needs_no_replacing() -> None:
    survey = SelectionInput([key("SCWNEW", "a", -HOUR), key("SCWGRACE", "a")], {"a": ledger("a", "SCWNEW", "SCWGRACE")})
    assert chosen(survey, "a")["a"] == Candidate(application("a"), frozenset({"SCWGRACE"}), T - HOUR, needs_room=False)
    assert not chosen(survey, "a", compromised=False)


def test_without_a_compromise_only_the_key_that_consumers_read_is_chosen() -> None:
    survey = SelectionInput(
        [key("SCWCURRENT", "a"), key("SCWGRACE", "a")], {"a": ledger("a", "SCWCURRENT", "SCWGRACE")}
    )
    assert chosen(survey, "a", compromised=False)["a"].keys == {"SCWCURRENT"}


def test_i5_a_strangers_key_and_one_of_another_installation_are_not_chosen() -> None:
    mine, theirs = (Marker(installation, "a", "2" * 16, 1, "-").render() for installation in (INSTALLATION, "f" * 16))
    keys = [key("SCWSTRANGER", "a"), key("SCWOURS", "a", description=mine), key("SCWTHEIRS", "a", description=theirs)]
    survey = SelectionInput(keys, {"a": ledger("a")}, installation=INSTALLATION)
    assert chosen(survey, "a")["a"].keys == {"SCWOURS"}


def test_b_key_becomes_managed_or_not_deletable_and_is_left_to_the_coverage_proof() -> None:
    survey = SelectionInput([key("SCWKEPT", "a", deletable=False)], {"a": ledger("a", "SCWKEPT")})
    assert not chosen(survey, "a")


def test_an_application_that_has_no_ledger_yet_is_chosen_by_the_key_that_its_consumers_read() -> None:
    survey = SelectionInput([key("SCWBYHAND", "a"), key("SCWSTRANGER", "b")], published={"a": "SCWBYHAND", "b": None})
    assert set(chosen(survey, "a", "b")) == {"a"}


def test_a_current_key_that_is_missing_from_the_list_is_judged_by_the_ledger() -> None:
    """Presence is proven by one sight, absence never by a list alone."""
    survey = SelectionInput([], {"a": ledger("a", "SCWUNSEEN", "SCWGONE")})
    assert chosen(survey, "a")["a"].keys == {"SCWUNSEEN"}


def test_first_comes_what_makes_room_then_what_is_marked_then_the_oldest_key() -> None:
    names = ("young", "old", "grace", "marked")
    ledgers = {name: ledger(name, f"SCW{name}") for name in names}
    ledgers["grace"] = start_revocation(ledger("grace", "SCWFRESH", "SCWgrace"), "SCWgrace", 2, "replaced")
    ledgers["marked"] = mark_compromised(
        ledgers["marked"], {"SCWmarked"}, reason="leak", by="ops", at=T, incident="i", mode="replace_first"
    )
    ages = {"young": HOUR, "old": 9 * HOUR, "grace": HOUR, "marked": HOUR}
    keys = [key(f"SCW{name}", name, age) for name, age in ages.items()]
    survey = SelectionInput([*keys, key("SCWFRESH", "grace", -HOUR)], ledgers)
    assert list(chosen(survey, *names)) == ["grace", "marked", "old", "young"]


def test_c1_a_command_that_names_very_many_applications_is_known_again_by_a_short_selector() -> None:
    names = tuple(f"application-{number}" for number in range(2000))
    said = Selection(names).selector(created_before="", compromised=True)
    assert len(said) <= MAX_SELECTOR
    assert said == Selection(tuple(reversed(names))).selector(created_before="", compromised=True)
    assert said != Selection(names[:-1]).selector(created_before="", compromised=True)
