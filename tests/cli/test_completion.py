"""What a shell completes, asked as a shell asks: by a real process with the variables that the installed scripts set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from rotator.cli.completion import known
from rotator.cli.main import COMPLETION, root
from rotator.cli.session import Session
from tools.deb import contents

ROOT = Path(__file__).parents[2]

SCRIPTS = {"bash": "rotator.bash", "zsh": "_rotator", "fish": "rotator.fish"}


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    configuration = folder / "rotator.toml"
    configuration.write_text(
        "[accounts.acme]\n[accounts.beta]\n[applications.billing]\n[applications.bakery]\n[applications.mailer]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "rotator"],
        env={
            "PATH": os.environ["PATH"],
            "ROTATOR_CONFIG": str(configuration),
            "ROTATOR_CONTROL": str(folder),
            COMPLETION: "bash_complete",
            "COMP_WORDS": " ".join(("rotator", *words)),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("command", ["plan", "status", "rotate", "history", "hold", "resume", "extend"])
def test_the_applications_of_the_configuration_are_offered_where_no_daemon_answers(
    tmp_path: Path, command: str
) -> None:
    assert completed(tmp_path, command, "b") == ["billing", "bakery"]


def test_the_accounts_are_offered_after_their_option(tmp_path: Path) -> None:
    assert completed(tmp_path, "rotate", "--account", "") == ["acme", "beta"]


def test_commands_and_options_are_offered(tmp_path: Path) -> None:
    assert completed(tmp_path, "doc") == ["doctor"]
    assert completed(tmp_path, "policy", "--f") == ["--for", "--format"]
    assert completed(tmp_path, "policy", "--for", "c") == ["consumer"]


def test_a_configuration_that_cannot_be_read_offers_nothing_and_shows_no_error(tmp_path: Path) -> None:
    session = Session(config=tmp_path / "none.toml")
    assert known(session) == {"applications": [], "accounts": [], "keys": []}


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_of_the_package_are_those_of_the_library(shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(root, {}, "rotator", COMPLETION)
    text = script.source_template % script.source_vars()
    assert (ROOT / "packaging" / "completion" / SCRIPTS[shell]).read_text().strip() == text.strip()
    assert f"packaging/completion/{SCRIPTS[shell]}" in contents(ROOT).values()
