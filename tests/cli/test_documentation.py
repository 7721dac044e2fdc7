"""docs/cli.md is true: its examples run, and what it lists is what there is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from rotator.cli.exit_codes import EXIT_CODES
from rotator.cli.main import COMMANDS, root
from tests.cli.conftest import Desk
from tests.support.simulated import spec

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
EXAMPLES = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("$ ")
]
HELP = [
    line.strip().split("  #")[0].split(" | ")[0]
    for name in ("", *COMMANDS)
    for line in (root if not name else root.get_command(click.Context(root), name) or root).epilog.splitlines()  # type: ignore[union-attr]  # each has one
    if line.strip().startswith("rotator ")
]


def test_every_command_has_a_section_and_an_example() -> None:
    for name in COMMANDS:
        assert f"## `rotator {name}" in TEXT
        assert any(example.startswith(f"rotator {name}") for example in EXAMPLES)


def test_every_exit_code_is_documented() -> None:
    for line in EXIT_CODES.splitlines():
        code, _, meaning = line.partition("  ")
        assert f"| {code} | {meaning.split(',')[0].split(' (')[0]}" in TEXT


@pytest.mark.parametrize("example", sorted({*EXAMPLES, *HELP}))
def test_every_example_is_a_command_line_that_is_understood(example: str) -> None:
    _, name, *words = shlex.split(example)
    command = root.get_command(click.Context(root), name)
    assert command is not None
    command.make_context(name, words, parent=click.Context(root))


ALONE = {"plan", "status", "agenda", "rotate", "history", "hold", "resume", "drill"}
"""Commands whose examples need nothing but an application."""

IN_GRACE = {"extend", "revoke", "lookup"}
"""Commands whose examples are about a key in grace, which stands for the key of the example."""


def _runnable(example: str) -> bool:
    return example.split()[1] in ALONE | IN_GRACE and not {"--scan", "--secret", "--sandbox", "--login"} & set(
        example.split()
    )


@pytest.mark.parametrize("example", [line for line in EXAMPLES if _runnable(line)])
def test_every_example_does_what_it_promises(desk: Desk, example: str) -> None:
    desk.specs["mailer"] = spec(application="mailer", path="secret/apps/mailer", bearer="another")
    desk.sim.bearers.add("another")
    [key] = desk.sim.live_keys()
    if example.split()[1] in IN_GRACE:
        desk.type("rotate", "billing")
    result = desk.type(*shlex.split(example.replace("SCWAAAAAAAAAAAAAAAAA", key))[1:])
    # A check warns of mailer, which no daemon has looked at yet.
    assert result.exit_code == (1 if example == "rotator status --check" else 0), result.stderr
    assert result.stdout


def test_every_outcome_that_the_text_lists_is_one_that_the_code_has() -> None:
    for outcome in ("rotated", "overtaken", "contained", "refused", "failed", "unreachable"):
        assert f"`{outcome}`" in TEXT
