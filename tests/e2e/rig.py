"""The whole product on this machine: a real OpenBao, the stand-in of Scaleway, daemons as real processes, and probers.

What happened is read from the ground truth: the stand-in's log of every key, and Vault's versions of every document.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from rotator.domain.ledger import Ledger
from rotator.domain.marker import parse_marker
from rotator.domain.secret import Secret
from rotator.sandbox.certificates import Authority
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.openbao_cluster import active, cluster
from rotator.sandbox.process import Process, send_signal, wait_until
from rotator.sandbox.scaleway import RecordedEvent, ScalewaySandbox
from rotator.vault.codec import load_ledger
from rotator.vault.policy import policy_text, required_rights
from tests.e2e.truth import Death, Published, Refusal, Truth
from tests.support import watch
from tests.support.complaints import complaints

POLICY = policy_text(required_rights("secret/rotator", ["secret/apps/*"]))
"""All that the program may do at Vault: the role of the rig has no default policy beside it."""

NAMESPACE = ("/usr/bin/unshare", "--pid", "--fork", "--kill-child=SIGKILL")
"""Begins a command that runs in a process namespace of its own."""


def can_be_elsewhere() -> bool:
    """Whether we may make process namespaces here (root, mostly)."""
    with contextlib.suppress(OSError):
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    return False


FAST = """
every = "{every}"
grace = "{grace}"
consumer_refresh = "1s"  # a grace of seconds has to be longer
resync_interval = "2s"  # what somebody else did is seen within seconds
# The stand-in knows a key within a tenth of a second, and its answers do not flap where a test does not want that.
verification = {{ successes = 2, interval = "100ms", timeout = "10s" }}
emergency_verification = {{ successes = 2, interval = "100ms", timeout = "10s" }}
publish_timeout = "20s"  # Vault is away for seconds
stale_claim_timeout = "40s"  # not much longer than a rotation takes by the timeouts above
"""
"""Where a test cannot wait as long as the shipped options do. All that stands neither here nor in a test is as shipped."""


@dataclass
class Daemon:
    """One ``rotator run`` (or what else ``arguments`` say), started again as often as it is killed."""

    rig: Rig
    name: str
    configuration: Path
    level: str = "info"
    elsewhere: bool = False
    """Whether it runs in a process namespace of its own, so that nobody sees it end who is not in there: as on another machine."""
    arguments: tuple[str, ...] = ()
    """What is run instead of the daemon."""
    program: tuple[str, ...] = ("-m", "rotator")
    process: Process | None = None

    @property
    def log(self) -> Path:
        return self.rig.directory / f"{self.name}.log"

    def start(self) -> Self:
        arguments = self.arguments or ("run", "--log-format", "json", "--log-level", self.level)
        command = [sys.executable, *self.program, *arguments, "--config", str(self.configuration)]
        self.process = Process([*NAMESPACE, *command] if self.elsewhere else command, self.log)
        return self

    @property
    def pid(self) -> int | None:
        """The process id of the program itself, as long as it runs."""
        if not self.process or not self.process.alive():
            return None
        if not self.elsewhere:
            return self.process.pid
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            return int(children[0]) if children else None
        return None

    def send(self, number: int) -> None:
        """Send a signal to the program, if it runs."""
        pid = self.pid
        if pid is not None:
            send_signal(pid, number)

    def end(self, number: int = signal.SIGTERM) -> None:
        if self.process:
            if self.elsewhere and number != signal.SIGKILL and self.pid is not None:
                self.send(number)
                self.send(signal.SIGCONT)
                number = 0  # what it was started through ends with it; the other way round only by SIGKILL
            self.process.end(signal.SIGKILL if self.elsewhere and number else number)

    def alive(self) -> bool:
        return self.process is not None and self.process.alive()

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """Every whole line of the log from that byte on; a kill may cut the last one of a life."""
        return parsed(self.log.read_bytes()[since:]) if self.log.exists() else []

    def said(self, event: str, **fields: object) -> bool:
        return any(
            line.get("event") == event and all(line.get(k) == v for k, v in fields.items()) for line in self.events()
        )


def parsed(log: bytes) -> list[dict[str, Any]]:
    """The lines of a log that are whole."""
    found = []
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


@dataclass
class Rig:
    """Enter it to start Vault and the stand-in; applications, configuration and daemons are then a method away."""

    tls: bool = False
    storage: str = "inmem"
    size: int = 1
    """How many nodes Vault has; more than one are a raft cluster."""
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="rotator-e2e-")))
    bearers: dict[str, str] = field(default_factory=dict)
    secrets: list[Secret] = field(default_factory=list)
    daemons: list[Daemon] = field(default_factory=list)
    accounts: dict[str, str] = field(default_factory=dict)
    """The organisation of each account beside the usual one."""
    account_of: dict[str, str] = field(default_factory=dict)
    """The account of each application that is not of the usual one."""
    prefixes: dict[str, str] = field(default_factory=dict)
    """Where the ledgers of an application are, if not where all are."""
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Self:
        watch.install()
        authority = Authority(self.directory / "authority") if self.tls else None
        if self.size > 1:
            self.nodes = self._stack.enter_context(cluster(self.size, authority=authority, between=self.between))
        else:
            self.nodes = [self._stack.enter_context(OpenBao(self.storage, authority=authority))]
        self.scaleway = self._stack.enter_context(ScalewaySandbox(events_kept=1_000_000))
        self.configuration = self.directory / "rotator.toml"
        self.vault.policy("rotator", POLICY)
        role_id, secret_id = self.vault.approle("rotator", ["rotator"], token_no_default_policy=True)
        self.secrets += [secret_id]
        for name, secret in (
            ("role-id", role_id),
            ("secret-id", secret_id),
            ("management-key", Secret(self.scaleway.management_secret)),
        ):
            self.keep(name, secret)
        return self

    def between(self, node: OpenBao) -> None:
        """Called with each node of a cluster before it starts."""

    @property
    def vault(self) -> OpenBao:
        """The server to talk to: the only one, or the one that is active now."""
        return self.nodes[0] if len(self.nodes) == 1 else active(self.nodes)

    def __exit__(self, kind: object = None, *_: object) -> None:
        for daemon in self.daemons:
            daemon.end(signal.SIGKILL)
        self._stack.close()
        if kind is None:
            for daemon in self.daemons:
                said = daemon.log.read_text(errors="replace").splitlines() if daemon.log.exists() else []
                found = complaints(said)
                assert not found, (daemon.name, found)
            left = watch.notes()
            assert not left, left
        if kind is None:  # else somebody will want to read the logs
            shutil.rmtree(self.directory, ignore_errors=True)

    def keep(self, name: str, secret: Secret) -> None:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(secret.reveal())

    # --- furnishing ---

    def another_account(self, name: str) -> str:
        """Another organisation at the same provider, as an account of this name; the access key that it is logged in to with."""
        organization = self.accounts[name] = self.scaleway.create_organization()
        manager = self.scaleway.create_application("management", manager=True, organization_id=organization)
        access_key, secret = self.scaleway.create_key(manager, description="management")
        self.keep(f"management-key-{name}", Secret(secret))
        return access_key

    def application(self, name: str, *, with_key: bool = True, account: str = "") -> str:
        """An application at the provider; with a key that a person made and published by hand long ago."""
        organization = self.accounts[account] if account else None
        self.account_of |= {name: account} if account else {}
        bearer = self.bearers[name] = self.scaleway.create_application(name, organization_id=organization)
        # Every version is kept, so that the truth about when a key left the document can be read in the end.
        self.vault.admin("POST", f"secret/metadata/apps/{name}", {"max_versions": 1000})
        if with_key:
            access_key, secret = self.scaleway.create_key(bearer, description="made by hand")
            self.publish(name, access_key, secret)
        return bearer

    def publish(self, name: str, access_key: str, secret: str) -> None:
        answer = self.vault.admin(
            "POST", f"secret/data/apps/{name}", {"data": {"access_key": access_key, "secret_key": secret}}
        )
        assert answer.status == 200

    def configure(
        self,
        defaults: str,
        *,
        daemon: str = "",
        applications: list[str] | None = None,
        more: str = "",
        to: Path | None = None,
        account: str = "",
        **vault: str,
    ) -> None:
        """Write the configuration, or one beside it for somebody else; ``vault`` and ``account`` say more than, or something else
        than, what is usual here. The rate limit is above the shipped one because the stand-in has none, and tests are not to wait."""
        names = list(self.bearers) if applications is None else applications
        usual = {"address": self.vault.address, "ledger": "secret/rotator"}
        if self.nodes[0].ca_cert:
            usual["ca_cert"] = str(self.nodes[0].ca_cert)
        lines = "".join(f'{name} = "{value}"\n' for name, value in {**usual, **vault}.items())
        api = "" if "api_url" in account else f'api_url = "{self.scaleway.url}"\n'
        text = (
            f"[vault]\n{lines}"
            'auth = { method = "approle", role_id = "file:role-id", secret_id = "file:secret-id" }\n'
            f'[accounts.acme]\norganization_id = "{self.scaleway.organization_id}"\nsecret_key = "file:management-key"\n'
            f"{api}rate_limit = 1000\n{account}\n[daemon]\n{daemon}\n[defaults]\n{defaults}\n"
        )
        for other, organization in self.accounts.items():
            text += (
                f'[accounts.{other}]\norganization_id = "{organization}"\nsecret_key = "file:management-key-{other}"\n'
            )
            text += f'api_url = "{self.scaleway.url}"\nrate_limit = 1000\n'
        for name in names:
            text += (
                f'[applications.{name}]\napplication_id = "{self.bearers[name]}"\npath = "secret/apps/{name}"\n{more}\n'
            )
            text += f'account = "{self.account_of.get(name, "acme")}"\n' if self.accounts else ""
        path = to or self.configuration
        fresh = path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(path)

    def daemon(
        self,
        name: str = "daemon",
        *,
        configuration: Path | None = None,
        level: str = "info",
        elsewhere: bool = False,
        program: tuple[str, ...] = ("-m", "rotator"),
    ) -> Daemon:
        daemon = Daemon(self, name, configuration or self.configuration, level, elsewhere, program=program)
        self.daemons.append(daemon)
        return daemon.start()

    def command(
        self, *arguments: str, check: bool = True, timeout: float = 300, configuration: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command of rotator to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "rotator", *arguments, "--config", str(configuration or self.configuration)],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.directory)},
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr or done.stdout
        assert complaints([*done.stdout.splitlines(), *done.stderr.splitlines()]) == []
        return done

    def logs_in(self, secret_id: Secret) -> bool:
        """Whether the role of the rig takes that secret id."""
        credentials = {"role_id": (self.directory / "role-id").read_text(), "secret_id": secret_id.reveal()}
        return self.vault.call("POST", "auth/approle/login", credentials).status == 200

    def changes(self) -> int:
        """How many keys were asked to be created or deleted."""
        return sum(count for (method, _), count in self.scaleway.calls().items() if method in {"POST", "DELETE"})

    def kill_at_random(self, daemons: Sequence[Daemon], kills: int, chance: random.Random) -> None:
        """Kill one of the daemons and start it again, so many times. The moment is chosen by what happens, not by a clock: after so
        many more changes at the provider."""
        for _ in range(kills):
            goal = self.changes() + chance.choice((1, 1, 1, 2, 3))
            wait_until(lambda goal=goal: self.changes() >= goal, "the daemons go on")  # type: ignore[misc]  # bound on purpose
            victim = chance.choice(daemons)
            victim.end(signal.SIGKILL)
            victim.start()

    # --- the truth ---

    def document(self, name: str, version: int = 0) -> dict[str, Any] | None:
        answer = self.vault.call(
            "GET", f"secret/data/apps/{name}" + (f"?version={version}" if version else ""), token=self.vault.root_token
        )
        return dict(answer.data) if answer.status == 200 else None

    def published(self, name: str) -> str:
        document = self.document(name)
        return str(document["data"].get("access_key", "")) if document else ""

    def ledger(self, name: str) -> dict[str, Any]:
        prefix = self.prefixes.get(name, "rotator")
        answer = self.vault.call("GET", f"secret/data/{prefix}/applications/{name}", token=self.vault.root_token)
        if answer.status != 200:
            return {}
        records: dict[str, Any] = TypeAdapter(Ledger).dump_python(load_ledger(answer.data["data"], name), mode="json")
        return records

    def at_rest(self, name: str) -> bool:
        """Nothing is left to do: the ledger has no open end, and no key of ours lives that it has yet to find (a create of a killed
        process may arrive when the ledger is already quiet)."""
        ledger = self.ledger(name)
        if not ledger.get("current") or any(ledger[end] for end in ("intent", "retiring", "revoking", "compromised")):
            return False
        return self.living_keys_of_ours(name) <= {ledger["current"]["access_key"]}

    def living_keys_of_ours(self, name: str) -> frozenset[str]:
        """The keys that bear our marker and live."""
        return frozenset(
            key.access_key for key in self.scaleway.keys(self.bearers[name]) if parse_marker(key.description)
        )

    def rotations(self, name: str) -> int:
        document = self.document(name)
        return int(document["metadata"]["version"]) - 1 if document else 0

    def wait_for_rotations(self, name: str, more: int) -> None:
        goal = self.rotations(name) + more
        wait_until(lambda: self.rotations(name) >= goal, f"{name} was rotated {more} times", timeout=120)

    def all_secrets(self) -> list[str]:
        """Every secret that there ever was here: API keys, Vault tokens, secret ids."""
        root = [self.vault.root_token] if self.vault.root_token else []
        return [*self.scaleway.all_secrets(), *(secret.reveal() for secret in (*root, *self.secrets))]

    # --- the verdict ---

    def check_history(
        self,
        name: str,
        grace: float,
        *,
        compromised: frozenset[str] = frozenset(),
        since: int = 0,
        clock: Callable[[datetime], datetime] = lambda at: at,
        events: Sequence[RecordedEvent] | None = None,
    ) -> int:
        """I1, I2 and I5 of everything that ever happened to the application's keys (in the stand-in's log from ``since`` on, or in
        ``events``); how many deletions were judged. ``clock`` tells what the program's clock showed at a moment."""
        document = self.document(name)
        assert document is not None
        published: list[Published] = []
        for version in range(1, int(document["metadata"]["version"]) + 1):
            one = self.document(name, version) or self._destroyed(name, version)
            assert one is not None, "a version is gone"
            written = datetime.fromisoformat(one["metadata"]["created_time"])
            published.append(Published(version, clock(written), str(one["data"].get("access_key", ""))))
        marked = dict.fromkeys(compromised, datetime.min.replace(tzinfo=UTC))
        revocations = [
            Death(revocation.access_key, clock(revocation.at)) for revocation in self.revocations(name, since, events)
        ]
        truth = Truth(timedelta(seconds=grace), published, revocations, marked, self.keys_of_ours(name))
        assert truth.violations() == []
        return len(truth.revocations)

    def _destroyed(self, name: str, version: int) -> dict[str, Any] | None:
        """A version whose secret was destroyed because its key was compromised. The ledger tells which key that was, unless whoever
        destroyed it was killed before saying so; then it is the only key that was ever compromised here."""
        answer = self.vault.call("GET", f"secret/data/apps/{name}?version={version}", token=self.vault.root_token)
        incidents = self.ledger(name)["incidents"]
        compromised = {key for incident in incidents for key in incident["access_keys"]}
        held = {
            number: revocation["access_key"]
            for one in incidents
            for revocation in one["revocations"]
            for number in revocation["destroyed"]
        }
        access_key = held.get(version) or (min(compromised) if len(compromised) == 1 else None)
        metadata = answer.data.get("metadata") or {}
        if access_key is None or not metadata.get("destroyed"):
            return None
        return {"metadata": metadata, "data": {"access_key": access_key}}

    def revocations(self, name: str, since: int = 0, events: Sequence[RecordedEvent] | None = None) -> list[Death]:
        """The deletions that somebody asked for over the API."""
        return [
            Death(event.access_key, event.at)
            for event in (self.scaleway.events(since) if events is None else events)
            if event.kind == "deleted" and event.bearer == self.bearers[name] and event.by
        ]

    def keys_of_ours(self, name: str) -> frozenset[str]:
        """The keys that bear our marker, alive or deleted."""
        keys = self.scaleway.keys(self.bearers[name], deleted=True)
        return frozenset(key.access_key for key in keys if parse_marker(key.description))

    def check_rest(self, name: str) -> None:
        """I4 and I1 at rest: every live key with our marker is current, and what is published works."""
        ledger = self.ledger(name)
        live = self.living_keys_of_ours(name)
        assert live <= {ledger["current"]["access_key"]}, f"I4: left over: {live - {ledger['current']['access_key']}}"
        assert self.published(name) == ledger["current"]["access_key"]
        assert self.scaleway.accepts(self.published(name), everywhere=True)

    def check_no_secret(self, *texts: str) -> None:
        """I6: no secret that was ever issued stands in any of these, nor in any log, ledger, command line or environment."""
        everything = list(texts)
        everything += [daemon.log.read_text() for daemon in self.daemons if daemon.log.exists()]
        everything += [json.dumps(self.ledger(name)) for name in self.bearers]
        for daemon in self.daemons:
            if daemon.pid is not None:
                everything += [
                    Path(f"/proc/{daemon.pid}/{what}").read_bytes().decode(errors="replace")
                    for what in ("cmdline", "environ")
                ]
        for secret in self.all_secrets():
            assert not any(secret in text for text in everything), "I6: a secret got out"


