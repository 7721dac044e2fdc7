"""What a person needs to try everything on one machine: a real OpenBao and a stand-in of Scaleway,
and the demonstration."""

from __future__ import annotations

from importlib.util import find_spec

from rotator.errors import RotatorError
from rotator.system.installation import advice

PACKAGES = ("httptools", "uvicorn")
"""What the stand-in is made with. ``require_sandbox`` asks for it before a module of the sandbox
imports it."""


def require_sandbox(command: str) -> None:
    """Raise one sentence when packages are missing that ``rotator`` with the words of ``command``
    needs."""
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise RotatorError(
            f"{command} needs {' and '.join(missing)}, which this installation lacks; run: {advice('sandbox', command)}"
        )
