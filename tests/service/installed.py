"""A machine with the package installed, its credentials encrypted, and Vault and the stand-in of Scaleway within reach."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rotator.sandbox.process import wait_until
from tests.e2e.rig import Rig
from tests.service.machine import Machine, machine

CREDENTIALS = {"vault-role-id": "role-id", "vault-secret-id": "secret-id", "scaleway-secret-key": "management-key"}
"""The credentials of the unit, and the files of the rig that hold their secrets."""

QUICK = """
every = "{every}"
grace = "{grace}"
consumer_refresh = "1s"
resync_interval = "2s"
jitter = "0s"
verification = {{ successes = 2, interval = "100ms", timeout = "30s" }}
emergency_verification = {{ successes = 2, interval = "100ms", timeout = "10s" }}
publish_timeout = "20s"
stale_claim_timeout = "1h"
"""
"""Quick, but for taking over from a process that may still live: what is gone has to be known to be gone."""

DROP_IN = """
[Service]
WatchdogSec=20s
RestartSec=100ms
"""
"""Only times are changed: what is tested is the unit as it is shipped."""


@dataclass
class Installed:
    """The machine, and what the service in it talks to."""

    machine: Machine
    rig: Rig

    def configure(self, every: str = "30d", grace: str = "24h", applications: list[str] | None = None) -> None:
        """The configuration with the references of a service; names of hosts, so that they have to be looked up."""
        self.rig.configure(QUICK.format(every=every, grace=grace), applications=applications)
        text = self.rig.configuration.read_text().replace("127.0.0.1", "localhost")
        for credential, file in CREDENTIALS.items():
            text = text.replace(f"file:{file}", f"credential:{credential}")
        self.machine.write("/etc/rotator/rotator.toml", text)

    def secret(self, credential: str) -> str:
        return (self.rig.directory / CREDENTIALS[credential]).read_text()

    def encrypt(self) -> None:
        for name in CREDENTIALS:
            place = f"/etc/rotator/credentials/{name}"
            self.machine.run("systemd-creds", "encrypt", f"--name={name}", "-", place, stdin=self.secret(name))

    def install(self, package: Path) -> None:
        """Install or upgrade as apt does, asking nothing."""
        place = self.machine.root / "srv" / package.name
        shutil.copyfile(package, place)
        self.machine.run(
            "apt-get", "install", "--yes", "--quiet", f"/srv/{package.name}", env={"DEBIAN_FRONTEND": "noninteractive"}
        )

    def again(self, package: Path) -> None:
        """Install the very version that is there, over itself."""
        self.machine.run("apt-get", "install", "--yes", "--quiet", "--reinstall", f"/srv/{package.name}")

    def start(self) -> None:
        self.machine.systemctl("restart", "rotator")

    def restarted(self, before: int) -> None:
        """Wait until systemd has started the service once more than ``before`` times, and it is ready."""
        machine = self.machine
        wait_until(
            lambda: int(machine.show("NRestarts")) > before and machine.show("ActiveState") == "active",
            "the service is back",
        )

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.machine.run("rotator", "status", "--json", check=False).stdout)
        return found


@contextmanager
def installed(package: Path, *, applications: tuple[str, ...] = ("billing", "shop")) -> Iterator[Installed]:
    """Everything in place, nothing started."""
    with machine() as booted, Rig() as rig:
        found = Installed(booted, rig)
        for name in applications:
            rig.application(name)
        found.install(package)
        found.encrypt()
        found.configure()
        booted.write("/etc/systemd/system/rotator.service.d/test.conf", DROP_IN)
        booted.systemctl("daemon-reload")
        yield found
