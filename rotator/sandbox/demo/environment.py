"""Everything that the demo runs on: a real OpenBao, the stand-in of Scaleway as its own process,
the daemon, the consumers.

All of it is in one directory that no other user can enter, and is removed when the demo ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Self

from rotator.domain.secret import Secret
from rotator.errors import RotatorError
from rotator.sandbox.demo.consumer import Consumer
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import Process, wait_until
from rotator.sandbox.scaleway.client import SandboxClient
from rotator.sandbox.scaleway.launch import start_scaleway
from rotator.sandbox.scaleway.settings import REAL_LATENCY

APPLICATIONS = {"billing": "6s", "shop": "7s", "reports": "8s"}
"""The applications, and how long a key of each lives until the next replaces it."""

LEDGERS = "secret/data/rotator/applications"

GATEWAYS = {"instances": 3, "activation_delay": 0.4, "revocation_delay": 0.3}
"""New keys are not accepted everywhere at once, and deleted ones not refused everywhere at once."""

ROTATOR_POLICY = """
path "secret/data/rotator/*"     { capabilities = ["create", "read", "update"] }
path "secret/metadata/rotator/*" { capabilities = ["read", "list"] }
path "secret/data/apps/*"        { capabilities = ["create", "read", "update"] }
path "secret/metadata/apps/*"    { capabilities = ["read", "patch"] }
path "secret/destroy/apps/*"     { capabilities = ["update"] }
"""

CONFIGURATION = """
[vault]
address = "{vault}"
auth = {{ method = "approle", role_id = "file:role-id", secret_id = "file:secret-id" }}
ledger_path = "secret/rotator"

[accounts.acme]
organization_id = "{organization}"
secret_key = "file:management-key"
api_url = "{api}"

# A life cycle of days within a minute: what takes long is shortened, all else is as shipped.
[defaults]
grace = "3s"
consumer_refresh = "1s"
resync_interval = "2s"
verification = {{ successes = 3, interval = "300ms", timeout = "10s" }}
emergency_verification = {{ successes = 2, interval = "200ms", timeout = "10s" }}
publish_timeout = "10s"
stale_claim_timeout = "30s"
"""

APPLICATION = """
[applications.{name}]
application_id = "{bearer}"
path = "secret/apps/{name}/scaleway"
every = "{every}"
"""


class World:
    """The parts and their secrets. Entering the context starts the two services; leaving ends
    whatever runs."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="rotator-demo-"))
        self.configuration = self.directory / "rotator.toml"
        self.log = self.directory / "daemon.log"
        self.bearers: dict[str, str] = {}
        self.stranger = ""
        self.consumers: list[Consumer] = []
        self.daemon: Process | None = None
        self.vault_secrets: list[Secret] = []
        self.stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
        try:
            self.vault = self._stack.enter_context(OpenBao())
            self.scaleway = self._start_scaleway()
            self._furnish()
        except BaseException:
            self._stack.close()
            raise
        self._stack.callback(self.freeze)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- starting ---------------------------------------------------------------------------------

    def _start_scaleway(self) -> SandboxClient:
        process, client = start_scaleway(self.directory / "scaleway.log")
        self._stack.callback(process.end, signal.SIGKILL)
        return client

    def _furnish(self) -> None:
        for name in APPLICATIONS:
            self.bearers[name] = self.scaleway.create_application(name)
            self.vault.policy(name, f'path "secret/data/apps/{name}/scaleway" {{ capabilities = ["read"] }}')
            token = self.vault.token([name])
            document = f"secret/data/apps/{name}/scaleway"
            self.consumers.append(Consumer(name, self.vault.address, document, token, self.scaleway.url))
            self.vault_secrets.append(token)
        self.stranger, _ = self.scaleway.create_key(self.bearers["reports"], description="made by hand, by Ada")
        self.scaleway.configure(**GATEWAYS, **REAL_LATENCY)
        self.vault.policy("rotator", ROTATOR_POLICY)
        role_id, secret_id = self.vault.approle("rotator", ["rotator"])
        self.vault_secrets.append(secret_id)
        self._keep("role-id", role_id)
        self._keep("secret-id", secret_id)
        self._keep("management-key", Secret(self.scaleway.management_secret))

    def _keep(self, name: str, secret: Secret) -> None:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(secret.reveal())

    def run_thread(self, target: Any, *arguments: Any) -> threading.Thread:
        """A thread that is expected to end once ``stop`` is set."""
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)
        return thread

    def freeze(self) -> None:
        """Let nothing happen any more: end the daemon, if it still runs, and every consumer and
        observer."""
        self.kill_daemon()
        self.stop.set()
        for thread in self._threads:
            thread.join(5)
        for consumer in self.consumers:
            consumer.close()

    # --- rotator, as its users run it -------------------------------------------------------------

    def configure(self, every: str = "") -> None:
        """Write the configuration, with another interval for all applications if one is given."""
        vault, api, organization = self.vault.address, self.scaleway.url, self.scaleway.organization_id
        text = CONFIGURATION.format(vault=vault, api=api, organization=organization)
        for name, bearer in self.bearers.items():
            text += APPLICATION.format(name=name, bearer=bearer, every=every or APPLICATIONS[name])
        fresh = self.configuration.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.configuration)

    def start_daemon(self) -> None:
        """Start ``rotator run``."""
        self.daemon = Process([*self._rotator("run"), "--log-format", "json"], self.log)

    def kill_daemon(self) -> None:
        """Kill the daemon with -9, without a warning."""
        if self.daemon:
            self.daemon.end(signal.SIGKILL)
            self.daemon = None

    def stop_daemon(self) -> bool:
        """Ask the daemon to end; whether it did."""
        asked, self.daemon = self.daemon, None
        if not asked:
            return False
        asked.send(signal.SIGTERM)
        try:
            wait_until(lambda: not asked.alive(), "the daemon ends", timeout=10)
        except RotatorError:
            asked.end(signal.SIGKILL)
            return False
        return True

    def reload_daemon(self) -> None:
        """Have the daemon read its configuration again."""
        if self.daemon:
            self.daemon.send(signal.SIGHUP)

    def command(self, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
        """Run one command of ``rotator`` to its end."""
        environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(self.directory)}
        return subprocess.run(  # noqa: S603 - a fixed command, no shell
            self._rotator(*arguments), env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    def _rotator(self, verb: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "rotator", verb, *arguments, "--config", str(self.configuration)]

    # --- the truth, asked without rotator ---------------------------------------------------------

    def document(self, application: str, version: int = 0) -> dict[str, Any] | None:
        """The credential document as Vault has it (``data`` and ``metadata``), the current or an
        earlier version."""
        asked = f"secret/data/apps/{application}/scaleway" + (f"?version={version}" if version else "")
        answer = self.vault.call("GET", asked, token=self.vault.root_token)
        return dict(answer.data) if answer.status == 200 else None

    def ledger(self, application: str) -> dict[str, Any] | None:
        """The ledger as Vault has it."""
        answer = self.vault.call("GET", f"{LEDGERS}/{application}", token=self.vault.root_token)
        return dict(answer.data["data"]) if answer.status == 200 else None

    def all_secrets(self) -> list[str]:
        """Every secret that there ever was in this world."""
        root = [self.vault.root_token] if self.vault.root_token else []
        return [*self.scaleway.all_secrets(), *(secret.reveal() for secret in (*root, *self.vault_secrets))]
