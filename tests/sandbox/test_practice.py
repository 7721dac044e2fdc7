"""The place to practise: it starts, breaks, is mended and stops; and the tutorial is true."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.sandbox.process import wait_until

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "practice.md").read_text()
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", TUTORIAL, re.DOTALL)
    for line in block.splitlines()
]
EXIT_CODES = {"rotator check": 2}


class Desk:
    """A person at a terminal whose home directory is empty."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.directory = home / ".rotator-sandbox"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home)}

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """One command line, run to its end."""
        words = shlex.split(line)
        assert words[0] == "rotator"
        return subprocess.run(
            [sys.executable, "-m", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        """What the sandbox says of itself."""
        done = self.type("rotator sandbox status --json")
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    pytest.importorskip("uvicorn", reason="the stand-in is made with it: the extra sandbox")
    found = Desk(tmp_path)
    yield found
    found.type("rotator sandbox stop")


def test_the_tutorial_is_true_word_for_word(desk: Desk) -> None:
    assert len(COMMANDS) > 15
    leaked = ""
    for line in COMMANDS:
        if line.startswith("export ROTATOR_CONFIG="):
            desk.environment["ROTATOR_CONFIG"] = line.partition("=")[2].replace("~", str(desk.home))
            continue
        done = desk.type(line.replace("SCWXXXXXXXXXXXXXXXXX", leaked))
        assert done.returncode == EXIT_CODES.get(line, 0), f"{line}: {done.stdout}{done.stderr}"
        if line == "rotator sandbox break key":
            found = re.search(r"SCW[A-Z0-9]{17}", done.stdout)
            assert found
            leaked = found[0]
        if line.startswith("rotator rotate billing --compromised"):
            assert desk.status()["leaked"] == {"access_key": leaked, "accepted": False}
    assert not (desk.directory / "sandbox.sock").exists()


def test_what_was_broken_is_seen_and_mended(desk: Desk) -> None:
    assert desk.type("rotator sandbox start").returncode == 0
    config = f"--config {desk.directory}/rotator.toml"
    for what in ("login", "unmanaged-key", "vault", "provider", "quota", "consumer", "daemon"):
        assert desk.type(f"rotator sandbox break {what}").returncode == 0
    seen = desk.status()
    assert (seen["vault"], seen["daemon"]) == ("sealed", "frozen")
    assert seen["applications"]["billing"]["frozen"]
    assert seen["broken"] == ["login", "unmanaged-key", "vault", "provider", "quota", "consumer", "daemon"]
    assert "mended: login" in desk.type("rotator sandbox mend").stdout
    seen = desk.status()
    assert (seen["vault"], seen["daemon"], seen["broken"]) == ("unsealed", "running", [])
    done = desk.type(f"rotator rotate billing {config}")
    assert done.returncode == 0, done.stdout + done.stderr
    desk.type("rotator sandbox break crash")
    wait_until(lambda: desk.status()["daemon"] == "stopped", "the daemon is seen to have stopped")
    desk.type("rotator sandbox mend")
    assert desk.status()["daemon"] == "running"


def test_a_second_sandbox_in_one_directory_and_a_directory_with_other_files_are_refused(
    desk: Desk, tmp_path: Path
) -> None:
    assert "start one: rotator sandbox start" in desk.type("rotator sandbox status").stderr
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").touch()
    done = desk.type(f"rotator sandbox start --directory {other}")
    assert done.returncode == 4
    assert "holds other files (precious)" in done.stderr
    assert [path.name for path in other.iterdir()] == ["precious"]
    assert desk.type("rotator sandbox start").returncode == 0
    assert "runs in" in desk.type("rotator sandbox start").stderr


def test_a_directory_whose_name_is_too_long_for_a_socket_is_refused_in_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the stand-in is made with it: the extra sandbox")
    home = tmp_path / ("long" * 20)
    home.mkdir()
    done = Desk(home).type("rotator sandbox start")
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "is too long: the path of the socket has" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 2, "what it starts, and why it does not"


def test_a_sandbox_that_was_stopped_starts_again_in_its_directory(desk: Desk) -> None:
    for _ in range(2):
        done = desk.type("rotator sandbox start")
        assert done.returncode == 0, done.stderr
        assert desk.type("rotator sandbox stop").returncode == 0


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        ("systemctl stop sshd", "the playground does not know this"),
        ("systemctl restart nginx", "there is no unit 'nginx'"),
        ("scw iam api-key delete SCWNOSUCHKEY12345678", "there is no key"),
        ("scw instance server list", "the playground does not know this"),
    ],
)
def test_the_tools_of_the_playground_refuse_what_is_not_of_it(desk: Desk, tool: str, message: str) -> None:
    assert desk.type("rotator sandbox start").returncode == 0
    name, *words = tool.split()
    done = subprocess.run(
        [desk.directory / "bin" / name, *words],
        env=desk.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rotator sandbox break", "say what to break: answer, vault"),
        ("rotator sandbox mend vault", "mend takes no other word"),
        ("rotator sandbox break house", "is not one of"),
    ],
)
def test_a_mistake_is_answered_with_what_can_be_said(line: str, message: str, desk: Desk) -> None:
    done = desk.type(line)
    assert done.returncode == 2
    assert message in done.stderr
