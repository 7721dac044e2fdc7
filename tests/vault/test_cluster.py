"""Three raft nodes: standbys that lag, leaders that step down, die and leave nobody."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from rotator.errors import ServiceError
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.openbao_cluster import active, cluster
from rotator.sandbox.process import wait_until
from rotator.vault import AppRoleAuth, KvStore
from rotator.vault.freshness import Freshness
from tests.vault.conftest import Build
from tests.vault.contract import FIELDS, PAIR, ledger


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[OpenBao]]:
    with cluster(3) as nodes:
        yield nodes


def standbys(nodes: list[OpenBao]) -> list[OpenBao]:
    leader = active(nodes)
    return [node for node in nodes if node is not leader]


def works(store: KvStore, version: int) -> bool:
    """Whether a write of the ledger succeeds now, however often it has to be tried."""
    try:
        found, at = store.read_ledger("billing")
        assert found is not None
        assert at >= version
        return store.write_ledger(replace(found, failures=found.failures + 1), cas=at) > version
    except ServiceError:
        return False


def raw_version(node: OpenBao, path: str) -> int:
    answer = node.call("GET", path.replace("secret/", "secret/data/", 1), token=node.root_token)
    return int(answer.data["metadata"]["version"]) if answer.status == 200 else 0


def test_rule_14_a_standby_is_read_as_fresh_as_what_was_seen_through_the_leader(
    nodes: list[OpenBao], make: Build
) -> None:
    """The store writes through one node and reads through the other, as behind a load balancer."""
    behind = 0
    writer, reader = make(active(nodes)), make(standbys(nodes)[0])
    reader._connection._transport._freshness = writer._connection._transport._freshness
    reader._kv._floors = writer._kv._floors
    reader._kv._sleep = writer._kv._sleep = lambda seconds: pytest.fail("the server's own net should have been enough")
    path = "secret/fresh"
    reader.require_kv2(path)
    for version in range(1, 41):
        assert writer.write_document(path, PAIR, cas=version - 1)[0] == version
        behind += raw_version(standbys(nodes)[0], path) < version
        assert reader.read_document(path, *FIELDS).version == version
    assert behind > 0, "no standby was ever behind, so this test has shown nothing"


def test_rule_14_a_login_is_known_on_a_standby_at_once(nodes: list[OpenBao], make: Build) -> None:
    leader = active(nodes)
    leader.policy("all", 'path "secret/*" { capabilities = ["create", "read", "update", "patch", "list"] }')
    role_id, secret_id = leader.approle("rotator", ["all"])
    role = AppRoleAuth(lambda: role_id, lambda: secret_id)
    seen = make(leader)
    seen.write_ledger(ledger(), cas=0)
    for node in nodes:
        store = make(node, role)
        store._connection._transport._freshness = seen._connection._transport._freshness
        assert store.read_ledger("other") == (None, 0)
        assert store._connection.generation == 1


def test_b_writes_through_a_standby_reach_the_leader(nodes: list[OpenBao], make: Build) -> None:
    standby = standbys(nodes)[0]
    assert not standby.is_active()
    store = make(standby)
    made = store.installation()
    assert store.write_ledger(ledger(), cas=0) == 1
    assert store.read_ledger("billing") == (ledger(), 1)
    assert make(standbys(nodes)[1], ledger=store._prefix).installation() == made


def test_b_a_leader_that_steps_down_is_survived(nodes: list[OpenBao], make: Build) -> None:
    old = active(nodes)
    stores = [make(node, ledger="secret/step-down") for node in nodes]
    stores[0].write_ledger(ledger(), cas=0)
    old.step_down()
    for store in stores:
        wait_until(lambda store=store: works(store, 1), "the store writes after the leader stepped down")  # type: ignore[misc]  # the default binds the loop's variable


def test_b_no_leader_is_told_and_a_new_one_is_used(nodes: list[OpenBao], make: Build) -> None:
    leader = active(nodes)
    survivor, other = standbys(nodes)
    store = make(survivor, ledger="secret/lost")
    store.write_ledger(ledger(), cas=0)
    leader.kill()
    wait_until(lambda: works(store, 1), "the store writes through the survivors")
    other.kill()
    wait_until(lambda: failure(store) != "", "the last node has noticed that it is alone")
    assert failure(store) in (
        "Unavailable standby",
        "Indeterminate standby",
        "Indeterminate timeout",
        "Indeterminate server_error",
    )
    other.restart()
    wait_until(lambda: works(store, 2), "the store writes through the new leader")
    leader.restart()


def failure(store: KvStore) -> str:
    try:
        store.write_document("secret/other", PAIR, cas=99)
    except ServiceError as error:
        return "" if error.kind in ("conflict", "stale") else f"{type(error).__name__} {error.kind}"
    return ""


def index(cluster_id: str, value: int) -> str:
    return base64.b64encode(json.dumps({"cluster": cluster_id, "value": str(value)}).encode()).decode()


def vault_index(cluster_id: str, local: int, replicated: int) -> str:
    return base64.b64encode(f"v1:{cluster_id}:{local}:{replicated}:c2ln".encode()).decode()


def test_rule_14_the_highest_index_is_the_one_that_is_sent() -> None:
    fresh = Freshness()
    assert fresh.headers() == {}
    for low, high, middle in (
        (index("a", 9), index("a", 100), index("a", 20)),
        (vault_index("b", 4, 9), vault_index("b", 4, 100), vault_index("b", 4, 20)),
    ):
        for said in (low, None, high, middle, None):
            fresh.saw(said)
        assert fresh.headers() == {"X-Vault-Index": high, "X-Vault-Inconsistent": "forward-active-node"}


def test_rule_14_the_index_of_another_cluster_replaces_ours() -> None:
    fresh = Freshness()
    for said in (index("a", 100), index("b", 3), "what is this?"):
        fresh.saw(said)
        assert fresh.headers()["X-Vault-Index"] == said
