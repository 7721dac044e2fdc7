"""The whole product on this machine: a real OpenBao and the stand-in of Scaleway, with one application that has a key."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sandbox.openbao import find_binary
from tests.e2e.rig import FAST, Rig

SLOW = FAST.format(every="30d", grace="1h")


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as found:
        found.application("billing")
        found.application("mailer")
        found.configure(SLOW)
        yield found


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with `bao`, and with a `sudo` and a `systemd-creds` that need no privilege: the one runs its arguments, and the
    other stores its input as it is."""
    folder = tmp_path_factory.mktemp("tools")
    for name, script in (
        ("bao", f'exec "{find_binary()}" "$@"'),
        ("sudo", 'exec "$@"'),
        (
            "systemd-creds",
            'cat > "$CREDENTIALS_DIRECTORY/$(basename "$4")"; chmod 600 "$CREDENTIALS_DIRECTORY/$(basename "$4")"',
        ),
        ("systemd-ask-password", 'cat "$MANAGEMENT_KEY"'),
    ):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    assert shutil.which("sh")
    return folder
