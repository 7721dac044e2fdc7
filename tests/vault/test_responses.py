"""Lost, odd and refused answers, made by a proxy between the store and the real server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from rotator.errors import Conflict, Indeterminate, NotFound, Rejected, ServiceError, Unavailable
from rotator.sandbox.openbao import OpenBao
from rotator.vault import KvStore
from tests.support.lossy_proxy import LossyProxy, lossy_proxy
from tests.vault.conftest import Build, RootHand
from tests.vault.contract import FIELDS, PAIR, ledger


@pytest.fixture
def proxy(bao: OpenBao) -> Iterator[LossyProxy]:
    with lossy_proxy(bao.address) as proxy:
        yield proxy


@pytest.fixture
def store(bao: OpenBao, hand: RootHand, make: Build, proxy: LossyProxy) -> KvStore:
    store = make(bao, ledger=hand.prefix, address=proxy.address)
    store.require_kv2(hand.root + "/x")
    return store


def test_b_a_lost_publish_answer_is_unclear_and_a_look_finds_the_key(
    store: KvStore, hand: RootHand, proxy: LossyProxy
) -> None:
    path = f"{hand.root}/doc"
    proxy.lose = lambda method, path: method == "POST" and "/data/" in path
    with pytest.raises(Indeterminate) as caught:
        store.write_document(path, PAIR, cas=0)
    assert caught.value.kind in ("lost", "protocol")
    seen = store.read_document(path, *FIELDS)
    assert (seen.version, seen.access_key) == (1, PAIR["access_key"])


def test_b_the_identical_cas_after_a_lost_answer_is_a_conflict_not_a_second_version(
    store: KvStore, hand: RootHand, proxy: LossyProxy
) -> None:
    path = f"{hand.root}/doc"
    proxy.lose = lambda method, path: method == "POST" and "/data/" in path
    with pytest.raises(Indeterminate):
        store.write_document(path, PAIR, cas=0)
    proxy.lose = lambda method, path: False
    with pytest.raises(Conflict):
        store.write_document(path, PAIR, cas=0)
    assert store.read_document(path, *FIELDS).version == 1


def test_rule_1_a_lost_claim_answer_is_unclear(store: KvStore, proxy: LossyProxy) -> None:
    proxy.lose = lambda method, path: method == "POST"
    with pytest.raises(Indeterminate):
        store.write_ledger(ledger(), cas=0)
    assert store.read_ledger("billing") == (ledger(), 1)


def test_a_lost_answer_to_a_read_is_only_unavailable(store: KvStore, hand: RootHand, proxy: LossyProxy) -> None:
    proxy.lose = lambda method, path: True
    for read in (
        lambda: store.read_ledger("billing"),
        store.list_ledgers,
        lambda: store.missing_capabilities(f"{hand.root}/doc"),
    ):
        with pytest.raises(Unavailable):
            read()


def test_rule_14_a_refused_cas_that_a_fresh_read_does_not_confirm_is_no_conflict(
    store: KvStore, hand: RootHand, proxy: LossyProxy
) -> None:
    refusal = b'{"errors":["check-and-set parameter did not match the current version"]}'
    proxy.answer = lambda method, path: (400, refusal) if method == "POST" else None
    with pytest.raises(Unavailable) as caught:
        store.write_ledger(ledger(), cas=0)
    assert caught.value.kind == "stale"


def test_rule_14_a_refused_cas_is_a_conflict_although_the_node_that_answers_was_behind_at_first(
    store: KvStore, hand: RootHand, proxy: LossyProxy
) -> None:
    store.write_ledger(ledger(), cas=0)
    behind = [404, 404]
    proxy.answer = lambda method, path: (behind.pop(), b'{"errors":[]}') if method == "GET" and behind else None
    with pytest.raises(Conflict):
        store.write_ledger(ledger(), cas=0)
    assert not behind


WRITES_AND_READS: list[tuple[str, int, bytes, type[ServiceError], type[ServiceError], str]] = [
    ("sealed", 503, b'{"errors":["Vault is sealed"]}', Unavailable, Unavailable, "sealed"),
    (
        "no leader",
        500,
        b'{"errors":["local node not active but active cluster node not found"]}',
        Unavailable,
        Unavailable,
        "standby",
    ),
    ("redirect", 307, b"", Indeterminate, Unavailable, "standby"),
    ("internal error", 500, b'{"errors":["1 error occurred"]}', Indeterminate, Unavailable, "server_error"),
    ("bad gateway", 502, b"<html>bad gateway</html>", Indeterminate, Unavailable, "server_error"),
    ("gateway time-out", 504, b"", Indeterminate, Unavailable, "server_error"),
    ("balancer without a server", 503, b"<html>no server</html>", Indeterminate, Unavailable, "server_error"),
    ("rate limited", 429, b"", Unavailable, Unavailable, "rate_limited"),
    ("node behind", 412, b'{"errors":["required index state not present"]}', Unavailable, Unavailable, "stale"),
    ("not allowed", 405, b'{"errors":[]}', Rejected, Rejected, "bad_request"),
    ("too large", 413, b"", Rejected, Rejected, "too_large"),
    ("a web page that is not Vault", 200, b"<html>hello</html>", Indeterminate, Unavailable, "unreadable"),
    ("a 404 that is not Vault's", 404, b"<html>not found</html>", NotFound, NotFound, "no_route"),
    ("no mount there", 404, b'{"errors":["no handler for route"]}', NotFound, NotFound, "no_route"),
]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "refused JSON input due to high complexity: exceeded maximum number of strings"),
        (400, "JSON string value exceeds allowed length"),
        (500, "1 error occurred:\n\t* put failed due to value being too large; got 2000000 bytes, max 1048576 bytes"),
    ],
)
def test_c1_a_write_that_is_refused_as_too_large_is_surely_not_executed(
    store: KvStore, proxy: LossyProxy, status: int, said: str
) -> None:
    proxy.answer = lambda method, path: (status, json.dumps({"errors": [said]}).encode()) if method == "POST" else None
    with pytest.raises(Rejected, match="as too large") as caught:
        store.write_ledger(ledger(), cas=0)
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize(
    ("status", "body", "write", "read", "kind"),
    [row[1:] for row in WRITES_AND_READS],
    ids=[row[0] for row in WRITES_AND_READS],
)
def test_b_awkward_answers_of_vault_say_whether_a_write_may_have_happened(
    store: KvStore,
    proxy: LossyProxy,
    status: int,
    body: bytes,
    write: type[ServiceError],
    read: type[ServiceError],
    kind: str,
) -> None:
    proxy.answer = lambda method, path: (status, body) if "/data/" in path else None
    with pytest.raises(ServiceError) as caught:
        store.write_ledger(ledger(), cas=0)
    assert (type(caught.value), caught.value.kind) == (write, kind)
    with pytest.raises(ServiceError) as caught:
        store.read_ledger("billing")
    assert (type(caught.value), caught.value.kind) == (read, kind)


def test_b_a_write_answered_204_is_told_from_kv2(store: KvStore, hand: RootHand, proxy: LossyProxy) -> None:
    proxy.answer = lambda method, path: (204, b"") if method == "POST" and "/data/" in path else None
    with pytest.raises(Rejected, match="not KV version 2"):
        store.write_document(f"{hand.root}/doc", PAIR, cas=0)


def test_rule_14_a_version_below_one_seen_is_stale(store: KvStore, hand: RootHand) -> None:
    path = f"{hand.root}/doc"
    for version in range(3):
        store.write_document(path, PAIR, cas=version)
    hand.delete_all(path)
    store._kv._sleep = lambda seconds: None
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            store.read_document(path, *FIELDS)
        assert caught.value.kind == "stale"
    hand.put(path, PAIR)
    with pytest.raises(Unavailable):
        store.read_document(path, *FIELDS)


def test_rule_14_a_node_that_catches_up_is_waited_for(store: KvStore, hand: RootHand, proxy: LossyProxy) -> None:
    path = f"{hand.root}/doc"
    store.write_document(path, PAIR, cas=0)
    behind = iter([(404, b'{"errors":[]}'), (404, b'{"errors":[]}')])
    proxy.answer = lambda method, path: next(behind, None)
    assert store.read_document(path, *FIELDS).version == 1


def test_every_verb_is_one_call(store: KvStore, hand: RootHand) -> None:
    path = f"{hand.root}/doc"
    store.read_ledger("billing")
    store.missing_capabilities(path)
    before = sum(store.calls().values())
    store.write_ledger(ledger(), cas=0)
    store.read_ledger("billing")
    store.list_ledgers()
    store.write_document(path, PAIR, cas=0)
    store.read_document(path, *FIELDS)
    store.read_version(path, 1, *FIELDS)
    store.annotate(path, {"a": "b"})
    store.require_kv2(path)
    store.missing_capabilities(path)
    assert sum(store.calls().values()) - before == 7


def test_b_vault_that_is_not_there_is_unreachable(bao: OpenBao, make: Build) -> None:
    store = make(bao, address="http://127.0.0.1:1")
    with pytest.raises(Unavailable) as caught:
        store.write_ledger(ledger(), cas=0)
    assert caught.value.kind == "unreachable"
    assert "127.0.0.1:1" in str(caught.value)
