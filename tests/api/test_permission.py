"""Who may open which socket: processes of another user, as the kernel sees them."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rotator.api.listeners import Listeners
from rotator.config import Control
from tests.api.conftest import FakeHouse
from tests.support.daemon_stage import runtime, settled

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")

SOMEBODY = pwd.getpwnam("nobody")
THEIR_GROUP = grp.getgrgid(SOMEBODY.pw_gid).gr_name
ROOT = Path(__file__).parents[2]


@dataclass
class Stranger:
    """A user without credentials, in a shell on the machine of the daemon."""

    folder: Path
    config: Path

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "ROTATOR_CONTROL": str(self.folder)}
        return subprocess.run(
            [sys.executable, "-c", BECOME_SOMEBODY, *words, "--config", str(self.config)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


BECOME_SOMEBODY = f"""
import os
import rotator.app, rotator.api.client, rotator.cli.commands.reload, rotator.cli.commands.rotate, rotator.cli.commands.status  # while we may read them
import rotator.config.loader, rotator.cli.main, encodings.idna, click.testing
os.chdir("/")
os.setgroups([])
os.setgid({SOMEBODY.pw_gid})
os.setuid({SOMEBODY.pw_uid})
rotator.cli.main.root()
"""


@pytest.fixture
def daemon_handle() -> Iterator[FakeHouse]:
    folder = Path(tempfile.mkdtemp(prefix="rotator-"))
    folder.chmod(0o755)
    config = folder / "rotator.toml"
    config.write_text("[vault]\n")
    config.chmod(0o600)
    made = runtime("billing", source=str(config))
    found = FakeHouse(made)
    made.sink = found.sink
    settled("billing", made)
    yield found
    shutil.rmtree(folder)


def opened(daemon_handle: FakeHouse, control: Control) -> Stranger:
    return Stranger(control.directory, Path(daemon_handle.runtime.source))


def test_a_member_of_the_read_group_may_ask_and_not_order(daemon_handle: FakeHouse) -> None:
    control = Control(Path(daemon_handle.runtime.source).parent, read_group=THEIR_GROUP)
    listeners = Listeners(daemon_handle)
    listeners.maintain(control)
    try:
        stranger = opened(daemon_handle, control)
        asked = stranger.type("status")
        assert (asked.returncode, asked.stdout.split()[0]) == (0, "billing")
        ordered = stranger.type("rotate", "billing")
        assert (ordered.returncode, ordered.stdout) == (4, "")
        (sentence,) = ordered.stderr.splitlines()
        assert f"this user may not use {control.directory}/control.sock" in sentence
        assert "this user cannot act without it" in sentence
        assert "become a member of" in sentence or "may not write to it" in sentence
    finally:
        listeners.close()


def test_a_member_of_the_control_group_may_order_and_is_named(daemon_handle: FakeHouse) -> None:
    control = Control(Path(daemon_handle.runtime.source).parent, control_group=THEIR_GROUP)
    listeners = Listeners(daemon_handle)
    listeners.maintain(control)
    try:
        stranger = opened(daemon_handle, control)
        ordered = stranger.type("rotate", "billing", "--compromised", "--reason", "leaked")
        assert ordered.returncode == 0, ordered.stderr
        assert ordered.stdout.startswith("billing: contained: ")
        ledger, _ = daemon_handle.runtime.vault.read_ledger("billing")
        assert ledger is not None
        assert ledger.incidents[0].by.startswith("nobody (as stated) via control socket@")
        assert stranger.type("status").returncode == 0
    finally:
        listeners.close()


def test_without_a_group_nobody_else_may_do_anything(daemon_handle: FakeHouse) -> None:
    control = Control(Path(daemon_handle.runtime.source).parent)
    listeners = Listeners(daemon_handle)
    listeners.maintain(control)
    try:
        stranger = opened(daemon_handle, control)
        for words in (["status"], ["rotate", "billing"], ["reload"]):
            done = stranger.type(*words)
            assert done.returncode == (3 if words == ["reload"] else 4), done.stderr
            assert "this user may not use" in done.stderr
    finally:
        listeners.close()
