"""The daemon as a process: signals, the supervisor's socket, its logs. The services are simulated, everything else is real."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.complaints import complaints
from tests.support.daemon_stage import PATIENCE, eventually

ROOT = Path(__file__).parents[2]


class Play:
    """A running daemon and the directory that directs it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(directory / "notify"))
        self.messages: list[str] = []
        self.output: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                message = self.socket.recv(65536).decode()
            except OSError:
                return
            if message == "end of the test":
                return
            self.messages.append(message)

    def configure(self, *applications: str, **options: Any) -> None:
        (self.directory / "config.json").write_text(json.dumps({"applications": applications, **options}))

    def set(self, name: str, *, to: bool = True) -> None:
        (self.directory / name).touch() if to else (self.directory / name).unlink()

    def there(self, name: str) -> bool:
        return (self.directory / name).exists()

    def start(self, *options: str, read: bool = True, **environment: str) -> None:
        sound = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(self.directory / "notify"), **environment}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.support.play", str(self.directory), *options],
            cwd=ROOT,
            env=sound,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if read:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process
        assert self.process.stdout
        for line in self.process.stdout:
            self.output.append(line)

    def events(self, name: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in list(self.output) if line.startswith("{")]
        return [event for event in found if event["event"] == name]

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def end(self) -> int:
        assert self.process
        return self.process.wait(PATIENCE)

    def status(self) -> str:
        return next((m.removeprefix("STATUS=") for m in reversed(list(self.messages)) if m.startswith("STATUS=")), "")

    def ready(self) -> bool:
        return "READY=1" in self.messages

    def close_process(self) -> None:
        if self.process:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            if self.process.stdout:
                self.process.stdout.close()

    def close(self) -> None:
        self.close_process()
        assert complaints(list(self.output)) == []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"end of the test", str(self.directory / "notify"))
        self.socket.close()


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    stage = Play(tmp_path)
    stage.configure("billing")
    yield stage
    stage.close()


def test_it_is_ready_after_the_first_look_works_and_ends_with_0_on_sigterm(play: Play) -> None:
    play.start()
    eventually(play.ready)
    eventually(lambda: play.events("rotation.committed"))
    play.signal(signal.SIGTERM)
    assert play.end() == 0
    eventually(lambda: play.events("daemon.stopped"))
    assert "STOPPING=1" in play.messages
    assert play.events("daemon.stopping")[0]["signal"] == "SIGTERM"
    assert play.events("daemon.stopped")[0]["unfinished"] == []
    assert all(line.startswith("{") for line in play.output), play.output


def test_b_vault_sealed_at_the_start_it_is_ready_says_so_and_begins_when_it_is_unsealed(play: Play) -> None:
    play.set("sealed")
    play.start()
    eventually(play.ready)
    assert "Vault: sealed for" in play.status()
    assert play.status().startswith("1 application")
    assert not play.there("published-billing")
    play.set("sealed", to=False)
    eventually(lambda: play.there("published-billing"))
    eventually(lambda: "sealed" not in play.status())
    eventually(lambda: "next: billing rotates in" in play.status())


def test_sighup_with_a_sound_configuration_takes_it_in(play: Play) -> None:
    play.start()
    eventually(lambda: play.events("rotation.committed"))
    play.configure("billing", "reports")
    play.signal(signal.SIGHUP)
    eventually(lambda: play.there("published-reports"))
    (reload,) = [message for message in play.messages if "RELOADING=1" in message]
    assert [line.partition("=")[0] for line in reload.splitlines()] == ["RELOADING", "MONOTONIC_USEC"]
    assert play.messages.count("READY=1") == 2
    assert play.events("daemon.reloaded")[0]["added"] == ["reports"]


