"""How calls reach Vault: hvac makes them, ``rotator.http`` carries them, one login authorises them.

hvac takes an adapter class. ``HvacAdapter`` answers every call with a ``Reply``, whatever the
status, so that none of hvac's exceptions, which carry whole answers, ever exists. Deadlines, TLS
and connections are those of ``rotator.http``.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import hvac
import hvac.adapters

from rotator.domain.login import LoginProblem
from rotator.domain.secret import Secret
from rotator.errors import Indeterminate, ServiceError, Unavailable
from rotator.http import HttpClient, HttpFailure, HttpResponse
from rotator.util.refusals import Refusals
from rotator.vault.freshness import INDEX, Freshness
from rotator.vault.login import TokenSession
from rotator.vault.responses import SERVICE, Reply, failure, mapping
from rotator.vault.secret_id_rotation import end_of
from rotator.vault.settings import AppRoleAuth, Auth


def _reads(method: str, path: str) -> bool:
    """Whether a call changes nothing that matters when its answer is lost. Logins and questions are
    such calls."""
    return method in ("GET", "LIST", "HEAD") or path.startswith(("/v1/auth/", "/v1/sys/capabilities-self"))


class VaultTransport:
    """Single requests to Vault, counted, each at least as fresh as all before. Thread-safe."""

    def __init__(self, http: HttpClient, address: str, namespace: str) -> None:
        self.http = http
        self.address = address.rstrip("/")
        self._common = {"X-Vault-Request": "true"} | ({"X-Vault-Namespace": namespace} if namespace else {})
        self._freshness = Freshness()
        self._lock = threading.Lock()
        self._calls: Counter[str] = Counter()

    def send(
        self,
        method: str,
        path: str,
        token: Secret | None,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request and its reply, whatever its status. Raises ``Unavailable`` and
        ``Indeterminate``."""
        sent = {**self._common, **self._freshness.headers(), **(headers or {})}
        if token is not None:
            sent["X-Vault-Token"] = token.reveal()
        with self._lock:
            self._calls[_verb(method, path)] += 1
        url = f"{self.address}/{path.lstrip('/')}"
        try:
            answer = self.http.request(method, url, params=params, json=json, headers=sent)
        except HttpFailure as lost:
            failure = self._failure(lost, reading=_reads(method, path))
        else:
            self._freshness.saw(answer.headers.get(INDEX))
            return _reply(answer, reading=_reads(method, path))
        raise failure

    def client_with(self, token: Secret | None) -> hvac.Client:
        """An hvac client that sends this token, or none, and does not log in."""

        def send(method: str, path: str, **request: Any) -> Reply:
            return self.send(method, path, token, **request)

        return _client(send, self.address)

    def _failure(self, lost: HttpFailure, *, reading: bool) -> ServiceError:
        if lost.sent == "no":
            kind = "timeout" if lost.kind == "timeout" else "unreachable"
            return Unavailable(f"Vault at {self.address} cannot be reached: {lost}", service=SERVICE, kind=kind)
        if reading:
            return Unavailable(f"Vault at {self.address} did not answer: {lost}", service=SERVICE, kind=lost.kind)
        return Indeterminate(
            f"Vault at {self.address} took a call and did not answer ({lost}): look before doing it again",
            service=SERVICE,
            kind=lost.kind,
        )

    def calls(self) -> Mapping[str, int]:
        """How many requests were sent, by what they do."""
        with self._lock:
            return dict(self._calls)


def _reply(answer: HttpResponse, *, reading: bool) -> Reply:
    try:
        body = mapping(answer.json()) if answer.body else {}
    except ValueError:
        body = {}
        if answer.status == 200:
            words = (
                "Vault answered with something that is not JSON: check the address, and what stands between rotator "
                "and Vault"
            )
            raise (Unavailable if reading else Indeterminate)(words, service=SERVICE, kind="unreadable") from None
    errors = body.get("errors")
    return Reply(answer.status, tuple(map(str, errors)) if isinstance(errors, list) else (), body)


def _verb(method: str, path: str) -> str:
    area = path.lstrip("/").removeprefix("v1/").split("/")[0]
    if area in ("auth", "sys"):
        return area
    return {"GET": "read", "LIST": "list", "POST": "write", "PATCH": "annotate"}.get(method, method.lower())


class HvacAdapter(hvac.adapters.Adapter):  # type: ignore[misc]  # hvac has no annotations
    """What hvac sends its calls through: ``send`` makes one of them. Every answer is a
    ``Reply``."""

    # The base class would make a connection pool of its own, so only the attributes that hvac looks
    # at are set.
    def __init__(self, send: Callable[..., Reply], address: str) -> None:
        self.base_uri = address
        self.token = ""
        self.namespace = None
        self.session = None
        self.allow_redirects = False
        self._send = send

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        raise_exception: bool = False,  # noqa: ARG002 - hvac's signature; no status raises
        **kwargs: Any,
    ) -> Reply:
        """One call of hvac's."""
        return self._send(method.upper(), url, params=kwargs.get("params"), json=kwargs.get("json"), headers=headers)

    def get_login_token(self, response: Any) -> str:
        """Never asked for: tokens do not pass through hvac's clients, so that they cannot stay in
        one."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing of its own to close."""


