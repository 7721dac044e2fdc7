"""One connection with one login: which calls are made again with a new one, what a lost answer means for each kind of
call, and what is asked beside the documents."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rotator.domain.login import LoginProblem
from rotator.domain.secret import Secret
from rotator.errors import Indeterminate, PermissionDenied, ServiceError, Unavailable
from rotator.http import HttpFailure
from rotator.util.refusals import Refusals
from rotator.vault import AppRoleAuth, Auth, CertAuth, JwtAuth, TokenAuth
from rotator.vault.connection import HvacAdapter, VaultTransport
from rotator.vault.responses import Reply
from tests.vault.contract import FIELDS, PAIR
from tests.vault.scripted import (
    ADDRESS,
    DENIED,
    LOOK,
    MOUNT,
    TOKEN,
    Answer,
    ScriptedVault,
    connection_to,
    store_on,
    version_of,
)

ROLE = AppRoleAuth(lambda: Secret("role"), lambda: Secret("own"))
LOGIN = "POST auth/approle/login"
UNKNOWN: Answer = (403, {"errors": ["permission denied"]})
USED_UP: Answer = (400, {"errors": ["1 error occurred:\n\t* invalid token\n\n"]})
READ = "GET kv/data/apps/billing"


def granted(token: str, lifetime: int = 3600) -> Answer:
    return 200, {"auth": {"client_token": token, "lease_duration": lifetime, "renewable": True}}


def sent(vault: ScriptedVault) -> list[tuple[str, str | None]]:
    """Each call with its token, but for those that ask for the mount."""
    calls = zip(vault.calls, vault.headers, strict=True)
    return [(verb, headers.get("X-Vault-Token")) for (verb, _), headers in calls if not verb.startswith(MOUNT)]


@pytest.mark.parametrize("refusal", [UNKNOWN, USED_UP])
def test_b_a_call_with_a_token_that_vault_does_not_know_any_more_is_made_once_more_with_a_new_login(
    refusal: Answer,
) -> None:
    vault = ScriptedVault(
        {
            LOGIN: [granted("first"), granted("second")],
            LOOK: UNKNOWN,
            "POST kv/data/apps/billing": [
                (200, {"data": {"version": 1, "created_time": "2026-11-23T12:00:00Z"}}),
                refusal,
                (200, {"data": {"version": 2, "created_time": "2026-11-23T12:00:00Z"}}),
            ],
        }
    )
    store = store_on(vault, ROLE)
    store.write_document("kv/apps/billing", PAIR, cas=0)
    assert store.write_document("kv/apps/billing", PAIR, cas=1)[0] == 2
    assert sent(vault) == [
        (LOGIN, None),
        ("POST kv/data/apps/billing", "first"),
        ("POST kv/data/apps/billing", "first"),
        (LOOK, "first"),
        (LOGIN, None),
        ("POST kv/data/apps/billing", "second"),
    ]
    assert vault.calls[-1] == vault.calls[-4], "the very same call"
    assert store._connection.generation == 2


def test_b_a_call_that_is_refused_again_with_the_new_login_is_not_made_a_third_time() -> None:
    vault = ScriptedVault(
        {LOGIN: [granted("first"), granted("second")], LOOK: UNKNOWN, READ: [version_of(PAIR), UNKNOWN]}
    )
    store = store_on(vault, ROLE)
    store.read_document("kv/apps/billing", *FIELDS)
    with pytest.raises(PermissionDenied) as caught:
        store.read_document("kv/apps/billing", *FIELDS)
    assert (caught.value.kind, caught.value.path) == ("policy", "kv/data/apps/billing")
    assert [verb for verb, _ in sent(vault)].count(READ) == 3


def test_c8_a_denied_call_is_not_made_again_and_needs_no_new_login() -> None:
    vault = ScriptedVault({LOGIN: granted("first"), LOOK: (200, {"data": {}}), READ: DENIED})
    with pytest.raises(PermissionDenied):
        store_on(vault, ROLE).read_document("kv/apps/billing", *FIELDS)
    assert sent(vault) == [(LOGIN, None), (READ, "first"), (LOOK, "first")]


def test_a_call_that_is_wrong_says_nothing_about_the_token() -> None:
    vault = ScriptedVault({LOGIN: granted("first"), READ: (400, {"errors": ["wrong"]})})
    with pytest.raises(ServiceError):
        store_on(vault, ROLE).read_document("kv/apps/billing", *FIELDS)
    assert sent(vault) == [(LOGIN, None), (READ, "first")]


LOST = HttpFailure("the answer did not end", kind="protocol", sent="unknown")


@pytest.mark.parametrize(
    ("method", "path", "reads"),
    [
        ("GET", "/v1/kv/data/a", True),
        ("LIST", "/v1/kv/metadata/a", True),
        ("HEAD", "/v1/kv/data/a", True),
        ("POST", "/v1/auth/approle/login", True),
        ("POST", "/v1/sys/capabilities-self", True),
        ("POST", "/v1/kv/data/a", False),
        ("PATCH", "/v1/kv/metadata/a", False),
        ("DELETE", "/v1/kv/data/a", False),
        ("POST", "/v1/sys/mounts/a", False),
    ],
)
def test_a_lost_answer_leaves_unknown_whether_a_write_was_made_and_says_nothing_of_a_question(
    method: str, path: str, reads: bool
) -> None:
    verb = f"{method} {path.removeprefix('/v1/')}"
    lost, odd = ScriptedVault({verb: LOST}), ScriptedVault({verb: (200, b"<html>")})
    for vault in (lost, odd):
        with pytest.raises(ServiceError) as caught:
            VaultTransport(vault, ADDRESS + "//", "").send(method, path, None)
        assert type(caught.value) is (Unavailable if reads else Indeterminate)
        assert vault.addresses == [ADDRESS]
    assert lost.headers == [{"X-Vault-Request": "true"}]


def test_an_answer_without_a_body_is_an_empty_one_and_errors_are_texts() -> None:
    vault = ScriptedVault({"GET a": (200, b""), "GET b": (500, {"errors": ["x", 5]}), "GET c": (500, {"errors": "x"})})
    transport = VaultTransport(vault, ADDRESS, "")
    assert transport.send("GET", "v1/a", None) == Reply(200, (), {})
    assert transport.send("GET", "v1/b", None) == Reply(500, ("x", "5"), {"errors": ["x", 5]})
    assert transport.send("GET", "v1/c", None) == Reply(500, (), {"errors": "x"})
    assert transport.send("GET", "v1/d", None, params={"list": "true"}).status == 404
    assert vault.calls[-1] == ("GET d?list=true", None)


def test_hvac_never_holds_a_token_and_its_client_looks_nowhere_else() -> None:
    sends: list[str] = []

    def send(method: str, url: str, **_: object) -> Reply:
        sends.append(f"{method} {url}")
        return Reply(200)

    adapter = HvacAdapter(send, "a")
    assert adapter.request("list", "/v1/kv/metadata/a").status == 200
    assert sends == ["LIST /v1/kv/metadata/a"]
    with pytest.raises(NotImplementedError):
        adapter.get_login_token(None)
    adapter.close()
    assert (adapter.base_uri, adapter.token, adapter.namespace, adapter.allow_redirects) == ("a", "", None, False)


def test_what_was_refused_is_shared_by_the_connections_of_one_memory() -> None:
    vault = ScriptedVault({LOGIN: (400, {"errors": ["invalid"]})})
    refusals = Refusals()
    for _ in range(2):
        with pytest.raises(PermissionDenied):
            connection_to(vault, ROLE, refusals=refusals).own_token()
    assert sent(vault) == [(LOGIN, None)]


def test_each_method_and_mount_is_remembered_apart_and_forgotten_when_it_succeeds() -> None:
    refusals = Refusals()
    auths: list[Auth] = [
        ROLE,
        AppRoleAuth(ROLE.role_id, ROLE.secret_id, "other"),
        CertAuth(),
        JwtAuth("a", lambda: Secret("a.b.c")),
    ]
    paths = ["auth/approle/login", "auth/other/login", "auth/cert/login", "auth/jwt/login"]
    vault = ScriptedVault({f"POST {path}": (400, {"errors": ["invalid"]}) for path in paths})
    for auth in auths * 2:
        with pytest.raises(PermissionDenied):
            connection_to(vault, auth, refusals=refusals).own_token()
    assert [verb for verb, _ in sent(vault)] == [f"POST {path}" for path in paths]


def test_the_certificate_of_a_login_is_that_of_the_connection() -> None:
    vault = ScriptedVault({"POST auth/cert/login": (400, {"errors": ["invalid"]})})
    vault.tls = CertificateFiles()  # type: ignore[assignment]  # as much of the files as a login uses
    with pytest.raises(PermissionDenied, match=r"with the client certificate file:own\.pem: check") as caught:
        connection_to(vault, CertAuth()).own_token()
    assert caught.value.kind == "login"


class CertificateFiles:
    """The certificate of a connection; ``problem`` as after a renewal that is half written."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.source = "file:own.pem"

    def stamp(self) -> str:
        return "1"