def test_sighup_with_a_broken_configuration_changes_nothing_and_says_every_problem(play: Play) -> None:
    play.start()
    eventually(lambda: play.events("rotation.committed"))
    (play.directory / "config.json").write_text("{")
    play.signal(signal.SIGHUP)
    eventually(lambda: play.messages.count("READY=1") == 2)
    assert play.events("daemon.reload_refused")[0]["problems"] == [
        "config.json: applications: is wrong; write a list",
        "config.json: is bad",
    ]
    assert "the new configuration has 2 problems and was refused, the old one is in force" in play.status()
    play.configure("billing", "reports")
    play.signal(signal.SIGHUP)
    eventually(lambda: play.there("published-reports"))
    eventually(lambda: "refused" not in play.status())


def test_b_sigterm_in_the_middle_of_a_rotation_it_is_finished_first(play: Play) -> None:
    play.set("never-alive")
    play.start()
    eventually(lambda: play.events("rotation.created"))
    play.signal(signal.SIGTERM)
    eventually(lambda: "stopping; ends first: billing" in play.status())
    play.set("never-alive", to=False)
    assert play.end() == 0
    assert play.there("published-billing")
    eventually(lambda: play.events("daemon.stopped"))
    assert play.events("rotation.committed")


def test_b_sigterm_in_the_middle_of_a_rotation_that_takes_too_long_it_is_abandoned_cleanly(play: Play) -> None:
    play.configure("billing", shutdown_timeout=2)
    play.set("never-alive")
    play.start()
    eventually(lambda: play.events("rotation.created"))
    play.signal(signal.SIGTERM)
    assert play.end() == 0
    eventually(lambda: play.events("daemon.stopped"))
    assert play.events("rotation.abandoned")[0]["reason"] == "stopping"
    assert play.events("key.revocation_scheduled")
    assert not play.there("published-billing")


def test_a_hanging_call_does_not_outlast_the_stop_timeout(play: Play) -> None:
    play.configure("billing", shutdown_timeout=1)
    play.start()
    eventually(lambda: play.events("rotation.committed"))
    play.set("hang")
    play.configure("billing", "reports", shutdown_timeout=1)
    play.signal(signal.SIGHUP)
    eventually(lambda: play.events("daemon.reloaded"))
    play.signal(signal.SIGTERM)
    assert play.end() == 0


def test_signs_of_life_come_while_passes_or_heartbeats_get_through(play: Play) -> None:
    play.start(WATCHDOG_USEC="200000")
    eventually(lambda: play.messages.count("WATCHDOG=1") >= 5)


def test_b_log_pipe_closed_the_daemon_keeps_its_promises(play: Play) -> None:
    play.start(read=False)
    assert play.process
    assert play.process.stdout
    play.process.stdout.close()
    eventually(lambda: play.there("published-billing"))
    play.signal(signal.SIGTERM)
    assert play.end() == 0


def test_a16_no_secret_is_in_any_output_also_when_answers_are_lost(play: Play) -> None:
    play.configure("one", "two", "three")
    play.set("errors")
    play.start()
    eventually(lambda: play.events("rotation.create_failed") or play.events("pass.interrupted"))
    eventually(lambda: len(play.events("rotation.committed")) >= 2)
    play.signal(signal.SIGTERM)
    play.end()
    secrets = (play.directory / "secrets").read_text().split()
    assert len(secrets) >= 2
    output = "".join([*play.output, *play.messages])
    assert output
    assert not [secret for secret in secrets if secret in output]


def test_its_memory_can_be_neither_dumped_nor_read_by_its_user(play: Play) -> None:
    play.start()
    eventually(play.ready)
    assert play.process
    limits = Path(f"/proc/{play.process.pid}/limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]


def test_one_round_ends_by_itself_with_0_when_all_is_well(play: Play) -> None:
    play.configure("one", "two", "three")
    play.start("--once")
    assert play.end() == 0
    eventually(lambda: play.events("run.completed"))
    done = play.events("run.completed")[0]
    assert (done["applications"], done["ok"], done["failed"]) == (3, 3, 0)
    assert all(play.there(f"published-{name}") for name in ("one", "two", "three"))


def test_one_round_ends_with_3_when_vault_is_sealed(play: Play) -> None:
    play.set("sealed")
    play.start("--once")
    assert play.end() == 3
    eventually(lambda: play.events("run.completed"))
    assert play.events("run.completed")[0]["unreachable"] == 1
