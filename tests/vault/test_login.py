from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.domain.secret import Secret
from rotator.errors import (
    ConfigurationError,
    ConfigurationProblem,
    PermissionDenied,
    Refused,
    RotatorError,
    Unavailable,
)
from rotator.sandbox.certificates import Authority
from rotator.sandbox.openbao import OpenBao
from rotator.vault import AppRoleAuth, CertAuth, JwtAuth, KvStore, TokenAuth
from rotator.vault.login import TokenSession
from tests.vault.conftest import Build, RootHand, file_with
from tests.vault.contract import FIELDS, PAIR, ledger

ALLOW_ALL = 'path "secret/*" { capabilities = ["create", "read", "update", "patch", "list"] }'


@pytest.fixture
def role(bao: OpenBao, hand: RootHand) -> AppRoleAuth:
    """A login that may do everything below ``secret``."""
    bao.policy("all", ALLOW_ALL)
    role_id, secret_id = bao.approle(f"role-{hand.root[-8:]}", ["all"], token_ttl="1h", token_max_ttl="4h")
    return AppRoleAuth(lambda: role_id, lambda: secret_id)


def token_of(store: KvStore) -> Secret:
    login = store._connection._session._login
    assert login
    return login.token


def exists(bao: OpenBao, token: Secret) -> bool:
    return bao.call("GET", "auth/token/lookup-self", token=token).status == 200


def revoke(bao: OpenBao, token: Secret) -> None:
    bao.admin("POST", "auth/token/revoke", {"token": token.reveal()})


def test_many_threads_make_one_login(bao: OpenBao, make: Build, role: AppRoleAuth) -> None:
    store = make(bao, role)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: store.read_ledger("billing"), range(16))) == [(None, 0)] * 16
    assert store.calls()["auth"] == 1


def test_b_an_expired_token_is_replaced_by_one_new_login_and_one_retry(
    bao: OpenBao, make: Build, role: AppRoleAuth
) -> None:
    store = make(bao, role)
    store.write_ledger(ledger(), cas=0)
    old = token_of(store)
    revoke(bao, old)
    assert store.write_ledger(ledger(), cas=1) == 2
    assert token_of(store) != old


def test_many_threads_replace_a_dead_token_once(bao: OpenBao, make: Build, role: AppRoleAuth) -> None:
    store = make(bao, role)
    store.read_ledger("billing")
    revoke(bao, token_of(store))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: store.read_ledger("billing"), range(16))) == [(None, 0)] * 16
    assert store._connection.generation == 2


def test_b_denied_by_policy_names_the_path_and_the_capability(bao: OpenBao, make: Build, hand: RootHand) -> None:
    bao.policy("reader", f'path "{hand.root.replace("secret/", "secret/data/")}/*" {{ capabilities = ["read"] }}')
    role_id, secret_id = bao.approle("reader", ["reader"])
    store = make(bao, AppRoleAuth(lambda: role_id, lambda: secret_id))
    path = f"{hand.root}/doc"
    assert store.read_document(path, *FIELDS).version == 0
    assert list(store.missing_capabilities(path)) == ["create", "update"]
    inside = path.removeprefix("secret/")
    for cas, capability in ((0, "create"), (1, "update")):
        with pytest.raises(PermissionDenied, match=f"does not allow {capability} on") as caught:
            store.write_document(path, PAIR, cas=cas)
        assert (caught.value.path, caught.value.capability) == (f"secret/data/{inside}", capability)
    with pytest.raises(PermissionDenied) as caught:
        store.annotate(path, {"a": "b"})
    assert (caught.value.path, caught.value.capability) == (f"secret/metadata/{inside}", "patch")
    with pytest.raises(PermissionDenied) as caught:
        store.list_ledgers()
    assert caught.value.capability == "list"


def test_b_policy_that_denies_does_not_cause_a_login_for_every_call(bao: OpenBao, make: Build, hand: RootHand) -> None:
    bao.policy("nothing", 'path "secret/data/elsewhere" { capabilities = ["read"] }')
    role_id, secret_id = bao.approle("nothing", ["nothing"])
    store = make(bao, AppRoleAuth(lambda: role_id, lambda: secret_id))
    for _ in range(5):
        with pytest.raises(PermissionDenied):
            store.read_ledger("billing")
    assert store._connection.generation == 1