def test_a_certificate_that_cannot_be_used_is_a_problem_with_the_time_that_the_token_lives() -> None:
    vault = ScriptedVault({LOGIN: granted("first", 3600), "GET auth/token/lookup-self": (200, {"data": {}})})
    vault.tls = CertificateFiles("own.pem cannot be used")  # type: ignore[assignment]  # as much as is looked at
    connection = connection_to(vault, ROLE)
    assert connection.login_problem == LoginProblem("own.pem cannot be used", timedelta(0))
    connection.own_token()
    found = connection.login_problem
    assert found is not None
    assert found.message == "own.pem cannot be used"
    assert timedelta(minutes=59) < found.left <= timedelta(hours=1)
    vault.tls.problem = ""
    assert connection.login_problem is None


def test_the_life_and_the_problem_of_the_login_are_those_of_the_store() -> None:
    vault = ScriptedVault({LOGIN: granted("first"), LOOK: (200, {"data": {}})})
    store = store_on(vault, ROLE)
    assert (store.login_life(), store.login_problem()) == (None, None)
    store.own_token()
    life = store.login_life()
    assert life is not None
    assert timedelta(minutes=59) < life[0] <= life[1] == timedelta(hours=1)
    store.maintain()
    assert sent(vault) == [(LOGIN, None), (LOOK, "first")], "there is nothing to renew yet"


