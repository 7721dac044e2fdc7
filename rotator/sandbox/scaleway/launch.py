"""Starts the stand-in of Scaleway as a process of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rotator.errors import RotatorError
from rotator.sandbox.process import Process, wait_until
from rotator.sandbox.scaleway.client import SandboxClient


def start_scaleway(log: Path) -> tuple[Process, SandboxClient]:
    """The process, and a client that drives it. ``log`` receives its output with the management
    key."""
    log.touch(mode=0o600)
    log.write_text("")  # an earlier stand-in with the same log has another address
    process = Process([sys.executable, "-m", "rotator.sandbox.scaleway"], log)

    def listens() -> bool:
        if not process.alive():
            raise RotatorError(f"The stand-in of Scaleway ended instead of starting: {log.read_text()[-500:]}")
        return log.read_text().endswith("}\n")

    wait_until(listens, "the stand-in of Scaleway listens")
    return process, SandboxClient(json.loads(log.read_text().splitlines()[-1])["url"])