def test_a4_rights_are_asked_for_many_paths_in_one_call(
    bao: OpenBao, make: Build, role: AppRoleAuth, hand: RootHand
) -> None:
    store = make(bao, role)
    paths = [f"{hand.root}/app-{number}" for number in range(50)]
    store.watch_paths([*paths, "no-such-mount/app"])
    assert [list(store.missing_capabilities(path)) for path in paths] == [[]] * 50
    assert store.calls()["sys"] == 2


def test_a4_rights_are_asked_again_after_a_new_login(bao: OpenBao, make: Build, hand: RootHand) -> None:
    path = f"{hand.root}/doc"
    rule = 'path "{}" {{ capabilities = {} }}'
    data = path.replace("secret/", "secret/data/")
    bao.policy("changing", rule.format(data, '["read"]'))
    role_id, secret_id = bao.approle("changing", ["changing"])
    store = make(bao, AppRoleAuth(lambda: role_id, lambda: secret_id))
    assert list(store.missing_capabilities(path)) == ["create", "update"]
    bao.policy("changing", rule.format(data, '["read", "create", "update"]'))
    assert list(store.missing_capabilities(path)) == ["create", "update"]
    revoke(bao, token_of(store))
    store.read_document(path, *FIELDS)
    assert list(store.missing_capabilities(path)) == []


def test_a_login_of_ours_is_revoked_on_close(bao: OpenBao, make: Build, role: AppRoleAuth) -> None:
    store = make(bao, role)
    store.read_ledger("billing")
    token = token_of(store)
    assert exists(bao, token)
    store.close()
    assert not exists(bao, token)


def test_a_given_token_is_not_revoked_on_close(bao: OpenBao, make: Build) -> None:
    bao.policy("all", ALLOW_ALL)
    token = bao.token(["all"])
    store = make(bao, TokenAuth(lambda: token))
    store.read_ledger("billing")
    store.close()
    assert exists(bao, token)


def test_a_replaced_token_file_is_enough_to_replace_the_token(bao: OpenBao, make: Build, tmp_path: Path) -> None:
    bao.policy("all", ALLOW_ALL)
    first, second = bao.token(["all"]), bao.token(["all"])
    file = file_with(tmp_path / "token", first.reveal())
    store = make(bao, TokenAuth(lambda: Secret(file.read_text())))
    assert store.read_ledger("billing") == (None, 0)
    revoke(bao, first)
    with pytest.raises(PermissionDenied):
        store.read_ledger("billing")
    file.write_text(second.reveal())
    assert store.read_ledger("billing") == (None, 0)


def test_a_refused_login_says_which_and_shows_no_credentials(bao: OpenBao, make: Build, role: AppRoleAuth) -> None:
    wrong = Secret("22222222-wrong-secret-id")
    store = make(bao, AppRoleAuth(role.role_id, lambda: wrong))
    with pytest.raises(PermissionDenied, match="AppRole login at auth/approle/login") as caught:
        store.read_ledger("billing")
    assert caught.value.kind == "login"
    assert wrong.reveal() not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "/x"), "No such file"),
        (ValueError("s3cret-in-the-text"), "empty or not text"),
        (Refused("the file is readable by everybody"), "readable by everybody"),
        (
            ConfigurationError([ConfigurationProblem("x.toml", "vault.auth", "no such credential")]),
            "no such credential",
        ),
    ],
)
def test_credentials_that_cannot_be_read_are_unavailable_and_told_without_their_content(
    bao: OpenBao, make: Build, role: AppRoleAuth, error: Exception, words: str
) -> None:
    def fail() -> Secret:
        raise error

    with pytest.raises(Unavailable, match=words) as caught:
        make(bao, AppRoleAuth(role.role_id, fail)).read_ledger("billing")
    assert caught.value.kind == "credentials"
    assert "s3cret" not in str(caught.value)


# --- renewal, with a clock of our own against the real server


class HandClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


Renewing = tuple[TokenSession, HandClock, KvStore]


@pytest.fixture
def session_for(bao: OpenBao, make: Build) -> Callable[[AppRoleAuth | TokenAuth], Renewing]:
    def start(auth: AppRoleAuth | TokenAuth) -> Renewing:
        store, clock = make(bao, auth), HandClock()
        session = TokenSession(auth, store._connection._transport.client_with, clock=clock)
        return session, clock, store

    return start


