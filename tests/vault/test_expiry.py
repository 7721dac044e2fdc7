"""``delete_version_after`` on a real OpenBao: what rotator writes once is renewed, and an expiry is no person's decision."""

from __future__ import annotations

import secrets
import time

import pytest

from rotator.domain.account import AccountDocument, Waiver
from rotator.domain.document import DocumentState
from rotator.errors import LedgerUnreadable, Rejected
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import wait_until
from tests.vault.conftest import Build
from tests.vault.contract import FIELDS, NOW, PAIR, ledger

WAIVER = Waiver("SCWAAAAAAAAAAAAAAAAA", "break glass", "ops", NOW)


@pytest.fixture
def mount(bao: OpenBao) -> str:
    name = f"expiring-{secrets.token_hex(4)}"
    bao.mount(name)
    return name


def expire(bao: OpenBao, mount: str, after: str = "4s") -> None:
    bao.admin("POST", f"{mount}/config", {"delete_version_after": after})


def test_c3_a_ledger_mount_whose_versions_expire_is_named_before_the_first_write(
    bao: OpenBao, make: Build, mount: str
) -> None:
    expire(bao, mount)
    with pytest.raises(Rejected, match="delete_version_after") as caught:
        make(bao, ledger=f"{mount}/rotator").installation()
    assert caught.value.kind == "versions_expire"
    assert bao.call("LIST", f"{mount}/metadata", token=bao.root_token).status == 404, "nothing was written"


def test_c3_the_installation_id_ledgers_and_accounts_outlive_the_time_of_their_versions(
    bao: OpenBao, make: Build, mount: str
) -> None:
    """The setting was made after the first write."""
    first = make(bao, ledger=f"{mount}/rotator")
    expire(bao, mount)
    bao.admin("POST", f"{mount}/data/rotator/installation", {"data": {"id": "1" * 16}})
    first.write_ledger(ledger(), cas=0)
    first.write_account(AccountDocument("acme", (WAIVER,)), cas=0)
    end = time.monotonic() + 9
    while time.monotonic() < end:
        assert first.installation() == "1" * 16
        assert first.read_ledger("billing")[0] == ledger()
        assert first.read_account("acme")[0].waivers == (WAIVER,)
        time.sleep(0.2)
    assert make(bao, ledger=f"{mount}/rotator").installation() == "1" * 16
    assert first.read_ledger("billing")[1] > 2, "it was written again"


def test_c3_an_expired_document_is_not_one_that_a_person_deleted(bao: OpenBao, make: Build, mount: str) -> None:
    store, path = make(bao), f"{mount}/apps/billing"
    store.write_document(path, PAIR, cas=0)
    bao.admin("DELETE", f"{mount}/data/apps/billing")
    assert not store.read_document(path, *FIELDS).expired
    expire(bao, mount, "2s")
    store.write_document(path, PAIR, cas=1)
    live = store.read_document(path, *FIELDS)
    assert live.expires_at is not None
    assert live.expires_at > (live.created_time or NOW)
    wait_until(lambda: store.read_document(path, *FIELDS).state is DocumentState.DELETED, "it expires")
    assert store.read_document(path, *FIELDS).expired
    store.write_document(path, PAIR, cas=2)
    bao.admin("DELETE", f"{mount}/data/apps/billing")
    assert not store.read_document(path, *FIELDS).expired, "a person was faster"


def test_c3_an_expired_ledger_says_so(bao: OpenBao, make: Build, mount: str) -> None:
    store = make(bao, ledger=f"{mount}/rotator")
    expire(bao, mount, "1s")
    store.write_ledger(ledger(), cas=0)
    time.sleep(1.2)
    with pytest.raises(LedgerUnreadable, match="expired, because of delete_version_after"):
        store.read_ledger("billing")


def test_c3_a_mount_that_demands_check_and_set_is_served_as_any_other(bao: OpenBao, make: Build, mount: str) -> None:
    bao.admin("POST", f"{mount}/config", {"cas_required": True, "max_versions": 1})
    store = make(bao, ledger=f"{mount}/rotator")
    assert store.installation()
    assert store.write_ledger(ledger(), cas=0) == 1
    assert store.write_document(f"{mount}/apps/billing", PAIR, cas=0)[0] == 1
    assert store.document_limits(f"{mount}/apps/billing") == 1