class Prober(threading.Thread):
    """A consumer that reads Vault before every call and is never refused, or it says with which key and when.

    It goes to one node as long as that answers, then to the next. With every read it sends the highest index it has seen, as a
    good client does, so a standby does not show it less than it saw before. A node that was frozen for longer than the grace can
    still show it a key that is dead by then, until the node has caught up: ``Truth.blame`` tells such a read from a broken promise.
    """

    def __init__(self, rig: Rig, name: str, *, timeout: float = 10) -> None:
        super().__init__(daemon=True)
        self.rig, self.application = rig, name
        self.attempts = self.calls = 0
        self.refusals: list[Refusal] = []
        self._patience = timeout
        self._turn = 0
        self._index: dict[str, str] = {}
        self._ended = threading.Event()

    def run(self) -> None:
        root = self.rig.nodes[0].root_token
        assert root
        vault, api = self._connections()
        while not self._ended.wait(0.02):
            self.attempts += 1
            read_at = datetime.now(UTC)
            try:
                headers = {"X-Vault-Token": root.reveal(), **self._index}
                status, body = self._get(vault, f"/v1/secret/data/apps/{self.application}", headers)
                if status != 200:
                    raise http.client.HTTPException  # noqa: TRY301 - the same as no answer: try the next node
                fields = json.loads(body)["data"]["data"]
                key = f"/iam/v1alpha1/api-keys/{fields['access_key']}"
                status, _ = self._get(api, key, {"X-Auth-Token": fields["secret_key"]})
            except (OSError, http.client.HTTPException, ValueError):
                vault.close()
                api.close()
                self._turn += 1
                vault, api = self._connections()
                continue
            self.calls += status in (200, 401, 403)
            if status == 401:
                self.refusals.append(Refusal(fields["access_key"], read_at, datetime.now(UTC)))
        vault.close()
        api.close()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def _connections(self) -> tuple[http.client.HTTPConnection, http.client.HTTPConnection]:
        nodes = self.rig.nodes
        return self._connection(nodes[self._turn % len(nodes)].address), self._connection(self.rig.scaleway.url)

    def _connection(self, address: str) -> http.client.HTTPConnection:
        parts = urlsplit(address)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=str(self.rig.nodes[0].ca_cert))
            return http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=self._patience, context=context
            )
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self._patience)

    def _get(self, connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        if index := answer.headers.get("X-Vault-Index"):
            self._index = {"X-Vault-Index": index, "X-Vault-Inconsistent": "forward-active-node"}
        return answer.status, answer.read()
