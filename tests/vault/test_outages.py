"""A server on disk over TLS with AppRole, as people run it: sealed, stopped, killed, paused and back again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from rotator.errors import Indeterminate, ServiceError, Unavailable
from rotator.sandbox.certificates import Authority
from rotator.sandbox.openbao import OpenBao
from rotator.vault import AppRoleAuth, KvStore
from tests.vault.conftest import Build
from tests.vault.contract import FIELDS, PAIR, ledger

ALLOW_ALL = 'path "secret/*" { capabilities = ["create", "read", "update", "patch", "list"] }'


@pytest.fixture
def server(authority: Authority) -> Iterator[OpenBao]:
    with OpenBao("raft", authority=authority, name="outage") as server:
        server.policy("all", ALLOW_ALL)
        yield server


@pytest.fixture
def store(server: OpenBao, make: Build) -> KvStore:
    role_id, secret_id = server.approle("rotator", ["all"])
    store = make(
        server, AppRoleAuth(lambda: role_id, lambda: secret_id), ledger="secret/rotator", timeout=timedelta(seconds=5)
    )
    store.write_ledger(ledger(), cas=0)
    return store


def kinds(store: KvStore) -> tuple[str, str]:
    """What a read and a write of the ledger say now; the write has a CAS that can never match."""
    said = []
    for call in (lambda: store.read_ledger("billing"), lambda: store.write_ledger(ledger(), cas=99)):
        with pytest.raises(ServiceError) as caught:
            call()
        said.append(f"{type(caught.value).__name__} {caught.value.kind}")
    return said[0], said[1]


def test_b_sealed_killed_and_restarted_the_same_store_goes_on(server: OpenBao, store: KvStore) -> None:
    server.seal()
    assert kinds(store) == ("Unavailable sealed", "Unavailable sealed")
    server.unseal()
    assert store.read_ledger("billing") == (ledger(), 1)

    server.kill()
    assert kinds(store) == ("Unavailable unreachable", "Unavailable unreachable")

    server.start()
    assert kinds(store) == ("Unavailable sealed", "Unavailable sealed")
    server.unseal()
    assert store.read_ledger("billing") == (ledger(), 1)
    assert store.write_ledger(ledger(), cas=1) == 2


def test_b_a_server_that_hangs_leaves_a_write_unclear_and_a_read_unavailable(
    server: OpenBao, store: KvStore, make: Build
) -> None:
    role = store._connection._session._auth
    hasty = make(server, role, ledger="secret/rotator", timeout=timedelta(seconds=1))
    hasty.read_ledger("billing")
    server.pause()
    with pytest.raises(Indeterminate):
        hasty.write_document("secret/app", PAIR, cas=0)
    with pytest.raises(Unavailable):
        hasty.read_document("secret/app", *FIELDS)
    server.resume()
    store.read_ledger("billing")


def test_a_server_with_a_certificate_of_somebody_else_is_not_talked_to(
    server: OpenBao, make: Build, authority: Authority
) -> None:
    other = Authority(authority.certificate.parent / "other")
    with pytest.raises(Unavailable, match="TLS") as caught:
        make(server, ca_cert=other.certificate).read_ledger("billing")
    assert caught.value.kind == "unreachable"
