"""Every process that a test starts is watched: what none may leave behind fails the test, wherever its output goes.

``tests/support/watched/sitecustomize.py`` is loaded by each Python process that is started from here, at any depth, and writes notes.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

from tests.support.watched.sitecustomize import NOTES, watch_children

_read = 0


def install() -> None:
    """From now on each child of this process is watched. Once is enough."""
    if NOTES not in os.environ:
        descriptor, name = tempfile.mkstemp(prefix="rotator-notes-")
        os.close(descriptor)
        Path(name).chmod(0o666)  # a child may run as another user
        os.environ[NOTES] = name
        watch_children(subprocess)


def notes() -> list[str]:
    """What children noted since this was asked last."""
    global _read  # noqa: PLW0603 - the file is one for this process, and so is how far it was read
    with contextlib.suppress(KeyError, OSError), Path(os.environ[NOTES]).open("rb") as file:
        file.seek(_read)
        text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        _read += len(whole)
        return whole.decode(errors="replace").splitlines()
    return []


def remove() -> None:
    """Remove the file of notes; children that still run write into nothing."""
    if name := os.environ.get(NOTES):
        Path(name).unlink(missing_ok=True)
