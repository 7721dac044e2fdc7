"""What every ``VaultStore`` must do. A subclass gives the fixtures ``store`` (fresh) and ``hand``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from rotator.domain.account import AccountDocument, Waiver
from rotator.domain.document import ABSENT, DocumentState
from rotator.domain.ledger import CurrentKey, Ledger
from rotator.domain.ports import VaultStore
from rotator.domain.secret import Secret
from rotator.domain.spec import VerificationPolicy
from rotator.errors import Conflict, LedgerUnreadable, ServiceError
from rotator.vault.codec import dump_account, dump_ledger

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIELDS = ("access_key", "secret_key")
PAIR = {"access_key": "SCWAAAAAAAAAAAAAAAAA", "secret_key": "11111111-aaaa-4aaa-8aaa-111111111111"}


class Hand(Protocol):
    """What a person does beside the store. ``root`` is a path under which nothing is yet."""

    root: str
    prefix: str

    def put(self, path: str, fields: Mapping[str, Any]) -> None: ...
    def delete(self, path: str) -> None: ...
    def undelete(self, path: str, version: int) -> None: ...
    def delete_all(self, path: str) -> None: ...
    def destroy(self, path: str, version: int) -> None: ...
    def prune_to(self, path: str, versions: int) -> None: ...
    def custom_metadata(self, path: str) -> Mapping[str, str]: ...
    def annotate(self, path: str, values: Mapping[str, str]) -> None: ...


def ledger(application: str = "billing") -> Ledger:
    proof = VerificationPolicy(3, timedelta(seconds=10), timedelta(minutes=5))
    return Ledger(
        application=application,
        account="acme",
        bearer="bearer-1",
        path="secret/apps/billing",
        access_field="access_key",
        secret_field="secret_key",
        grace=timedelta(hours=24),
        verification=proof,
        emergency_verification=proof,
        current=CurrentKey("SCWAAAAAAAAAAAAAAAAA", 1, NOW),
    )


class VaultStoreContract:
    # --- ledgers

    def test_a_ledger_that_never_was_is_none_at_version_0(self, store: VaultStore) -> None:
        assert store.read_ledger("billing") == (None, 0)
        assert store.list_ledgers() == ()

    def test_a_ledger_reads_back_as_it_was_written(self, store: VaultStore) -> None:
        assert store.write_ledger(ledger(), cas=0) == 1
        assert store.read_ledger("billing") == (ledger(), 1)
        assert store.write_ledger(replace(ledger(), failures=2), cas=1) == 2
        assert store.read_ledger("billing") == (replace(ledger(), failures=2), 2)

    def test_rule_1_of_two_writers_of_one_ledger_version_one_gets_a_conflict(self, store: VaultStore) -> None:
        store.write_ledger(ledger(), cas=0)
        for stale in (0, 2, 7):
            with pytest.raises(Conflict):
                store.write_ledger(replace(ledger(), failures=9), cas=stale)
        assert store.read_ledger("billing") == (ledger(), 1)

    def test_ledgers_are_listed_by_application(self, store: VaultStore) -> None:
        for name in ("billing", "a b/c", "über"):
            store.write_ledger(ledger(name), cas=0)
        assert store.list_ledgers() == ("a b/c", "billing", "über")
        assert store.read_ledger("a b/c") == (ledger("a b/c"), 1)

    def test_rule_11_a_deleted_ledger_is_not_an_absent_one(self, store: VaultStore, hand: Hand) -> None:
        store.write_ledger(ledger(), cas=0)
        hand.delete(f"{hand.prefix}/applications/billing")
        with pytest.raises(LedgerUnreadable, match="billing"):
            store.read_ledger("billing")

    def test_rule_11_a_destroyed_ledger_is_not_an_absent_one(self, store: VaultStore, hand: Hand) -> None:
        store.write_ledger(ledger(), cas=0)
        hand.destroy(f"{hand.prefix}/applications/billing", 1)
        with pytest.raises(LedgerUnreadable):
            store.read_ledger("billing")

    def test_rule_1_a_deleted_ledger_is_written_over_at_its_version_and_at_no_other(
        self, store: VaultStore, hand: Hand
    ) -> None:
        store.write_ledger(ledger(), cas=0)
        hand.delete(f"{hand.prefix}/applications/billing")
        with pytest.raises(Conflict):
            store.write_ledger(ledger(), cas=0)
        assert store.list_ledgers() == ("billing",)
        assert store.write_ledger(ledger(), cas=1) == 2
        assert store.read_ledger("billing") == (ledger(), 2)

    def test_rule_11_a_damaged_ledger_is_repaired_by_writing_a_sound_one_over_it(
        self, store: VaultStore, hand: Hand
    ) -> None:
        path = f"{hand.prefix}/applications/billing"
        store.write_ledger(ledger(), cas=0)
        hand.put(path, {"schema": 1})
        with pytest.raises(LedgerUnreadable):
            store.read_ledger("billing")
        hand.put(path, dump_ledger(ledger()))
        assert store.read_ledger("billing") == (ledger(), 3)

    @pytest.mark.parametrize(
        "content", [{}, {"schema": 99, "application": "billing"}, {"schema": 1, "application": "billing"}]
    )
    def test_rule_11_a_damaged_or_newer_ledger_is_unreadable(
        self, store: VaultStore, hand: Hand, content: dict[str, Any]
    ) -> None:
        hand.put(f"{hand.prefix}/applications/billing", content)
        with pytest.raises(LedgerUnreadable):
            store.read_ledger("billing")

    def test_rule_11_the_ledger_of_another_application_is_unreadable(self, store: VaultStore, hand: Hand) -> None:
        store.write_ledger(ledger("payroll"), cas=0)
        hand.put(f"{hand.prefix}/applications/billing", dump_ledger(ledger("payroll")))
        with pytest.raises(LedgerUnreadable, match="payroll"):
            store.read_ledger("billing")

    # --- accounts

    def test_an_account_of_which_nothing_was_ever_remembered_has_an_empty_document_at_version_0(
        self, store: VaultStore
    ) -> None:
        assert store.read_account("acme") == (AccountDocument("acme"), 0)

    def test_the_document_of_an_account_reads_back_as_it_was_written(self, store: VaultStore) -> None:
        document = AccountDocument("acme", waivers=(Waiver("SCWAAAAAAAAAAAAAAAAA", "break glass", "ops", NOW),))
        assert store.write_account(document, cas=0) == 1
        assert store.read_account("acme") == (document, 1)
        assert store.read_account("other") == (AccountDocument("other"), 0)

    def test_rule_1_of_two_writers_of_one_version_of_an_accounts_document_one_gets_a_conflict(
        self, store: VaultStore
    ) -> None:
        store.write_account(AccountDocument("acme"), cas=0)
        for stale in (0, 2):
            with pytest.raises(Conflict):
                store.write_account(AccountDocument("acme"), cas=stale)

    @pytest.mark.parametrize("content", [{}, {"schema": 99}, dump_account(AccountDocument("other"))])
    def test_rule_11_a_damaged_or_newer_document_of_an_account_is_not_an_empty_one(
        self, store: VaultStore, hand: Hand, content: dict[str, Any]
    ) -> None:
        hand.put(f"{hand.prefix}/accounts/acme", content)
        with pytest.raises(LedgerUnreadable, match="acme"):
            store.read_account("acme")

    # --- credential documents

    def test_a_path_that_never_was_is_absent(self, store: VaultStore, hand: Hand) -> None:
        assert store.read_document(f"{hand.root}/nothing", *FIELDS) == ABSENT

    def test_a_document_reads_back_with_its_secret_apart(self, store: VaultStore, hand: Hand) -> None:
        path = f"{hand.root}/doc"
        fields = {
            "access_key": PAIR["access_key"],
            "secret_key": Secret(PAIR["secret_key"]),
            "other": {"deep": [1, None]},
        }
        version, created = store.write_document(path, fields, cas=0)
        seen = store.read_document(path, *FIELDS)
        assert (
            (seen.version, seen.state, seen.created_time)
            == (version, DocumentState.LIVE, created)
            == (1, "live", created)
        )
        assert created.utcoffset() == timedelta(0)
        assert seen.access_key == PAIR["access_key"]
        assert seen.secret == Secret(PAIR["secret_key"])
        assert seen.fields == {"access_key": PAIR["access_key"], "other": {"deep": [1, None]}}
        assert PAIR["secret_key"] not in repr(seen)

    def test_rule_5_publish_is_one_cas(self, store: VaultStore, hand: Hand) -> None:
        path = f"{hand.root}/doc"
        store.write_document(path, PAIR, cas=0)
        hand.put(path, {**PAIR, "access_key": "SCWBYHAND"})
        with pytest.raises(Conflict):
            store.write_document(path, {**PAIR, "access_key": "SCWOURS"}, cas=1)
        assert store.read_document(path, *FIELDS).access_key == "SCWBYHAND"

    def test_c17_an_empty_document_is_written_where_there_is_none_and_a_publish_for_version_0_is_refused(
        self, store: VaultStore, hand: Hand
    ) -> None:
        path = f"{hand.root}/doc"
        assert store.write_document(path, {}, cas=0)[0] == 1
        with pytest.raises(Conflict):
            store.write_document(path, PAIR, cas=0)
        seen = store.read_document(path, *FIELDS)
        assert (seen.version, seen.state, seen.access_key, seen.secret) == (1, DocumentState.LIVE, None, None)
        assert store.write_document(path, PAIR, cas=1)[0] == 2

    def test_b_a_soft_deleted_document_is_deleted_and_keeps_its_version(self, store: VaultStore, hand: Hand) -> None:
        path = f"{hand.root}/doc"
        _, created = store.write_document(path, PAIR, cas=0)
        hand.delete(path)
        seen = store.read_document(path, *FIELDS)
        assert (seen.version, seen.state, seen.created_time) == (1, DocumentState.DELETED, created)
        assert (seen.published, seen.secret) == (None, None)
        assert store.write_document(path, PAIR, cas=1)[0] == 2

    def test_b_a_soft_deleted_document_is_not_a_free_place(self, store: VaultStore, hand: Hand) -> None:
        path = f"{hand.root}/doc"
        store.write_document(path, PAIR, cas=0)
        hand.delete(path)
        with pytest.raises(Conflict):
            store.write_document(path, {**PAIR, "access_key": "SCWOURS"}, cas=0)
        hand.undelete(path, 1)
        seen = store.read_document(path, *FIELDS)
        assert (seen.version, seen.access_key, seen.secret) == (1, PAIR["access_key"], Secret(PAIR["secret_key"]))

    def test_rule_5_a_document_that_is_not_there_has_version_0_only(self, store: VaultStore, hand: Hand) -> None:
        for cas in (1, 7):
            with pytest.raises(Conflict):
                store.write_document(f"{hand.root}/doc", PAIR, cas=cas)
        assert store.read_document(f"{hand.root}/doc", *FIELDS) == ABSENT

    def test_b_a_document_whose_metadata_was_removed_begins_again_at_version_1(
        self, store: VaultStore, hand: Hand
    ) -> None:
        path = f"{hand.root}/doc"
        first = store.write_document(path, PAIR, cas=0)
        hand.delete_all(path)
        with pytest.raises(Conflict):
            store.write_document(path, PAIR, cas=1)
        again = store.write_document(path, PAIR, cas=0)
        assert (first[0], again[0]) == (1, 1)

    def test_what_was_stored_is_nobodys_to_change_but_by_writing(self, store: VaultStore, hand: Hand) -> None:
        path, deep = f"{hand.root}/doc", {"list": [1]}
        store.write_document(path, {**PAIR, "deep": deep}, cas=0)
        deep["list"].append(2)
        store.read_document(path, *FIELDS).fields["deep"]["list"].append(3)
        assert store.read_document(path, *FIELDS).fields["deep"] == {"list": [1]}

    def test_a_version_of_a_document_that_never_was_is_absent(self, store: VaultStore, hand: Hand) -> None:
        seen = store.read_version(f"{hand.root}/nothing", 3, *FIELDS)
        assert (seen.version, seen.state, seen.created_time) == (3, DocumentState.ABSENT, None)

    def test_rule_7_the_current_version_by_its_number_is_the_current_document(
        self, store: VaultStore, hand: Hand
    ) -> None:
        path = f"{hand.root}/doc"
        for cas in (0, 1):
            store.write_document(path, PAIR, cas=cas)
        assert store.read_version(path, 2, *FIELDS) == store.read_document(path, *FIELDS)

    def test_rule_7_an_older_version_is_deleted_and_undeleted_by_itself(self, store: VaultStore, hand: Hand) -> None:
        path = f"{hand.root}/doc"
        _, created = store.write_document(path, PAIR, cas=0)
        hand.delete(path)
        store.write_document(path, {**PAIR, "access_key": "SCWNEXT"}, cas=1)
        seen = store.read_version(path, 1, *FIELDS)
        assert (seen.version, seen.state, seen.created_time, seen.secret) == (1, DocumentState.DELETED, created, None)
        assert store.read_document(path, *FIELDS).access_key == "SCWNEXT"
        hand.undelete(path, 1)
        assert store.read_version(path, 1, *FIELDS).access_key == PAIR["access_key"]

    def test_rule_7_single_versions_tell_live_deleted_and_pruned_apart(self, store: VaultStore, hand: Hand) -> None:
        path = f"{hand.root}/doc"
        created = [store.write_document(path, {**PAIR, "access_key": f"SCW{n}"}, cas=n)[1] for n in range(4)]
        hand.destroy(path, 3)
        hand.prune_to(path, 3)
        created.append(store.write_document(path, PAIR, cas=4)[1])
        live, destroyed, pruned, never = (store.read_version(path, version, *FIELDS) for version in (4, 3, 1, 9))
        assert (live.version, live.state, live.access_key, live.created_time) == (
            4,
            DocumentState.LIVE,
            "SCW3",
            created[3],
        )
        assert (destroyed.version, destroyed.state, destroyed.created_time) == (3, DocumentState.DELETED, created[2])
        assert (pruned.version, pruned.state) == (1, DocumentState.ABSENT)
        assert (never.version, never.state) == (9, DocumentState.ABSENT)

    @pytest.mark.parametrize(
        "fields",
        [
            {"access_key": "SCWX"},
            {"access_key": "SCWX", "secret_key": ""},
            {"access_key": "SCWX", "secret_key": 5},
            {"access_key": 5, "secret_key": "x"},
            {"access_key": {"a": 1}},
            {"secret_key": "alone"},
        ],
    )
    def test_rule_11_a_damaged_document_has_a_key_and_no_secret(
        self, store: VaultStore, hand: Hand, fields: dict[str, Any]
    ) -> None:
        hand.put(f"{hand.root}/doc", fields)
        seen = store.read_document(f"{hand.root}/doc", *FIELDS)
        assert seen.state is DocumentState.LIVE
        assert seen.access_key is not None
        assert seen.secret is None
        assert "secret_key" not in seen.fields

    @pytest.mark.parametrize(
        "fields", [{}, {"database": "x"}, {"access_key": "", "secret_key": ""}, {"access_key": None}]
    )
    def test_rule_11_a_document_without_our_fields_has_no_key(
        self, store: VaultStore, hand: Hand, fields: dict[str, Any]
    ) -> None:
        hand.put(f"{hand.root}/doc", fields)
        seen = store.read_document(f"{hand.root}/doc", *FIELDS)
        assert (seen.version, seen.state, seen.access_key, seen.secret) == (1, DocumentState.LIVE, None, None)

    def test_other_names_of_the_fields_are_taken(self, store: VaultStore, hand: Hand) -> None:
        hand.put(
            f"{hand.root}/doc", {"SCW_ACCESS_KEY": "SCWX", "SCW_SECRET_KEY": PAIR["secret_key"], "secret_key": "theirs"}
        )
        seen = store.read_document(f"{hand.root}/doc", "SCW_ACCESS_KEY", "SCW_SECRET_KEY")
        assert (seen.access_key, seen.secret) == ("SCWX", Secret(PAIR["secret_key"]))
        assert seen.fields == {"SCW_ACCESS_KEY": "SCWX", "secret_key": "theirs"}

    def test_b_metadata_written_by_others_is_merged_never_replaced(self, store: VaultStore, hand: Hand) -> None:
        path = f"{hand.root}/doc"
        store.write_document(path, PAIR, cas=0)
        hand.annotate(path, {"team": "payments", "rotation": "old"})
        store.annotate(path, {"rotation": "new", "access_key": "SCWX"})
        assert hand.custom_metadata(path) == {"team": "payments", "rotation": "new", "access_key": "SCWX"}
        assert store.read_document(path, *FIELDS).version == 1

    def test_metadata_has_no_place_where_there_is_no_document(self, store: VaultStore, hand: Hand) -> None:
        with pytest.raises(ServiceError):
            store.annotate(f"{hand.root}/nothing", {"rotation": "new"})

    # --- the rest

    def test_versions_are_destroyed_for_good_and_the_others_stay(self, store: VaultStore, hand: Hand) -> None:
        path = f"{hand.root}/doc"
        for version in range(4):
            store.write_document(path, {**PAIR, "note": str(version)}, cas=version)
        store.destroy_versions(path, [1, 3])
        store.destroy_versions(path, [3])
        found = [(one.version, one.deleted, one.destroyed) for one in store.list_versions(path)]
        assert found == [(1, True, True), (2, False, False), (3, True, True), (4, False, False)]
        assert store.read_version(path, 3, *FIELDS).state is DocumentState.DELETED
        assert store.read_version(path, 2, *FIELDS).access_key == PAIR["access_key"]
        assert store.read_document(path, *FIELDS).version == 4

    def test_rights_and_mount_are_well_for_a_good_path(self, store: VaultStore, hand: Hand) -> None:
        assert list(store.missing_capabilities(f"{hand.root}/doc")) == []
        store.require_kv2(f"{hand.root}/doc")

    def test_the_installation_is_made_once(self, store: VaultStore) -> None:
        made = store.installation()
        store.write_ledger(ledger(), cas=0)
        assert made == store.installation()
        assert len(made) >= 16

    def test_rule_11_a_missing_installation_beside_ledgers_stops(self, store: VaultStore) -> None:
        store.write_ledger(ledger(), cas=0)
        with pytest.raises(LedgerUnreadable, match="installation"):
            store.installation()

    def test_the_clocks_of_one_machine_agree(self, store: VaultStore) -> None:
        assert store.clock_offset() == timedelta(0)
        store.read_ledger("billing")
        assert abs(store.clock_offset()) < timedelta(minutes=1)