def test_a_login_by_a_token_has_no_mount_of_an_approle() -> None:
    vault = ScriptedVault({LOOK: (200, {"data": {}})})
    connection = connection_to(vault, TokenAuth(lambda: TOKEN))
    connection.register_secret_id("rotator", Secret("next"))
    assert vault.calls[-1][0] == "POST auth//role/rotator/custom-secret-id"


def test_the_watched_paths_are_asked_for_together() -> None:
    vault = ScriptedVault({"POST sys/capabilities-self": (200, {"data": {"kv/data/a": ["root"], "kv/data/b": []}})})
    store = store_on(vault)
    store.watch_paths(["kv/b"])
    store.require_kv2("kv/b")
    assert store.missing_capabilities("kv/a") == ()
    assert store.missing_capabilities("kv/b") == ("create", "read", "update")
    assert vault.asked == [("POST sys/capabilities-self", {"paths": ["kv/data/a", "kv/data/b"]})]


def test_a_mount_with_slashes_in_its_name_is_named_in_every_call() -> None:
    mount: Answer = (200, {"data": {"path": "team/kv/", "type": "kv", "options": {"version": "2"}}})
    path = "team/kv/apps/billing"
    vault = ScriptedVault(
        {
            f"{MOUNT}{path}": mount,
            f"{MOUNT}kv/rotator": (200, {"data": {"path": "kv/", "type": "kv", "options": {"version": "2"}}}),
            "POST sys/capabilities-self": (200, {"data": {}}),
        }
    )
    store = store_on(vault)
    assert "team/kv/data/apps/billing" in [right.path for right in store.missing_rights("billing", path)]
    store.read_document(path, *FIELDS)
    store.list_versions(path)
    store.requires_check_and_set(path)
    for refused in (
        lambda: store.write_document(path, {}, cas=0),
        lambda: store.destroy_versions(path, [1]),
        lambda: store.annotate(path, {}),
    ):
        with pytest.raises(ServiceError):
            refused()
        store.require_kv2(path)
    assert [verb for verb, _ in vault.asked[1:]] == [
        "GET team/kv/data/apps/billing",
        "GET team/kv/metadata/apps/billing",
        "GET team/kv/metadata/apps/billing",
        "GET team/kv/config",
        "POST team/kv/data/apps/billing",
        "POST team/kv/destroy/apps/billing",
        "PATCH team/kv/metadata/apps/billing",
    ]
