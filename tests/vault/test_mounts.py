from __future__ import annotations

import secrets

import pytest

from rotator.domain.account import AccountDocument
from rotator.domain.secret import Secret
from rotator.errors import NotFound, PermissionDenied, Rejected
from rotator.sandbox.openbao import OpenBao
from tests.vault.conftest import Build, RootHand
from tests.vault.contract import FIELDS, PAIR, ledger


@pytest.fixture
def mount() -> str:
    return f"mount-{secrets.token_hex(4)}"


def test_b_a_kv_v1_mount_by_mistake_is_found_before_the_first_write(bao: OpenBao, make: Build, mount: str) -> None:
    bao.mount(mount, version=1)
    store = make(bao, ledger=f"{mount}/rotator")
    for call in (
        lambda: store.require_kv2(f"{mount}/apps/billing"),
        lambda: store.read_document(f"{mount}/apps/billing", *FIELDS),
        lambda: store.write_document(f"{mount}/apps/billing", PAIR, cas=0),
        lambda: store.read_ledger("billing"),
        lambda: store.write_ledger(ledger(), cas=0),
        store.installation,
    ):
        with pytest.raises(Rejected, match=f"{mount}/ is KV version 1") as caught:
            call()
        assert (caught.value.kind, caught.value.argument) == ("not_kv2", mount)
    assert bao.call("LIST", mount, token=bao.root_token).status == 404


def test_a_mount_of_another_kind_is_refused(bao: OpenBao, make: Build, mount: str) -> None:
    bao.admin("POST", f"sys/mounts/{mount}", {"type": "transit"})
    with pytest.raises(Rejected, match="of type transit"):
        make(bao).require_kv2(f"{mount}/apps")


def test_a_mount_that_is_not_there_is_denied_with_words_for_both_causes(bao: OpenBao, make: Build, mount: str) -> None:
    with pytest.raises(PermissionDenied, match="no mount for") as caught:
        make(bao).require_kv2(f"{mount}/apps")
    assert caught.value.path == f"{mount}/data/apps"


def test_a_mount_with_slashes_in_its_name_works(bao: OpenBao, make: Build, mount: str) -> None:
    bao.mount(f"team/{mount}")
    store = make(bao, ledger=f"team/{mount}/rotator")
    assert store.write_ledger(ledger(), cas=0) == 1
    assert store.list_ledgers() == ("billing",)
    assert list(store.missing_capabilities(f"team/{mount}/apps/billing")) == []


def test_a_mount_that_is_removed_while_we_run_is_not_an_empty_one(bao: OpenBao, make: Build, mount: str) -> None:
    bao.mount(mount)
    store = make(bao, ledger=f"{mount}/rotator")
    store.write_ledger(ledger(), cas=0)
    bao.admin("DELETE", f"sys/mounts/{mount}")
    with pytest.raises(NotFound):
        store.read_ledger("billing")
    bao.mount(mount, version=1)
    with pytest.raises(Rejected, match="KV version 1"):
        store.read_ledger("billing")


def test_a_namespace_is_a_world_of_its_own(bao: OpenBao, make: Build, mount: str) -> None:
    bao.admin("POST", f"sys/namespaces/{mount}")
    bao.admin("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, X_Vault_Namespace=mount)
    inside, outside = make(bao, ledger="secret/ns-rotator", namespace=mount), make(bao, ledger="secret/ns-rotator")
    assert inside.write_ledger(ledger(), cas=0) == 1
    assert outside.read_ledger("billing") == (None, 0)
    assert inside.read_ledger("billing") == (ledger(), 1)


def test_a_reference_reads_one_field(bao: OpenBao, make: Build, hand: RootHand) -> None:
    hand.put(f"{hand.root}/doc", {"key": "value", "number": 5})
    store = make(bao)
    assert store.read_field(f"{hand.root}/doc", "key") == Secret("value")
    for path, field in ((f"{hand.root}/doc", "number"), (f"{hand.root}/doc", "other"), (f"{hand.root}/none", "key")):
        with pytest.raises(NotFound, match=field):
            store.read_field(path, field)


def test_the_number_of_kept_versions_comes_from_the_document_then_the_mount(
    bao: OpenBao, make: Build, mount: str
) -> None:
    bao.mount(mount)
    store = make(bao)
    assert store.document_limits(f"{mount}/doc") == 10
    bao.admin("POST", f"{mount}/config", {"max_versions": 4})
    assert store.document_limits(f"{mount}/doc") == 4
    bao.admin("POST", f"{mount}/metadata/doc", {"max_versions": 2})
    assert store.document_limits(f"{mount}/doc") == 2


def test_versions_are_listed_with_what_became_of_them(bao: OpenBao, make: Build, hand: RootHand) -> None:
    path, store = f"{hand.root}/doc", make(bao)
    assert store.list_versions(path) == ()
    written = [store.write_document(path, PAIR, cas=version) for version in range(3)]
    hand.destroy(path, 2)
    hand.delete(path)
    assert [(v.version, v.created_time, v.deleted) for v in store.list_versions(path)] == [
        (1, written[0][1], False),
        (2, written[1][1], True),
        (3, written[2][1], True),
    ]


def test_what_belongs_to_an_account_has_a_document_of_its_own(bao: OpenBao, make: Build, hand: RootHand) -> None:
    store = make(bao, ledger=hand.prefix)
    assert store.write_account(AccountDocument("acme"), cas=0) == 1
    assert store.list_ledgers() == ()
