"""The walk of an operator who has the installed package alone, on a booted machine: documents, links, examples, manual pages, the
demonstration and the place to practise, by the commands that the package itself advises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.test_contents import EXAMPLES, broken_links
from tests.service.machine import Machine, machine

DOCUMENTS = "usr/share/doc/rotator"


@pytest.fixture(scope="module")
def booted(package: Path) -> Iterator[Machine]:
    """A machine with the package, and a user who is not root."""
    with machine() as found:
        (found.root / "srv" / package.name).write_bytes(package.read_bytes())
        found.run("apt-get", "install", "--yes", "--quiet", f"/srv/{package.name}")
        found.run("useradd", "--create-home", "--shell", "/bin/bash", "ann")
        yield found


def as_ann(booted: Machine, script: str, *, patience: float = 300) -> str:
    """What the commands say to her, both streams in one; the last line is the exit code."""
    done = booted.run("runuser", "--login", "ann", "--command", f"({script}) 2>&1; echo $?", patience=patience)
    return str(done.stdout)


def documents(booted: Machine) -> dict[str, str]:
    """What is installed beside the program, by its place."""
    place = booted.root / DOCUMENTS
    files = [path for path in place.rglob("*") if path.is_file()]
    return {str(path.relative_to(booted.root)): path.read_text() for path in files if path.suffix != ".gz"}


def test_every_link_and_every_example_of_the_documents_is_on_the_machine(booted: Machine) -> None:
    found = documents(booted)
    assert broken_links(found) == []
    assert {f"{DOCUMENTS}/{example}" for example in EXAMPLES} <= set(found)
    assert f"Documents and examples: /{DOCUMENTS}" in " ".join(as_ann(booted, "rotator --help").split())


def test_the_version_says_which_build_it_is_and_each_command_has_its_page(booted: Machine) -> None:
    assert re.search(r"^rotator \S+\+g[0-9a-f]{12}", as_ann(booted, "rotator --version"))
    commands = re.findall(r"^  ([a-z-]+)  ", as_ann(booted, "rotator --help").partition("Commands:")[2], re.MULTILINE)
    assert len(commands) > 20
    for command in commands:
        assert (booted.root / f"usr/share/man/man1/rotator-{command}.1.gz").exists() or (
            booted.root / f"usr/share/man/man1/rotator-{command}.1"
        ).exists(), command


def test_the_demonstration_and_the_place_to_practise_run_by_what_the_package_advises(booted: Machine) -> None:
    refused = as_ann(booted, "rotator demo")
    assert refused.endswith("\n1\n"), refused
    advised = re.search(r"(python3\.\d+ -m venv .* -m rotator demo)", " ".join(refused.split()))
    assert advised, refused
    shown = as_ann(booted, f"set -e; {advised[1]}", patience=900)
    assert shown.endswith("\n0\n"), shown[-3000:]
    program = re.search(r'("\$HOME"/\S+/bin/python -m rotator) demo', advised[1])
    assert program
    practice = f"{program[1]} sandbox"
    assert as_ann(booted, f"{practice} start").endswith("\n0\n")
    status = json.loads(as_ann(booted, f"{practice} status --json").rpartition("}")[0] + "}")
    assert status["daemon"] == "running"
    configured = f"export ROTATOR_CONFIG={status['configuration']}; rotator"
    try:
        assert as_ann(booted, f"{practice} break key").endswith("\n0\n")
        key = json.loads(as_ann(booted, f"{practice} status --json").rpartition("}")[0] + "}")["leaked"]["access_key"]
        contained = as_ann(booted, f"{configured} rotate {key} --compromised --reason practice")
        assert f"{key} is revoked" in contained
        assert "billing" in as_ann(booted, f"{configured} status")
    finally:
        assert as_ann(booted, f"{practice} stop").endswith("\n0\n")
