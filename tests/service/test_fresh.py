"""From a fresh machine to a running, watched service, by exactly the commands of docs/installation.md, as a new user types them."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from rotator.sandbox.process import wait_until
from tests.e2e.rig import Rig
from tests.service.conftest import ROOT
from tests.service.installed import CREDENTIALS, QUICK, Installed
from tests.service.machine import machine

PAGE = (ROOT / "docs" / "installation.md").read_text()


def commands() -> list[str]:
    """What the page shows to type, a command each, with the lines that go on with it."""
    found: list[str] = []
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(line[2:])
            elif line.startswith("> "):
                found[-1] += "\n" + line[2:]
    return found


def test_the_installation_has_the_commands_that_a_service_needs() -> None:
    text = "\n".join(commands())
    for part in (
        "make deb",
        "apt-get install",
        "systemd-creds encrypt",
        "rotator check",
        "systemctl enable --now rotator",
    ):
        assert part in text


class Terminal:
    """A terminal with a shell of a new user in it, at which somebody types."""

    def __init__(self, command: list[str]) -> None:
        self._controller, inner = pty.openpty()
        self.seen = ""
        self._child = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=inner,
            stdout=inner,
            stderr=inner,
            env={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM": "dumb",
                "EDITOR": "/usr/local/bin/new-user-edits",
                "SYSTEMD_PAGER": "cat",
            },
        )
        os.close(inner)

    def type(self, text: str) -> None:
        os.write(self._controller, text.encode())

    def wait_for(self, pattern: str, patience: float = 300) -> str:
        """Read on until the pattern is there; what was seen up to its end."""
        end = time.monotonic() + patience
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, f"waited in vain for {pattern!r}: {self.seen[-2000:]}"
            if select.select([self._controller], [], [], 1)[0]:
                self.seen += os.read(self._controller, 65536).decode(errors="replace").replace("\r", "")
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def close(self) -> None:
        os.close(self._controller)
        self._child.wait(20)


def checkout(place: Path) -> None:
    """What a new user has cloned."""
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if files.returncode:
        pytest.skip("this is no checkout, so nobody can clone it")
    for name in filter(None, files.stdout.split("\0")):
        if (ROOT / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)


def test_a_fresh_machine_becomes_a_running_service_by_the_commands_of_the_installation() -> None:
    with machine() as booted, Rig() as rig:
        here = Installed(booted, rig)
        rig.application("billing")
        furnish(here)
        shell = Terminal(booted.enter("runuser", "--login", "--whitelist-environment=EDITOR,SYSTEMD_PAGER", "ann"))
        shell.type("cd rotator; stty -echo; PS2=; PS1='done=$?\\n'\n")
        shell.wait_for(r"done=0\n")
        for command in commands():
            shell.type(f"{command}\n")
            for name in CREDENTIALS if "systemd-ask-password" in command else ():
                shell.wait_for(f"{name}:")
                shell.type(here.secret(name) + "\n")
            said = shell.wait_for(r"done=\d+\n")
            assert said.endswith("done=0\n"), f"{command}: {said}"
            for secret in rig.all_secrets():
                assert secret not in said
        shell.type("exit\n")
        shell.close()
        assert booted.show("ActiveState") == "active"
        assert booted.show("UnitFileState") == "enabled"
        assert booted.show("WatchdogUSec") == "3min"
        wait_until(lambda: bool(rig.ledger("billing").get("current")), "the key that was there is taken over")
        found = json.loads(booted.run("rotator", "status", "--json").stdout)
        assert [entry["phase"] for entry in found["applications"]] == ["idle"]


def furnish(here: Installed) -> None:
    """A new user with a clone, sudo without a password, and a hand that edits the configuration as intended."""
    booted = here.machine
    booted.run("useradd", "--create-home", "--shell", "/bin/bash", "ann")
    booted.write("/etc/sudoers.d/ann", "ann ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    checkout(booted.root / "home/ann/rotator")
    booted.run("chown", "-R", "ann:", "/home/ann")  # in the machine that was booted for this test
    here.rig.configure(QUICK.format(every="30d", grace="24h"))
    text = here.rig.configuration.read_text()
    for credential, file in CREDENTIALS.items():
        text = text.replace(f"file:{file}", f"credential:{credential}")
    booted.write("/srv/rotator.toml", text)
    booted.write("/usr/local/bin/new-user-edits", '#!/bin/sh\nexec cp /srv/rotator.toml "$1"\n', 0o755)
