"""Starts the playground and asks it, from commands."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from rotator.errors import Refused, Unavailable
from rotator.sandbox.process import wait_until

SOCKET = "sandbox.sock"
ANSWER_TIMEOUT = 60.0
"""Seconds: ``mend`` may have to start a daemon."""


def start(directory: Path) -> None:
    """Start the playground in that directory and return when it can be used.

    Makes the directory. Raises ``Refused`` if a playground runs there.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (directory / SOCKET).exists() and _runs(directory):
        raise Refused(f"a sandbox runs in {directory} already; see: rotator sandbox status")
    if foreign := [path.name for path in directory.iterdir() if path.name not in OWN_FILES]:
        raise Refused(
            f"{directory} holds other files ({', '.join(sorted(foreign)[:3])}): name an empty directory with "
            "--directory"
        )
    log = directory / "sandbox.log"
    log.touch(mode=0o600)
    with log.open("ab") as output:
        child = subprocess.Popen(  # noqa: S603 - a command of the project, no shell
            [sys.executable, "-m", "rotator.sandbox.practice.supervisor", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(directory)},
        )

    def ready() -> bool:
        if child.poll() is not None:
            last = log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise Refused(f"the sandbox ended instead of starting: {last[-1000:]} (see {log})")
        return (directory / SOCKET).exists()

    wait_until(ready, f"the sandbox has started (its log is {log})")
    child.returncode = 0  # it outlives this process, which is no mistake that Python has to warn of


OWN_FILES = frozenset(
    {
        SOCKET,
        "sandbox.log",
        "scaleway.log",
        "daemon.log",
        "rotator.toml",
        "rotator.new",
        "role-id",
        "secret-id",
        "management-key",
        "run",
        "bin",
        "administrator",
        "second",
    }
)


def ask(directory: Path, verb: str, what: str = "") -> Any:
    """The answer of the playground in that directory.

    Raises ``Refused`` when none runs there, and for what it refuses.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_TIMEOUT)
            connection.connect(str(directory / SOCKET))
            connection.sendall(json.dumps({"verb": verb, "what": what}).encode())
            with connection.makefile() as stream:
                answer = json.loads(stream.readline())
    except (FileNotFoundError, ConnectionRefusedError):
        raise Refused(f"no sandbox runs in {directory}; start one: rotator sandbox start") from None
    except (OSError, ValueError):
        raise Unavailable(
            f"the sandbox in {directory} does not answer; end it: rotator sandbox stop",
            service="sandbox",
            kind="timeout",
        ) from None
    if "error" in answer:
        raise Refused(answer["error"])
    return answer["result"]


def stop(directory: Path) -> None:
    """End the playground, and return when it has ended."""
    ask(directory, "stop")
    wait_until(lambda: not (directory / SOCKET).exists(), "the sandbox has ended")


def _runs(directory: Path) -> bool:
    try:
        ask(directory, "status")
    except (Refused, Unavailable):
        return False
    return True