def test_a_login_is_renewed_at_half_of_its_lifetime(
    session_for: Callable[[AppRoleAuth | TokenAuth], Renewing], role: AppRoleAuth
) -> None:
    session, clock, store = session_for(role)
    first = session.token()
    clock.now += 1700
    session.maintain()
    assert (session.token(), store.calls()) == (first, {"auth": 1})
    clock.now += 200
    session.maintain()
    assert (session.token(), store.calls(), session.generation) == (first, {"auth": 2}, 1)
    clock.now += 1700
    session.maintain()
    assert store.calls() == {"auth": 2}


def test_a_call_renews_too_when_nobody_tends(
    session_for: Callable[[AppRoleAuth | TokenAuth], Renewing], role: AppRoleAuth
) -> None:
    session, clock, store = session_for(role)
    first = session.token()
    clock.now += 1900
    assert (session.token(), store.calls()) == (first, {"auth": 2})


def test_a_login_that_cannot_be_renewed_any_more_is_made_anew(
    bao: OpenBao, session_for: Callable[[AppRoleAuth | TokenAuth], Renewing]
) -> None:
    bao.policy("all", ALLOW_ALL)
    role_id, secret_id = bao.approle("short", ["all"], token_ttl="1h", token_max_ttl="1h")
    session, clock, _ = session_for(AppRoleAuth(lambda: role_id, lambda: secret_id))
    first = session.token()
    revoke(bao, first)
    clock.now += 1900
    session.maintain()
    assert session.token() != first
    assert session.generation == 2


def test_a_login_past_its_end_is_made_anew(
    session_for: Callable[[AppRoleAuth | TokenAuth], Renewing], role: AppRoleAuth
) -> None:
    session, clock, store = session_for(role)
    first = session.token()
    clock.now += 3601
    assert session.token() != first
    assert store.calls() == {"auth": 2}


def test_a_given_token_is_renewed_and_kept(
    bao: OpenBao, session_for: Callable[[AppRoleAuth | TokenAuth], Renewing]
) -> None:
    bao.policy("all", ALLOW_ALL)
    token = bao.token(["all"], ttl="1h")
    session, clock, store = session_for(TokenAuth(lambda: token))
    assert (session.token(), store.calls()) == (token, {"auth": 1})
    clock.now += 1900
    session.maintain()
    assert (session.token(), store.calls(), session.generation) == (token, {"auth": 2}, 1)


def test_a_token_without_an_end_is_never_renewed(
    bao: OpenBao, session_for: Callable[[AppRoleAuth | TokenAuth], Renewing]
) -> None:
    root = bao.root_token
    assert root
    session, clock, store = session_for(TokenAuth(lambda: root))
    session.token()
    clock.now += 10**9
    session.maintain()
    assert (session.token(), store.calls()) == (root, {"auth": 1})


def test_a_renewal_that_fails_leaves_the_login_and_is_tried_later(make: Build) -> None:
    with OpenBao(name="leaving") as leaving:
        leaving.policy("all", ALLOW_ALL)
        role_id, secret_id = leaving.approle("role", ["all"], token_ttl="1h")
        auth, clock = AppRoleAuth(lambda: role_id, lambda: secret_id), HandClock()
        store = make(leaving, auth)
        session = TokenSession(auth, store._connection._transport.client_with, clock=clock)
        first = session.token()
        leaving.seal()
        clock.now += 1900
        for _ in range(3):
            assert session.token() is first
        assert store.calls() == {"auth": 2}
        leaving.unseal()
        clock.now += 60
        assert session.token() is first
        assert store.calls() == {"auth": 3}
        clock.now += 60
        assert (session.token(), store.calls()) == (first, {"auth": 3})


def test_a_refused_login_is_replaced_only_when_vault_does_not_know_it(
    bao: OpenBao, session_for: Callable[[AppRoleAuth | TokenAuth], Renewing], role: AppRoleAuth
) -> None:
    session, clock, _ = session_for(role)
    first = session.token()
    session.accepted(first)
    clock.now += 60
    assert session.instead_of(first) is None
    revoke(bao, first)
    clock.now += 1
    second = session.instead_of(first)
    assert second is not None
    assert second != first
    assert session.instead_of(first) is second
    assert exists(bao, second)


# --- certificates and JWTs


