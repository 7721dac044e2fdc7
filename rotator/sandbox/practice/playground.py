"""What there is to practise on, and what can be broken in it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from rotator.domain.secret import Secret
from rotator.errors import Refused
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.practice import tools
from rotator.sandbox.practice.consumer import PractisingConsumer
from rotator.sandbox.practice.machine import Machine
from rotator.sandbox.process import wait_until
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
publish_timeout = "20s"
stale_claim_timeout = "2m"
"""

APPLICATION = """
[applications.{name}]
application_id = "{bearer}"
path = "secret/apps/{name}"
"""

REFUSALS_THAT_LOCK = 5
"""Vault locks an AppRole after so many refused logins, for a quarter of an hour."""

WRONG_SECRET_ID = str(UUID(int=0))

BROKEN_BLOCK = '\n[applications.half-written]\napplication_id = ""\n'


class Playground:
    """All parts. Entering the context starts them, leaving it ends them.

    They end with the thread that enters it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.broken: list[str] = []
        self.leaked = ""
        self.bearers: dict[str, str] = {}
        self.consumers: dict[str, PractisingConsumer] = {}
        self.machines = {"first": Machine(directory), "second": Machine(directory / "second")}
        self._stop = threading.Event()
        self._stack = contextlib.ExitStack()
        self._faults: dict[str, Callable[[], str]] = {
            "answer": self._lose_an_answer,
            "vault": self._seal,
            "login": self._lock_the_login,
            "provider": self._refuse_calls,
            "quota": self._exhaust_the_quota,
            "key": self._leak_a_key,
            "former-key": self._leak_a_former_key,
            "unmanaged-key": self._leak_an_unmanaged_key,
            "consumer": self._freeze_a_consumer,
            "configuration": self._damage_the_configuration,
            "daemon": self._freeze_the_daemon,
            "crash": self._kill_the_daemon,
        }

    def __enter__(self) -> Self:
        try:
            self.vault = self._stack.enter_context(OpenBao("raft"))
            process, self.scaleway = start_scaleway(self.directory / "scaleway.log")
            self._stack.callback(process.end, signal.SIGKILL)
            self._furnish()
            for machine in self.machines.values():
                self._stack.callback(machine.stop)
            self.machines["first"].start()
            self._stack.callback(self._stop.set)
            wait_until(lambda: all(map(self.published, APPLICATIONS)), "every application has a key")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # --- what it answers --------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The state of every part, for people and machines."""
        return {
            "configuration": str(self.machines["first"].configuration),
            "vault": "sealed" if self.vault.health().get("sealed") else "unsealed",
            "daemon": self.machines["first"].state,
            "second_daemon": self.machines["second"].state,
            "applications": {
                name: {"access_key": one.access_key, "calls": one.calls, "refused": one.refused, "frozen": one.frozen}
                for name, one in self.consumers.items()
            },
            "leaked": {"access_key": self.leaked, "accepted": self.scaleway.accepts(self.leaked)}
            if self.leaked
            else None,
            "broken": self.broken,
        }

    def inject(self, fault: str) -> str:
        """Inject one fault; the result is a sentence. Raises ``Refused`` for an unknown fault."""
        if fault not in self._faults:
            raise Refused(f"{fault!r} cannot be broken; choose one of: {', '.join(self._faults)}")
        report = self._faults[fault]()
        self.broken = [*dict.fromkeys([*self.broken, fault])]
        return report

    def mend(self) -> str:
        """Repair everything that was broken, and start the daemon again if it stopped."""
        if self.vault.health().get("sealed"):
            self.vault.unseal()
        self._unlock_the_login()
        self.scaleway.faults.clear()
        self.scaleway.edit_organization(quota=QUOTA)
        for consumer in self.consumers.values():
            consumer.frozen = False
        self._configure()
        self.machines["first"].thaw()
        self.machines["first"].start()
        mended, self.broken, self.leaked = self.broken, [], ""
        return f"mended: {', '.join(mended)}" if mended else "nothing was broken"

    def control_unit(self, verb: str, machine: str) -> str:
        """Do with the daemon of a machine what ``systemctl`` does; what that prints."""
        unit = self.machines[machine]
        if verb in ("stop", "restart"):
            unit.stop()
        if verb in ("start", "restart"):
            unit.start()
        if verb == "reload":
            unit.reload()
        if verb != "is-active":
            return ""
        return tools.INACTIVE if unit.state == "stopped" else "active"

    def restart_consumer(self, application: str) -> str:
        """Start a consumer anew: it reads its document."""
        if application not in self.consumers:
            raise Refused(f"there is no unit {application!r}; there are: rotator, {', '.join(self.consumers)}")
        self.consumers[application].restart()
        return ""

    def delete_key(self, access_key: str) -> str:
        """Delete a key at the provider by hand."""
        keys = self.scaleway.keys()
        if all(key.access_key != access_key for key in keys):
            raise Refused(f"there is no key {access_key}")
        self.scaleway.delete_key(access_key)
        return ""

    def published(self, application: str) -> str:
        """The access key in the document of an application; empty when there is none."""
        answer = self.vault.call("GET", f"secret/data/apps/{application}", token=self.vault.root_token)
        return str(answer.data["data"]["access_key"]) if answer.status == 200 else ""

    # --- what can be broken -----------------------------------------------------------------------

    def _lose_an_answer(self) -> str:
        self.scaleway.faults.add("drop", method="POST", path="*/api-keys", executed=True)
        return "the answer to the next creation of a key will be lost; try: rotator rotate billing"

    def _seal(self) -> str:
        self.vault.seal()
        return "Vault is sealed; see: rotator status"

    def _lock_the_login(self) -> str:
        for _ in range(REFUSALS_THAT_LOCK):
            credentials = {"role_id": self._role_id.reveal(), "secret_id": WRONG_SECRET_ID}
            self.vault.call("POST", "auth/approle/login", credentials)
        self.vault.admin("POST", "sys/leases/revoke-prefix/auth/approle/login")
        return "a wrong secret id has locked the AppRole, and the token of the daemon has ended; see: rotator status"

    def _unlock_the_login(self) -> None:
        accessor = self.vault.admin("GET", "sys/auth").data["approle/"]["accessor"]
        self.vault.admin("POST", f"sys/locked-users/{accessor}/unlock/{self._role_id.reveal()}")

    def _refuse_calls(self) -> str:
        self.scaleway.faults.add("status", path="/iam/*", status=503, times=None)
        return "the provider answers 503 to every call; see: rotator plan"

    def _exhaust_the_quota(self) -> str:
        self.scaleway.edit_organization(quota=len(self.scaleway.keys()))
        return "the quota on keys is exhausted; try: rotator rotate billing"

    def _leak_a_key(self) -> str:
        return self._leak(self.published("billing"))

    def _leak_a_former_key(self) -> str:
        keys = sorted(self.scaleway.keys(self.bearers["billing"]), key=lambda key: key.created_at)
        former = [key.access_key for key in keys if key.access_key != self.published("billing")]
        if not former:
            raise Refused("billing has no key in grace; first: rotator rotate billing")
        return self._leak(former[-1])

    def _leak_an_unmanaged_key(self) -> str:
        return self._leak(self.scaleway.create_key(self.bearers["billing"], description="made by hand")[0])

    def _leak(self, access_key: str) -> str:
        self.leaked = access_key
        return f"a scanner found {access_key} in a public repository; whose is it? try: rotator lookup {access_key}"

    def _freeze_a_consumer(self) -> str:
        consumer, published = self.consumers["billing"], self.published("billing")
        consumer.freeze()
        wait_until(lambda: consumer.access_key == published, "the consumer of billing has the published key")
        return "the consumer of billing reads no new key; try: rotator rotate billing, then: rotator sandbox status"

    def _damage_the_configuration(self) -> str:
        self._configure(BROKEN_BLOCK)
        return "the configuration has an application that is half written; see: rotator check"

    def _freeze_the_daemon(self) -> str:
        self.machines["first"].freeze()
        return "the daemon is stopped (SIGSTOP); try: rotator rotate billing --compromised --reason practice"

    def _kill_the_daemon(self) -> str:
        self.machines["first"].stop(signal.SIGKILL)
        return "the daemon was killed; rotator sandbox mend starts it again"

    # --- how it is made ---------------------------------------------------------------------------

    def _furnish(self) -> None:
        for name in APPLICATIONS:
            self.bearers[name] = self.scaleway.create_application(name)
            document = f"secret/data/apps/{name}"
            self.vault.policy(name, f'path "{document}" {{ capabilities = ["read"] }}')
            token, api = self.vault.token([name]), self.scaleway.url
            self.consumers[name] = PractisingConsumer(self.vault.address, document, token, api)
            threading.Thread(target=self.consumers[name].work, args=(self._stop,), daemon=True).start()
        rights = required_rights("secret/rotator", [f"secret/apps/{name}" for name in APPLICATIONS])
        self.vault.policy("rotator", policy_text(rights))
        self._role_id, secret_id = self.vault.approle("rotator", ["rotator"], token_no_default_policy=True)
        for machine in self.machines.values():
            machine.keep("role-id", self._role_id)
            machine.keep("secret-id", secret_id)
            machine.keep("management-key", Secret(self.scaleway.management_secret))
        self._configure()
        tools.install(self.directory, self.vault)

    def _configure(self, more: str = "") -> None:
        for machine in self.machines.values():
            text = CONFIGURATION.format(
                vault=self.vault.address,
                organization=self.scaleway.organization_id,
                access_key=self.scaleway.management_access_key,
                api=self.scaleway.url,
                directory=machine.directory,
            )
            text += "".join(APPLICATION.format(name=name, bearer=bearer) for name, bearer in self.bearers.items())
            machine.configure(text + more)
