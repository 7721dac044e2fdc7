"""Habits of the command line: what stays useful with hundreds of applications, and words that people try first."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

import pytest
from rich.console import Console

from rotator.cli.commands.status import sort
from rotator.cli.output.progress import Progress
from rotator.cli.output.status_view import MAX_ROWS, draw, summary
from rotator.decision.status import status_of, unreadable_status
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CurrentKey, Hold
from rotator.domain.status import ApplicationStatus
from tests.cli.conftest import Desk
from tests.cli.test_incident import leak
from tests.cli.test_mass_rotation import Fleet, fleet
from tests.support.simulated import EPOCH, spec

__all__ = ["fleet"]


def idle(name: str) -> ApplicationStatus:
    ledger = replace(new_ledger(spec(application=name)), current=CurrentKey("SCW00000000000000001", 1, EPOCH, EPOCH))
    return status_of(spec(application=name), ledger, EPOCH)


def held(name: str) -> ApplicationStatus:
    ledger = replace(new_ledger(spec(application=name)), hold=Hold("x", "ann", EPOCH))
    return status_of(spec(application=name), ledger, EPOCH)


def broken(name: str) -> ApplicationStatus:
    return unreadable_status(spec(application=name), "ledger_unreadable", f"the ledger of {name} is damaged", EPOCH)


def picture(views: list[ApplicationStatus], *, cut: bool = True, whole: int | None = None, width: int = 120) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    draw(views, console, cut=cut, whole=whole)
    return console.export_text()


# --- incident ---------------------------------------------------------------------------------------------------------------


def test_an_incident_is_shown_by_the_word_show_and_by_its_id_alone(desk: Desk) -> None:
    incident = leak(desk)
    shown = desk.type("incident", "show", incident)
    assert shown.exit_code == 0
    assert shown.stdout.startswith(f"incident {incident}: contained")
    assert desk.type("incident", incident).stdout.splitlines()[0] == shown.stdout.splitlines()[0]
    assert incident in desk.type("incident", "list").stdout


@pytest.mark.parametrize("words", [("show",), ("list", "x"), ("show", "a", "b"), ("a", "b")])
def test_other_words_are_answered_by_what_to_write(desk: Desk, words: tuple[str, ...]) -> None:
    result = desk.type("incident", *words)
    assert (result.exit_code, "write rotator incident list, or rotator incident show ID" in result.stderr) == (2, True)


# --- status -----------------------------------------------------------------------------------------------------------------


def test_of_five_hundred_applications_those_that_need_a_look_are_shown_and_the_others_counted() -> None:
    views = [idle(f"app-{number:03d}") for number in range(497)] + [broken("zeta"), held("eta"), held("theta")]
    text = picture(list(sort(views, "worst")))
    assert text.splitlines()[0].startswith("500 applications: 1 unreadable, 2 held, 497 idle")
    assert text.index("zeta") < text.index("eta") < text.index("theta")
    assert "… and 497 applications: 497 idle; --match or --phase shows them" in text
    assert "app-000" not in text
    assert len(text.splitlines()) < 30


def test_who_chooses_applications_sees_all_of_them() -> None:
    text = picture([idle(f"app-{number:03d}") for number in range(200)], cut=False, whole=500)
    assert text.splitlines()[0].startswith("200 of 500 applications: 200 idle")
    assert "app-199" in text


def test_however_many_need_a_look_the_screen_is_not_flooded() -> None:
    text = picture([broken(f"app-{number:03d}") for number in range(300)])
    assert sum(line.startswith("● app") for line in text.splitlines()) == MAX_ROWS
    assert f"… and {300 - MAX_ROWS} applications" in text


def test_few_applications_are_all_shown() -> None:
    text = picture([idle(f"app-{number:02d}") for number in range(MAX_ROWS)])
    assert "… and" not in text


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("--match", "app-0[0-2]"), ["app-00", "app-01", "app-02"]),
        (("--phase", "held"), ["app-03", "app-05"]),
        (("--phase", "held", "--match", "*5"), ["app-05"]),
        (("--account", "acme", "--match", "app-07"), ["app-07"]),
        (("--account", "another"), []),
        (("--sort", "worst"), ["app-03", "app-05", "app-00", "app-01", "app-02", "app-04", "app-06", "app-07"]),
    ],
)
def test_a_part_of_the_applications_is_shown_in_the_order_that_was_asked_for(
    fleet: Fleet, words: tuple[str, ...], names: list[str]
) -> None:
    fleet.type("hold", "app-03", "app-05", "--reason", "x")
    assert [one["name"] for one in fleet.json("status", *words)["applications"]] == names
    lines = [line.split()[0] for line in fleet.type("status", *words).stdout.splitlines() if line.startswith("app-")]
    assert lines == names


def test_the_check_of_a_part_is_about_that_part(fleet: Fleet) -> None:
    fleet.type("hold", "app-03", "--reason", "x")
    assert fleet.type("status", "--check").stdout.startswith("ROTATOR WARNING - held: app-03")
    assert fleet.type("status", "--check", "--match", "app-00").stdout.startswith("ROTATOR OK - 1 application")


def test_applications_are_sorted_by_what_is_next() -> None:
    late = replace(idle("z"), next=replace(idle("z").next, at=EPOCH - timedelta(days=1)))
    assert [view.name for view in sort([idle("a"), late], "next")] == ["z", "a"]
    assert summary([], 3) == "0 of 3 applications: "


# --- colours ----------------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("value", "coloured"), [("", True), ("1", False)])
def test_no_color_is_heeded_by_the_steps_of_a_rotation(
    monkeypatch: pytest.MonkeyPatch, value: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    Progress(lambda: 1.0).emit("rotation.published", application="billing", access_key="SCW1", version=2)
    assert ("\x1b[" in terminal.getvalue()) is coloured


# --- the end of an emergency --------------------------------------------------------------------------------------------------


def test_an_emergency_ends_with_the_incident_and_the_next_steps(desk: Desk) -> None:
    result = desk.type("rotate", "billing", "--compromised", "--reason", "leak")
    (incident,) = desk.sim.ledger().incidents
    assert result.stdout.splitlines()[1:] == [
        f"incident {incident.id}; next:",
        "  see that the consumers of billing have read the new key; restart those that read it only at their start",
        f"  rotator incident show {incident.id}    # what the key was used for, and the report: --html FILE",
        "  find out how it leaked, and close that way before the next rotation",
    ]


@pytest.mark.parametrize("words", [("--json",), ()])
def test_next_steps_stand_only_where_they_are_of_use(desk: Desk, words: tuple[str, ...]) -> None:
    order = ("rotate", "billing", *(("--compromised", "--reason", "leak") if words else ()))
    assert "next:" not in desk.type(*order, *words).stdout
