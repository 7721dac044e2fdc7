"""How long the proof of a mount is good, the ends of versions, and the meaning of single answers: without a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.domain.document import ABSENT, CredentialDocument, DocumentState
from rotator.domain.secret import Secret
from rotator.errors import Indeterminate, NotFound, PermissionDenied, Rejected, ServiceError, Unavailable
from rotator.vault.decoding import VersionInfo, count_of, credential_document, document_of, parse_time, versions_of
from rotator.vault.expiry import Lifetime, delete_version_after, lifetime_of
from rotator.vault.mounts import Mounts
from rotator.vault.responses import Reply, failure

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Vault:
    """Says of every path that it is in this mount."""

    def __init__(self, mount: str = "team/kv/") -> None:
        self.mount = mount
        self.now = 1000.0
        self.asked: list[str] = []

    def ask(self, path: str) -> Reply:
        self.asked.append(path)
        return Reply(200, (), {"data": {"path": self.mount, "type": "kv", "options": {"version": 2}}})

    def mounts(self) -> Mounts:
        return Mounts(self.ask, lambda: self.now)


def test_a_proof_is_good_for_five_minutes_for_every_path_in_the_mount() -> None:
    vault = Vault()
    mounts = vault.mounts()
    assert not mounts.known("team/kv/a/b")
    assert mounts.split("team/kv/a/b") == ("team/kv", "a/b")
    vault.now += 299
    assert mounts.split("team/kv/c") == ("team/kv", "c")
    assert mounts.known("team/kv/c")
    assert not mounts.known("team/kv")
    assert not mounts.known("team/kvx/c")
    vault.now += 1
    assert not mounts.known("team/kv/c")
    assert mounts.split("team/kv/c") == ("team/kv", "c")
    assert vault.asked == ["team/kv/a/b", "team/kv/c"]


def test_a_mount_that_is_forgotten_is_asked_for_again() -> None:
    vault = Vault()
    mounts = vault.mounts()
    mounts.split("team/kv/a")
    mounts.forget("other")
    mounts.split("team/kv/a")
    assert vault.asked == ["team/kv/a"]
    mounts.forget("team/kv")
    mounts.split("team/kv/a")
    assert vault.asked == ["team/kv/a"] * 2


# --- the ends of versions ---


def answered(created: object, ends: object) -> Reply:
    return Reply(200, (), {"data": {"metadata": {"created_time": created, "deletion_time": ends}}})


@pytest.mark.parametrize(
    ("reply", "lifetime"),
    [
        (answered("2026-11-23T12:00:00Z", "2026-11-23T13:00:00Z"), Lifetime(AT, AT + HOUR)),
        (answered("2026-11-23T12:00:00Z", ""), None),
        (answered("", "2026-11-23T13:00:00Z"), None),
        (Reply(200, (), {}), None),
    ],
)
def test_the_lifetime_of_a_version_needs_both_times(reply: Reply, lifetime: Lifetime | None) -> None:
    assert lifetime_of(reply) == lifetime


def test_half_of_the_lifetime_and_that_of_the_version_in_its_place() -> None:
    lifetime = Lifetime(AT, AT + 2 * HOUR)
    assert lifetime.renew_at == AT + HOUR
    assert lifetime.renewed(AT + 5 * HOUR) == Lifetime(AT + 5 * HOUR, AT + 7 * HOUR)


def test_a_version_is_due_at_half_of_its_lifetime_by_the_clock_of_vault() -> None:
    now = datetime.now(UTC)
    young = Lifetime(now - HOUR, now + 2 * HOUR)
    assert not young.due(timedelta(0))
    assert young.due(HOUR)
    old = Lifetime(now - 2 * HOUR, now + HOUR)
    assert old.due(timedelta(0))
    assert not old.due(-HOUR)


@pytest.mark.parametrize(
    ("limits", "expired"),
    [
        ((HOUR,), True),
        ((HOUR + timedelta(seconds=1),), True),
        ((HOUR - timedelta(seconds=1),), True),
        ((HOUR + timedelta(seconds=1.1),), False),
        ((HOUR - timedelta(seconds=1.1),), False),
        ((2 * HOUR, HOUR), True),
        ((2 * HOUR, HOUR / 2), False),
        ((), False),
    ],
)
def test_a_version_expired_when_it_lasted_as_long_as_a_limit_to_a_second(
    limits: tuple[timedelta, ...], expired: bool
) -> None:
    assert Lifetime(AT, AT + HOUR).expired(limits) is expired


@pytest.mark.parametrize(
    ("said", "after"),
    [
        ("2h0m5s", timedelta(hours=2, seconds=5)),
        ("0s", None),
        ("", None),
        (None, None),
        ("soon", None),
        ("-1s", None),
        ("1s", timedelta(seconds=1)),
    ],
)
def test_the_setting_after_which_versions_are_deleted(said: object, after: timedelta | None) -> None:
    assert delete_version_after({"delete_version_after": said}) == after
    assert delete_version_after({}) is None


# --- single values ---


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("2026-11-23T12:00:00.123456789Z", AT.replace(microsecond=123456)),
        ("2026-11-23T14:00:00+02:00", AT),
        ("2026-11-23T12:00:00", None),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_a_time_of_vault_has_a_zone(said: object, time: datetime | None) -> None:
    assert parse_time(said) == time


@pytest.mark.parametrize(
    ("said", "count"),
    [(0, 0), (5, 5), (2**53 - 1, 2**53 - 1), (2**53, 0), (-1, 0), (True, 0), ("5", 0), (None, 0), (5.0, 0)],
)
def test_a_number_of_versions_is_a_whole_one_that_json_holds(said: object, count: int) -> None:
    assert count_of(said) == count
    assert count_of(said) is not True


KEY, SECRET = "SCWAAAAAAAAAAAAAAAAA", "11111111-aaaa-4aaa-8aaa-111111111111"


@pytest.mark.parametrize(
    ("data", "access_key", "secret", "fields"),
    [
        ({"a": KEY, "s": SECRET, "x": 1}, KEY, Secret(SECRET), {"a": KEY, "x": 1}),
        ({"x": 1}, None, None, {"x": 1}),
        ({"a": "", "s": "", "x": 1}, None, None, {"a": "", "x": 1}),
        ({"a": None, "s": None}, None, None, {"a": None}),
        ({"a": KEY}, KEY, None, {"a": KEY}),
        ({"a": KEY, "s": ""}, KEY, None, {"a": KEY}),
        ({"a": KEY, "s": 5}, KEY, None, {"a": KEY}),
        ({"a": KEY, "s": "no secret"}, KEY, None, {"a": KEY}),
        ({"s": SECRET}, "", None, {}),
        ({"a": "", "s": SECRET}, "", None, {"a": ""}),
        ({"a": 5, "s": SECRET}, "", None, {"a": 5}),
        ({"a": 5, "s": ""}, "", None, {"a": 5}),
    ],
)
def test_a_document_has_a_key_or_none_or_is_damaged(
    data: dict[str, Any], access_key: str | None, secret: Secret | None, fields: dict[str, Any]
) -> None:
    assert credential_document(3, AT, data, "a", "s") == CredentialDocument(
        3, DocumentState.LIVE, AT, access_key, secret, fields
    )


def read(status: int, **body: Any) -> Reply:
    return Reply(status, (), body)


METADATA = {"version": 3, "created_time": "2026-11-23T12:00:00Z", "deletion_time": "2026-11-23T13:00:00Z"}


@pytest.mark.parametrize(
    ("reply", "document"),
    [
        (
            read(200, data={"data": {"a": KEY, "s": SECRET}, "metadata": METADATA}),
            CredentialDocument(3, DocumentState.LIVE, AT, KEY, Secret(SECRET), {"a": KEY}, AT + HOUR),
        ),
        (read(404, data={"data": None, "metadata": METADATA}), CredentialDocument(3, DocumentState.DELETED, AT)),
        (read(404, errors=[]), ABSENT),
        (read(404, data={"data": None, "metadata": {"version": True}}), ABSENT),
    ],
)
def test_a_read_is_a_live_a_deleted_or_an_absent_document(reply: Reply, document: CredentialDocument) -> None:
    assert document_of(reply, "a", "s") == document


def test_versions_are_listed_by_number_with_what_became_of_them() -> None:
    made = "2026-11-23T12:00:00Z"
    said = {
        "10": {"created_time": made, "deletion_time": "2999-01-01T00:00:00Z"},
        "9": {"created_time": made, "deletion_time": made},
        "123456789012345": {"created_time": made, "destroyed": True, "deletion_time": ""},
        "1234567890123456": {"created_time": made},
        "01": {"created_time": made},
        "1": {},
        "2": None,
    }
    assert versions_of({"versions": said}) == (
        VersionInfo(9, AT, deleted=True),
        VersionInfo(10, AT, deleted=False),
        VersionInfo(123456789012345, AT, deleted=True, destroyed=True),
    )
    assert versions_of({}) == versions_of({"versions": []}) == ()


# --- the table from a reply to an error ---

NOT_TOUCHED = "(PATH was not touched)"
UPGRADING = f"the mount is being upgraded to KV version 2: it takes a moment {NOT_TOUCHED}"
TOO_LARGE = (
    "Vault refused the write of PATH as too large: raise max_request_json_strings and max_request_size of its listener, "
    "or remove what the document does not need"
)
NOT_NOW = "Vault did not take the call for PATH now (status {}): try again later"
WRONG = "Vault refused the call for PATH as wrong (status {})"
AGAIN = "Vault answered {} for PATH: try again later"
LOOK = "Vault answered {} to the write of PATH, which may have been executed: look before writing again"
NO_ROUTE = "Vault has nothing that answers at PATH: check the mount, the namespace and the address"
POLICY = 'the policy of the login at Vault does not allow delete on PATH: add path "PATH" { capabilities = ["delete"] }'

Meaning = tuple[type[ServiceError], str, str]


@pytest.mark.parametrize(
    ("status", "words", "reading", "writing"),
    [
        (503, "Vault is SEALED", (Unavailable, "sealed", f"Vault is sealed: unseal it {NOT_TOUCHED}"), None),
        (503, "OpenBao is sealed", (Unavailable, "sealed", f"Vault is sealed: unseal it {NOT_TOUCHED}"), None),
        (
            500,
            "local node not active but active cluster node not found",
            (Unavailable, "standby", f"Vault has no active node: look at its cluster {NOT_TOUCHED}"),
            None,
        ),
        (400, "Upgrading from non-versioned to versioned", (Unavailable, "upgrading", UPGRADING), None),
        (400, "Waiting for the primary to upgrade from", (Unavailable, "upgrading", UPGRADING), None),
        (
            501,
            "server is not yet initialized",
            (Unavailable, "uninitialized", f"Vault is not initialised: initialise it {NOT_TOUCHED}"),
            None,
        ),
        (
            412,
            "required index state not present",
            (Unavailable, "stale", f"the Vault node that answered has not caught up with its leader {NOT_TOUCHED}"),
            None,
        ),
        (413, "", (Rejected, "too_large", TOO_LARGE), None),
        (400, "refused JSON input", (Rejected, "bad_request", WRONG.format(400)), (Rejected, "too_large", TOO_LARGE)),
        (
            500,
            "put failed due to value being too large",
            (Unavailable, "server_error", AGAIN.format(500)),
            (Rejected, "too_large", TOO_LARGE),
        ),
        (
            400,
            "value exceeds allowed",
            (Rejected, "bad_request", WRONG.format(400)),
            (Rejected, "too_large", TOO_LARGE),
        ),
        (
            400,
            "http: request body too large",
            (Rejected, "bad_request", WRONG.format(400)),
            (Rejected, "too_large", TOO_LARGE),
        ),
        (403, "1 error", (PermissionDenied, "policy", POLICY), None),
        (404, "", (NotFound, "no_route", NO_ROUTE), None),
        (429, "", (Unavailable, "rate_limited", NOT_NOW.format(429)), None),
        (412, "", (Unavailable, "standby", NOT_NOW.format(412)), None),
        (472, "", (Unavailable, "standby", NOT_NOW.format(472)), None),
        (473, "", (Unavailable, "standby", NOT_NOW.format(473)), None),
        (400, "", (Rejected, "bad_request", WRONG.format(400)), None),
        (405, "", (Rejected, "bad_request", WRONG.format(405)), None),
        (415, "", (Rejected, "bad_request", WRONG.format(415)), None),
        (307, "", (Unavailable, "standby", AGAIN.format(307)), (Indeterminate, "standby", LOOK.format(307))),
        (399, "", (Unavailable, "standby", AGAIN.format(399)), (Indeterminate, "standby", LOOK.format(399))),
        (500, "", (Unavailable, "server_error", AGAIN.format(500)), (Indeterminate, "server_error", LOOK.format(500))),
        (418, "", (Unavailable, "server_error", AGAIN.format(418)), (Indeterminate, "server_error", LOOK.format(418))),
    ],
)
def test_each_refusal_is_one_error_for_a_read_and_one_for_a_write(
    status: int, words: str, reading: Meaning, writing: Meaning | None
) -> None:
    reply = Reply(status, (words,) if words else ())
    for means, is_write in ((reading, False), (writing or reading, True)):
        error = failure(reply, path="PATH", capability="delete", writing=is_write)
        assert (type(error), error.kind, str(error)) == means
        assert error.service == "vault"
        if isinstance(error, Rejected):
            assert error.argument == "PATH"
        if isinstance(error, PermissionDenied):
            assert (error.path, error.capability) == ("PATH", "delete")


@pytest.mark.parametrize(
    ("status", "errors", "unknown"),
    [
        (403, ("permission denied",), True),
        (403, (" Permission denied\n",), True),
        (403, ("permission denied", "more"), False),
        (403, ("1 error occurred:\n\t* permission denied\n\n",), False),
        (403, ("1 error occurred:\n\t* invalid token\n\n",), True),
        (403, (), False),
        (400, ("Invalid token",), True),
        (400, ("permission denied",), False),
        (500, ("invalid token",), False),
    ],
)
def test_c8_only_the_bare_words_say_that_a_token_is_unknown(
    status: int, errors: tuple[str, ...], unknown: bool
) -> None:
    assert Reply(status, errors).token_unknown is unknown


@pytest.mark.parametrize(
    ("reply", "ok", "nothing", "mismatch"),
    [
        (Reply(200), True, False, False),
        (Reply(299), True, False, False),
        (Reply(300), False, False, False),
        (Reply(199), False, False, False),
        (Reply(404, (), {"errors": []}), False, True, False),
        (Reply(404, (), {"data": {}}), False, True, False),
        (Reply(404), False, False, False),
        (Reply(404, ("no handler",), {"errors": ["no handler"]}), False, False, False),
        (Reply(200, (), {"errors": []}), True, False, False),
        (Reply(400, ("check-and-set parameter did not match",)), False, False, True),
        (Reply(500, ("check-and-set parameter did not match",)), False, False, False),
        (Reply(400, ("wrong",)), False, False, False),
    ],
)
def test_what_a_reply_says_of_itself(reply: Reply, ok: bool, nothing: bool, mismatch: bool) -> None:
    assert (reply.ok, reply.nothing_there, reply.cas_mismatch) == (ok, nothing, mismatch)
