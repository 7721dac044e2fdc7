"""Reads from systemd, the directory of the sockets and the list of groups how the service is set up
on this machine. Reads only."""

from __future__ import annotations

import grp
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from rotator.system.file_permissions import directory_problem

SYSTEMCTL = ("/usr/bin/systemctl", "show", "rotator.service")
"""The command that shows the unit."""


def unit_properties(command: Sequence[str] = SYSTEMCTL) -> Mapping[str, str]:
    """Properties of the unit; empty where there is no systemd, or no such unit."""
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            command, capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return found if found.get("LoadState") not in (None, "not-found") else {}


def socket_fault(directory: Path) -> str:
    """Why no client can use the sockets in this directory, as a sentence; empty if a daemon listens
    there."""
    try:
        status = directory.stat()
    except OSError:
        return f"{directory} does not exist"
    if problem := directory_problem(status):
        return f"{directory}: {problem}"
    for name in ("read.sock", "control.sock"):
        path = directory / name
        try:
            if not stat.S_ISSOCK(path.stat().st_mode):
                return f"{path} is not a socket"
        except OSError:
            return f"{path} does not exist"
    return ""


def missing_groups(names: Sequence[str]) -> tuple[str, ...]:
    """Those of the groups that do not exist on this machine."""
    return tuple(name for name in names if name and not _exists(name))


def _exists(name: str) -> bool:
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True