@pytest.fixture(scope="session")
def jwt_key() -> tuple[bytes, str]:
    """A private key in PEM and the public one."""
    pytest.importorskip("cryptography", reason="keys are made with it")
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, public.decode()


def signed(private: bytes, lifetime: timedelta) -> Secret:
    """A JWT signed with ES256, as an orchestrator would issue it."""
    import base64
    import json

    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    now = datetime.now(UTC)
    claims = {
        "iss": "tests",
        "sub": "rotator",
        "aud": "vault",
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
    }
    text = f"{encode(json.dumps({'alg': 'ES256', 'typ': 'JWT'}).encode())}.{encode(json.dumps(claims).encode())}"
    key = serialization.load_pem_private_key(private, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return Secret(f"{text}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}")


def test_a_jwt_logs_in_and_is_read_again_for_every_login(bao: OpenBao, make: Build, jwt_key: tuple[bytes, str]) -> None:
    private, public = jwt_key
    bao.policy("all", ALLOW_ALL)
    bao.enable_auth("jwt", "jwt-test")
    bao.admin("POST", "auth/jwt-test/config", {"jwt_validation_pubkeys": [public], "bound_issuer": "tests"})
    bao.admin(
        "POST",
        "auth/jwt-test/role/rotator",
        {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": ["all"]},
    )
    read: list[Secret] = []

    def current() -> Secret:
        read.append(signed(private, timedelta(minutes=5)))
        return read[-1]

    store = make(bao, JwtAuth("rotator", current, mount="jwt-test"))
    assert store.read_ledger("billing") == (None, 0)
    revoke(bao, token_of(store))
    assert store.read_ledger("billing") == (None, 0)
    assert len(read) == 2
    with pytest.raises(PermissionDenied, match="JWT login at auth/jwt-test/login"):
        make(bao, JwtAuth("rotator", lambda: signed(private, -timedelta(hours=1)), mount="jwt-test")).read_ledger(
            "billing"
        )


def test_a_client_certificate_logs_in(tls_bao: OpenBao, make: Build, authority: Authority) -> None:
    tls_bao.policy("all", ALLOW_ALL)
    tls_bao.enable_auth("cert")
    assert tls_bao.ca_cert
    certificate, key = authority.issue("rotator-client")
    role = {
        "certificate": tls_bao.ca_cert.read_text(),
        "allowed_common_names": ["rotator-client"],
        "token_policies": ["all"],
    }
    tls_bao.admin("POST", "auth/cert/certs/rotator", role)
    for auth in (CertAuth("rotator"), CertAuth()):
        assert make(tls_bao, auth, client_cert=certificate, client_key=key).read_ledger("billing") == (None, 0)
    other, other_key = authority.issue("somebody-else")
    with pytest.raises(PermissionDenied, match="certificate login at auth/cert/login"):
        make(tls_bao, CertAuth(), client_cert=other, client_key=other_key).read_ledger("billing")


# --- nothing leaks


def test_a16_no_exception_holds_a_secret_wherever_one_looks(
    bao: OpenBao, make: Build, role: AppRoleAuth, hand: RootHand
) -> None:
    secret_id, token = role.secret_id, bao.root_token
    assert secret_id
    assert token
    path = f"{hand.root}/doc"
    store = make(bao, role)
    store.write_document(path, PAIR, cas=0)
    forbidden = [PAIR["secret_key"], token.reveal(), secret_id().reveal(), token_of(store).reveal()]
    no_role = AppRoleAuth(role.role_id, lambda: Secret("33333333-wrong-secret-id"))
    away = {"address": "http://127.0.0.1:1"}
    acts: list[Callable[[], object]] = [
        lambda: store.write_document(path, PAIR, cas=7),
        lambda: store.read_document("nowhere/doc", *FIELDS),
        lambda: make(bao, no_role).write_document(path, PAIR, cas=1),
        lambda: make(bao, role, **away).write_document(path, PAIR, cas=1),
        lambda: make(bao, **away).read_document(path, *FIELDS),
        lambda: store.write_document("identity/doc", PAIR, cas=0),
    ]
    for act in acts:
        with pytest.raises(RotatorError) as caught:
            act()
        for error in chain(caught.value):
            shown = f"{error} {error!r} {error.args} {vars(error)}"
            assert [secret for secret in [*forbidden, "33333333"] if secret in shown] == []


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def test_threads_that_ask_during_a_login_wait_for_it(bao: OpenBao, make: Build, role: AppRoleAuth) -> None:
    entered, go = threading.Event(), threading.Event()
    asked: list[int] = []

    def slow() -> Secret:
        asked.append(1)
        entered.set()
        assert go.wait(30)
        return role.role_id()

    store = make(bao, AppRoleAuth(slow, role.secret_id))
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(store.read_ledger, "billing")
        assert entered.wait(30)
        others = [pool.submit(store.read_ledger, "billing") for _ in range(3)]
        go.set()
        assert [future.result(30) for future in (first, *others)] == [(None, 0)] * 4
    assert len(asked) == 1


def test_threads_that_waited_for_a_login_share_its_failure(bao: OpenBao, make: Build, role: AppRoleAuth) -> None:
    entered, go = threading.Event(), threading.Event()
    asked: list[int] = []

    def broken() -> Secret:
        asked.append(1)
        entered.set()
        assert go.wait(30)
        raise FileNotFoundError(2, "No such file or directory")

    store = make(bao, AppRoleAuth(broken, role.secret_id))
    session = store._connection._session
    session._clock = ticks = Ticks()
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(session.token)]
        assert entered.wait(30)
        calls += [pool.submit(session.token) for _ in range(3)]
        ticks.wait_for(4)
        go.set()
        assert [type(call.exception(30)) for call in calls] == [Unavailable] * 4
    assert len(asked) == 1
    with pytest.raises(Unavailable):
        session.token()
    assert len(asked) == 2


class Ticks:
    """A clock that goes on with every look, and can tell how many there were."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._looks = 0

    def __call__(self) -> float:
        with self._changed:
            self._looks += 1
            self._changed.notify_all()
            return float(self._looks)

    def wait_for(self, looks: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._looks >= looks, 30)


def test_the_life_of_the_login_is_told_without_asking_and_begins_anew_when_it_is_renewed(
    bao: OpenBao, make: Build
) -> None:
    bao.policy("all", ALLOW_ALL)
    role_id, secret_id = bao.approle("life", ["all"], token_ttl="1h", token_max_ttl="4h")
    store = make(bao, AppRoleAuth(lambda: role_id, lambda: secret_id))
    assert store.login_life() is None, "there is none before the first call"
    store.read_ledger("billing")
    life, calls = store.login_life(), store.calls()
    assert life is not None
    left, granted = life
    assert timedelta(0) < left <= granted == timedelta(hours=1)
    assert store.calls() == calls


def test_a_login_without_an_end_has_no_life_to_tell(bao: OpenBao, make: Build) -> None:
    root = bao.root_token
    assert root
    store = make(bao, TokenAuth(lambda: root))
    store.read_ledger("billing")
    assert store.login_life() is None


def test_the_life_of_a_login_runs_out_by_our_clock_and_stops_at_nothing() -> None:
    now = [0.0]
    session = TokenSession(TokenAuth(lambda: Secret("a-token-of-somebody")), lambda token: None, clock=lambda: now[0])
    session._login = session._new(Secret("a-token-of-somebody"), 60, True, ours=False)
    assert session.life == (timedelta(seconds=60), timedelta(seconds=60))
    now[0] = 45.0
    assert session.life == (timedelta(seconds=15), timedelta(seconds=60))
    now[0] = 100.0
    assert session.life == (timedelta(0), timedelta(seconds=60))


def test_b_the_right_to_destroy_is_told_with_its_path(bao: OpenBao, make: Build, hand: RootHand) -> None:
    path = f"{hand.root}/doc"
    bao.policy("all", ALLOW_ALL)
    make(bao).write_document(path, {"access_key": "SCWAAAAAAAAAAAAAAAAA", "secret_key": "x"}, cas=0)
    bao.policy(
        "keeper", f'path "{hand.root.replace("secret/", "secret/data/")}/*" {{ capabilities = ["read", "update"] }}'
    )
    role_id, secret_id = bao.approle("keeper", ["keeper"])
    with pytest.raises(PermissionDenied) as caught:
        make(bao, AppRoleAuth(lambda: role_id, lambda: secret_id)).destroy_versions(path, [1])
    assert (caught.value.path, caught.value.capability) == (path.replace("secret/", "secret/destroy/"), "update")
