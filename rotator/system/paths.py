"""The files of this machine: the configuration and the runtime directory, unless another is
named."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_PATH = Path("/etc/rotator/rotator.toml")

RUNTIME_DIRECTORY = Path("/run/rotator")
"""The directory that ``RuntimeDirectory=rotator`` makes, and where a command in a shell looks for
sockets."""


def locate(given: Path | None = None) -> Path:
    """The file to read: the one given, else the one that ``$ROTATOR_CONFIG`` names, else the
    default."""
    return given or Path(os.environ.get("ROTATOR_CONFIG") or DEFAULT_PATH)
