"""The owner: the name by which this process signs the rotations that it claims, and by which others
see that it has ended.

::

    5f0c1d2e3a4b5c6d.9a8b7c6d5e4f3a2b.4711.8812345
    chance           machine          pid  start of the process, in clock ticks since boot

The machine is a digest of its boot id and of its process namespace: only within the same of both
does a process id mean the same thing. A process of the same machine may take over at once what an
ended process left; every other one waits for ``stale_claim_timeout``.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import secrets
import uuid
from pathlib import Path

_PATTERN = re.compile(
    r"[0-9a-f]{16}\.(?P<machine>[0-9a-f]{16}|-)\.(?P<pid>[1-9][0-9]{0,9})\.(?P<start>[0-9]{1,20})", re.ASCII
)

UNKNOWN = "-"
"""The machine of a process that may not read the boot id. No process shares it, so nothing is ever
concluded about its owners."""


def current() -> str:
    """The owner that this process is; the same on every call, another one after a fork."""
    return _make(os.getpid())


def fresh() -> str:
    """One more owner of this process: for an actor of its own inside of it, whose rotations the
    others do not hold in memory."""
    pid = os.getpid()
    return f"{secrets.token_hex(8)}.{_machine()}.{pid}.{_start(pid) or 0}"


@functools.cache
def _make(pid: int) -> str:  # noqa: ARG001 - another process is another entry of the cache
    return fresh()


def is_gone(owner: str) -> bool:
    """True only when the owner ran on this machine and its process is no longer there. False
    whenever that is not sure."""
    found = _PATTERN.fullmatch(owner)
    if found is None or found["machine"] == UNKNOWN or found["machine"] != _machine():
        return False
    pid, start = int(found["pid"]), int(found["start"])
    try:
        # Not a look into /proc: there, processes of other users may be hidden (ProtectProc=).
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # it exists and belongs to another user
    now = _start(pid)
    return now is not None and start not in (0, now)


def _start(pid: int) -> int | None:
    """When the process began, in clock ticks since boot; None when it cannot be seen."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        # The second field is the command's name in brackets and may hold anything, brackets and
        # spaces too.
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


@functools.cache
def _machine() -> str:
    try:
        boot = _boot_id()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return UNKNOWN
    return hashlib.sha256(f"{boot}\n{namespace}".encode()).hexdigest()[:16]


def _boot_id() -> str:
    """Which boot of the machine this is. The unit hides the kernel's own files (``ProcSubset=``),
    and says it in the environment."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        told = os.environ.get("ROTATOR_BOOT_ID", "")
        if not re.fullmatch("[0-9a-f]{32}", told):
            raise
        return str(uuid.UUID(told))  # in the kernel's own way of writing it
