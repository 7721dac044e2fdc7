"""Child processes of the sandbox, which do not outlive this process, and waiting for conditions."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rotator.errors import Unavailable

TIMEOUT = 180.0
"""Seconds to wait for a server to do what it was asked; a slow machine needs a small part of it."""

# The kernel kills the child when its parent is gone; on systems without prctl the child is only
# ended by `stop`.
_LAUNCHER = (
    "import ctypes, os, sys\n"
    "try:\n"
    "    ctypes.CDLL(None).prctl(1, 9)\n"
    "except (AttributeError, OSError):\n"
    "    pass\n"
    "if os.getppid() == int(sys.argv[1]):\n"
    "    os.execv(sys.argv[2], sys.argv[2:])\n"
)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago, and is not one that the system gives to a
    process that asks for any."""
    for _ in range(100):
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Unavailable("No free port was found on this machine.", service="sandbox", kind="ports")


def wait_until(condition: Callable[[], bool], what: str, timeout: float = TIMEOUT) -> None:
    """Return as soon as the condition holds; it may raise ``Unavailable`` meanwhile."""
    end = time.monotonic() + timeout
    while True:
        with contextlib.suppress(Unavailable):
            if condition():
                return
        if time.monotonic() > end:
            raise Unavailable(f"Waited {timeout:.0f} s in vain until {what}.", service="sandbox", kind="timeout")
        time.sleep(0.02)


class Process:
    """A child process that writes to a log file, or its complaints to another one, and does not
    outlive this process."""

    def __init__(self, command: list[str], log: Path, *, complaints: Path | None = None) -> None:
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(log.parent)}
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid())]
        with log.open("ab") as output, (complaints or log).open("ab") as errors:
            self._child = subprocess.Popen(  # noqa: S603 - a fixed command, no shell
                [*launcher, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=environment
            )

    @property
    def pid(self) -> int:
        """The process id, which the program keeps that the launcher turns into."""
        return self._child.pid

    def alive(self) -> bool:
        """Whether the process still exists (it may be paused)."""
        return self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended, a signal as its negative number; None while it runs."""
        return self._child.poll()

    def send(self, number: int) -> None:
        """Send a signal to the process if it still exists."""
        if self.alive():
            send_signal(self.pid, number)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End the process with a signal, and with SIGKILL when it does not listen."""
        self.send(number)
        self.send(signal.SIGCONT)
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


def send_signal(pid: int, number: int) -> None:
    """Send a signal to a process, if it exists. SIGSTOP has reached every thread when this returns:
    one on another processor would still answer for a moment."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    if number == signal.SIGSTOP:
        wait_until(lambda: _is_stopped(pid), "every thread of the process is stopped")


def _is_stopped(pid: int) -> bool:
    """True as well for a process that has ended, and where there is no /proc."""
    return all(_state(stat) in "TtZX" for stat in Path(f"/proc/{pid}/task").glob("*/stat"))


def _state(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(") ")[2][:1]
    except OSError:
        return ""  # it has ended
