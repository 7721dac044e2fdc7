"""An emergency beside a daemon that cannot act: contained without it, or refused with the way out, within a bound; never believed.

No swapping machine is made: the process of a swapping daemon is stopped for 99 % of the time, which is what others see of it.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rotator.api.client import CONTAINMENT_TIMEOUT, URGENT_TIMEOUT
from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Daemon, Rig

BOUND = URGENT_TIMEOUT + CONTAINMENT_TIMEOUT + 20
"""Seconds for a whole emergency beside any of these daemons: until it answers, until it should have done it, and until the command has
done it itself, on a slow machine."""

CONTROL = Path(__file__).parents[2] / "docs" / "control.md"


@dataclass
class Stage:
    """One application, its daemon, and what is wrong with that."""

    rig: Rig
    daemon: Daemon
    helpers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def sockets(self) -> Path:
        return self.rig.directory / "sockets"

    def fault(self, name: str) -> None:
        (self.rig.directory / name).touch()
        wait_until((self.rig.directory / f"{name}.on").exists, f"{name} is brought about")


def stop(stage: Stage) -> None:
    stage.daemon.send(signal.SIGSTOP)


def slow_down(stage: Stage) -> None:
    """From now on the daemon runs for a hundredth of the time."""
    stage.helpers.append(subprocess.Popen([sys.executable, "-c", SLOW, str(stage.daemon.pid)]))


SLOW = """
import os, signal, sys, time
while True:
    os.kill(int(sys.argv[1]), signal.SIGSTOP)
    time.sleep(0.99)
    os.kill(int(sys.argv[1]), signal.SIGCONT)
    time.sleep(0.01)
"""


def take_descriptors(stage: Stage) -> None:
    pid = stage.daemon.pid
    assert pid
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 3))


def squat(stage: Stage) -> None:
    """The daemon is gone, and another user answers at its sockets whatever one wants to hear."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    stage.daemon.end(signal.SIGKILL)
    stage.rig.directory.chmod(0o711)
    stage.sockets.chmod(0o777)
    squatter = subprocess.Popen([sys.executable, "-c", SQUATTER, str(stage.sockets)], stdout=subprocess.PIPE)
    stage.helpers.append(squatter)
    assert squatter.stdout
    assert squatter.stdout.readline() == b"listening\n"


SQUATTER = r"""
import os, pwd, socket, sys, threading
os.setgroups([])
os.setuid(pwd.getpwnam("nobody").pw_uid)
LIE = b'{"result": [{"application": "billing", "outcome": "contained", "exit_code": 0, "message": "contained", "access_key": "SCWLIE", "revoked": ["SCWLIE"]}]}\n'
def serve(listener):
    while True:
        caller, _ = listener.accept()
        if caller.recv(65536):
            caller.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n" + LIE)
        caller.close()
for name in ("read.sock", "control.sock"):
    path = os.path.join(sys.argv[1], name)
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chmod(path, 0o666)
    listener.listen()
    threading.Thread(target=serve, args=(listener,)).start()
print("listening", flush=True)
"""

FAULTS: dict[str, Callable[[Stage], None]] = {
    "stopped": stop,
    "swapping": slow_down,
    "busy in its loop": lambda stage: stage.fault("busy"),
    "out of threads": lambda stage: stage.fault("no-threads"),
    "out of descriptors": take_descriptors,
    "hanging in its work": lambda stage: stage.fault("hanging"),
    "with its disk full": lambda stage: stage.fault("disk-full"),
    "squatted": squat,
}

WORKS_ALL_THE_SAME = {"with its disk full"}
"""Daemons that carry out every command."""

MAY_WORK = WORKS_ALL_THE_SAME | {"swapping", "hanging in its work"}
"""Daemons that may carry out a command which is no emergency: slowly, or because it asks for nothing that hangs."""


@contextmanager
def staged() -> Iterator[Stage]:
    with Rig() as rig:
        (rig.directory / "sockets").mkdir(mode=0o755)
        rig.application("billing")
        rig.configure(
            FAST.format(every="30d", grace="3600s"), account=f'[control]\ndirectory = "{rig.directory}/sockets"'
        )
        daemon = rig.daemon(program=("-m", "tests.support.breakable", str(rig.directory)))
        stage = Stage(rig, daemon)
        wait_until(lambda: rig.at_rest("billing"), "it took over what consumers use")
        wait_until(lambda: daemon.said("control.listening", orders=True), "it listens")
        try:
            yield stage
        finally:
            for helper in stage.helpers:
                helper.kill()
                helper.wait()
                if helper.stdout:
                    helper.stdout.close()


def timed(stage: Stage, *words: str) -> tuple[subprocess.CompletedProcess[str], float]:
    begun = time.monotonic()
    done = stage.rig.command(*words, check=False, timeout=120)
    return done, time.monotonic() - begun


@pytest.mark.parametrize("fault", FAULTS)
def test_c12_an_emergency_is_contained_within_a_bound_beside_a_daemon_that_is(fault: str) -> None:
    with staged() as stage:
        rig = stage.rig
        leaked = rig.published("billing")
        FAULTS[fault](stage)
        done, seconds = timed(stage, "rotate", "billing", "--compromised", "--reason", "found on a wiki")
        assert done.returncode == 0, done.stderr
        assert seconds < BOUND
        assert not rig.scaleway.accepts(leaked)
        assert rig.published("billing") != leaked
        beside = [line for line in done.stderr.splitlines() if "this command goes on by itself" in line]
        if fault != "swapping":  # it may do it, within the bound
            assert len(beside) == (fault not in WORKS_ALL_THE_SAME), done.stderr


@pytest.mark.parametrize("fault", [name for name in FAULTS if name not in MAY_WORK])
def test_c12_another_command_is_refused_with_the_way_out_by_a_daemon_that_is(fault: str) -> None:
    with staged() as stage:
        FAULTS[fault](stage)
        done, seconds = timed(stage, "hold", "billing", "--reason", "migration")
        assert (done.returncode, done.stdout) == (3, "")
        (sentence,) = done.stderr.splitlines()
        assert fault == "out of threads" or "--direct" in sentence
        assert seconds < BOUND
        assert not stage.rig.ledger("billing").get("hold")
        found = stage.rig.command("hold", "billing", "--reason", "migration", "--direct")
        assert found.returncode == 0


def test_the_bound_and_each_state_are_those_of_the_documents() -> None:
    text = CONTROL.read_text()
    assert f"within {BOUND:g} seconds" in text
    table = text[text.index("| a daemon that is |") :].partition("\n\n")[0].splitlines()[2:]
    assert [line.split("|")[1].strip() for line in table] == list(FAULTS)
    for line in table:
        state, emergency, other = (cell.strip() for cell in line.strip("|").split("|"))
        assert ("carried out by the daemon" in emergency) == (state in WORKS_ALL_THE_SAME | {"swapping"}), state
        assert ("is refused" in other) == (state not in MAY_WORK), state


def test_c12_a_command_whose_caller_is_gone_is_not_begun_by_a_daemon_that_wakes_up() -> None:
    with staged() as stage:
        rig, daemon = stage.rig, stage.daemon
        stop(stage)
        leaked = rig.published("billing")
        assert rig.command("rotate", "billing", "--compromised", "--reason", "leak").returncode == 0
        replacement = rig.published("billing")
        daemon.send(signal.SIGCONT)
        wait_until(lambda: rig.command("status", "billing").returncode == 0, "it answers again")
        wait_until(lambda: rig.at_rest("billing"), "nothing is left to do")
        assert rig.published("billing") == replacement != leaked
        assert not daemon.said("control.command")
