"""What a person of the first hour has at hand on a booted machine, and what `rotator init` prints for them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from rotator.sandbox.openbao import OpenBao, find_binary
from rotator.sandbox.scaleway import ScalewaySandbox
from tests.service.machine import Machine

ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
APPLICATIONS = ("billing", "shop")


def lay_out(booted: Machine, vault: OpenBao, scaleway: ScalewaySandbox, package: Path) -> None:
    """The package, the administrator's `bao`, the management key (which `systemd-ask-password` gets), and two applications."""
    assert vault.root_token
    for name in APPLICATIONS:
        scaleway.create_application(name)
    for file, name in ((package, package.name), (find_binary(), "bao")):
        shutil.copy(file, booted.root / "srv" / name)  # the machine has a /tmp of its own
    booted.write("/root/.vault-token", vault.root_token.reveal(), 0o600)
    booted.write("/usr/local/bin/bao", f'#!/bin/sh\nBAO_ADDR={vault.address} exec /srv/bao "$@"\n', 0o755)
    # Paths in the machine that was booted for this test.
    booted.write("/usr/local/bin/systemd-ask-password", "#!/bin/sh\ncat /root/management-key\n", 0o755)
    booted.write("/root/management-key", scaleway.management_secret, 0o600)


def scripts_to_paste(printed: str) -> dict[str, str]:
    """The blocks of commands that are pasted, by their titles; the management key is at hand, so the provider's is left out."""
    blocks = re.split(r"^# \d+\. (.*)\n\n", printed, flags=re.MULTILINE)
    assert len(blocks) == 9, "four blocks"
    return {title: script for title, script in zip(blocks[1::2], blocks[2::2], strict=True) if "provider" not in title}


def first_keys_are_there(vault: OpenBao) -> bool:
    """Whether each application has a document."""
    return all(
        vault.call("GET", f"secret/data/apps/{name}/scaleway", token=vault.root_token).status == 200
        for name in APPLICATIONS
    )
