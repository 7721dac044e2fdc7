"""The rotation of our own secret id at a real OpenBao, with no more rights than the printed policy gives."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.domain.secret import Secret
from rotator.errors import PermissionDenied
from rotator.sandbox.openbao import OpenBao
from rotator.vault import AppRoleAuth, KvStore, OwnSecretIdSettings, SecretIdPolicy, VaultSettings, build
from rotator.vault.policy import policy_text, required_rights
from rotator.vault.secret_ids import SecretIdFile
from tests.support.simulated import Recorder

POLICY = SecretIdPolicy(every=timedelta(days=30), grace=timedelta(days=1))


class Login:
    """A role of its own at the server, and stores that log in with it."""

    def __init__(self, bao: OpenBao, folder: Path, **options: object) -> None:
        self.bao, self.role, self.file = bao, f"role-{secrets.token_hex(4)}", folder / "secret-id"
        rights = required_rights("secret/rotator", ["secret/apps/*"], role=f"auth/approle/role/{self.role}")
        bao.policy(self.role, policy_text(rights))
        self.role_id, self.initial = bao.approle(self.role, [self.role], token_no_default_policy=True, **options)
        self.sink = Recorder()
        self.stores: list[KvStore] = []

    def store(self) -> KvStore:
        own = OwnSecretIdSettings(self.role, self.file, POLICY, self.sink)
        auth = AppRoleAuth(lambda: self.role_id, lambda: self.initial)
        made = build(VaultSettings(address=self.bao.address, auth=auth, ledger="secret/rotator", own_secret_id=own))
        self.stores.append(made)
        return made

    def accepts(self, secret: Secret) -> bool:
        answer = self.bao.call(
            "POST", "auth/approle/login", {"role_id": self.role_id.reveal(), "secret_id": secret.reveal()}, token=None
        )
        return answer.status == 200

    @property
    def current(self) -> Secret:
        current = SecretIdFile(self.file).read().current
        assert current is not None
        return current


@pytest.fixture
def make_login(bao: OpenBao, tmp_path: Path) -> Iterator[Callable[..., Login]]:
    made: list[Login] = []

    def make(**options: object) -> Login:
        made.append(Login(bao, tmp_path, **options))
        return made[-1]

    yield make
    for login in made:
        for store in login.stores:
            store.close()


@pytest.fixture
def login(make_login: Callable[..., Login]) -> Login:
    return make_login()


def test_the_printed_policy_lets_the_login_make_prove_and_destroy_its_secret_ids(login: Login) -> None:
    store = login.store()
    store.maintain()
    assert login.sink.names() == ["login.secret_id_rotated"], login.sink.events
    first = login.current
    assert login.accepts(first)
    assert login.accepts(login.initial)
    rotation = store.secret_ids
    assert rotation is not None
    assert rotation.rotate(compromised=True) == 2
    assert login.accepts(login.current)
    assert not login.accepts(first)
    assert not login.accepts(login.initial)
    leaked_again = login.current
    rotation.rotate(compromised=True)
    assert not login.accepts(leaked_again), "the command can be repeated, although the configured secret id is gone"
    assert login.store().list_ledgers() is not None, "a new process logs in with the file alone"


def test_a_secret_id_that_was_registered_before_a_crash_is_taken_into_use(login: Login) -> None:
    login.store().maintain()
    file = SecretIdFile(login.file)
    held = file.read()
    pending = Secret(secrets.token_urlsafe(32))
    login.bao.admin("POST", f"auth/approle/role/{login.role}/custom-secret-id", {"secret_id": pending.reveal()})
    file.write(type(held)(current=held.current, since=held.since, pending=pending))
    login.store().maintain()
    assert login.current == pending, login.sink.events


def test_the_end_that_vault_sets_is_read(make_login: Callable[..., Login]) -> None:
    login = make_login(secret_id_ttl="9h")
    store = login.store()
    store.maintain()
    held = SecretIdFile(login.file).read()
    assert held.current is not None
    end = store._connection.secret_id_end(login.role, held.current)  # what the next rotation is planned by
    assert end is not None
    assert timedelta(hours=8) < end - datetime.now(UTC) <= timedelta(hours=9)


@pytest.mark.parametrize("missing", ["custom-secret-id", "secret-id/lookup", "secret-id/destroy"])
def test_without_a_line_of_the_policy_the_error_names_that_line(missing: str, bao: OpenBao, login: Login) -> None:
    rights = required_rights("secret/rotator", ["secret/apps/*"], role=f"auth/approle/role/{login.role}")
    bao.policy(login.role, policy_text(right for right in rights if not right.path.endswith(missing)))
    store = login.store()
    rotation = store.secret_ids
    assert rotation is not None
    with pytest.raises(PermissionDenied) as denied:
        rotation.rotate(compromised=True)
    assert f'path "auth/approle/role/{login.role}/{missing}" {{ capabilities = ["update"] }}' in str(denied.value)
    assert login.store().list_ledgers() is not None, "the login works as before"
