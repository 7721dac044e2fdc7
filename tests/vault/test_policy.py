"""One table of rights: each policy that is made from it is tried on a real OpenBao, without Vault's default policy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rotator.domain.account import AccountDocument
from rotator.errors import PermissionDenied, ServiceError
from rotator.sandbox.openbao import OpenBao
from rotator.vault import AppRoleAuth, KvStore
from rotator.vault.policy import Right, checked_rights, policy_line, policy_text, required_rights
from tests.vault.conftest import Build, RootHand
from tests.vault.contract import FIELDS, PAIR, ledger
from tests.vault.test_login import HandClock, exists, revoke, token_of

RIGHTS = required_rights("secret/rotator", ["secret/apps/*"])

NOTHING = policy_line("nothing", ["deny"])

EACH = [(right, capability) for right in RIGHTS for capability in right.capabilities]


def store_with(bao: OpenBao, make: Build, hand: RootHand, rights: list[Right]) -> KvStore:
    """A store whose login has these rights and no others."""
    name = hand.root.rpartition("-")[2]
    bao.policy(name, policy_text(rights) or NOTHING)
    role_id, secret_id = bao.approle(name, [name], token_no_default_policy=True, token_ttl="1h", token_max_ttl="4h")
    return make(bao, AppRoleAuth(lambda: role_id, lambda: secret_id), ledger=hand.prefix)


def whole_life(bao: OpenBao, store: KvStore, path: str) -> list[PermissionDenied]:
    """Everything that the store is asked for in the life of an application; what was denied."""
    denied: list[PermissionDenied] = []
    session = store._connection._session
    session._clock = clock = HandClock()

    def act(*acts: Callable[[], object]) -> None:
        for one in acts:
            try:
                one()
            except PermissionDenied as error:
                denied.append(error)
            except ServiceError:
                continue  # what follows from a denial before it

    act(
        store.installation,
        store.list_ledgers,
        lambda: store.write_ledger(ledger(), cas=0),
        lambda: store.write_ledger(ledger(), cas=1),
        lambda: store.read_ledger("billing"),
        lambda: store.write_account(AccountDocument("acme"), cas=0),
        lambda: store.read_account("acme"),
        lambda: store.missing_capabilities(path),
        lambda: store.read_document(path, *FIELDS),
        lambda: store.write_document(path, PAIR, cas=0),
        lambda: store.write_document(path, PAIR, cas=1),
        lambda: store.read_version(path, 1, *FIELDS),
        lambda: store.annotate(path, {"rotated": "now"}),
        lambda: store.list_versions(path),
        lambda: store.document_limits(path),
        lambda: store.destroy_versions(path, [1]),
    )
    clock.now += 1900
    store.maintain()
    return denied


def test_row_28_and_40_with_the_policy_and_nothing_else_everything_works(
    bao: OpenBao, make: Build, hand: RootHand
) -> None:
    path = f"{hand.root}/billing"
    store = store_with(bao, make, hand, list(required_rights(hand.prefix, [path])))
    assert [str(error) for error in whole_life(bao, store, path)] == []
    assert store.missing_rights("billing", path) == ()
    token = token_of(store)
    assert store._connection.generation == 1, "it is renewed and not made anew"
    store.close()
    assert not exists(bao, token), "it is given back"


@pytest.mark.parametrize(
    ("number", "capability"),
    [(RIGHTS.index(right), capability) for right, capability in EACH],
    ids=[f"{capability} on {right.path}" for right, capability in EACH],
)
def test_row_28_and_40_without_one_capability_the_check_and_the_error_name_the_line_that_is_missing(
    bao: OpenBao, make: Build, hand: RootHand, number: int, capability: str
) -> None:
    path = f"{hand.root}/billing"
    rights = list(required_rights(hand.prefix, [path]))
    less = tuple(one for one in rights[number].capabilities if one != capability)
    given = [right for right in rights if right is not rights[number]]
    store = store_with(bao, make, hand, given + ([replace(rights[number], capabilities=less)] if less else []))
    denied = [str(error) for error in whole_life(bao, store, path)]
    wanted = checked_rights(hand.prefix, "billing", path)[number].path
    if wanted == "sys/capabilities-self":
        with pytest.raises(PermissionDenied) as caught:
            store.missing_rights("billing", path)
        assert policy_line(wanted, [capability]) in str(caught.value)
        return
    [missing] = store.missing_rights("billing", path)
    assert (missing.path, missing.capabilities) == (wanted, (capability,))
    if not wanted.startswith("auth/token/"):
        assert any(f'"{capability}"' in text and _area(wanted) in text for text in denied), denied
    else:
        assert denied == [], "work goes on, with a new login where there is no renewal"


def _area(path: str) -> str:
    """The beginning of the path, as far as it is the same for an application, an account and a list."""
    return "/".join(path.split("/")[:3])


def test_row_28_the_path_in_the_error_is_the_one_that_a_policy_needs(bao: OpenBao, make: Build, hand: RootHand) -> None:
    path = f"{hand.root}/billing"
    store = store_with(bao, make, hand, [])
    for act, needed in (
        (lambda: store.read_ledger("billing"), f"{hand.prefix}/applications/billing"),
        (lambda: store.read_document(path, *FIELDS), path),
    ):
        with pytest.raises(PermissionDenied) as caught:
            act()
        assert policy_line(needed.replace("secret/", "secret/data/"), ["read"]) in str(caught.value)


OF_THE_DEFAULT_POLICY = {
    "auth/token/lookup-self": "read",
    "auth/token/renew-self": "update",
    "auth/token/revoke-self": "update",
    "sys/capabilities-self": "update",
}
"""What Vault's default policy gives, and a login without that policy lacks."""


