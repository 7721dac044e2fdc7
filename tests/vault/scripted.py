"""A Vault in process that answers by a table, and keeps every call as it was sent: no server, no network, no waiting."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from rotator.domain.secret import Secret
from rotator.http import HttpClient, HttpFailure, HttpResponse
from rotator.http.tls import TlsFiles
from rotator.vault import Auth, KvStore, TokenAuth
from rotator.vault.connection import VaultConnection

ADDRESS = "https://vault.example.com:8200"
TOKEN = Secret("root-token-of-the-table")
CREATED = "2026-11-23T12:00:00.000000001Z"

Answer = tuple[int, Any] | HttpFailure
Answers = Mapping[str, Answer | list[Answer]]
"""By ``METHOD PATH`` without ``/v1/``: status and body, or a failure; of several, one after the other, the last from
then on."""

MOUNT = "GET sys/internal/ui/mounts/"
LOOK = "GET auth/token/lookup-self"
KV2: Answer = (200, {"data": {"path": "kv/", "type": "kv", "options": {"version": "2"}}})
ENDLESS: Answer = (200, {"data": {"ttl": 0, "renewable": False}})
NOTHING: Answer = (404, {"errors": []})
DENIED: Answer = (403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]})


def version_of(data: Any, number: int = 3, **metadata: Any) -> tuple[int, Any]:
    """What KV version 2 answers to a read: of a deleted version there is no data, and the status is 404."""
    said = {"created_time": CREATED, "deletion_time": "", "destroyed": False, "version": number, **metadata}
    return 200 if data is not None else 404, {"data": {"data": data, "metadata": said}}


@cache
def _tls() -> TlsFiles:
    return TlsFiles()


class ScriptedVault(HttpClient):
    """The client of a Vault that is this table. What is not in it is answered 404, as Vault does for what is not
    there."""

    def __init__(self, answers: Answers | None = None, *, headers: Mapping[str, str] | None = None) -> None:
        self.tls = _tls()
        self.answers: dict[str, Answer | list[Answer]] = {LOOK: ENDLESS, **(answers or {})}
        self.answer_headers: Mapping[str, str] = headers or {}
        self.offset = timedelta(0)
        self.calls: list[tuple[str, Any]] = []
        """Each call with its body, in order."""
        self.headers: list[dict[str, str]] = []
        self.addresses: list[str] = []
        self.closed = False
        self._count: dict[str, int] = {}

    @property
    def asked(self) -> list[tuple[str, Any]]:
        """The calls without those of the login by a token and for mounts."""
        return [(verb, body) for verb, body in self.calls if verb != LOOK and not verb.startswith(MOUNT)]

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        json: Any = None,
        deadline: timedelta | None = None,
    ) -> HttpResponse:
        assert (content, deadline) == (None, None)
        address, _, path = url.partition("/v1/")
        query = "&".join(f"{name}={value}" for name, value in (params or {}).items())
        verb = f"{method} {path}" + (f"?{query}" if query else "")
        self.calls.append((verb, json))
        self.headers.append(dict(headers or {}))
        self.addresses.append(address)
        answer = self._next_answer(verb)
        if isinstance(answer, HttpFailure):
            raise answer
        status, body = answer
        return HttpResponse(
            status, self.answer_headers, body if isinstance(body, bytes) else jsonlib.dumps(body).encode()
        )

    def _next_answer(self, verb: str) -> Answer:
        given = self.answers.get(verb, KV2 if verb.startswith(MOUNT) else NOTHING)
        if not isinstance(given, list):
            return given
        self._count[verb] = min(self._count.get(verb, -1) + 1, len(given) - 1)
        return given[self._count[verb]]

    def clock_offset(self) -> timedelta:
        return self.offset

    def close(self) -> None:
        self.closed = True


def connection_to(vault: ScriptedVault, auth: Auth | None = None, **options: Any) -> VaultConnection:
    """A connection to it, with a token unless another login is given."""
    return VaultConnection(vault, ADDRESS, auth or TokenAuth(lambda: TOKEN), **options)


class Pauses(list[float]):
    """Sleeps that are only counted."""

    def sleep(self, seconds: float) -> None:
        self.append(seconds)


def store_on(vault: ScriptedVault, auth: Auth | None = None, *, pauses: Pauses | None = None) -> KvStore:
    """A store on it, with ledgers below ``kv/rotator``."""
    return KvStore(connection_to(vault, auth), "/kv/rotator/", sleep=(Pauses() if pauses is None else pauses).sleep)
