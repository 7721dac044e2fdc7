"""docs/security.md is held to what is there: its policy suffices and opens nothing else, it knows every credential and every test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rotator.config import schema
from rotator.config.secret_reference import Reference
from tests.e2e.rig import FAST, Rig

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
TABLES = (
    schema.AuthTable,
    schema.VaultTable,
    schema.AccountTable,
    schema.DefaultsTable,
    schema.ApplicationTable,
    schema.DaemonTable,
    schema.HeartbeatTable,
    schema.NotificationsTable,
)
CREDENTIALS = sorted(
    name
    for table in TABLES
    for name, field in table.model_fields.items()
    if Reference.__name__ in str(field.annotation)
)


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("option", CREDENTIALS)
def test_it_says_of_every_option_that_leads_to_a_secret_what_that_opens(option: str) -> None:
    assert f"`{option}`" in section("What each credential can do")


def test_there_are_as_many_such_options_as_we_think() -> None:
    assert {"secret_key", "role_id", "url", "targets"} <= set(CREDENTIALS)


def test_the_tests_and_files_that_it_names_exist() -> None:
    named = re.findall(r"`((?:tests|requirements)/[\w./]+|test_\w+\.py)`", TEXT)
    assert named
    for name in named:
        assert (ROOT / name).exists() or list((ROOT / "tests").rglob(name)), name


def test_who_only_watches_can_see_the_status_and_no_credential() -> None:
    (policy,) = re.findall(r"```hcl\n(.*?)```", TEXT, re.DOTALL)
    with Rig() as rig:
        rig.application("billing")
        rig.configure(FAST.format(every="30d", grace="24h"))
        rig.command("run", "--once")
        rig.vault.policy("watcher", policy)
        token = rig.vault.token(["watcher"])
        rig.keep("watcher", token)
        rig.keep("management-key", token)  # what it has is of no use at the provider
        text = rig.configuration.read_text()
        approle = re.search(r"auth = .*", text)
        assert approle
        rig.configuration.write_text(text.replace(approle[0], 'auth = { method = "token", token = "file:watcher" }'))
        shown = rig.command("status").stdout
        assert rig.ledger("billing")["current"]["access_key"] in shown
        assert rig.vault.call("GET", "secret/data/apps/billing", token=token).status == 403
        assert (
            rig.vault.call("POST", "secret/data/rotator/applications/billing", {"data": {}}, token=token).status == 403
        )
        assert rig.ledger("billing")["current"]["access_key"] in rig.command("history", "billing").stdout
