"""Every command, configuration and program in a document is one that `rotator` accepts."""

from __future__ import annotations

import inspect
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from rotator.cli.main import COMMANDS, root
from rotator.config import load
from rotator.domain.ports import Provider
from tests.cli.conftest import Desk, desk
from tests.support.provider_building import WallClock, settings

__all__ = ["desk"]  # a fixture

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in a language, also those in a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def commands(text: str) -> list[str]:
    """The command lines of `rotator` in the blocks of a document."""
    lines = [line.split("  #")[0] for block in blocks(text, "console") for line in block.splitlines()]
    return [match[1] for line in lines if (match := re.match(r"\$ (?:sudo )?(?:\S*/)?rotator (.+)", line))]


@pytest.mark.parametrize(("page", "line"), [(page, line) for page, text in TEXTS.items() for line in commands(text)])
def test_every_command_line_of_a_document_is_understood(page: str, line: str) -> None:
    name, *words = shlex.split(line)
    command = root.get_command(click.Context(root), name)
    assert command is not None, f"{page}: rotator {name}"
    command.make_context(name, words, parent=click.Context(root))


@pytest.mark.parametrize("page", sorted(TEXTS.keys() - {"docs/renames.md"}))
def test_every_command_that_a_sentence_names_exists(page: str) -> None:
    named = set(re.findall(r"`rotator ([a-z]+(?:-[a-z]+)*)", TEXTS[page]))
    assert named <= {*COMMANDS, "demo"} | set(root.commands), page


def merge(base: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    """Two configurations as one; tables are merged."""
    both = {name: merge(base[name], value) for name, value in added.items() if isinstance(base.get(name), dict)}
    return base | added | both


def as_toml(table: dict[str, Any], prefix: str = "") -> str:
    """A configuration as text."""
    values = "".join(f"{name} = {inline(value)}\n" for name, value in table.items() if not nested(name, value, prefix))
    tables = (as_toml(value, f"{prefix}{name}.") for name, value in table.items() if nested(name, value, prefix))
    return (f"[{prefix[:-1]}]\n" if prefix else "") + values + "".join(tables)


def nested(name: str, value: Any, prefix: str) -> bool:
    return isinstance(value, dict) and (not prefix or prefix in ("accounts.", "applications."))


def inline(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {inline(inner)}" for name, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(inline(inner) for inner in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


CONFIGURATIONS = [
    (page, block)
    for page, text in TEXTS.items()
    for block in blocks(text, "toml")
    if not tomllib.loads(block).get("project")  # a package's, not a configuration
    if "discover_with" not in block  # answers to rotator init: tests/setup/test_init.py
]


@pytest.mark.parametrize(("page", "block"), CONFIGURATIONS)
def test_every_configuration_of_a_document_is_accepted(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a configuration is added to the smallest one."""
    small = tomllib.loads((ROOT / "config" / "rotator.small.toml").read_text())
    text = as_toml(merge(small, tomllib.loads(block))).replace("example.com", "acme.test")
    text = re.sub(r"([1-9])\1{7}(-\1{4}-4\1{3})", r"b0b\1\1\1\1\1\2", text)  # placeholders are refused by name
    for name in re.findall(r'"credential:([^"]+)"', text):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text("https://acme.test/a-secret-of-enough-characters-for-every-use")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    file = tmp_path / "rotator.toml"
    file.write_text(text)
    assert load(file).specs, page


def test_the_commands_against_a_leak_do_what_their_page_says(desk: Desk) -> None:
    [leaked] = desk.sim.live_keys()
    results = [
        desk.type(*shlex.split(line.replace("SCWXXXXXXXXXXXXXXXXX", leaked)))
        for line in commands(TEXTS["docs/leak.md"])
    ]
    assert [result.exit_code for result in results] == [0] * 5, [result.stderr for result in results]
    assert not desk.sim.live(leaked)
    assert f"{leaked}: revoked" in results[2].stdout


def test_the_provider_of_the_guide_has_every_method_of_the_contract() -> None:
    """With the same parameters; and its entry point builds it without contacting anything."""
    (program,) = blocks(TEXTS["docs/provider.md"], "python")
    names: dict[str, Any] = {}
    exec(program, names)
    provider = names["build"](settings("http://127.0.0.1:9"), clock=WallClock())
    assert provider.name == "acme"
    for name, method in inspect.getmembers(Provider, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(type(provider), name)).parameters) == list(
                inspect.signature(method).parameters
            ), name
