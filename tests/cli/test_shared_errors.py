"""Say once, then count: an error that many applications share is one line in every command that goes over many applications."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from rotator.errors import Unavailable
from tests.cli.test_mass_rotation import LEAK, Fleet, fleet
from tests.support.simulated import EPOCH, Version

__all__ = ["fleet"]


def damage(fleet: Fleet, *names: str) -> None:
    for name in names or tuple(fleet.specs):
        fleet.sim.kv[f"ledger:{name}"] = [Version({"schema": 99}, EPOCH)]


COMMANDS = {
    "plan": ("plan",),
    "rotate": ("rotate", "app-00", "app-01", "app-02", "app-03", "app-04", "app-05", "app-06", "app-07"),
    "an emergency": ("rotate", *(f"app-{number:02d}" for number in range(8)), *LEAK),
    "hold": ("hold", "--all", "--reason", "freeze"),
    "resume": ("resume", "--all"),
    "a mass rotation": ("rotate", "--all"),
    "a mass emergency": ("rotate", "--all", *LEAK),
    "its dry run": ("rotate", "--all", "--dry-run"),
    "coverage": ("coverage", "--created-before", "1h"),
    "incident list": ("incident", "list"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_error_that_many_applications_share_is_one_line(fleet: Fleet, name: str) -> None:
    damage(fleet)
    stderr = fleet.type(*COMMANDS[name]).stderr
    lines = [line for line in stderr.splitlines() if "ledger of" in line]
    proofs = 1 if name.startswith("a mass") else 0  # the coverage at the end has a sentence of its own about them
    assert len(lines) == 1 + proofs, stderr
    for line in lines:
        assert line.startswith("rotator: 8 applications (app-00, app-01, app-02, app-03, app-04 and 3 more): "), stderr
        assert "the ledger of NAME" in line


def test_what_only_one_or_two_share_is_said_of_each(fleet: Fleet) -> None:
    damage(fleet, "app-03", "app-05")
    stderr = fleet.type("plan").stderr
    assert [line.split(":")[1] for line in stderr.splitlines()] == [" app-03", " app-05"]


def test_two_errors_are_two_lines(fleet: Fleet) -> None:
    damage(fleet, "app-00", "app-01", "app-02", "app-03")
    for name in ("app-04", "app-05", "app-06"):
        fleet.sim.kv[f"ledger:{name}"] = [Version({"schema": "x"}, EPOCH)]
    assert len(fleet.type("plan").stderr.splitlines()) == 2


def test_json_has_each_application_all_the_same(fleet: Fleet) -> None:
    damage(fleet)
    result = fleet.json("plan")
    assert [one["error"]["kind"] for one in result["applications"]] == ["ledger_unreadable"] * 8


def test_a_service_that_is_away_is_one_line(fleet: Fleet) -> None:
    def hook(effect: str, phase: str) -> None:
        if effect == "list_keys":
            raise Unavailable("acme cannot be reached", service="acme", kind="unreachable")

    fleet.sim.hook = hook
    assert fleet.type("plan").stderr.splitlines() == [
        "rotator: 8 applications (app-00, app-01, app-02, app-03, app-04 and 3 more): acme cannot be reached"
    ]


def test_status_on_a_terminal_shows_a_shared_problem_once(fleet: Fleet) -> None:
    from rich.console import Console

    from rotator.cli.output.status_view import draw
    from rotator.decision.status import unreadable_status

    views = [
        unreadable_status(replace(spec), "ledger_unreadable", f"the ledger of {name} is damaged", EPOCH)
        for name, spec in fleet.specs.items()
    ]
    console = Console(width=120, record=True, file=io.StringIO())
    draw(views, console)
    text = console.export_text()
    assert text.count("is damaged") == 1
    assert "8 applications (app-00, app-01, app-02, app-03, app-04 and 3 more): the ledger of NAME is damaged" in text