def _client(send: Callable[..., Reply], address: str) -> hvac.Client:
    # Everything that hvac would otherwise look for in the environment is set here.
    return hvac.Client(url=address, token="", verify=True, adapter=lambda **_: HvacAdapter(send, address))


class VaultConnection:
    """Vault with one login: what it is asked, beside the verbs of KV version 2 in ``kv``."""

    def __init__(
        self, http: HttpClient, address: str, auth: Auth, namespace: str = "", *, refusals: Refusals | None = None
    ) -> None:
        self._auth = auth
        self._transport = VaultTransport(http, address, namespace)
        self._session = TokenSession(auth, self._transport.client_with, refusals=refusals, certificate=http.tls)
        self._client = _client(self._send, self._transport.address)
        self.kv = self._client.secrets.kv.v2
        self.address = self._transport.address

    def _send(self, method: str, path: str, **request: Any) -> Reply:
        """One request with the login, and once more with a new one if that was refused."""
        token = self._session.token()
        reply = self._transport.send(method, path, token, **request)
        if reply.status != 403 and not reply.token_unknown:
            self._session.accepted(token)
            return reply
        other = self._session.instead_of(token)
        return reply if other is None else self._transport.send(method, path, other, **request)

    @property
    def generation(self) -> int:
        """A number that changes with every new login."""
        return self._session.generation

    @property
    def login_life(self) -> tuple[timedelta, timedelta] | None:
        """How long the login is still valid, and for how long it was last granted; None before the
        first, and without an end."""
        return self._session.life

    @property
    def login_problem(self) -> LoginProblem | None:
        """What will stop the work when the present token ends; None when nothing is known to be
        wrong."""
        if unusable := self._transport.http.tls.problem:
            left, _ = self._session.life or (timedelta(0), timedelta(0))
            return LoginProblem(unusable, left)
        return self._session.problem

    def health(self) -> Reply:
        """What the server says of its own state, without a login."""
        return self._transport.send(
            "GET", "v1/sys/health", None, headers={"X-Vault-Namespace": ""}
        )  # it answers in the root only

    def own_token(self) -> Reply:
        """What Vault says of the token of the login."""
        reply: Reply = self._client.auth.token.lookup_self()
        return reply

    def ask_mount(self, path: str) -> Reply:
        """What Vault says of the mount of a path; this is how its own command line finds out."""
        reply: Reply = self._client.adapter.get(f"/v1/sys/internal/ui/mounts/{path}")
        return reply

    def patch(self, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Reply:
        """A PATCH, for which hvac has no verb that does not read first."""
        reply: Reply = self._client.adapter.request("patch", url, headers=dict(headers), json=body)
        return reply

    def capabilities(self, paths: list[str]) -> Reply:
        """What the token may do on each path."""
        reply: Reply = self._client.sys.get_capabilities(paths)
        return reply

    # --- the AppRole of the login: ``rotator.vault.secret_id_rotation`` ---------------------------

    def register_secret_id(self, role: str, secret: Secret) -> Reply:
        """Make this text a secret id of the role."""
        reply: Reply = self._client.auth.approle.create_custom_secret_id(role, secret.reveal(), mount_point=self._mount)
        return reply

    def destroy_secret_id(self, role: str, secret: Secret) -> Reply:
        """Destroy a secret id of the role."""
        reply: Reply = self._client.auth.approle.destroy_secret_id(role, secret.reveal(), mount_point=self._mount)
        return reply

    def secret_id_end(self, role: str, secret: Secret) -> datetime | None:
        """When Vault ends a secret id by itself; None for never, and for one that Vault does not
        know."""
        reply: Reply = self._client.auth.approle.read_secret_id(role, secret.reveal(), mount_point=self._mount)
        if not reply.ok and reply.status != 404:
            path = f"auth/{self._mount}/role/{role}/secret-id/lookup"
            raise failure(reply, path=path, capability="update", writing=False)
        return end_of(reply)

    def own_secret_id(self, role: str) -> Reply | None:
        """What Vault says of the secret id of the login; None where the login has none."""
        if not isinstance(self._auth, AppRoleAuth) or self._auth.secret_id is None:
            return None
        secret = self._auth.secret_id().reveal()
        reply: Reply = self._client.auth.approle.read_secret_id(role, secret, mount_point=self._mount)
        return reply

    def try_secret_id(self, secret: Secret) -> Reply:
        """Log in with a secret id and give the token back."""
        if not isinstance(self._auth, AppRoleAuth):
            raise TypeError("only an AppRole login has a secret id")
        reply: Reply = self._transport.client_with(None).auth.approle.login(
            self._auth.role_id().reveal(), secret.reveal(), use_token=False, mount_point=self._mount
        )
        if token := mapping(reply.body.get("auth")).get("client_token"):
            self._transport.client_with(Secret(str(token))).auth.token.revoke_self()
        return reply

    @property
    def _mount(self) -> str:
        return self._auth.mount if isinstance(self._auth, AppRoleAuth) else ""

    def clock_offset(self) -> timedelta:
        """Vault's clock minus this machine's, from the latest answer; zero before the first."""
        return self._transport.http.clock_offset()

    def calls(self) -> Mapping[str, int]:
        """How many requests were sent, by what they do."""
        return self._transport.calls()

    def maintain(self) -> None:
        """Renew the login when it is time."""
        self._session.maintain()

    def close(self) -> None:
        """Revoke the login if this process made it, and close the connections."""
        self._session.close()
        self._transport.http.close()