@pytest.mark.parametrize("path", OF_THE_DEFAULT_POLICY)
def test_row_40_the_policy_gives_what_only_the_default_policy_would(path: str) -> None:
    lines = [" ".join(line.split()) for line in policy_text(RIGHTS).splitlines()]
    assert policy_line(path, [OF_THE_DEFAULT_POLICY[path]]) in lines


def test_the_text_of_a_policy_has_one_line_for_each_path() -> None:
    rights = [
        Right("a/data/x", ("read",), "…"),
        Right("a/data/x", ("read", "update"), "…"),
        Right("a/config", ("read",), "…"),
    ]
    assert policy_text(rights) == (
        'path "a/data/x" { capabilities = ["read", "update"] }\npath "a/config" { capabilities = ["read"] }\n'
    )


def test_a_secret_that_the_configuration_reads_from_vault_is_in_the_policy() -> None:
    text = policy_text(required_rights("kv/rotator", ["kv/apps/a"], ["other/management"]))
    assert 'path "other/data/management"' in text
    assert 'path "other/config"' not in text


def test_a_mount_with_slashes_is_split_as_vault_says() -> None:
    rights = required_rights("team/kv/rotator", [], split=lambda path: ("team/kv", path.removeprefix("team/kv/")))
    assert "team/kv/data/rotator/*" in [right.path for right in rights]


def test_a_revoked_token_is_noticed_without_the_default_policy(bao: OpenBao, make: Build, hand: RootHand) -> None:
    store = store_with(bao, make, hand, list(required_rights(hand.prefix, [f"{hand.root}/billing"])))
    store.read_ledger("billing")
    revoke(bao, token_of(store))
    assert store.read_ledger("billing") == (None, 0)


def test_row_28_who_follows_the_advice_of_each_error_has_everything_in_the_end(
    bao: OpenBao, make: Build, hand: RootHand
) -> None:
    path, lines = f"{hand.root}/billing", dict[str, None]()
    for _ in range(30):
        store = store_with(bao, make, hand, [])
        bao.policy(hand.root.rpartition("-")[2], "\n".join([NOTHING, *lines]))
        hand.delete_all(path)
        hand.delete_all(f"{hand.prefix}/applications/billing")
        hand.delete_all(f"{hand.prefix}/accounts/acme")
        denied = whole_life(bao, store, path)
        if not denied:
            break
        lines |= dict.fromkeys(str(error).partition("add ")[2] for error in denied)
    assert denied == []
    assert len(lines) > 5
