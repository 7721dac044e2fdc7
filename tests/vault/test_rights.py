"""The table of rights as whole policies, and what of them is missing as it is asked and remembered: without a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from rotator.errors import PermissionDenied
from rotator.vault.capabilities import Capabilities
from rotator.vault.policy import (
    Right,
    checked_rights,
    consumer_rights,
    first_segment,
    merged_capabilities,
    needed,
    policy_text,
    required_rights,
    watcher_rights,
)
from rotator.vault.responses import Reply


def test_the_policy_of_the_daemon_has_these_lines() -> None:
    rights = required_rights(
        "/secret/rotator/", ["secret/apps/*", "kv/shop"], ["other/management"], role="auth/approle/role/rotator"
    )
    assert (
        policy_text(rights)
        == """\
path "auth/token/lookup-self"                      { capabilities = ["read"] }
path "auth/token/renew-self"                       { capabilities = ["update"] }
path "auth/token/revoke-self"                      { capabilities = ["update"] }
path "sys/capabilities-self"                       { capabilities = ["update"] }
path "secret/data/rotator/*"                       { capabilities = ["create", "read", "update"] }
path "secret/metadata/rotator/*"                   { capabilities = ["list"] }
path "secret/data/apps/*"                          { capabilities = ["create", "read", "update"] }
path "kv/data/shop"                                { capabilities = ["create", "read", "update"] }
path "secret/metadata/apps/*"                      { capabilities = ["read", "patch"] }
path "kv/metadata/shop"                            { capabilities = ["read", "patch"] }
path "secret/destroy/apps/*"                       { capabilities = ["update"] }
path "kv/destroy/shop"                             { capabilities = ["update"] }
path "secret/config"                               { capabilities = ["read"] }
path "kv/config"                                   { capabilities = ["read"] }
path "other/data/management"                       { capabilities = ["read"] }
path "auth/approle/role/rotator/custom-secret-id"  { capabilities = ["update"] }
path "auth/approle/role/rotator/secret-id/lookup"  { capabilities = ["update"] }
path "auth/approle/role/rotator/secret-id/destroy" { capabilities = ["update"] }
"""
    )


def test_a_policy_is_written_in_columns() -> None:
    assert (
        policy_text(watcher_rights("secret/rotator"))
        == """\
