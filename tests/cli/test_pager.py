"""The pager: for long output on a terminal, and for nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from rotator.cli.output.pager import pager_command
from tests.api.conftest import Front
from tests.cli.fleets import SMALL, fleet, served
from tests.support.terminal import picture


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with served(
        fleet((*SMALL, *(f"shop-{number:02d}" for number in range(40))), tmp_path / "rotator.toml"), tmp_path
    ) as front:
        yield front


@pytest.fixture
def pager(tmp_path: Path) -> Path:
    """A pager that says what it was given."""
    script = tmp_path / "pager"
    script.write_text('#!/bin/sh\necho "pager: $(wc -l) lines, $LESS $LESSSECURE"\n')
    script.chmod(stat.S_IRWXU)
    return script


def shown(front: Front, words: str, rows: int, **env: str) -> str:
    where = {"ROTATOR_CONTROL": str(front.folder), "ROTATOR_CONFIG": str(front.config)}
    return picture(words.split(), columns=80, rows=rows, env={**where, **env}).text


def test_what_does_not_fit_goes_to_the_pager(front: Front, pager: Path) -> None:
    told = shown(front, "agenda --days 40", 20, PAGER=str(pager), NO_PAGER="")
    assert told.startswith("pager: ")
    assert told.rstrip().endswith("lines, FRX 1")


@pytest.mark.parametrize(
    ("words", "rows", "env"),
    [
        ("agenda --days 40", 400, {}),
        ("agenda --days 40", 0, {}),
        ("agenda --days 40", 20, {"NO_PAGER": "1"}),
        ("agenda --days 40", 20, {"PAGER": "cat"}),
        ("agenda --days 40", 20, {"PAGER": ""}),
        ("agenda --days 40", 20, {"PAGER": "/nowhere/pager"}),
        ("agenda --days 40", 20, {"TERM": "dumb"}),
        ("agenda --days 40 --json", 20, {}),
    ],
    ids=[
        "it fits",
        "a terminal without a size",
        "switched off",
        "cat",
        "empty",
        "no such program",
        "a terminal without a screen",
        "json",
    ],
)
def test_everything_else_is_printed(front: Front, pager: Path, words: str, rows: int, env: Mapping[str, str]) -> None:
    told = shown(front, words, rows, **{"PAGER": str(pager), "NO_PAGER": "", **env})
    assert "pager:" not in told
    assert "billing" in told


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm", "PAGER": "sh -c 'less -R'"}, ["sh", "-c", "less -R"]),
        ({"TERM": "xterm", "PAGER": "sh 'open"}, None),
        ({"PAGER": "sh"}, None),
    ],
)
def test_the_pager_is_a_command_with_its_options(
    environment: Mapping[str, str], expected: Sequence[str] | None
) -> None:
    assert pager_command(environment) == expected


def test_under_sudo_no_program_of_the_environment_is_started() -> None:
    found = pager_command({"TERM": "xterm", "PAGER": "sh", "SUDO_UID": "1000"})
    assert found in (["less"], None)


def test_a_reader_that_ends_early_is_no_error(front: Front) -> None:
    where = {"ROTATOR_CONTROL": str(front.folder), "ROTATOR_CONFIG": str(front.config), "PATH": os.environ["PATH"]}
    found = picture(["agenda", "--days", "40"], columns=80, rows=20, env={**where, "PAGER": "head -1", "NO_PAGER": ""})
    assert found.exit_code == 0
    assert found.text.startswith("The next 40 days")
