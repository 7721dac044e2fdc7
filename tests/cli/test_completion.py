"""What a shell completes, asked as a shell asks: by a real process with the variables that the installed scripts set."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from rotator.cli.completion import known
from rotator.cli.main import COMPLETION, root
from rotator.cli.session import Session
from tests.cli.test_hostile_text import HOSTILE
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


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "a = " + "[" * 5000, "applications = 3", 'applications = "shop"', "\x00", "applications = [[1]]"],
    ids=range(6),
)
def test_c18_a_configuration_that_is_none_offers_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "rotator.toml").write_text(text)
    assert known(Session(config=tmp_path / "rotator.toml")) == {"applications": [], "accounts": [], "keys": []}


def test_c18_a_pipe_in_the_place_of_the_configuration_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rotator.toml")
    done: list[object] = []
    asking = threading.Thread(target=lambda: done.append(known(Session(config=tmp_path / "rotator.toml"))), daemon=True)
    asking.start()
    asking.join(30)
    assert done == [{"applications": [], "accounts": [], "keys": []}]


@pytest.mark.parametrize("word", ["SCW1;id", "$(id)", "*", "a b", "a\nb", HOSTILE, "-x", "`id`", "x" * 65])
def test_c15_what_a_shell_could_obey_is_not_offered(tmp_path: Path, word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = {"applications": ["billing"], "accounts": ["acme"], "keys": ["SCWAAAAAAAAAAAAAAAAA"]}
    told = {kind: [word, *names] for kind, names in sound.items()}
    monkeypatch.setattr("rotator.cli.completion._from_daemon", lambda session: told)
    assert known(Session(config=tmp_path / "none.toml")) == sound


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_scripts_of_the_package_are_those_of_the_library(shell: str) -> None:
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(root, {}, "rotator", COMPLETION)
    text = script.source_template % script.source_vars()
    assert (ROOT / "packaging" / "completion" / SCRIPTS[shell]).read_text().strip() == text.strip()
    assert f"packaging/completion/{SCRIPTS[shell]}" in contents(ROOT).values()
