"""A daemon of this commit takes over from one of the last commit before everything was renamed: real processes, an old configuration.

The old daemon is killed in the middle of a rotation, of a grace and of a compromise. Its program is taken from the history of this
repository and runs with the libraries of this environment, which both pin alike.
"""

from __future__ import annotations

import io
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.sandbox.process import wait_until
from tests.e2e.rig import Daemon, Rig

ROOT = Path(__file__).parents[2]
BEFORE = "8bb0b97"
OLD_NAMES = """
every = "30d"
grace = "{grace}"
refresh = "1s"
observe_every = "2s"
prove = {{ successes = 2, interval = "100ms", timeout = "60s" }}
prove_emergency = {{ successes = 2, interval = "100ms", timeout = "60s" }}
publish_timeout = "20s"
takeover_after = "100s"
"""
"""What the old program understands; proofs are quick, so that the test is."""


@pytest.fixture(scope="module")
def old_program(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """How the program of that commit is run instead of this one."""
    found = subprocess.run(["git", "archive", BEFORE, "rotator"], cwd=ROOT, capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"the history of this checkout does not reach {BEFORE}: fetch all of it (git fetch --unshallow)")
    tree = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Debian 12 has none yet
        archive.extractall(tree)
    start = (
        f"import sys, runpy; sys.path.insert(0, {str(tree)!r}); import rotator;"
        f"assert rotator.__file__.startswith({str(tree)!r}); runpy.run_module('rotator', run_name='__main__', alter_sys=True)"
    )
    return ("-c", start)


@dataclass
class Handover:
    """One application, and who works on it: the old daemon, then the present one, with one and the same configuration."""

    rig: Rig
    program: tuple[str, ...]
    name: str

    def begin(self, grace: str, *, activation_delay: float = 0.0, expires_at: datetime | None = None) -> Daemon:
        """The old daemon, on an application with a published key. Keys made from now on work after this delay."""
        rig = self.rig
        bearer = rig.application(self.name, with_key=False)
        rig.publish(self.name, *rig.scaleway.create_key(bearer, description="made by hand", expires_at=expires_at))
        self.first = rig.published(self.name)
        rig.configure(OLD_NAMES.format(grace=grace), daemon='catch_up = "0s"', applications=[self.name])
        rig.scaleway.configure(activation_delay=activation_delay)
        daemon = rig.daemon(f"{self.name}-before", program=self.program)
        wait_until(lambda: daemon.said("daemon.ready"), "the old daemon is ready")
        return daemon

    def old_command(self, *arguments: str) -> Daemon:
        """A command of the old program, in the background."""
        name = f"{self.name}-{arguments[0]}"
        command = Daemon(self.rig, name, self.rig.configuration, arguments=(*arguments,), program=self.program)
        self.rig.daemons.append(command)
        return command.start()

    def go_on(self) -> Daemon:
        """The present daemon, with the old configuration."""
        daemon = self.rig.daemon(f"{self.name}-after")
        wait_until(lambda: daemon.said("daemon.ready"), "the present daemon is ready")
        assert daemon.said("daemon.deprecated_option"), "options by their old names are understood, and said"
        return daemon

    def made(self) -> int:
        """How many keys the program ever made for the application."""
        return len(self.rig.keys_of_ours(self.name))


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as found:
        yield found


def test_b_a_rotation_in_which_the_old_daemon_was_killed_is_done_by_the_present_one(
    rig: Rig, old_program: tuple[str, ...]
) -> None:
    handover = Handover(rig, old_program, "rotation")
    expires = datetime.now(UTC) + timedelta(seconds=20)  # the key is due after half of its life
    old = handover.begin("2h", activation_delay=300.0, expires_at=expires)
    wait_until(lambda: old.said("rotation.created"), "the old daemon has made a key, which does not work yet")
    old.end(signal.SIGKILL)
    rig.scaleway.configure(activation_delay=0.0)
    lost = rig.living_keys_of_ours("rotation")
    assert len(lost) == 1
    present = handover.go_on()
    wait_until(lambda: rig.rotations("rotation") == 1, "the key is replaced")
    wait_until(lambda: rig.living_keys_of_ours("rotation") == {rig.published("rotation")}, "the lost key is revoked")
    ledger = rig.ledger("rotation")
    assert [entry["access_key"] for entry in ledger["retiring"]] == [handover.first]
    assert (handover.made(), rig.rotations("rotation")) == (2, 1), "one lost, one published, none needlessly"
    present.end()


def test_b_a_grace_that_the_old_daemon_promised_is_kept_and_ended_by_the_present_one(
    rig: Rig, old_program: tuple[str, ...]
) -> None:
    handover = Handover(rig, old_program, "grace")
    old = handover.begin("12s")
    handover.old_command("rotate", "grace")
    wait_until(lambda: bool(rig.ledger("grace").get("retiring")), "the old program has put the first key in grace")
    old.end(signal.SIGKILL)
    promised = rig.ledger("grace")["retiring"][0]["revoke_after"]
    present = handover.go_on()
    wait_until(lambda: not rig.scaleway.accepts(handover.first), "the first key is revoked")
    wait_until(lambda: rig.at_rest("grace"), "nothing is left to do")
    present.end()
    assert rig.check_history("grace", 12) == 1
    [revoked] = rig.revocations("grace")
    assert revoked.at >= datetime.fromisoformat(promised)
    assert (handover.made(), rig.rotations("grace")) == (1, 1), "nothing was rotated needlessly"
    rig.check_rest("grace")


def test_i3_an_emergency_in_which_the_old_programs_were_killed_is_contained_by_the_present_one(
    rig: Rig, old_program: tuple[str, ...]
) -> None:
    handover = Handover(rig, old_program, "emergency")
    old = handover.begin("2h")
    rig.scaleway.faults.add("hang", method="DELETE", path="*/api-keys/*", times=None)
    command = handover.old_command("rotate", "emergency", "--compromised", "--reason", "found in a repository")
    wait_until(lambda: rig.scaleway.waiting() > 0, "the old program deletes the leaked key, and has no answer")
    old.end(signal.SIGKILL)
    command.end(signal.SIGKILL)
    rig.scaleway.faults.clear()
    rig.scaleway.release()
    assert {mark["access_key"] for mark in rig.ledger("emergency")["compromised"]} == {handover.first}
    present = handover.go_on()
    wait_until(lambda: rig.at_rest("emergency"), "nothing is left to do")
    assert present.said("compromise.contained")
    assert not rig.scaleway.accepts(handover.first)
    present.end()
    assert (handover.made(), rig.rotations("emergency")) == (1, 1), "nothing was rotated needlessly"
    rig.check_rest("emergency")
    rig.check_history("emergency", 7200, compromised=frozenset({handover.first}))
    rig.check_no_secret()
