"""The owner: the name with which this process signs the rotations that it claims, and by which
others see that it has ended.

::

    5f0c1d2e3a4b5c6d.9a8b7c6d5e4f3a2b.4711.8812345
    random           machine          pid  start of the process, in clock ticks since boot

The machine is a digest of its boot id and its process namespace: a process id is meaningful only
within both. A process of the same machine may take over at once what an ended process left; any
other waits for ``stale_claim_timeout``.
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
"""The machine of a process that cannot read the boot id. No other process has it, so its owners
never count as ended."""


def current() -> str:
    """The owner of this process; the same on every call, another one after a fork."""
    return _make(os.getpid())


def fresh() -> str:
    """Another owner of this process, for a separate actor in it whose rotations the others do not
    hold in memory."""
    pid = os.getpid()
    return f"{secrets.token_hex(8)}.{_machine()}.{pid}.{_start(pid) or 0}"


@functools.cache
def _make(pid: int) -> str:  # noqa: ARG001 - another process is another entry of the cache
    return fresh()


def is_gone(owner: str) -> bool:
    """True only if the owner ran on this machine and its process no longer exists. False if that is
    not certain."""
    found = _PATTERN.fullmatch(owner)
    if found is None or found["machine"] == UNKNOWN or found["machine"] != _machine():
        return False
    pid, start = int(found["pid"]), int(found["start"])
    try:
        # Not read from /proc: it may hide processes of other users (ProtectProc=).
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # it exists and belongs to another user
    now = _start(pid)
    return now is not None and start not in (0, now)


def _start(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if that cannot be read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        # The second field is the command's name in brackets and may contain brackets and spaces.
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
    """The id of this boot of the machine. The unit hides the kernel's file (``ProcSubset=``) and
    passes the id in the environment."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        stated = os.environ.get("ROTATOR_BOOT_ID", "")
        if not re.fullmatch("[0-9a-f]{32}", stated):
            raise
        return str(uuid.UUID(stated))  # in the format of the kernel
