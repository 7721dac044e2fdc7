"""The default paths of the configuration and of the runtime directory."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_PATH = Path("/etc/rotator/rotator.toml")

RUNTIME_DIRECTORY = Path("/run/rotator")
"""The directory of ``RuntimeDirectory=rotator``, where commands look for sockets."""


def locate(given: Path | None = None) -> Path:
    """The configuration file: the given one, else ``$ROTATOR_CONFIG``, else the default."""
    return given or Path(os.environ.get("ROTATOR_CONFIG") or DEFAULT_PATH)
