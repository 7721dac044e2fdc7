"""Our own credentials when Vault refuses them: one attempt for all, remembered, told with its way out (hazards C4 and C8)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rotator.domain.secret import Secret
from rotator.errors import PermissionDenied
from rotator.sandbox.openbao import OpenBao
from rotator.sandbox.process import wait_until
from rotator.util.refusals import PAUSES, Refusals
from rotator.vault import AppRoleAuth, KvStore, TokenAuth
from rotator.vault.login import TokenSession
from tests.vault.conftest import Build, RootHand, file_with
from tests.vault.contract import FIELDS, ledger
from tests.vault.test_login import ALLOW_ALL, HandClock, revoke, token_of

LOCK_OUT = 5
"""Refused logins within 15 minutes after which OpenBao locks a role for all who use it."""


@dataclass(frozen=True)
class FileSource:
    """A secret in a file, as the configuration refers to it."""

    path: Path

    @property
    def source(self) -> str:
        return f"file:{self.path}"

    def __call__(self) -> Secret:
        return Secret(self.path.read_text())


@dataclass(frozen=True)
class Role:
    role_id: Secret
    secret_id: Secret
    file: Path
    auth: AppRoleAuth

    def login(self, bao: OpenBao) -> int:
        """The status of a login by somebody else who has the right secret id."""
        body = {"role_id": self.role_id.reveal(), "secret_id": self.secret_id.reveal()}
        return bao.call("POST", "auth/approle/login", body).status

    def correct(self) -> None:
        self.file.write_text(self.secret_id.reveal())


@pytest.fixture
def role(bao: OpenBao, hand: RootHand, tmp_path: Path) -> Role:
    """A role that may do everything below ``secret``, with a file that holds a wrong secret id."""
    return _role(bao, hand, tmp_path)


def _role(bao: OpenBao, hand: RootHand, folder: Path, **options: object) -> Role:
    bao.policy("all", ALLOW_ALL)
    role_id, secret_id = bao.approle(f"role-{hand.root[-8:]}", ["all"], **options)
    file = file_with(folder / "secret-id", "22222222-wrong-secret-id")
    return Role(role_id, secret_id, file, AppRoleAuth(lambda: role_id, FileSource(file)))


def test_c4_many_applications_with_a_refused_secret_id_make_one_attempt_and_leave_the_role_to_others(
    bao: OpenBao, make: Build, role: Role
) -> None:
    store = make(bao, role.auth)

    def look(number: int) -> str:
        with pytest.raises(PermissionDenied) as caught:
            store.read_ledger(f"application-{number}")
        return caught.value.kind

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(look, range(204))) == {"login"}
    assert store.calls()["auth"] == 1
    assert role.login(bao) == 200, "the role is not locked"


def test_c4_a_corrected_file_is_tried_at_once(bao: OpenBao, make: Build, role: Role) -> None:
    store = make(bao, role.auth)
    with pytest.raises(PermissionDenied):
        store.read_ledger("billing")
    role.correct()
    assert store.read_ledger("billing") == (None, 0)


Attempts = Callable[[AppRoleAuth | TokenAuth], tuple[TokenSession, HandClock, KvStore]]


@pytest.fixture
def session_for(bao: OpenBao, make: Build) -> Attempts:
    def start(auth: AppRoleAuth | TokenAuth) -> tuple[TokenSession, HandClock, KvStore]:
        store, clock = make(bao, auth), HandClock()
        return (
            TokenSession(auth, store._connection._transport.client_with, clock=clock, refusals=Refusals(clock)),
            clock,
            store,
        )

    return start


def test_c4_the_same_credentials_are_tried_again_after_15_s_1_min_5_min_and_20_min_and_lock_nothing(
    bao: OpenBao, session_for: Attempts, role: Role
) -> None:
    session, clock, store = session_for(role.auth)
    begun, tried = clock.now, []
    while clock.now < begun + 3600:
        before = store.calls().get("auth", 0)
        with pytest.raises(PermissionDenied):
            session.token()
        if store.calls()["auth"] > before:
            tried.append(clock.now - begun)
            role.login(bao)  # a success of a peer makes Vault count anew, as it would have by itself meanwhile
        clock.now += 5
    assert tried == [0, 15, 75, 375, 1575, 2775]
    for window in tried:
        assert sum(window <= at < window + 15 * 60 for at in tried) < LOCK_OUT


def test_c4_after_a_success_a_refusal_is_tried_again_soon(session_for: Attempts, role: Role) -> None:
    session, clock, store = session_for(role.auth)
    for _ in range(4):
        with pytest.raises(PermissionDenied):
            session.token()
        clock.now += PAUSES[-1]
    role.correct()
    session.token()
    role.file.write_text("33333333-wrong-again")
    clock.now += 10**8
    with pytest.raises(PermissionDenied):
        session.token()
    calls = store.calls()["auth"]
    clock.now += PAUSES[0]
    with pytest.raises(PermissionDenied):
        session.token()
    assert store.calls()["auth"] == calls + 1


def test_c4_a_reload_does_not_forget_what_was_refused(bao: OpenBao, make: Build, role: Role) -> None:
    refusals = Refusals()
    for attempts in (1, 0):
        store = make(bao, role.auth, refusals=refusals)
        with pytest.raises(PermissionDenied):
            store.read_ledger("billing")
        assert store.calls().get("auth", 0) == attempts


def test_c4_the_message_names_the_references_and_the_lock_out_and_shows_no_credentials(
    bao: OpenBao, make: Build, role: Role
) -> None:
    with pytest.raises(PermissionDenied) as caught:
        make(bao, role.auth).read_ledger("billing")
    said = str(caught.value)
    assert "AppRole login at auth/approle/login" in said
    assert f"file:{role.file}" in said
    assert "lock the role" in said
    assert "22222222" not in said


def test_c4_a_role_that_is_locked_is_told_as_such_with_the_command_that_ends_it(
    bao: OpenBao, make: Build, role: Role
) -> None:
    for _ in range(LOCK_OUT):
        bao.call("POST", "auth/approle/login", {"role_id": role.role_id.reveal(), "secret_id": "44444444-wrong"})
    assert role.login(bao) == 403, "OpenBao locks the role"
    role.correct()
    store = make(bao, role.auth)
    with pytest.raises(PermissionDenied, match="locked") as caught:
        store.read_ledger("billing")
    assert "sys/locked-users" in str(caught.value)
    accessor = bao.admin("GET", "sys/auth").data["approle/"]["accessor"]
    bao.admin("POST", f"sys/locked-users/{accessor}/unlock/{role.role_id.reveal()}", {})
    clock_store = make(bao, role.auth)
    assert clock_store.read_ledger("billing") == (None, 0)


def test_c4_without_the_lock_out_of_the_method_refusals_of_one_machine_touch_no_other(make: Build) -> None:
    """What docs/security.md advises."""
    with OpenBao(name="tuned") as tuned:
        tuned.policy("all", ALLOW_ALL)
        role_id, secret_id = tuned.approle("rotator", ["all"])
        tuned.admin("POST", "sys/auth/approle/tune", {"user_lockout_config": {"lockout_disable": True}})
        for _ in range(2 * LOCK_OUT):
            assert (
                tuned.call("POST", "auth/approle/login", {"role_id": role_id.reveal(), "secret_id": "wrong"}).status
                == 400
            )
        assert make(tuned, AppRoleAuth(lambda: role_id, lambda: secret_id)).read_ledger("billing") == (None, 0)


# --- a login that fails while the token still lives


def test_c4_a_login_that_fails_while_the_token_lives_is_told_with_the_date_on_which_work_stops(
    bao: OpenBao, hand: RootHand, session_for: Attempts, tmp_path: Path
) -> None:
    role = _role(bao, hand, tmp_path, token_ttl="1h", token_max_ttl="1h")
    role.correct()
    session, clock, store = session_for(role.auth)
    first = session.token()
    assert not session.problem
    revoke(bao, first)  # so that it cannot be renewed
    role.file.write_text("22222222-wrong-secret-id")
    clock.now += 1900
    session.maintain()
    problem = session.problem
    assert problem
    assert f"file:{role.file}" in problem.message
    assert abs(problem.left.total_seconds() - 1700) < 5
    calls = store.calls()["auth"]
    for _ in range(10):
        session.maintain()
        assert session.token() is first
    assert store.calls()["auth"] == calls, "the refusal is remembered"
    role.correct()
    clock.now += 15
    session.maintain()
    assert not session.problem
    assert session.token() != first


def test_c4_a_given_token_that_nobody_can_renew_is_told_before_it_ends(
    bao: OpenBao, session_for: Attempts, tmp_path: Path
) -> None:
    bao.policy("all", ALLOW_ALL)
    source = FileSource(file_with(tmp_path / "token", bao.token(["all"], ttl="1h", renewable=False).reveal()))
    session, clock, _ = session_for(TokenAuth(source))
    session.token()
    clock.now += 1900
    session.maintain()
    assert not session.problem, "who gave it has time to give another"
    clock.now += 1450
    session.maintain()
    problem = session.problem
    assert problem
    assert f"file:{source.path}" in problem.message
    source.path.write_text(bao.token(["all"], ttl="1h").reveal())
    clock.now += 20
    session.maintain()
    assert not session.problem


def test_c4_a_token_near_its_maximum_life_is_replaced_while_it_still_lives(
    bao: OpenBao, hand: RootHand, make: Build, tmp_path: Path
) -> None:
    role = _role(bao, hand, tmp_path, token_ttl="8s", token_max_ttl="12s")
    role.correct()
    store = make(bao, role.auth)
    store.read_ledger("billing")
    first = token_of(store)

    def replaced() -> bool:
        store.maintain()
        return token_of(store) != first

    wait_until(replaced, "the login is replaced", 30)
    answer = bao.call("GET", "auth/token/lookup-self", token=first)
    assert answer.status == 200, "the old token was renewed until it died"
    assert answer.data["ttl"] >= 2


# --- a denial is a login problem only when the login says so


def test_c8_a_denied_path_burns_no_login_of_a_role_with_limited_uses(bao: OpenBao, make: Build, hand: RootHand) -> None:
    bao.policy("nothing", 'path "secret/data/elsewhere" { capabilities = ["read"] }')
    role_id, secret_id = bao.approle("limited", ["nothing"], secret_id_num_uses=2)
    store = make(bao, AppRoleAuth(lambda: role_id, lambda: secret_id))
    session = store._connection._session
    session._clock = clock = HandClock()
    for _ in range(5):
        with pytest.raises(PermissionDenied) as caught:
            store.read_ledger("billing")
        assert caught.value.kind == "policy"
        clock.now += 60
    assert store._connection.generation == 1
    revoke(bao, token_of(store))
    with pytest.raises(PermissionDenied) as caught:
        store.read_ledger("billing")
    assert (caught.value.kind, store._connection.generation) == ("policy", 2), "the second use was left"


@pytest.mark.parametrize("may_look", [True, False], ids=["with default policy", "without default policy"])
def test_c8_a_revoked_token_is_told_from_a_denied_path_with_and_without_the_default_policy(
    bao: OpenBao, make: Build, hand: RootHand, tmp_path: Path, may_look: bool
) -> None:
    role = _role(bao, hand, tmp_path, token_no_default_policy=not may_look)
    role.correct()
    store = make(bao, role.auth)
    session = store._connection._session
    session._clock = clock = HandClock()
    for _ in range(3):
        with pytest.raises(PermissionDenied) as caught:
            store.read_document("nowhere/doc", *FIELDS)
        assert caught.value.kind == "policy"
        clock.now += 60
    assert store._connection.generation == 1
    revoke(bao, token_of(store))
    assert store.read_ledger("billing") == (None, 0)
    assert store._connection.generation == 2


@pytest.mark.parametrize("how", ["revoked", "ended", "used up"])
def test_c8_a_given_token_that_is_no_longer_valid_is_not_called_a_missing_capability(
    bao: OpenBao, make: Build, tmp_path: Path, how: str
) -> None:
    bao.policy("all", ALLOW_ALL)
    limits: dict[str, dict[str, Any]] = {
        "revoked": {},
        "ended": {"ttl": "1s", "renewable": False},
        "used up": {"num_uses": 3},
    }
    token = bao.token(["all"], **limits[how])
    source = FileSource(file_with(tmp_path / "token", token.reveal()))
    store = make(bao, TokenAuth(source))
    if how == "revoked":
        store.read_ledger("billing")
        revoke(bao, token)
    elif how == "ended":
        wait_until(
            lambda: bao.call("GET", "auth/token/lookup-self", token=token).status == 403, "the token has ended", 30
        )

    def ask() -> None:
        for _ in range(5):
            store.read_ledger("billing")

    for _ in range(2):
        with pytest.raises(PermissionDenied) as caught:
            ask()
        assert caught.value.kind == "login"
        assert "ended, was revoked or is used up" in str(caught.value)
        assert f"file:{source.path}" in str(caught.value)
    source.path.write_text(bao.token(["all"]).reveal())
    assert store.read_ledger("billing") == (None, 0)


def test_c8_a_role_that_gives_tokens_of_few_uses_is_logged_in_to_again_when_they_are_used_up(
    bao: OpenBao, make: Build, hand: RootHand, tmp_path: Path
) -> None:
    role = _role(bao, hand, tmp_path, token_num_uses=3)
    role.correct()
    store = make(bao, role.auth, ledger=hand.prefix)
    for number in range(12):
        assert store.missing_capabilities(f"{hand.root}/doc-{number}") == ()
        assert store.write_ledger(ledger(f"application-{number}"), cas=0) == 1


def test_c8_a_token_that_is_refused_as_soon_as_it_is_made_is_told_and_not_made_for_ever(
    bao: OpenBao, make: Build, hand: RootHand, tmp_path: Path
) -> None:
    role = _role(bao, hand, tmp_path, token_bound_cidrs=["10.9.9.9/32"])
    role.correct()
    store = make(bao, role.auth)
    for _ in range(5):
        with pytest.raises(PermissionDenied, match="token_bound_cidrs") as caught:
            store.read_ledger("billing")
        assert caught.value.kind == "login"
    assert store._connection.generation <= 2
