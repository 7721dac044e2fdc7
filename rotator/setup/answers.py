"""The answers for ``rotator init``, from a file or a terminal.

The tables are those of the configuration, with more defaults, and with the options that select
applications of an account.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from rotator.config import Reference, option_types, schema
from rotator.config.problems import Problems, dotted

# F401: pydantic looks for the annotation of `own_key` in this module
from rotator.config.schema import OwnKeyTable  # noqa: F401
from rotator.config.specs import NAME
from rotator.config.table_reader import read_table
from rotator.util.suggestions import closest_match

EVERYTHING = "*"
"""Stands for every application of an account, except the one with the management key."""


def _template(value: object) -> str:
    text = value if isinstance(value, str) else ""
    if text.count("{name}") != 1 or set("{}") & set(text.replace("{name}", "")):
        raise ValueError(
            'is not a pattern of paths; write one with {name} in it, such as "secret/apps/{name}/scaleway"'
        )
    option_types.vault_path(text.replace("{name}", "name"))
    return text


def _wanted(value: object) -> list[str] | dict[str, str]:
    if (
        isinstance(value, dict)
        and value
        and all(isinstance(one, str) and NAME.fullmatch(name) for name, one in value.items())
    ):
        return value
    if isinstance(value, list) and value and all(isinstance(one, str) and one for one in value):
        return value
    raise ValueError(
        'is not a choice of applications; write names or ids such as ["billing"], ["*"] for all, or { billing = "ID" }'
    )


class VaultAnswers(schema.VaultTable):
    """`[vault]`, as in the configuration."""

    auth: schema.AuthTable = schema.option(
        "How to log in.",
        schema.AuthTable(
            method="approle",
            role_id=Reference("credential", "vault-role-id"),
            secret_id=Reference("credential", "vault-secret-id"),
        ),
    )
    ledger_path: option_types.VaultPath = schema.option("Where the ledgers are.", "secret/rotator")


class AccountAnswers(schema.AccountTable):
    """`[accounts.NAME]`, as in the configuration, and the selection of its applications."""

    secret_key: option_types.SecretReference | None = schema.option(
        "A reference to the management key.", Reference("credential", "scaleway-secret-key")
    )
    applications: Annotated[list[str] | dict[str, str], BeforeValidator(_wanted)] = schema.option(
        "Names or ids of IAM applications, `*` for all, or a table of names with ids, for which the provider is not "
        "asked."
    )
    path: Annotated[str, BeforeValidator(_template)] = schema.option(
        "The path of each credential document, with `{name}` in it.", "secret/apps/{name}/scaleway"
    )
    discover_with: option_types.SecretReference | None = schema.option(
        "A reference to the management key for this one run, where `secret_key` cannot be read yet.", None
    )


class DefaultAnswers(schema.Table):
    """`[defaults]`: the schedule of all applications."""

    every: option_types.Duration = schema.option(
        "How long a key is used until the next replaces it.", timedelta(days=30)
    )
    grace: option_types.Duration = schema.option("How long an old key stays valid.", timedelta(hours=24))


@dataclass(frozen=True)
class Answers:
    """All answers: options that were set, by name."""

    vault: Mapping[str, Any]
    accounts: Mapping[str, Mapping[str, Any]]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def account(self, name: str, option: str) -> Any:
        """The answer for an account, or the default."""
        return self.accounts[name].get(option, AccountAnswers.model_fields[option].default)

    def of_vault(self, option: str) -> Any:
        """The answer for Vault, or the default."""
        return self.vault.get(option, VaultAnswers.model_fields[option].default)

    def default(self, option: str) -> timedelta:
        """The answer for all applications, or the default."""
        found: timedelta = self.defaults.get(option, DefaultAnswers.model_fields[option].default)
        return found


def read_answers(path: Path) -> Answers:
    """The answers in a file, TOML or JSON. Raises ``ConfigurationError`` with every problem."""
    problems = Problems(str(path))
    data = _parsed(path, problems)
    problems.stop()
    return check_answers(data, problems, path.absolute().parent)


def check_answers(data: Mapping[str, Any], problems: Problems, folder: Path) -> Answers:
    """The answers in these tables. Raises ``ConfigurationError`` with every problem. Relative files
    are taken from ``folder``."""
    tables = ("vault", "accounts", "defaults")
    for name in data:
        if name not in tables:
            problems.add(dotted(str(name)), f"is not an answer; {closest_match(str(name), tables)}")
    if "vault" not in data:
        problems.add("vault", "is missing: write [vault] with address")
    vault = _table(VaultAnswers, data.get("vault", {}), ("vault",), problems) if "vault" in data else {}
    defaults = _table(DefaultAnswers, data.get("defaults", {}), ("defaults",), problems)
    accounts: dict[str, dict[str, Any]] = {}
    raw = data.get("accounts")
    if not isinstance(raw, dict) or not raw:
        problems.add("accounts", "is missing: write [accounts.NAME] with organization_id and applications")
        raw = {}
    for name, table in raw.items():
        if not NAME.fullmatch(name):
            problems.add(
                dotted("accounts", name), 'is not a good name; write at most 64 of "a-z", "0-9", ".", "_" and "-"'
            )
        accounts[name] = found = _table(AccountAnswers, table, ("accounts", name), problems)
        if found.get("discover_with"):
            found["discover_with"] = found["discover_with"].within(folder)
        wanted = found.get("applications")
        if isinstance(wanted, list) and EVERYTHING in wanted and "access_key" not in found:
            problems.add(
                dotted("accounts", name, "access_key"),
                'is missing: with applications = ["*"] the application that bears the management key is left out by it',
            )
    problems.stop()
    return Answers(vault, accounts, defaults)


def _table(table: type[schema.Table], raw: object, where: tuple[str, ...], problems: Problems) -> dict[str, Any]:
    return read_table(table, raw, where, problems)


def _parsed(path: Path, problems: Problems) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        problems.add("", "does not exist; correct the path")
    except OSError:
        problems.add("", "cannot be read; name a plain file that this user may read")
    except (ValueError, RecursionError):
        problems.add(
            "", f"is not {'JSON' if path.suffix == '.json' else 'TOML, and a file of JSON is named .json'}; correct it"
        )
    else:
        if isinstance(data, dict):
            return data
        problems.add("", "is not a table; write vault, accounts and defaults")
    return {}
