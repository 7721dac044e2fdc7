"""The runtime directory: where the sockets of the daemon are unless the configuration says
otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from rotator.system.paths import RUNTIME_DIRECTORY

SOCKET_PATH_LIMIT = 107
"""Bytes that Linux takes as the path of a socket."""


def configured_directory() -> Path | None:
    """The first directory that systemd made for this process, if it made any."""
    first = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(first) if first else None


def default_directory() -> Path:
    """The directory when the configuration names none."""
    return configured_directory() or RUNTIME_DIRECTORY


def socket_path_fault(path: Path) -> str:
    """What is wrong with the length of a socket's path; empty when nothing is."""
    if (length := len(os.fsencode(path))) <= SOCKET_PATH_LIMIT:
        return ""
    return (
        f"is too long: the path of the socket has {length:,} bytes, and Linux takes at most {SOCKET_PATH_LIMIT}; "
        "write a shorter one"
    )
