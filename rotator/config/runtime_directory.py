"""The runtime directory: where the sockets of the daemon are unless the configuration says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

RUNTIME_DIRECTORY = Path("/run/rotator")
"""What ``RuntimeDirectory=rotator`` makes, and where a person in a shell looks."""


def configured_directory() -> Path | None:
    """The first directory that systemd made for this process, if it made any."""
    first = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return Path(first) if first else None


def default_directory() -> Path:
    """The directory when the configuration names none."""
    return configured_directory() or RUNTIME_DIRECTORY
