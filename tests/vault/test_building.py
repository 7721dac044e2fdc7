"""The store that settings describe: each of them reaches the calls, at a server that answers by a script."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError, PermissionDenied, ServiceError, Unavailable
from rotator.util.refusals import Refusals
from rotator.vault import (
    AppRoleAuth,
    Auth,
    KvStore,
    OwnSecretIdSettings,
    SecretIdPolicy,
    TokenAuth,
    VaultSettings,
    build,
)
from rotator.vault.secret_ids import SecretIdFile, SecretIds
from tests.support.raw_server import RawServer, answer, refusing, silence

ROLE = AppRoleAuth(lambda: Secret("role"), lambda: Secret("configured"), "roles")


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(answer(200, {"data": {"ttl": 0, "path": "kv/", "type": "kv", "options": {"version": "2"}}})) as raw:
        yield raw


def store_at(server: RawServer, auth: Auth | None = None, **settings: object) -> KvStore:
    values = {"address": server.url + "/", "auth": auth or TokenAuth(lambda: Secret("given")), "ledger": "kv/own"}
    return build(VaultSettings(**{**values, **settings}))  # type: ignore[arg-type]  # of many types


def test_the_calls_go_to_the_address_with_the_token_and_the_namespace(server: RawServer) -> None:
    store = store_at(server, namespace="team")
    assert store.own_token().status == 200
    head = server.requests[0].decode()
    assert head.startswith("GET /v1/auth/token/lookup-self HTTP/1.1\r\n")
    assert "x-vault-token: given\r\n" in head.lower()
    assert "x-vault-namespace: team\r\n" in head.lower()
    store.close()


def test_ledgers_are_below_the_prefix(server: RawServer) -> None:
    store = store_at(server, ledger="/kv/own/")
    with pytest.raises(ServiceError):
        store.read_ledger("billing")
    assert server.said("GET /v1/kv/data/own/applications/billing HTTP/1.1")
    store.close()


def test_each_call_is_observed_with_its_outcome(server: RawServer) -> None:
    seen: list[tuple[str, float]] = []
    store = store_at(server, observe=lambda outcome, seconds: seen.append((outcome, seconds)))
    store.health()
    assert [outcome for outcome, _ in seen] == ["2xx"]
    assert 0 < seen[0][1] < 30
    store.close()


def test_a_call_has_its_time_and_a_connection_its_number() -> None:
    stop = threading.Event()
    with RawServer(silence(stop)) as silent:
        store = store_at(silent, timeout=timedelta(seconds=0.2), connections=1)
        with pytest.raises(Unavailable) as caught:
            store.health()
        assert caught.value.kind == "timeout"
        store.close()
        stop.set()


def test_a_proxy_is_asked_for_the_connection() -> None:
    with refusing() as proxy:
        store = build(VaultSettings("http://vault.invalid", TokenAuth(lambda: Secret("given")), "kv", proxy=proxy))
        with pytest.raises(Unavailable) as caught:
            store.health()
        assert caught.value.kind == "unreachable"
        assert "vault.invalid cannot be reached" in str(caught.value)
    with pytest.raises(ConfigurationError, match="is not a usable proxy"):
        build(VaultSettings("http://vault.invalid", TokenAuth(lambda: Secret("given")), "kv", proxy="ftp://x"))


def test_certificates_that_cannot_be_used_are_found_before_any_call(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    auth = TokenAuth(lambda: Secret("given"))
    for settings in (
        VaultSettings("https://vault.invalid", auth, "kv", ca_cert=broken),
        VaultSettings("https://vault.invalid", auth, "kv", client_cert=broken, client_key=broken),
    ):
        with pytest.raises(ConfigurationError, match=r"broken\.pem"):
            build(settings)
    build(VaultSettings("https://vault.invalid", auth, "kv", client_cert=broken)).close()


def test_what_was_refused_is_known_to_the_store_of_the_next_configuration() -> None:
    with RawServer(answer(400, {"errors": ["invalid role or secret ID"]})) as server:
        refusals = Refusals()
        for _ in range(2):
            store = store_at(server, ROLE, refusals=refusals)
            with pytest.raises(PermissionDenied):
                store.own_token()
            store.close()
        assert len(server.requests) == 1
        assert b'{"role_id":"role","secret_id":"configured"}' in server.requests[0]


OWN_POLICY = SecretIdPolicy(timedelta(days=30), timedelta(days=1))


def test_a_secret_id_that_rotates_itself_logs_in_from_its_file(server: RawServer, tmp_path: Path) -> None:
    own = OwnSecretIdSettings("rotator", tmp_path / "secret-id", OWN_POLICY)
    SecretIdFile(own.file).write(SecretIds(current=Secret("kept")))
    granted = answer(200, {"auth": {"client_token": "fresh", "lease_duration": 0}})
    with RawServer(granted) as raw:
        store = store_at(raw, ROLE, own_secret_id=own)
        assert store.own_token().status == 200
        assert raw.requests[0].startswith(b"POST /v1/auth/roles/login ")
        assert b'{"role_id":"role","secret_id":"kept"}' in raw.requests[0]
        assert store.secret_ids is not None
        store.close()
    plain = store_at(server, own_secret_id=own)
    assert plain.secret_ids is None, "a token has no secret id"
    plain.close()


def test_upkeep_rotates_the_secret_id_with_the_clock_of_the_machine(tmp_path: Path) -> None:
    own = OwnSecretIdSettings("rotator", tmp_path / "secret-id", OWN_POLICY, mount="roles")
    granted = answer(200, {"auth": {"client_token": "fresh", "lease_duration": 0}, "data": {}})
    with RawServer(granted) as raw:
        store = store_at(raw, ROLE, own_secret_id=own)
        store.maintain()
        store.close()
        held = SecretIdFile(own.file).read()
        assert held.current is not None
        assert held.since is not None
        assert abs((held.since - datetime.now(UTC)).total_seconds()) < 60
        assert [request.split(b" ")[1] for request in raw.requests] == [
            b"/v1/auth/roles/login",
            b"/v1/auth/roles/role/rotator/custom-secret-id",
            b"/v1/auth/roles/login",
            b"/v1/auth/token/revoke-self",
            b"/v1/auth/roles/role/rotator/secret-id/lookup",
            b"/v1/auth/token/revoke-self",
        ]
        assert b'"secret_id":"configured"' in raw.requests[0], "the first login is with what is configured"
        assert held.current.reveal().encode() in raw.requests[2]
