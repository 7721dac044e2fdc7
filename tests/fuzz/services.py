"""Vault and the provider as hostile services: every answer is a sound one of which something was changed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any, cast

import httpx

from rotator.domain.account import AccountDocument, MassRotation, Waiver
from rotator.domain.keys import ProbeResult
from rotator.domain.secret import Secret
from rotator.errors import RotatorError, ServiceError
from rotator.http import HttpClient, HttpResponse
from rotator.observability.serialization import to_json_value
from rotator.operations.failures import explain
from rotator.providers.scaleway import ScalewayProvider
from rotator.providers.scaleway.client import ScalewayClient
from rotator.util.instants import is_in_range
from rotator.vault.codec import dump_account, dump_ledger
from rotator.vault.connection import VaultConnection
from rotator.vault.kv_store import KvStore
from rotator.vault.settings import AppRoleAuth, Auth, TokenAuth
from tests.fuzz.hostile import SECRET, mutated, places, string, value
from tests.support.provider_building import WallClock, settings
from tests.vault.test_codec import NOW, full

NAME = "SCWAAAAAAAAAAAAAAAAA"
BEARER = "0766588d-4a0e-4938-a140-544964da7870"
STAMP = "2026-01-01T00:00:00.123456789Z"
METADATA = {"version": 3, "created_time": STAMP, "deletion_time": "", "destroyed": False, "custom_metadata": None}
LEDGER = dump_ledger(full())
ACCOUNT = dump_account(
    AccountDocument(
        "acme",
        (Waiver(NAME, "break glass", "ops", NOW, NOW + timedelta(days=3)),),
        (MassRotation("1" * 16, "--all", NOW, True, "leak", "ops", NOW),),
    )
)
DOCUMENT = {
    "access_key": NAME,
    "secret_key": SECRET,
    "application_id": BEARER,
    "created_at": STAMP,
    "rotation_id": "1" * 16,
}
VAULT: dict[str, Any] = {
    r"POST /v1/auth/.*login": {
        "auth": {
            "client_token": SECRET,
            "lease_duration": 3600,
            "renewable": True,
            "num_uses": 0,
            "policies": ["rotator"],
        }
    },
    r"GET /v1/auth/token/lookup-self": {
        "data": {"ttl": 3600, "renewable": True, "creation_ttl": 3600, "num_uses": 0, "policies": []}
    },
    r"POST /v1/auth/token/.*": {"auth": {"client_token": SECRET, "lease_duration": 3600, "renewable": True}},
    r"GET /v1/sys/internal/ui/mounts/.*": {
        "data": {"type": "kv", "path": "secret/", "options": {"version": "2"}, "config": {"max_lease_ttl": 0}}
    },
    r"POST /v1/sys/capabilities-self": {
        "data": {"capabilities": ["read"], "secret/data/apps/billing": ["create", "read", "update"]},
        "capabilities": ["root"],
    },
    r"GET /v1/secret/data/rotator/applications/.*": {"data": {"data": LEDGER, "metadata": METADATA}},
    r"GET /v1/secret/data/rotator/accounts/.*": {"data": {"data": ACCOUNT, "metadata": METADATA}},
    r"GET /v1/secret/data/rotator/installation": {"data": {"data": {"id": "1" * 16}, "metadata": METADATA}},
    r"GET /v1/secret/data/.*": {"data": {"data": DOCUMENT, "metadata": METADATA}},
    r"LIST /v1/secret/metadata/.*": {"data": {"keys": ["billing", "mailer", "old/"]}},
    r"GET /v1/secret/metadata/.*": {
        "data": {
            "versions": {"1": METADATA, "3": {**METADATA, "deletion_time": STAMP, "destroyed": True}},
            "current_version": 3,
            "max_versions": 10,
            "delete_version_after": "0s",
            "custom_metadata": {"a": "b"},
        }
    },
    r"GET /v1/secret/config": {"data": {"max_versions": 0, "delete_version_after": "768h0m0s", "cas_required": False}},
    r"POST /v1/secret/data/.*": {"data": METADATA},
    r".*": {"data": METADATA, "errors": [], "warnings": None},
}
KEY = {
    "access_key": NAME,
    "secret_key": SECRET,
    "description": "rotator:v2:1:2:3:4:5",
    "created_at": STAMP,
    "updated_at": STAMP,
    "expires_at": None,
    "default_project_id": BEARER,
    "editable": True,
    "deletable": True,
    "managed": False,
    "creation_ip": "192.0.2.1",
    "application_id": BEARER,
}
EVENT = {
    "id": BEARER,
    "recorded_at": STAMP,
    "principal": {"id": BEARER},
    "organization_id": BEARER,
    "project_id": BEARER,
    "source_ip": "192.0.2.1",
    "user_agent": "curl",
    "product_name": "iam",
    "service_name": "scaleway.iam",
    "method_name": "CreateAPIKey",
    "status_code": 200,
    "resources": [{"id": NAME, "type": "iam_api_key", "name": "", "created_at": STAMP}],
    "request_body": {},
}
PROVIDER: dict[str, Any] = {
    r"GET /iam/v1alpha1/quota": {
        "quota": [{"name": "iam_api_keys", "limit": 40, "limits": [{"limit": 40, "unlimited": False}]}],
        "total_count": 1,
    },
    r"GET /iam/v1alpha1/api-keys": {"api_keys": [KEY], "total_count": 1},
    r"GET /audit-trail/.*": {"events": [EVENT], "next_page_token": None, "total_count": 1},
    r".*": KEY,
}
REFUSALS: list[Any] = [
    {
        "type": "invalid_arguments",
        "message": "no",
        "details": [{"argument_name": "bearer", "reason": "format", "help_message": "?"}],
    },
    {
        "type": "quotas_exceeded",
        "message": "no",
        "details": [{"resource": "ApiKeys", "quota": 40, "current": 40, "scope": "organization"}],
    },
    {"type": "denied_authentication", "message": "no", "method": "api_key", "reason": "not_found"},
    {"type": "permissions_denied", "message": "no", "details": [{"resource": "api_key", "action": "read"}]},
    {"type": "not_found", "resource": "api_key", "resource_id": NAME},
    {"errors": ["permission denied"]},
    {"errors": ["check-and-set parameter did not match the current version"]},
    {"errors": ["1 error occurred:\n\t* permission denied\n\n"]},
    {"errors": [], "data": {"data": None, "metadata": METADATA}},
]
STATUSES = [
    200,
    200,
    200,
    200,
    201,
    204,
    301,
    307,
    400,
    401,
    403,
    404,
    405,
    409,
    412,
    413,
    429,
    472,
    473,
    500,
    502,
    503,
    504,
    599,
]


class HostileService:
    """Stands in the place of the HTTP client; its tenth or so answer is sound."""

    tls = type("NoFiles", (), {"problem": "", "version": 0, "refresh": staticmethod(lambda: None)})()

    def __init__(self, rng: Random, answers: Mapping[str, Any], sound: float) -> None:
        self.rng, self.answers, self.sound = rng, answers, sound
        self.requests = 0

    def request(self, method: str, url: str, **_: Any) -> HttpResponse:
        self.requests += 1
        assert self.requests < 500, "requests without end"
        path = httpx.URL(url).path
        pattern = next(pattern for pattern in self.answers if re.fullmatch(pattern, f"{method} {path}"))
        body = self.answers[pattern]
        status = self.rng.choice(STATUSES)
        if self.rng.random() < self.sound:
            return HttpResponse(200, httpx.Headers(), json.dumps(body).encode())
        if status >= 300 and self.rng.random() < 0.7:
            body = self.rng.choice(REFUSALS)
        text = value(self.rng) if self.rng.random() < 0.05 else mutated(self.rng, body, ways(json.dumps(body)))
        headers = {"date": string(self.rng), "x-vault-index": string(self.rng), "retry-after": string(self.rng)}
        usable = {name: text for name, text in headers.items() if text.isascii() and text.isprintable()}
        return HttpResponse(status, httpx.Headers(usable), text.encode(errors="surrogatepass"))

    def clock_offset(self) -> timedelta:
        return timedelta(0)

    def close(self) -> None:
        """Nothing is open."""


@cache
def ways(body: str) -> list[tuple[Any, ...]]:
    return list(places(json.loads(body)))


def secret() -> Secret:
    return Secret(SECRET)


def vault(rng: Random) -> None:
    """One verb of the store, over hostile answers."""
    http = cast("HttpClient", HostileService(rng, VAULT, rng.choice((0.0, 0.5, 0.8))))
    auth: Auth = TokenAuth(secret) if rng.random() < 0.5 else AppRoleAuth(secret, secret)
    store = KvStore(VaultConnection(http, "https://vault.test", auth), "secret/rotator", sleep=lambda _: None)
    path, fields = "secret/apps/billing", ("access_key", "secret_key")
    for _ in range(2):
        verb = rng.randrange(17)
        try:
            if verb == 0:
                store.read_ledger("billing")
            elif verb == 1:
                store.write_ledger(full(), cas=3)
            elif verb == 2:
                store.list_ledgers()
            elif verb == 3:
                store.read_account("acme")
            elif verb == 4:
                store.write_account(AccountDocument("acme"), cas=3)
            elif verb == 5:
                store.installation()
            elif verb == 6:
                document = store.read_document(path, *fields)
                assert 0 <= document.version < 2**53
                assert document.created_time is None or is_in_range(document.created_time)
            elif verb == 7:
                store.read_version(path, 2, *fields)
            elif verb == 8:
                version, at = store.write_document(path, {"access_key": NAME, "secret_key": SECRET}, cas=2)
                assert 0 < version < 2**53
                assert is_in_range(at)
            elif verb == 9:
                store.read_field(path, "secret_key")
            elif verb == 10:
                store.annotate(path, {"a": "b"})
            elif verb == 11:
                for one in store.list_versions(path):
                    assert 0 < one.version < 2**53
            elif verb == 12:
                store.destroy_versions(path, [1, 2])
            elif verb == 13:
                assert store.document_limits(path) < 2**53
            elif verb == 14:
                for limit in store.delete_version_after(path):
                    assert datetime.now(UTC) + limit
            elif verb == 15:
                store.missing_capabilities(path)
                store.missing_rights("billing", path)
            else:
                store.maintain()
                assert store.login_life() is None or datetime.now(UTC) + max(store.login_life() or ())
        except RotatorError as error:
            told(error)
    store.close()


def provider(rng: Random) -> None:
    """One verb of the provider, over hostile answers."""
    account = settings("https://api.test")
    client = _client()
    client.http = cast("HttpClient", HostileService(rng, PROVIDER, rng.choice((0.0, 0.5, 0.8))))
    found = ScalewayProvider(account.name, BEARER, client)
    for _ in range(2):
        verb = rng.randrange(9)
        try:
            if verb == 0:
                for key in found.list_keys(BEARER):
                    assert is_in_range(key.created_at)
            elif verb == 1:
                found.list_all_keys()
            elif verb == 2:
                found.get_key(NAME)
            elif verb == 3:
                found.create_key(BEARER, "x", default_project_id=None, expires_at=None)
            elif verb == 4:
                found.delete_key(NAME)
            elif verb == 5:
                assert isinstance(found.authenticate(NAME, secret()), ProbeResult)
            elif verb == 6:
                found.bearer_exists(BEARER)
            elif verb == 7:
                room = found.headroom()
                assert room is None or 0 <= room < 2**53
            else:
                json.dumps(to_json_value(found.trail(BEARER, NOW, NOW).__dict__), allow_nan=False)
        except RotatorError as error:
            told(error)


@cache
def _client() -> ScalewayClient:
    return ScalewayClient(settings("https://api.test"), clock=WallClock(), chance=lambda: 0.0, sleep=lambda _: None)


def told(error: BaseException, *, sound: bool = True) -> None:
    """An error is a sentence of bounded length without a secret, also where Python would print what led to it."""
    assert sound, repr(error)
    for sentence in explain(error).sentences:
        assert len(sentence) < 20_000, "a message without bounds"
        assert SECRET not in sentence, "a secret in an error"
    if isinstance(
        error, ServiceError
    ):  # its text is written into ledgers and shown by doctor and status, without a mask
        assert SECRET not in f"{error}{vars(error)}", "a secret in the error of a service"
    link = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while link is not None:
        assert SECRET not in f"{link}{link!r}", "a secret behind an error"
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
