"""A wrong secret id on one machine, with real processes: neither its daemon nor its commands lock the role (hazard C4)."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Daemon, Rig

APPLICATIONS = 40


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig() as rig:
        for number in range(APPLICATIONS):
            rig.bearers[f"app-{number}"] = f"22222222-2222-4222-8222-{number:012}"
        rig.configure(FAST.format(every="1h", grace="10s"))
        yield rig


def misconfigured(rig: Rig) -> Path:
    """The configuration of a machine whose secret id is wrong."""
    wrong = rig.directory / "wrong-secret-id"
    wrong.touch(mode=0o600)
    wrong.write_text("22222222-wrong-secret-id")
    path = rig.directory / "wrong.toml"
    path.write_text(rig.configuration.read_text().replace("file:secret-id", "file:wrong-secret-id"))
    return path


def test_c4_commands_about_many_applications_make_one_attempt_each(rig: Rig) -> None:
    sound, rig.configuration = rig.configuration, misconfigured(rig)
    for command in ("status", "plan"):
        done = rig.command(command, "--direct", check=False)
        assert done.returncode == 1, done.stderr
        assert "wrong-secret-id" in done.stderr + done.stdout
        assert "lock the role" in done.stderr + done.stdout
    rig.configuration = sound
    assert rig.command("status", "--direct", check=False).returncode in (0, 5), "the role is not locked"


def test_c4_a_daemon_with_a_wrong_secret_id_locks_nobody_out_and_takes_the_right_one_at_once(rig: Rig) -> None:
    daemon = rig.daemon("wrong", configuration=misconfigured(rig))
    wait_until(lambda: daemon.said("service.down", kind="login"), "the refusal is told", 60)
    for _ in range(4):
        reloads = _reloads(daemon)
        daemon.send(signal.SIGHUP)
        _reloaded_after(daemon, reloads)
    assert rig.command("status", "--direct", check=False).returncode in (0, 5), "the role is not locked"
    (rig.directory / "wrong-secret-id").write_text((rig.directory / "secret-id").read_text())
    wait_until(lambda: daemon.said("service.up", service="vault"), "the right one is taken", 60)


def _reloads(daemon: Daemon) -> int:
    return sum(line.get("event") == "daemon.reloaded" for line in daemon.events())


def _reloaded_after(daemon: Daemon, reloads: int) -> None:
    wait_until(lambda: _reloads(daemon) > reloads, "it is reloaded", 60)
