"""The README and the decisions are held to what is there: its configuration is sound, its files exist, its policy suffices."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rotator.cli.main import root
from rotator.config import load
from tests.cli.conftest import Desk, desk
from tests.e2e.rig import POLICY

__all__ = ["desk"]  # a fixture

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

INSTALLATION = (ROOT / "docs" / "installation.md").read_text()

SECTIONS = [
    "Guarantees",
    "The rotation of a key",
    "Try it",
    "Install",
    "A key leaked: now what",
    "Read the secret",
    "Documents",
]


def test_the_readme_answers_in_the_order_in_which_people_ask() -> None:
    assert [title for title in re.findall(r"^## (.+)$", README, re.MULTILINE) if title != "License"] == SECTIONS


def test_the_readme_has_at_most_150_lines() -> None:
    assert len(README.splitlines()) <= 150


def test_its_configuration_is_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert len(text) == 1
    for name in re.findall(r'"credential:([^"]+)"', text[0]):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("a-secret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    file = tmp_path / "rotator.toml"
    file.write_text(re.sub(r"([12])\1{7}(-\1{4}-4\1{3})", r"b0b\2", text[0].replace("example.com", "acme.test")))
    assert list(load(file).specs) == ["billing"]


def test_the_policy_of_the_installation_is_the_one_that_the_whole_service_is_tested_with() -> None:
    printed = re.findall(r"```hcl\n(.*?)```", INSTALLATION, re.DOTALL)
    assert [text.strip() for text in printed] == [POLICY.strip()]


def test_the_credentials_that_the_installation_stores_are_those_that_the_unit_loads() -> None:
    unit = (ROOT / "systemd" / "rotator.service").read_text()
    (names,) = re.findall(r"for name in (.+); do", INSTALLATION)
    assert "/etc/rotator/credentials/$name" in INSTALLATION
    assert set(names.split()) <= set(
        re.findall(r"^LoadCredentialEncrypted=(\S+):/etc/rotator/credentials/\1$", unit, re.MULTILINE)
    )


def test_the_commands_that_it_shows_exist() -> None:
    shown = set(re.findall(r"(?:^\$ |sudo |`)rotator ([a-z]+)", README + INSTALLATION, re.MULTILINE))
    assert {"check", "plan", "rotate", "status", "history"} <= shown
    for command in shown:
        done = subprocess.run(
            [sys.executable, "-m", "rotator", command, "--help"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, command
        assert "Example" in done.stdout, command


def test_make_targets_that_it_names_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", README + INSTALLATION)) <= targets


def test_ci_calls_the_test_command_of_the_readme() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_every_decision_says_its_status_and_fits_a_page() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert decisions
    for file in decisions:
        text = file.read_text()
        assert re.search(r"^\*Status: \w+, \d{4}-\d\d-\d\d", text, re.MULTILINE), file.name
        assert len(text.splitlines()) <= 60, file.name


def section(title: str) -> str:
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_what_to_do_when_a_key_leaked_fits_one_screen() -> None:
    assert len(section("A key leaked: now what").splitlines()) <= 40


def test_the_commands_for_the_night_do_what_they_say(desk: Desk) -> None:
    """Each is run as it stands, on a world where the key is real."""
    [leaked] = desk.sim.live_keys()
    commands = re.findall(r"^\$ rotator (.+)$", section("A key leaked: now what"), re.MULTILINE)
    results = [desk.type(*shlex.split(command.replace("SCWXXXXXXXXXXXXXXXXX", leaked))) for command in commands]
    assert [result.exit_code for result in results] == [0, 0, 0], [result.stderr for result in results]
    before, contained, after = (result.stdout for result in results)
    assert f"{leaked}: the current key (application billing" in before
    assert f"{leaked} is revoked (refused)" in contained
    assert f"{leaked}: revoked" in after
    assert not desk.sim.live(leaked)
    assert [
        number for number, version in enumerate(desk.sim.kv["doc:secret/apps/billing/scaleway"], 1) if version.destroyed
    ]


def test_the_other_words_for_the_night_are_understood() -> None:
    rows = re.findall(r"`rotator ([^`]+)`", section("A key leaked: now what"))
    assert len(rows) >= 6
    for row in rows:
        name, *words = shlex.split(row.replace("TEXT", "leak").replace("FILE", "-"))
        command = root.get_command(click.Context(root), name)
        assert command is not None, row
        command.make_context(name, words, parent=click.Context(root))
    options = {option for command in ("rotate", "lookup", "drill") for option in _options(command)}
    assert set(re.findall(r"`(--[a-z-]+)", section("A key leaked: now what"))) <= options


def _options(name: str) -> list[str]:
    command = root.get_command(click.Context(root), name)
    return [option for parameter in command.params for option in parameter.opts] if command else []
