"""What a login that is refused says, how fresh an answer is, and what of the document is read: without a server."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from rotator.domain.secret import Secret
from rotator.errors import PermissionDenied, ServiceError, Unavailable
from rotator.vault.freshness import INDEX, Freshness, MinVersions
from rotator.vault.login_methods import Credentials, login_failure, login_key
from rotator.vault.responses import Reply
from rotator.vault.settings import AppRoleAuth, CertAuth, JwtAuth, TokenAuth

NAMED = Credentials("the role id and the secret id of file:id", b"", ())
Auth = AppRoleAuth | CertAuth | JwtAuth
APPROLE, CERT, JWT = AppRoleAuth(lambda: Secret("r")), CertAuth("web"), JwtAuth("web", lambda: Secret("j"))


@pytest.mark.parametrize(
    ("auth", "status", "error", "parts", "remedy"),
    [
        (
            APPROLE,
            403,
            "permission denied",
            ("without a look at its credentials", "it has locked the role", "sys/locked-users/ACCESSOR/unlock/ROLE_ID"),
            "unlock the role and stop the machine whose credentials are wrong, or correct mount of [vault] auth",
        ),
        (
            APPROLE,
            400,
            "source address unauthorized by CIDR restrictions on the secret ID",
            ("from the address of this machine", "add the address to secret_id_bound_cidrs of the role"),
            "add the address of this machine to secret_id_bound_cidrs of the role",
        ),
        (
            APPROLE,
            400,
            "invalid secret id",
            (f"with {NAMED.named}: ", "five refusals lock the role for all who use it", "at auth/approle/login"),
            "",
        ),
        (JWT, 400, "error validating token", (f"with {NAMED.named}: ", "at auth/jwt/login"), ""),
        (JWT, 403, "permission denied", (f"with {NAMED.named}: ",), ""),
        (CERT, 400, "invalid certificate", (f"with {NAMED.named}: ", "at auth/cert/login"), ""),
        (CERT, 500, "failed to verify client's certificate: x509: expired", (f"with {NAMED.named}: ",), ""),
    ],
)
def test_c4_a_refused_login_says_what_was_refused_and_what_to_do(
    auth: Auth, status: int, error: str, parts: tuple[str, ...], remedy: str
) -> None:
    found = login_failure(auth, NAMED, Reply(status, (error,)))
    assert isinstance(found, PermissionDenied)
    assert (found.kind, found.service, found.capability) == ("login", "vault", "update")
    assert found.path == f"auth/{auth.mount}/login"
    assert [part for part in parts if part not in str(found)] == []
    assert getattr(found, "remedy", "") == remedy
    if not isinstance(auth, AppRoleAuth):
        assert "lock the role" not in str(found)


@pytest.mark.parametrize(("auth", "status"), [(APPROLE, 500), (APPROLE, 503), (CERT, 500), (JWT, 429), (JWT, 404)])
def test_a_login_that_vault_could_not_answer_is_no_refusal(auth: Auth, status: int) -> None:
    found: ServiceError = login_failure(auth, NAMED, Reply(status, ("internal error",)))
    assert not (isinstance(found, PermissionDenied) and found.kind == "login")
    if status >= 500:
        assert isinstance(found, Unavailable)


def test_each_method_is_a_login_of_its_own() -> None:
    keys = {
        login_key(auth)
        for auth in (APPROLE, CERT, JWT, TokenAuth(lambda: Secret("t")), JwtAuth("a", lambda: Secret("j"), "k8s"))
    }
    assert len(keys) == 5


# --- how fresh an answer is ---


def of_openbao(cluster: str, value: int) -> str:
    return base64.b64encode(json.dumps({"cluster": cluster, "value": value}).encode()).decode()


def of_vault(cluster: str, local: int, replicated: int) -> str:
    return base64.b64encode(f"v1:{cluster}:{local}:{replicated}:x".encode()).decode()


@pytest.mark.parametrize("index", [lambda value: of_openbao("c", value), lambda value: of_vault("c", value, 0)])
def test_the_highest_index_that_was_seen_is_sent_with_every_request(index: Callable[[int], str]) -> None:

    seen = Freshness()
    assert seen.headers() == {}
    seen.saw(None)
    seen.saw("")
    assert seen.headers() == {}
    for value, highest in ((9, 9), (8, 9), (10, 10), (10, 10)):
        seen.saw(index(value))
        assert seen.headers() == {INDEX: index(highest), "X-Vault-Inconsistent": "forward-active-node"}


def test_an_index_of_another_cluster_or_of_no_known_form_is_never_behind() -> None:

    seen = Freshness()
    for index in (
        of_openbao("a", 9),
        of_openbao("b", 1),
        of_openbao("b", 0)[:8] + "\n" + of_openbao("b", 0)[8:],
        of_openbao("b", 1),
        "no base 64!",
        base64.b64encode(b"{}").decode(),
        of_vault("b", 1, 1),
    ):
        seen.saw(index)
        assert seen.headers()[INDEX] == index
    seen.saw(of_vault("b", 1, 0))
    assert seen.headers()[INDEX] == of_vault("b", 1, 1)


def test_a_version_below_one_that_was_seen_is_too_old() -> None:
    floors = MinVersions()
    assert [floors.reached("a", version) for version in (3, 3, 2, 4, 3)] == [True, True, False, True, False]
    assert floors.reached("b", 1)
