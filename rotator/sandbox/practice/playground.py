"""What there is to practise on, and what can be broken in it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from rotator.domain.secret import Secret
from rotator.errors import Refused, Unavailable
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.practice.consumer import PractisingConsumer
from rotator.sandbox.process import Process, wait_until
from rotator.sandbox.scaleway.launch import start_scaleway
from rotator.vault.policy import policy_text, required_rights

APPLICATIONS = ("billing", "shop", "reports")
QUOTA = 100

CONFIGURATION = """\
# Made by rotator sandbox start. Every interval is short, so that there is something to see.
[vault]
address = "{vault}"
auth = {{ method = "approle", role_id = "file:role-id", secret_id = "file:secret-id" }}
ledger_path = "secret/rotator"

[accounts.acme]
organization_id = "{organization}"
secret_key = "file:management-key"
access_key = "{access_key}"
api_url = "{api}"

[control]
directory = "{directory}/run"

[defaults]
every = "10m"
grace = "1m"
consumer_refresh = "5s"
resync_interval = "10s"
verification = {{ successes = 2, interval = "500ms", timeout = "30s" }}
publish_timeout = "30s"
stale_claim_timeout = "2m"
"""

APPLICATION = """
[applications.{name}]
application_id = "{bearer}"
path = "secret/apps/{name}"
"""

BROKEN_BLOCK = '\n[applications.half-written]\napplication_id = ""\n'


class Playground:
    """All parts. Entering the context starts them, in the thread that has to live as long as they do; leaving ends them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configuration = directory / "rotator.toml"
        self.broken: list[str] = []
        self.leaked = ""
        self.bearers: dict[str, str] = {}
        self.consumers: dict[str, PractisingConsumer] = {}
        self._stop = threading.Event()
        self._stack = contextlib.ExitStack()
        self._faults: dict[str, Callable[[], str]] = {
            "answer": self._lose_an_answer,
            "vault": self._seal,
            "provider": self._refuse_calls,
            "quota": self._exhaust_the_quota,
            "key": self._leak_a_key,
            "consumer": self._freeze_a_consumer,
            "configuration": self._damage_the_configuration,
            "daemon": self._freeze_the_daemon,
            "crash": self._kill_the_daemon,
        }

    def __enter__(self) -> Self:
        try:
            self.vault = self._stack.enter_context(OpenBao())
            process, self.scaleway = start_scaleway(self.directory / "scaleway.log")
            self._stack.callback(process.end, signal.SIGKILL)
            self._furnish()
            self._start_daemon()
            self._stack.callback(self._end_daemon)
            self._stack.callback(self._stop.set)
            wait_until(lambda: all(map(self.published, APPLICATIONS)), "every application has a key")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- what it answers --------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The state of every part, for people and machines."""
        return {
            "configuration": str(self.configuration),
            "vault": "sealed" if self.vault.health().get("sealed") else "unsealed",
            "daemon": ("frozen" if "daemon" in self.broken else "running") if self._daemon.alive() else "stopped",
            "applications": {
                name: {"access_key": one.access_key, "calls": one.calls, "refused": one.refused, "frozen": one.frozen}
                for name, one in self.consumers.items()
            },
            "leaked": {"access_key": self.leaked, "accepted": self.scaleway.accepts(self.leaked)} if self.leaked else None,
            "broken": self.broken,
        }

    def inject(self, fault: str) -> str:
        """Inject one fault; what happened, as a sentence. Raises ``Refused`` for an unknown fault."""
        if fault not in self._faults:
            raise Refused(f"{fault!r} cannot be broken; choose one of: {', '.join(self._faults)}")
        report = self._faults[fault]()
        self.broken = [*dict.fromkeys([*self.broken, fault])]
        return report

    def mend(self) -> str:
        """Repair everything that was broken, and start the daemon again if it stopped."""
        if self.vault.health().get("sealed"):
            self.vault.unseal()
        self.scaleway.faults.clear()
        self.scaleway.edit_organization(quota=QUOTA)
        for consumer in self.consumers.values():
            consumer.frozen = False
        self._configure()
        self._daemon.send(signal.SIGCONT)
        if not self._daemon.alive():
            self._start_daemon()
        mended, self.broken, self.leaked = self.broken, [], ""
        return f"mended: {', '.join(mended)}" if mended else "nothing was broken"

    def published(self, application: str) -> str:
        """The access key in the document of an application; empty when there is none."""
        answer = self.vault.call("GET", f"secret/data/apps/{application}", token=self.vault.root_token)
        return str(answer.data["data"]["access_key"]) if answer.status == 200 else ""

    # --- what can be broken ---------------------------------------------------------------------------------------------------

    def _lose_an_answer(self) -> str:
        self.scaleway.faults.add("drop", method="POST", path="*/api-keys", executed=True)
        return "the answer to the next creation of a key will be lost; try: rotator rotate billing"

    def _seal(self) -> str:
        self.vault.seal()
        return "Vault is sealed; see: rotator status"

    def _refuse_calls(self) -> str:
        self.scaleway.faults.add("status", path="/iam/*", status=503, times=None)
        return "the provider answers 503 to every call; see: rotator plan"

    def _exhaust_the_quota(self) -> str:
        self.scaleway.edit_organization(quota=len(self.scaleway.keys()))
        return "the quota on keys is exhausted; try: rotator rotate billing"

    def _leak_a_key(self) -> str:
        self.leaked = self.published("billing")
        return f"a scanner found {self.leaked} in a public repository; whose is it? try: rotator lookup {self.leaked}"

    def _freeze_a_consumer(self) -> str:
        self.consumers["billing"].frozen = True
        return "the consumer of billing reads no new key any more; try: rotator rotate billing, and see: rotator sandbox status"

    def _damage_the_configuration(self) -> str:
        self._configure(BROKEN_BLOCK)
        return "the configuration has an application that is half written; see: rotator check"

    def _freeze_the_daemon(self) -> str:
        self._daemon.send(signal.SIGSTOP)
        return "the daemon is stopped in the middle of its work; try: rotator rotate billing --compromised --reason practice"

    def _kill_the_daemon(self) -> str:
        self._daemon.end(signal.SIGKILL)
        return "the daemon was killed; rotator sandbox mend starts it again"

    # --- how it is made -------------------------------------------------------------------------------------------------------

    def _furnish(self) -> None:
        for name in APPLICATIONS:
            self.bearers[name] = self.scaleway.create_application(name)
            document = f"secret/data/apps/{name}"
            self.vault.policy(name, f'path "{document}" {{ capabilities = ["read"] }}')
            self.consumers[name] = PractisingConsumer(self.vault.address, document, self.vault.token([name]), self.scaleway.url)
            threading.Thread(target=self.consumers[name].work, args=(self._stop,), daemon=True).start()
        rights = required_rights("secret/rotator", [f"secret/apps/{name}" for name in APPLICATIONS])
        self.vault.policy("rotator", policy_text(rights))
        role_id, secret_id = self.vault.approle("rotator", ["rotator"], token_no_default_policy=True)
        self._keep("role-id", role_id)
        self._keep("secret-id", secret_id)
        self._keep("management-key", Secret(self.scaleway.management_secret))
        self._configure()

    def _configure(self, more: str = "") -> None:
        text = CONFIGURATION.format(
            vault=self.vault.address,
            organization=self.scaleway.organization_id,
            access_key=self.scaleway.management_access_key,
            api=self.scaleway.url,
            directory=self.directory,
        )
        text += "".join(APPLICATION.format(name=name, bearer=bearer) for name, bearer in self.bearers.items())
        fresh = self.configuration.with_suffix(".new")
        fresh.write_text(text + more)
        fresh.replace(self.configuration)

    def _keep(self, name: str, secret: Secret) -> None:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(secret.reveal())

    def _start_daemon(self) -> None:
        (self.directory / "run").mkdir(mode=0o700, exist_ok=True)
        command = [sys.executable, "-m", "rotator", "run", "--log-format", "json", "--config", str(self.configuration)]
        self._daemon = Process(command, self.directory / "daemon.log")
        socket = self.directory / "run" / "control.sock"
        wait_until(lambda: self._listens(socket), f"the daemon listens (its log is {self.directory / 'daemon.log'})")

    def _end_daemon(self) -> None:
        """End the daemon that runs by then: one that was killed may have been started again."""
        self._daemon.end()

    def _listens(self, socket: Path) -> bool:
        if not self._daemon.alive():
            log = (self.directory / "daemon.log").read_text(errors="replace")
            raise Refused(f"the daemon ended instead of starting: {log[-500:]}")
        if not socket.exists():
            raise Unavailable("not yet", service="sandbox", kind="starting")
        return True
