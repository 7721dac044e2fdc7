"""What each verb of the store sends, what it makes of the answer, and what it says when it is refused: as whole tables,
without a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.domain.account import AccountDocument
from rotator.domain.document import ABSENT, CredentialDocument, DocumentState
from rotator.domain.secret import Secret
from rotator.errors import (
    Conflict,
    Indeterminate,
    LedgerUnreadable,
    NotFound,
    PermissionDenied,
    Rejected,
    ServiceError,
    Unavailable,
)
from rotator.http import HttpFailure
from rotator.vault import AppRoleAuth, KvStore, TokenAuth, VersionInfo
from rotator.vault.codec import dump_account, dump_ledger
from rotator.vault.policy import checked_rights
from tests.vault.contract import FIELDS, PAIR, ledger
from tests.vault.scripted import (
    ADDRESS,
    CREATED,
    DENIED,
    KV2,
    MOUNT,
    NOTHING,
    TOKEN,
    Answer,
    Answers,
    Pauses,
    ScriptedVault,
    connection_to,
    store_on,
    version_of,
)

PATH = "kv/apps/billing"
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
WRITTEN = (200, {"data": {"version": 6, "created_time": CREATED}})
LEDGER, ACCOUNT = "kv/data/rotator/applications/billing", "kv/data/rotator/accounts/acme"
INSTALLATION = "kv/data/rotator/installation"
SHOWN = {"access_key": PAIR["access_key"]}

Verb = Callable[[KvStore], Any]
Calls = list[tuple[str, Any]]

READ_OF: Mapping[str, tuple[Verb, Answers, Calls, Any]] = {
    "the current version": (
        lambda store: store.read_document(PATH, *FIELDS),
        {"GET kv/data/apps/billing": version_of({**PAIR, "region": "fr-par"})},
        [("GET kv/data/apps/billing", None)],
        CredentialDocument(
            3,
            DocumentState.LIVE,
            AT,
            PAIR["access_key"],
            Secret(PAIR["secret_key"]),
            {"access_key": PAIR["access_key"], "region": "fr-par"},
        ),
    ),
    "a version that will expire": (
        lambda store: store.read_document(PATH, *FIELDS),
        {"GET kv/data/apps/billing": version_of(PAIR, deletion_time="2026-11-24T12:00:00Z")},
        [("GET kv/data/apps/billing", None)],
        CredentialDocument(
            3,
            DocumentState.LIVE,
            AT,
            PAIR["access_key"],
            Secret(PAIR["secret_key"]),
            SHOWN,
            datetime(2026, 11, 24, 12, tzinfo=UTC),
        ),
    ),
    "a document that is not there": (
        lambda store: store.read_document(PATH, *FIELDS),
        {},
        [("GET kv/data/apps/billing", None)],
        ABSENT,
    ),
    "a version that a person deleted": (
        lambda store: store.read_document(PATH, *FIELDS),
        {"GET kv/data/apps/billing": version_of(None, deletion_time="2026-11-23T13:00:00Z")},
        [
            ("GET kv/data/apps/billing", None),
            ("GET kv/metadata/apps/billing", None),
            ("GET kv/config", None),
        ],
        CredentialDocument(3, DocumentState.DELETED, AT, expired=False),
    ),
    "a version that expired by the setting of its mount": (
        lambda store: store.read_document(PATH, *FIELDS),
        {
            "GET kv/data/apps/billing": version_of(None, deletion_time="2026-11-23T13:00:01Z"),
            "GET kv/metadata/apps/billing": DENIED,
            "GET kv/config": (200, {"data": {"delete_version_after": "1h0m0s"}}),
        },
        [
            ("GET kv/data/apps/billing", None),
            ("GET kv/metadata/apps/billing", None),
            ("GET kv/config", None),
        ],
        CredentialDocument(3, DocumentState.DELETED, AT, expired=True),
    ),
    "one version": (
        lambda store: store.read_version(PATH, 2, *FIELDS),
        {"GET kv/data/apps/billing?version=2": version_of(PAIR, 2)},
        [("GET kv/data/apps/billing?version=2", None)],
        CredentialDocument(2, DocumentState.LIVE, AT, PAIR["access_key"], Secret(PAIR["secret_key"]), SHOWN),
    ),
    "a version that was pruned": (
        lambda store: store.read_version(PATH, 2, *FIELDS),
        {},
        [("GET kv/data/apps/billing?version=2", None)],
        CredentialDocument(2, DocumentState.ABSENT),
    ),
    "one field": (
        lambda store: store.read_field(PATH, "access_key"),
        {"GET kv/data/apps/billing": version_of(PAIR)},
        [("GET kv/data/apps/billing", None)],
        Secret(PAIR["access_key"]),
    ),
    "the versions": (
        lambda store: store.list_versions(PATH),
        {
            "GET kv/metadata/apps/billing": (
                200,
                {
                    "data": {
                        "versions": {
                            "10": {"created_time": CREATED, "deletion_time": "2999-01-01T00:00:00Z"},
                            "9": {"created_time": CREATED, "deletion_time": "2026-11-23T13:00:00Z"},
                            "2": {"created_time": CREATED, "deletion_time": "", "destroyed": True},
                            "1": {"created_time": "yesterday"},
                            "0": {"created_time": CREATED},
                            "x": {"created_time": CREATED},
                        }
                    }
                },
            )
        },
        [("GET kv/metadata/apps/billing", None)],
        (
            VersionInfo(2, AT, deleted=True, destroyed=True),
            VersionInfo(9, AT, deleted=True, destroyed=False),
            VersionInfo(10, AT, deleted=False, destroyed=False),
        ),
    ),
    "the versions of nothing": (
        lambda store: store.list_versions(PATH),
        {},
        [("GET kv/metadata/apps/billing", None)],
        (),
    ),
    "check-and-set that the document requires": (
        lambda store: store.requires_check_and_set(PATH),
        {"GET kv/metadata/apps/billing": (200, {"data": {"cas_required": True}})},
        [("GET kv/metadata/apps/billing", None)],
        True,
    ),
    "check-and-set that the mount requires": (
        lambda store: store.requires_check_and_set(PATH),
        {"GET kv/config": (200, {"data": {"cas_required": True}})},
        [("GET kv/metadata/apps/billing", None), ("GET kv/config", None)],
        True,
    ),
    "check-and-set that nothing requires": (
        lambda store: store.requires_check_and_set(PATH),
        {
            "GET kv/metadata/apps/billing": (200, {"data": {"cas_required": False}}),
            "GET kv/config": (200, {"data": {"cas_required": False}}),
        },
        [("GET kv/metadata/apps/billing", None), ("GET kv/config", None)],
        False,
    ),
    "check-and-set that is not shown": (
        lambda store: store.requires_check_and_set(PATH),
        {"GET kv/config": (403, {"errors": ["1 error occurred"], "data": {"cas_required": True}})},
        [("GET kv/metadata/apps/billing", None), ("GET kv/config", None)],
        False,
    ),
    "the number of versions that the document keeps": (
        lambda store: store.document_limits(PATH),
        {"GET kv/metadata/apps/billing": (200, {"data": {"max_versions": 4}})},
        [("GET kv/metadata/apps/billing", None)],
        4,
    ),
    "the number of versions that the mount keeps": (
        lambda store: store.document_limits(PATH),
        {
            "GET kv/metadata/apps/billing": (200, {"data": {"max_versions": 0}}),
            "GET kv/config": (200, {"data": {"max_versions": 7}}),
        },
        [("GET kv/metadata/apps/billing", None), ("GET kv/config", None)],
        7,
    ),
    "the number of versions that is usual": (
        lambda store: store.document_limits(PATH),
        {"GET kv/config": (200, {"data": {"max_versions": 0}})},
        [("GET kv/metadata/apps/billing", None), ("GET kv/config", None)],
        10,
    ),
    "the times after which versions are deleted": (
        lambda store: store.delete_version_after(PATH),
        {
            "GET kv/metadata/apps/billing": (200, {"data": {"delete_version_after": "2h0m5s"}}),
            "GET kv/config": (200, {"data": {"delete_version_after": "48h0m0s"}}),
        },
        [("GET kv/metadata/apps/billing", None), ("GET kv/config", None)],
        (timedelta(hours=2, seconds=5), timedelta(days=2)),
    ),
    "versions that are never deleted": (
        lambda store: store.delete_version_after(PATH),
        {
            "GET kv/metadata/apps/billing": (200, {"data": {"delete_version_after": "0s"}}),
            "GET kv/config": (200, {"data": {"delete_version_after": "some time"}}),
        },
        [("GET kv/metadata/apps/billing", None), ("GET kv/config", None)],
        (),
    ),
    "a ledger": (
        lambda store: store.read_ledger("billing"),
        {f"GET {LEDGER}": version_of(dump_ledger(ledger()), 8)},
        [(f"GET {LEDGER}", None)],
        (ledger(), 8),
    ),
    "a ledger that is not there": (
        lambda store: store.read_ledger("a b/c"),
        {},
        [("GET kv/data/rotator/applications/a%2520b%252Fc", None)],
        (None, 0),
    ),
    "the ledgers": (
        lambda store: store.list_ledgers(),
        {"LIST kv/metadata/rotator/applications": (200, {"data": {"keys": ["billing", "a%20b%2Fc"]}})},
        [("LIST kv/metadata/rotator/applications", None)],
        ("a b/c", "billing"),
    ),
    "no ledgers": (
        lambda store: store.list_ledgers(),
        {},
        [("LIST kv/metadata/rotator/applications", None)],
        (),
    ),
    "an account": (
        lambda store: store.read_account("acme"),
        {f"GET {ACCOUNT}": version_of(dump_account(AccountDocument("acme")), 2)},
        [(f"GET {ACCOUNT}", None)],
        (AccountDocument("acme"), 2),
    ),
    "an account of which nothing is known": (
        lambda store: store.read_account("acme"),
        {},
        [(f"GET {ACCOUNT}", None)],
        (AccountDocument("acme"), 0),
    ),
    "the installation id": (
        lambda store: store.installation(),
        {f"GET {INSTALLATION}": version_of({"id": "1234"})},
        [(f"GET {INSTALLATION}", None)],
        "1234",
    ),
    "what is missing on a path": (
        lambda store: store.missing_capabilities(PATH),
        {"POST sys/capabilities-self": (200, {"data": {"kv/data/apps/billing": ["read"]}})},
        [("POST sys/capabilities-self", {"paths": ["kv/data/apps/billing"]})],
        ("create", "update"),
    ),
    "what is missing on a path, from an older Vault": (
        lambda store: store.missing_capabilities(PATH),
        {"POST sys/capabilities-self": (200, {"kv/data/apps/billing": ["read", "update"]})},
        [("POST sys/capabilities-self", {"paths": ["kv/data/apps/billing"]})],
        ("create",),
    ),
    "what is missing for root": (
        lambda store: store.missing_rights("billing", PATH),
        {
            "POST sys/capabilities-self": (
                200,
                {"data": {right.path: ["root"] for right in checked_rights("kv/rotator", "billing", PATH)}},
            )
        },
        [
            (
                "POST sys/capabilities-self",
                {
                    "paths": [
                        "auth/token/lookup-self",
                        "auth/token/renew-self",
                        "auth/token/revoke-self",
                        "sys/capabilities-self",
                        "kv/data/rotator/applications/billing",
                        "kv/metadata/rotator/applications",
                        "kv/data/apps/billing",
                        "kv/metadata/apps/billing",
                        "kv/destroy/apps/billing",
                        "kv/config",
                    ]
                },
            )
        ],
        (),
    ),
    "the token": (
        lambda store: store.own_token().data["ttl"],
        {},
        [],
        0,
    ),
    "the secret id of a login by a token": (lambda store: store.own_secret_id("rotator"), {}, [], None),
}  # fmt: skip

WRITES: Mapping[str, tuple[Verb, Answers, Calls, Any]] = {
    "a new document": (
        lambda store: store.write_document(PATH, {"key": Secret("hidden"), "region": "fr-par", "n": 1}, cas=0),
        {"POST kv/data/apps/billing": WRITTEN},
        [
            (
                "POST kv/data/apps/billing",
                {"options": {"cas": 0}, "data": {"key": "hidden", "region": "fr-par", "n": 1}},
            )
        ],
        (6, AT),
    ),
    "a ledger": (
        lambda store: store.write_ledger(ledger("a b"), cas=5),
        {"POST kv/data/rotator/applications/a%2520b": WRITTEN},
        [
            (
                "POST kv/data/rotator/applications/a%2520b",
                {"options": {"cas": 5}, "data": dump_ledger(ledger("a b"))},
            )
        ],
        6,
    ),
    "an account": (
        lambda store: store.write_account(AccountDocument("a b"), cas=4),
        {"POST kv/data/rotator/accounts/a%2520b": WRITTEN},
        [
            (
                "POST kv/data/rotator/accounts/a%2520b",
                {"options": {"cas": 4}, "data": dump_account(AccountDocument("a b"))},
            )
        ],
        6,
    ),
    "an annotation": (
        lambda store: store.annotate(PATH, {"rotated": "today"}),
        {"PATCH kv/metadata/apps/billing": (204, b"")},
        [("PATCH kv/metadata/apps/billing", {"custom_metadata": {"rotated": "today"}})],
        None,
    ),
    "the destruction of versions": (
        lambda store: store.destroy_versions(PATH, (1, 2)),
        {"POST kv/destroy/apps/billing": (204, b"")},
        [("POST kv/destroy/apps/billing", {"versions": [1, 2]})],
        None,
    ),
}


@pytest.mark.parametrize(
    ("verb", "answers", "calls", "value"), [*READ_OF.values(), *WRITES.values()], ids=[*READ_OF, *WRITES]
)
def test_each_verb_sends_these_calls_and_gives_this(verb: Verb, answers: Answers, calls: Calls, value: Any) -> None:
    vault = ScriptedVault(answers)
    found = verb(store_on(vault))
    assert found == value
    assert vault.asked == calls


# --- refusals ---


def policy(path: str, capability: str) -> str:
    return (
        f"the policy of the login at Vault does not allow {capability} on {path}: add "
        f'path "{path}" {{ capabilities = ["{capability}"] }}'
    )


DENIALS: Mapping[str, tuple[Verb, str, str, str]] = {
    "a read": (lambda store: store.read_document(PATH, *FIELDS), "GET", "kv/data/apps/billing", "read"),
    "a first write": (
        lambda store: store.write_document(PATH, {}, cas=0),
        "POST",
        "kv/data/apps/billing",
        "create",
    ),
    "a write": (lambda store: store.write_document(PATH, {}, cas=5), "POST", "kv/data/apps/billing", "update"),
    "an annotation": (lambda store: store.annotate(PATH, {}), "PATCH", "kv/metadata/apps/billing", "patch"),
    "the metadata": (lambda store: store.list_versions(PATH), "GET", "kv/metadata/apps/billing", "read"),
    "a destruction": (
        lambda store: store.destroy_versions(PATH, (1,)),
        "POST",
        "kv/destroy/apps/billing",
        "update",
    ),
    "the settings of the mount": (lambda store: store.document_limits(PATH), "GET", "kv/config", "read"),
    "the list of ledgers": (lambda store: store.list_ledgers(), "LIST", "kv/metadata/rotator/applications", "list"),
    "the question for rights": (
        lambda store: store.missing_capabilities(PATH),
        "POST",
        "sys/capabilities-self",
        "update",
    ),
}


@pytest.mark.parametrize(("verb", "method", "path", "capability"), DENIALS.values(), ids=DENIALS)
def test_each_denial_names_the_path_and_the_capability(verb: Verb, method: str, path: str, capability: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        verb(store_on(ScriptedVault({f"{method} {path}": DENIED})))
    assert str(caught.value) == policy(path, capability)
    assert vars(caught.value) == {
        "service": "vault",
        "kind": "policy",
        "path": path,
        "capability": capability,
        "remedy": "",
    }


GATEWAY: Mapping[str, tuple[Verb, str, str, type[ServiceError]]] = {
    "a read": (
        lambda store: store.read_document(PATH, *FIELDS),
        "GET kv/data/apps/billing",
        "kv/data/apps/billing",
        Unavailable,
    ),
    "a write": (
        lambda store: store.write_document(PATH, {}, cas=5),
        "POST kv/data/apps/billing",
        "kv/data/apps/billing",
        Indeterminate,
    ),
    "an annotation": (
        lambda store: store.annotate(PATH, {}),
        "PATCH kv/metadata/apps/billing",
        "kv/metadata/apps/billing",
        Indeterminate,
    ),
    "a destruction": (
        lambda store: store.destroy_versions(PATH, (1,)),
        "POST kv/destroy/apps/billing",
        "kv/destroy/apps/billing",
        Indeterminate,
    ),
    "the metadata": (
        lambda store: store.list_versions(PATH),
        "GET kv/metadata/apps/billing",
        "kv/metadata/apps/billing",
        Unavailable,
    ),
    "the settings of the mount": (
        lambda store: store.document_limits(PATH),
        "GET kv/config",
        "kv/config",
        Unavailable,
    ),
    "the list of ledgers": (
        lambda store: store.list_ledgers(),
        "LIST kv/metadata/rotator/applications",
        "kv/metadata/rotator/applications",
        Unavailable,
    ),
    "the question for rights": (
        lambda store: store.missing_capabilities(PATH),
        "POST sys/capabilities-self",
        "sys/capabilities-self",
        Unavailable,
    ),
    "the question for the mount": (lambda store: store.require_kv2(PATH), f"{MOUNT}{PATH}", PATH, Unavailable),
}


@pytest.mark.parametrize(("verb", "call", "path", "kind"), GATEWAY.values(), ids=GATEWAY)
def test_only_a_write_that_a_gateway_answers_may_have_been_executed(
    verb: Verb, call: str, path: str, kind: type[ServiceError]
) -> None:
    with pytest.raises(ServiceError) as caught:
        verb(store_on(ScriptedVault({call: (502, b"")})))
    assert type(caught.value) is kind
    assert str(caught.value) == (
        f"Vault answered 502 to the write of {path}, which may have been executed: look before writing again"
        if kind is Indeterminate
        else f"Vault answered 502 for {path}: try again later"
    )
    assert vars(caught.value) == {"service": "vault", "kind": "server_error"}


LOST = HttpFailure("the answer did not end", kind="timeout", sent="unknown")
NOT_SENT = HttpFailure("connection refused", kind="connect", sent="no")
OVERDUE = HttpFailure("no connection was free in time", kind="timeout", sent="no")
READING: Verb = lambda store: store.read_document(PATH, *FIELDS)  # noqa: E731 - one entry of many tables
WRITING: Verb = lambda store: store.write_document(PATH, {}, cas=5)  # noqa: E731 - one entry of many tables


@pytest.mark.parametrize(
    ("verb", "lost", "error", "kind", "message"),
    [
        (READING, LOST, Unavailable, "timeout", f"Vault at {ADDRESS} did not answer: the answer did not end"),
        (READING, NOT_SENT, Unavailable, "unreachable", f"Vault at {ADDRESS} cannot be reached: connection refused"),
        (
            READING,
            OVERDUE,
            Unavailable,
            "timeout",
            f"Vault at {ADDRESS} cannot be reached: no connection was free in time",
        ),
        (WRITING, NOT_SENT, Unavailable, "unreachable", f"Vault at {ADDRESS} cannot be reached: connection refused"),
        (
            WRITING,
            LOST,
            Indeterminate,
            "timeout",
            f"Vault at {ADDRESS} took a call and did not answer (the answer did not end): look before doing it again",
        ),
    ],
)
def test_b_a_lost_answer_says_whether_the_call_may_have_been_executed(
    verb: Verb, lost: HttpFailure, error: type[ServiceError], kind: str, message: str
) -> None:
    vault = ScriptedVault({"GET kv/data/apps/billing": lost, "POST kv/data/apps/billing": lost})
    with pytest.raises(ServiceError) as caught:
        verb(store_on(vault))
    assert (type(caught.value), str(caught.value)) == (error, message)
    assert vars(caught.value) == {"service": "vault", "kind": kind}
    assert caught.value.__cause__ is caught.value.__context__ is None, "what the library raised is not kept"


NOT_JSON = (
    "Vault answered with something that is not JSON: check the address, and what stands between rotator and Vault"
)
REFUSALS: Mapping[str, tuple[Verb, Answers, type[Exception], dict[str, str], str]] = {
    "a page instead of an answer to a read": (
        READING,
        {"GET kv/data/apps/billing": (200, b"<html>")},
        Unavailable,
        {"kind": "unreadable"},
        NOT_JSON,
    ),
    "a page instead of an answer to a write": (
        WRITING,
        {"POST kv/data/apps/billing": (200, b"<html>")},
        Indeterminate,
        {"kind": "unreadable"},
        NOT_JSON,
    ),
    "an answer without a version to a read": (
        READING,
        {"GET kv/data/apps/billing": (200, {"data": {"data": PAIR}})},
        Rejected,
        {"kind": "not_kv2", "argument": ""},
        "Vault answered a read without the version that KV version 2 gives: check the mount and the address",
    ),
    "an answer without a version to a write": (
        WRITING,
        {"POST kv/data/apps/billing": (200, {"data": {"created_time": CREATED}})},
        Indeterminate,
        {"kind": "unreadable"},
        f"Vault answered the write of {PATH} without a version: look at it",
    ),
    "an answer without a time to a write": (
        WRITING,
        {"POST kv/data/apps/billing": (200, {"data": {"version": 6}})},
        Indeterminate,
        {"kind": "unreadable"},
        f"Vault answered the write of {PATH} without a version: look at it",
    ),
    "a write that KV version 1 takes": (
        WRITING,
        {"POST kv/data/apps/billing": (204, b"")},
        Rejected,
        {"kind": "not_kv2", "argument": "kv"},
        "the Vault mount kv/ is not KV version 2 any more",
    ),
    "a field that is not there": (
        lambda store: store.read_field(PATH, "password"),
        {"GET kv/data/apps/billing": version_of(PAIR)},
        NotFound,
        {"kind": "no_field", "argument": ""},
        f"there is no text at {PATH}#password in Vault: check the reference",
    ),
    "a field that is no text": (
        lambda store: store.read_field(PATH, "number"),
        {"GET kv/data/apps/billing": version_of({"number": 5})},
        NotFound,
        {"kind": "no_field", "argument": ""},
        f"there is no text at {PATH}#number in Vault: check the reference",
    ),
    "a field that is empty": (
        lambda store: store.read_field(PATH, "empty"),
        {"GET kv/data/apps/billing": version_of({"empty": ""})},
        NotFound,
        {"kind": "no_field", "argument": ""},
        f"there is no text at {PATH}#empty in Vault: check the reference",
    ),
    "a field of a deleted document": (
        lambda store: store.read_field(PATH, "access_key"),
        {
            "GET kv/data/apps/billing": (
                404,
                {"data": {"data": PAIR, "metadata": {"version": 3, "created_time": CREATED}}},
            )
        },
        NotFound,
        {"kind": "no_field", "argument": ""},
        f"there is no text at {PATH}#access_key in Vault: check the reference",
    ),
    "a list without names": (
        lambda store: store.list_ledgers(),
        {"LIST kv/metadata/rotator/applications": (200, {"data": {"keys": ["billing", 5]}})},
        Unavailable,
        {"kind": "unreadable"},
        "Vault answered the list of kv/rotator/applications without the names in it: try again later",
    ),
    "a list that is none": (
        lambda store: store.list_ledgers(),
        {"LIST kv/metadata/rotator/applications": (200, {"data": {"keys": "billing"}})},
        Unavailable,
        {"kind": "unreadable"},
        "Vault answered the list of kv/rotator/applications without the names in it: try again later",
    ),
    "the ledger of another application": (
        lambda store: store.read_ledger("billing"),
        {f"GET {LEDGER}": version_of(dump_ledger(ledger("shop")))},
        LedgerUnreadable,
        {},
        "the ledger of billing is damaged: it says that it belongs to shop; restore an earlier version of it in Vault",
    ),
    "the document of another account": (
        lambda store: store.read_account("acme"),
        {f"GET {ACCOUNT}": version_of(dump_account(AccountDocument("globex")))},
        LedgerUnreadable,
        {},
        (
            "the document of account acme is damaged: it says that it belongs to globex; "
            "restore an earlier version of it in Vault"
        ),
    ),
    "a damaged ledger": (
        lambda store: store.read_ledger("billing"),
        {f"GET {LEDGER}": version_of({"schema": "4"})},
        LedgerUnreadable,
        {},
        "the ledger of billing is damaged: it has no schema number; restore an earlier version of it in Vault",
    ),
    "a damaged account": (
        lambda store: store.read_account("acme"),
        {f"GET {ACCOUNT}": version_of({})},
        LedgerUnreadable,
        {},
        "the document of account acme is damaged: it has no schema number; restore an earlier version of it in Vault",
    ),
    "a deleted ledger": (
        lambda store: store.read_ledger("billing"),
        {f"GET {LEDGER}": version_of(None, 7, deletion_time="2026-11-23T13:00:00Z")},
        LedgerUnreadable,
        {},
        (
            "the ledger of billing was deleted (version 7 at kv/rotator/applications/billing): undelete it, or "
            "restore an earlier version"
        ),
    ),
    "an account that expired": (
        lambda store: store.read_account("acme"),
        {
            f"GET {ACCOUNT}": version_of(None, 7, deletion_time="2026-11-23T13:00:00Z"),
            "GET kv/metadata/rotator/accounts/acme": (200, {"data": {"delete_version_after": "1h0m0s"}}),
        },
        LedgerUnreadable,
        {},
        (
            "the document of account acme expired, because of delete_version_after (version 7 at "
            "kv/rotator/accounts/acme): undelete it, or restore an earlier version"
        ),
    ),
    "a deleted installation id": (
        lambda store: store.installation(),
        {f"GET {INSTALLATION}": version_of(None, 1)},
        LedgerUnreadable,
        {},
        (
            "the installation id was deleted (version 1 at kv/rotator/installation): undelete it, or restore an "
            "earlier version"
        ),
    ),
    "a damaged installation id": (
        lambda store: store.installation(),
        {f"GET {INSTALLATION}": version_of({"id": 5})},
        LedgerUnreadable,
        {},
        "the installation id at kv/rotator/installation is damaged: restore an earlier version of it",
    ),
    "an empty installation id": (
        lambda store: store.installation(),
        {f"GET {INSTALLATION}": version_of({"id": ""})},
        LedgerUnreadable,
        {},
        "the installation id at kv/rotator/installation is damaged: restore an earlier version of it",
    ),
    "an installation id that is missing beside ledgers": (
        lambda store: store.installation(),
        {"LIST kv/metadata/rotator/applications": (200, {"data": {"keys": ["billing"]}})},
        LedgerUnreadable,
        {},
        "the installation id at kv/rotator/installation is missing while ledgers exist: restore it from a backup",
    ),
    "an installation whose versions expire": (
        lambda store: store.installation(),
        {"GET kv/config": (200, {"data": {"delete_version_after": "1h0m0s"}})},
        Rejected,
        {"kind": "versions_expire", "argument": ""},
        (
            "Vault deletes every version below kv/rotator after some time, ledgers included: set delete_version_after "
            "of the mount to 0s, or name another mount in ledger_path"
        ),
    ),
    "no mount": (
        lambda store: store.require_kv2(PATH),
        {f"{MOUNT}{PATH}": DENIED},
        PermissionDenied,
        {"kind": "policy", "path": "kv/data/apps/billing", "capability": "read", "remedy": ""},
        (
            f"Vault has no mount for {PATH}, or the policy of the login gives nothing on it: check the name of the mount "
            'and the namespace, or add path "kv/data/apps/billing" { capabilities = ["read"] }'
        ),
    ),
    "a mount of KV version 1": (
        lambda store: store.require_kv2(PATH),
        {f"{MOUNT}{PATH}": (200, {"data": {"path": "kv/", "type": "kv", "options": None}})},
        Rejected,
        {"kind": "not_kv2", "argument": "kv"},
        (
            "the Vault mount kv/ is KV version 1, which ignores check-and-set: upgrade it with `bao kv "
            "enable-versioning kv`, or name another mount"
        ),
    ),
    "a mount of another kind": (
        lambda store: store.require_kv2(PATH),
        {f"{MOUNT}{PATH}": (200, {"data": {"path": "kv/", "type": "transit", "options": {"version": "2"}}})},
        Rejected,
        {"kind": "not_kv2", "argument": "kv"},
        "the Vault mount kv/ is of type transit: name a KV version 2 mount",
    ),
    "a mount that is not named": (
        lambda store: store.require_kv2(PATH),
        {f"{MOUNT}{PATH}": (200, {"data": {"type": "kv", "options": {"version": "2"}}})},
        Unavailable,
        {"kind": "server_error"},
        f"Vault did not say which mount holds {PATH}: try again later",
    ),
    "a mount that the path is not in": (
        lambda store: store.require_kv2(PATH),
        {f"{MOUNT}{PATH}": (200, {"data": {"path": "k/", "type": "kv", "options": {"version": "2"}}})},
        Unavailable,
        {"kind": "server_error"},
        f"Vault did not say which mount holds {PATH}: try again later",
    ),
}


@pytest.mark.parametrize(("verb", "answers", "error", "details", "message"), REFUSALS.values(), ids=REFUSALS)
def test_each_refusal_says_what_happened_to_what_and_what_to_do(
    verb: Verb, answers: Answers, error: type[Exception], details: dict[str, str], message: str
) -> None:
    with pytest.raises(Exception) as caught:
        verb(store_on(ScriptedVault(answers)))
    assert (type(caught.value), str(caught.value)) == (error, message)
    assert vars(caught.value) == ({"service": "vault", **details} if details else {})


# --- what several calls add up to ---


def test_rule_14_a_version_older_than_one_that_was_seen_is_asked_for_again_and_then_unavailable() -> None:
    vault = ScriptedVault(
        {"GET kv/data/apps/billing": [version_of(PAIR, 5), version_of(PAIR, 4), version_of(PAIR, 5), NOTHING]}
    )
    pauses = Pauses()
    store = store_on(vault, pauses=pauses)
    assert [store.read_document(PATH, *FIELDS).version for _ in range(2)] == [5, 5]
    assert pauses == [0.05]
    with pytest.raises(Unavailable) as caught:
        store.read_document(PATH, *FIELDS)
    assert pauses == [0.05, 0.05, 0.1, 0.2, 0.4, 0.8]
    assert len(vault.asked) == 9
    assert str(caught.value) == (
        f"Vault answers for {PATH} with a version older than one seen before: a node is behind, or the document was "
        "restored or recreated; check that, then restart rotator"
    )
    assert vars(caught.value) == {"service": "vault", "kind": "stale"}


def test_rule_14_what_was_written_is_seen() -> None:
    vault = ScriptedVault({"POST kv/data/apps/billing": WRITTEN, "GET kv/data/apps/billing": version_of(PAIR)})
    store = store_on(vault)
    store.write_document(PATH, PAIR, cas=5)
    with pytest.raises(Unavailable, match="older than one seen before"):
        store.read_document(PATH, *FIELDS)
    assert store.read_version(PATH, 3, *FIELDS) == CredentialDocument(3, DocumentState.ABSENT)


MISMATCH = (400, {"errors": ["check-and-set parameter did not match the current version"]})


def test_rule_14_a_refused_check_and_set_is_a_conflict_as_soon_as_a_read_shows_another_version() -> None:
    vault = ScriptedVault(
        {
            "POST kv/data/apps/billing": MISMATCH,
            "GET kv/data/apps/billing": [version_of(PAIR, 5), version_of(PAIR, 5), version_of(PAIR, 6)],
        }
    )
    pauses = Pauses()
    with pytest.raises(Conflict) as caught:
        store_on(vault, pauses=pauses).write_document(PATH, PAIR, cas=5)
    assert str(caught.value) == f"another process or person wrote {PATH} first: it is at version 6, not 5"
    assert vars(caught.value) == {"service": "vault", "kind": "conflict"}
    assert pauses == [0.05, 0.1]


def test_rule_14_a_refused_check_and_set_whose_version_every_read_shows_is_unavailable() -> None:
    vault = ScriptedVault({"POST kv/data/apps/billing": MISMATCH, "GET kv/data/apps/billing": version_of(PAIR, 5)})
    pauses = Pauses()
    with pytest.raises(Unavailable) as caught:
        store_on(vault, pauses=pauses).write_document(PATH, PAIR, cas=5)
    assert str(caught.value) == (
        f"Vault refused the write of {PATH} because of its version and then showed that very version: try again later"
    )
    assert vars(caught.value) == {"service": "vault", "kind": "stale"}
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8]


@pytest.mark.parametrize("call", [READING, WRITING])
def test_a_mount_that_answers_as_none_is_asked_for_again(call: Verb) -> None:
    gone: Answer = (404, {"errors": ["no handler for route"]})
    vault = ScriptedVault({"GET kv/data/apps/billing": gone, "POST kv/data/apps/billing": gone})
    store = store_on(vault)
    for _ in range(2):
        with pytest.raises(NotFound) as caught:
            call(store)
    assert str(caught.value) == (
        "Vault has nothing that answers at kv/data/apps/billing: check the mount, the namespace and the address"
    )
    assert [verb for verb, _ in vault.calls].count(f"{MOUNT}{PATH}") == 2


def test_a_denial_leaves_the_proof_of_the_mount_as_it_is() -> None:
    vault = ScriptedVault({"GET kv/data/apps/billing": DENIED})
    store = store_on(vault)
    for _ in range(2):
        with pytest.raises(PermissionDenied):
            READING(store)
    assert [verb for verb, _ in vault.calls].count(f"{MOUNT}{PATH}") == 1


def test_a_mount_that_becomes_kv_version_1_is_asked_for_again() -> None:
    vault = ScriptedVault({"POST kv/data/apps/billing": (204, b"")})
    store = store_on(vault)
    for _ in range(2):
        with pytest.raises(Rejected):
            WRITING(store)
    assert [verb for verb, _ in vault.calls].count(f"{MOUNT}{PATH}") == 2


def test_r11_the_installation_id_is_made_on_first_use_and_remembered() -> None:
    vault = ScriptedVault({f"POST {INSTALLATION}": WRITTEN})
    store = store_on(vault)
    made = store.installation()
    assert len(bytes.fromhex(made)) == 8
    assert vault.asked == [
        (f"GET {INSTALLATION}", None),
        ("LIST kv/metadata/rotator/applications", None),
        ("GET kv/metadata/rotator/installation", None),
        ("GET kv/config", None),
        (f"POST {INSTALLATION}", {"options": {"cas": 0}, "data": {"id": made}}),
    ]
    assert store.installation() == made
    assert len(vault.asked) == 5


def test_r11_the_installation_id_of_whoever_was_faster_is_taken() -> None:
    vault = ScriptedVault(
        {f"POST {INSTALLATION}": MISMATCH, f"GET {INSTALLATION}": [NOTHING, version_of({"id": "theirs"}, 1)]}
    )
    assert store_on(vault).installation() == "theirs"
    vault = ScriptedVault(
        {
            f"GET {INSTALLATION}": [NOTHING, version_of({"id": "theirs"}, 1)],
            "LIST kv/metadata/rotator/applications": (200, {"data": {"keys": ["billing"]}}),
        }
    )
    assert store_on(vault).installation() == "theirs"


def expiring(content: Any, number: int, created: datetime, ends: datetime) -> Answer:
    return version_of(content, number, created_time=created.isoformat(), deletion_time=ends.isoformat())


@pytest.mark.parametrize(
    ("path", "content", "read", "value"),
    [
        (INSTALLATION, {"id": "1234"}, lambda store: store.installation(), "1234"),
        (LEDGER, dump_ledger(ledger()), lambda store: store.read_ledger("billing"), (ledger(), 4)),
    ],
)
def test_c3_what_expires_is_written_again_when_half_of_its_time_is_over(
    path: str, content: Any, read: Verb, value: Any
) -> None:
    now = datetime.now(UTC)
    day = timedelta(days=1)
    renewed = (200, {"data": {"version": 4, "created_time": now.isoformat()}})
    vault = ScriptedVault({f"GET {path}": expiring(content, 3, now - day, now + day * 0.9), f"POST {path}": renewed})
    assert read(store_on(vault)) == value
    assert vault.asked == [(f"GET {path}", None), (f"POST {path}", {"options": {"cas": 3}, "data": content})]


def test_c3_what_has_more_than_half_of_its_time_left_by_the_clock_of_vault_is_not_written_again() -> None:
    now = datetime.now(UTC)
    day = timedelta(days=1)
    vault = ScriptedVault({f"GET {INSTALLATION}": expiring({"id": "1234"}, 3, now - day, now + day * 0.9)})
    vault.offset = -day
    store = store_on(vault)
    assert [store.installation() for _ in range(2)] == ["1234", "1234"]
    assert vault.asked == [(f"GET {INSTALLATION}", None)]
    assert store.clock_offset() == -day


def test_c3_the_remembered_installation_id_is_read_again_when_it_is_due_and_after_it_was_renewed_no_more() -> None:
    now = datetime.now(UTC)
    day = timedelta(days=1)
    renewed = (200, {"data": {"version": 4, "created_time": (now + day).isoformat()}})
    vault = ScriptedVault(
        {f"GET {INSTALLATION}": expiring({"id": "1234"}, 3, now, now + 2 * day), f"POST {INSTALLATION}": renewed}
    )
    store = store_on(vault)
    assert store.installation() == "1234"
    vault.offset = day * 1.1
    assert [store.installation() for _ in range(3)] == ["1234"] * 3
    assert vault.asked == [
        (f"GET {INSTALLATION}", None),
        (f"GET {INSTALLATION}", None),
        (f"POST {INSTALLATION}", {"options": {"cas": 3}, "data": {"id": "1234"}}),
    ], "the version that was written in its place has a day to go until half of its time is over"


def test_c3_a_renewal_that_fails_is_left_to_the_next_look() -> None:
    now = datetime.now(UTC)
    day = timedelta(days=1)
    vault = ScriptedVault(
        {f"GET {LEDGER}": expiring(dump_ledger(ledger()), 3, now - day, now + day / 2), f"POST {LEDGER}": DENIED}
    )
    store = store_on(vault)
    assert [store.read_ledger("billing") for _ in range(2)] == [(ledger(), 3)] * 2
    assert [verb for verb, _ in vault.asked] == [f"GET {LEDGER}", f"POST {LEDGER}"] * 2


# --- what is sent with every call ---


def test_every_call_carries_the_token_the_namespace_and_the_highest_index() -> None:
    index = "eyJjbHVzdGVyIjogImMiLCAidmFsdWUiOiA5fQ=="  # {"cluster": "c", "value": 9}
    vault = ScriptedVault(headers={"X-Vault-Index": index})
    connection = connection_to(vault, namespace="team")
    connection.own_token()
    connection.capabilities(["a", "b"])
    connection.patch("/v1/kv/metadata/a", {"custom_metadata": {}}, {"Content-Type": "application/merge-patch+json"})
    connection.health()
    common = {"X-Vault-Request": "true", "X-Vault-Namespace": "team"}
    fresh = {"X-Vault-Index": index, "X-Vault-Inconsistent": "forward-active-node"}
    token = {"X-Vault-Token": TOKEN.reveal()}
    assert vault.headers == [
        {**common, **token},
        {**common, **fresh, **token},
        {**common, **fresh, **token},
        {**common, **fresh, **token, "Content-Type": "application/merge-patch+json"},
        {**common, **fresh, "X-Vault-Namespace": ""},
    ]
    assert vault.calls == [
        ("GET auth/token/lookup-self", None),
        ("GET auth/token/lookup-self", None),
        ("POST sys/capabilities-self", {"paths": ["a", "b"]}),
        ("PATCH kv/metadata/a", {"custom_metadata": {}}),
        ("GET sys/health", None),
    ]
    assert vault.addresses == [ADDRESS] * 5
    assert connection.calls() == {"auth": 2, "sys": 2, "annotate": 1}
    assert connection.address == ADDRESS


def test_calls_are_counted_by_what_they_do() -> None:
    vault = ScriptedVault({"POST kv/data/apps/billing": WRITTEN})
    store = store_on(vault)
    store.read_document(PATH, *FIELDS)
    store.write_document(PATH, {}, cas=0)
    store.list_ledgers()
    store._connection.patch("/v1/kv/metadata/a", {}, {})
    store._connection._transport.send("DELETE", "v1/kv/data/a", None)
    assert store.calls() == {"auth": 1, "sys": 1, "read": 1, "write": 1, "list": 1, "annotate": 1, "delete": 1}


def test_a_proof_of_the_mount_serves_every_path_in_it() -> None:
    vault = ScriptedVault()
    store = store_on(vault)
    READING(store)
    store.read_document("kv/other", *FIELDS)
    store.list_ledgers()
    assert [verb for verb, _ in vault.calls] == [
        "GET auth/token/lookup-self",
        f"{MOUNT}{PATH}",
        "GET kv/data/apps/billing",
        "GET kv/data/other",
        "LIST kv/metadata/rotator/applications",
    ]


# --- the AppRole of the login ---

ROLE = AppRoleAuth(lambda: Secret("role"), lambda: Secret("own"), "team/approle")
LOGIN = "POST auth/team/approle/login"
GRANTED = (200, {"auth": {"client_token": "fresh", "lease_duration": 0, "renewable": False}})


def test_the_secret_id_of_the_login_is_registered_looked_up_tried_and_destroyed_at_its_mount() -> None:
    lookup = "POST auth/team/approle/role/rotator/secret-id/lookup"
    vault = ScriptedVault(
        {
            LOGIN: GRANTED,
            lookup: (200, {"data": {"expiration_time": "2026-12-01T00:00:00Z"}}),
            "POST auth/team/approle/role/rotator/custom-secret-id": (200, {"data": {"secret_id": "next"}}),
            "POST auth/team/approle/role/rotator/secret-id/destroy": (204, b""),
            "POST auth/token/revoke-self": (204, b""),
        }
    )
    connection = connection_to(vault, ROLE)
    assert connection.register_secret_id("rotator", Secret("next")).status == 200
    assert connection.secret_id_end("rotator", Secret("next")) == datetime(2026, 12, 1, tzinfo=UTC)
    own = connection.own_secret_id("rotator")
    assert own is not None
    assert own.status == 200
    assert connection.try_secret_id(Secret("next")).status == 200
    assert connection.destroy_secret_id("rotator", Secret("own")).status == 204
    assert [
        (verb, body, headers.get("X-Vault-Token"))
        for (verb, body), headers in zip(vault.calls, vault.headers, strict=True)
    ] == [
        (LOGIN, {"role_id": "role", "secret_id": "own"}, None),
        ("POST auth/team/approle/role/rotator/custom-secret-id", {"secret_id": "next"}, "fresh"),
        (lookup, {"secret_id": "next"}, "fresh"),
        (lookup, {"secret_id": "own"}, "fresh"),
        (LOGIN, {"role_id": "role", "secret_id": "next"}, None),
        ("POST auth/token/revoke-self", None, "fresh"),
        ("POST auth/team/approle/role/rotator/secret-id/destroy", {"secret_id": "own"}, "fresh"),
    ]


def test_a_secret_id_that_vault_does_not_know_has_no_end_and_a_denied_question_names_its_path() -> None:
    lookup = "POST auth/team/approle/role/rotator/secret-id/lookup"
    assert connection_to(ScriptedVault({LOGIN: GRANTED}), ROLE).secret_id_end("rotator", Secret("next")) is None
    path = "auth/team/approle/role/rotator/secret-id/lookup"
    for answer, message in (
        (DENIED, policy(path, "update")),
        ((502, b""), f"Vault answered 502 for {path}: try again later"),
    ):
        with pytest.raises(ServiceError) as caught:
            connection_to(ScriptedVault({LOGIN: GRANTED, lookup: answer}), ROLE).secret_id_end("rotator", Secret("x"))
        assert str(caught.value) == message


def test_a_secret_id_that_is_refused_gives_no_token_back() -> None:
    vault = ScriptedVault({LOGIN: (400, {"errors": ["invalid role or secret ID"]})})
    assert connection_to(vault, ROLE).try_secret_id(Secret("next")).status == 400
    assert vault.calls == [(LOGIN, {"role_id": "role", "secret_id": "next"})]


def test_only_an_approle_login_has_a_secret_id() -> None:
    connection = connection_to(ScriptedVault(), TokenAuth(lambda: TOKEN))
    assert connection.own_secret_id("rotator") is None
    with pytest.raises(TypeError, match=r"^only an AppRole login has a secret id$"):
        connection.try_secret_id(Secret("next"))
    unbound = connection_to(ScriptedVault({LOGIN: GRANTED}), replace(ROLE, secret_id=None))
    assert unbound.own_secret_id("rotator") is None


def test_the_end_of_the_store_gives_a_token_of_its_own_back_and_closes_the_connections() -> None:
    vault = ScriptedVault({LOGIN: GRANTED, f"{MOUNT}{PATH}": KV2})
    store = store_on(vault, ROLE)
    READING(store)
    store.close()
    assert vault.calls[-1] == ("POST auth/token/revoke-self", None)
    assert vault.headers[-1]["X-Vault-Token"] == "fresh"
    assert vault.closed
    given = ScriptedVault()
    store = store_on(given)
    READING(store)
    store.close()
    assert "POST auth/token/revoke-self" not in dict(given.calls)
    assert given.closed