path "auth/token/lookup-self"    { capabilities = ["read"] }
path "auth/token/renew-self"     { capabilities = ["update"] }
path "auth/token/revoke-self"    { capabilities = ["update"] }
path "secret/data/rotator/*"     { capabilities = ["read"] }
path "secret/metadata/rotator/*" { capabilities = ["list"] }
"""
    )
    assert policy_text(consumer_rights("secret/apps/billing")) == (
        'path "secret/data/apps/billing" { capabilities = ["read"] }\n'
    )
    assert policy_text([]) == ""


def test_rights_on_one_path_are_one_line_with_all_capabilities() -> None:
    rights = (Right("a", ("read",), "x"), Right("b", ("list",), "y"), Right("a", ("update", "read"), "z"))
    assert merged_capabilities(rights) == {"a": ("read", "update"), "b": ("list",)}
    assert rights[2].line == 'path "a" { capabilities = ["update", "read"] }'


def split(path: str) -> tuple[str, str]:
    return "team/kv", path.removeprefix("team/kv/")


def test_the_mount_is_the_one_that_the_question_says() -> None:
    assert [right.path for right in required_rights("team/kv/rotator", ["team/kv/apps/a"], split=split)][4:] == [
        "team/kv/data/rotator/*",
        "team/kv/metadata/rotator/*",
        "team/kv/data/apps/a",
        "team/kv/metadata/apps/a",
        "team/kv/destroy/apps/a",
        "team/kv/config",
    ]
    assert [right.path for right in watcher_rights("team/kv/rotator", split=split)][3:] == [
        "team/kv/data/rotator/*",
        "team/kv/metadata/rotator/*",
    ]
    assert [right.path for right in consumer_rights("team/kv/apps/a", split=split)] == ["team/kv/data/apps/a"]
    assert [right.path for right in checked_rights("team/kv/rotator", "x", "team/kv/a", split=split)][4:] == [
        "team/kv/data/rotator/applications/x",
        "team/kv/metadata/rotator/applications",
        "team/kv/data/a",
        "team/kv/metadata/a",
        "team/kv/destroy/a",
        "team/kv/config",
    ]
    assert first_segment("secret/apps/billing") == ("secret", "apps/billing")


def test_what_is_needed_in_an_area() -> None:
    assert needed("document", "data") == ("create", "read", "update")
    assert needed("document", "metadata") == ("read", "patch")
    assert needed("mount", "data") == ()


# --- what is missing, as it is asked and remembered ---


@dataclass
class Vault:
    """What a login may do, and the questions that were asked."""

    granted: dict[str, Any] = field(default_factory=dict)
    generation: int = 1
    status: int = 200
    now: float = 1000.0
    asked: list[list[str]] = field(default_factory=list)
    unproven: set[str] = field(default_factory=set)

    def capabilities(self, paths: list[str]) -> Reply:
        self.asked.append(paths)
        return Reply(self.status, ("1 error occurred",), {"data": self.granted})

    def split(self, path: str) -> tuple[str, str]:
        return first_segment(path)

    def known(self, path: str) -> bool:
        return path not in self.unproven

    def clock(self) -> float:
        return self.now


def capabilities_of(vault: Vault) -> Capabilities:
    return Capabilities(vault, vault, vault.clock)  # type: ignore[arg-type]  # as much of both as is used


def test_an_answer_is_good_for_five_minutes_and_for_one_login() -> None:
    vault = Vault({"kv/data/a": ["create", "read"]})
    rights = capabilities_of(vault)
    assert [rights.missing("kv/a") for _ in range(2)] == [("update",)] * 2
    vault.granted = {"kv/data/a": ["create", "read", "update"]}
    vault.now += 299
    assert rights.missing("kv/a") == ("update",)
    vault.now += 1
    assert rights.missing("kv/a") == ()
    vault.granted = {}
    assert rights.missing("kv/a") == ()
    vault.generation = 2
    assert rights.missing("kv/a") == ("create", "read", "update")
    assert vault.asked == [["kv/data/a"]] * 3


def test_the_watched_paths_are_asked_for_with_the_first_unless_they_are_known_or_their_mount_is_not() -> None:
    vault = Vault(unproven={"no/mount"})
    rights = capabilities_of(vault)
    rights.missing("kv/known")
    rights.watch(["kv/a", "kv/known", "no/mount", "kv/b"])
    assert rights.missing("kv/c") == ("create", "read", "update")
    assert vault.asked == [["kv/data/known"], ["kv/data/c", "kv/data/a", "kv/data/b"]]
    assert rights.missing("kv/b") == ("create", "read", "update")
    assert len(vault.asked) == 2
    vault.now += 300
    rights.missing("kv/a")
    assert vault.asked[2:] == [["kv/data/a", "kv/data/known", "kv/data/b"]]


def test_no_more_than_300_paths_are_asked_for_at_once() -> None:
    vault = Vault()
    rights = capabilities_of(vault)
    rights.watch([f"kv/{number}" for number in range(400)])
    rights.missing("kv/own")
    rights.missing("kv/299")
    assert [len(paths) for paths in vault.asked] == [300, 101]


def test_what_is_lacking_of_rights_is_asked_once_for_each_path_and_remembered() -> None:
    vault = Vault({"a": ["read"], "b": ["root"], "c": "none", "d": ["list"]})
    rights = capabilities_of(vault)
    wanted = [
        Right("a", ("read", "update"), "write"),
        Right("a", ("list",), "list"),
        Right("b", ("create", "read", "update", "patch", "delete", "list"), "all"),
        Right("c", ("read",), "read"),
        Right("d", ("list",), "list"),
    ]
    lacking = (
        Right("a", ("update",), "write"),
        Right("a", ("list",), "list"),
        Right("c", ("read",), "read"),
    )
    assert [rights.lacking(wanted) for _ in range(2)] == [lacking] * 2
    assert vault.asked == [["a", "b", "c", "d"]]
    vault.granted = {"a": ["read", "update", "list"], "c": ["read"]}
    vault.now += 299
    assert rights.lacking(wanted) == lacking
    assert rights.lacking([wanted[0], Right("e", ("read",), "read")]) == (lacking[0], Right("e", ("read",), "read"))
    assert rights.lacking(wanted) == lacking
    vault.now += 1
    assert rights.lacking(wanted[:2]) == ()
    vault.generation = 2
    assert rights.lacking([Right("e", ("read",), "read")]) == (Right("e", ("read",), "read"),)
    assert vault.asked == [["a", "b", "c", "d"], ["e"], ["a"], ["e"]]


def test_a_question_that_is_denied_says_which_right_asks_it() -> None:
    rights = capabilities_of(Vault(status=403))
    for ask in (lambda: rights.missing("kv/a"), lambda: rights.lacking([Right("a", ("read",), "")])):
        with pytest.raises(PermissionDenied) as caught:
            ask()
        assert str(caught.value) == (
            "the policy of the login at Vault does not allow update on sys/capabilities-self: add "
            'path "sys/capabilities-self" { capabilities = ["update"] }'
        )
