"""A command that asks the daemon loads little: what it loads is listed here, so that an import which creeps in is noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.conftest import Front
from tests.support.daemon_stage import settled

ROOT = Path(__file__).parents[2]

START = {
    "rotator",
    "rotator.__main__",
    "rotator.cli",
    "rotator.cli.streams",
    "rotator.system",
    "rotator.system.private_memory",
    "rotator.system.environment",
}
"""Loaded by every start."""

ROOT_COMMAND = START | {
    "rotator.cli.exit_codes",
    "rotator.cli.main",
    "rotator.cli.session",
    "rotator.errors",
    "rotator.operations",
    "rotator.operations.failures",
    "rotator.system.paths",
    "rotator.util",
    "rotator.util.terminal",
}
"""Loaded by every command line that click reads."""

HELP = ROOT_COMMAND | {"rotator.system.installation"}

CLIENT = ROOT_COMMAND | {
    "rotator.api",
    "rotator.api.client",
    "rotator.api.exchange",
    "rotator.api.socket_names",
    "rotator.cli.commands",
    "rotator.operations.signatures",
    "rotator.system.file_diagnosis",
    "rotator.system.file_permissions",
    "rotator.system.peer_credentials",
    "rotator.system.users",
    "rotator.util.typed_json",
}
"""Loaded by every command that the daemon answers."""

STATUS = CLIENT | {
    "rotator.cli.commands.status",
    "rotator.cli.output",
    "rotator.cli.output.nagios",
    "rotator.cli.output.pager",
    "rotator.cli.output.sentences",
    "rotator.domain",
    "rotator.domain.ledger",
    "rotator.domain.spec",
    "rotator.domain.status",
    "rotator.util.durations",
    "rotator.util.formatting",
}

ROTATE = CLIENT | {
    "rotator.cli.commands.rotate",
    "rotator.cli.output",
    "rotator.cli.output.progress",
    "rotator.cli.output.results",
    "rotator.cli.output.sentences",
    "rotator.domain",
    "rotator.domain.access_key",
    "rotator.operations.result",
    "rotator.util.durations",
    "rotator.util.formatting",
    "rotator.util.shared_messages",
}
"""An emergency: none of the code that would carry it out is loaded while the daemon does."""

HEAVY = {
    "apprise",
    "apscheduler",
    "httpcore",
    "httpx",
    "hvac",
    "prometheus_client",
    "pydantic",
    "requests",
    "rich",
    "starlette",
    "structlog",
}


def loaded(front: Front, *words: str, **environment: str) -> set[str]:
    """Every module that the command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rotator", *words],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "ROTATOR_CONTROL": str(front.folder),
            "ROTATOR_CONFIG": str(front.config),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1, 5), done.stderr[-2000:]
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] == "rotator"}


@pytest.mark.parametrize(
    ("words", "environment", "expected"),
    [
        ("--version", {}, START),
        ("--help", {}, HELP),
        ("", {"_ROTATOR_COMPLETE": "bash_complete", "COMP_WORDS": "rotator ", "COMP_CWORD": "1"}, ROOT_COMMAND),
        ("status", {}, STATUS),
        ("status --json", {}, STATUS),
        ("status billing", {}, STATUS),
        ("rotate billing --compromised --reason leaked", {}, ROTATE),
    ],
)
def test_a_command_that_asks_the_daemon_loads_these_modules_alone(
    front: Front, words: str, environment: dict[str, str], expected: set[str]
) -> None:
    settled("billing", front.daemon_handle.runtime)
    settled("mailer", front.daemon_handle.runtime)
    found = loaded(front, *words.split(), **environment)
    assert ours(found) <= expected, ours(found) - expected
    assert not {name.split(".")[0] for name in found} & HEAVY


@pytest.mark.parametrize(
    "words",
    [
        "status --check",
        "history billing",
        "rotate billing",
        "rotate billing --compromised --reason leaked",
        "hold billing --reason migration",
        "resume billing",
    ],
)
def test_a_command_through_the_daemon_loads_no_library_for_services_or_validation(front: Front, words: str) -> None:
    settled("billing", front.daemon_handle.runtime)
    settled("mailer", front.daemon_handle.runtime)
    assert not {name.split(".")[0] for name in loaded(front, *words.split())} & HEAVY


def test_the_completion_names_the_commands_with_their_sentences(front: Front) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rotator"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "_ROTATOR_COMPLETE": "zsh_complete",
            "COMP_WORDS": "rotator re",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split("\n")[1::3] == ["reload", "revoke", "resume"]


def test_the_daemon_checks_what_the_command_sends_and_its_sentence_is_told(front: Front) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rotator", "status", "", "--json"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "ROTATOR_CONTROL": str(front.folder), "ROTATOR_CONFIG": str(front.config)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, json.loads(done.stdout)["error"]["kind"]) == (2, "usage")
    assert done.stderr == "rotator: applications.0: string should have at least 1 character\n"
