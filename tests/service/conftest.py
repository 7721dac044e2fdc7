"""The package, built once for a whole run, however many processes it has; or the one that ``$ROTATOR_PACKAGE`` names."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.service.machine import why_not

ROOT = Path(__file__).parents[2]

Build = Callable[[Path, str], Path]


def build(source: Path, directory: Path, version: str) -> Path:
    """The package of the tree ``source``, made as ``make deb`` makes it."""
    done = subprocess.run(
        [
            "/usr/bin/python3",
            str(ROOT / "tools" / "deb.py"),
            str(directory),
            "--source",
            str(source),
            "--version",
            version,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := why_not():
        pytest.skip(reason)
    if ready := os.environ.get("ROTATOR_PACKAGE"):
        return Path(ready)
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    with (shared / "package.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = list(shared.glob("rotator_*.deb"))
        return found[0] if found else build(ROOT, shared, "2.0")
