"""rotator: rotates API keys into Vault without downtime for their consumers."""

from __future__ import annotations

from pathlib import Path


def _version() -> str:
    release = "0.1.0"
    try:
        return f"{release}+{Path(__file__).with_name('build').read_text(encoding='ascii').strip()}"
    except OSError:
        return release  # a checkout, or sources without a repository


__version__ = _version()
