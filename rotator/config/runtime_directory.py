"""The runtime directory: the default place of the daemon's sockets."""

from __future__ import annotations

import os
from pathlib import Path

from rotator.system.paths import RUNTIME_DIRECTORY

SOCKET_PATH_LIMIT = 107
"""Maximum bytes of a socket's path on Linux."""


def configured_directory() -> Path | None:
    """The first directory that systemd created for this process, if any."""
    first = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(first) if first else None


def default_directory() -> Path:
    """The directory if the configuration names none."""
    return configured_directory() or RUNTIME_DIRECTORY


def socket_path_fault(path: Path) -> str:
    """What is wrong with the length of a socket's path; empty if nothing is."""
    if (length := len(os.fsencode(path))) <= SOCKET_PATH_LIMIT:
        return ""
    return (
        f"is too long: the path of the socket has {length:,} bytes, and Linux takes at most {SOCKET_PATH_LIMIT}; "
        "write a shorter one"
    )
