"""The questions of ``rotator init`` at a terminal. Each answer is checked at once, by the schema of
the configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rotator.config import schema
from rotator.config.problems import Problems
from rotator.config.table_reader import read_table
from rotator.domain.ports import Clock
from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError
from rotator.setup.answers import AccountAnswers, Answers, DefaultAnswers, VaultAnswers, check_answers
from rotator.setup.discovery import ApplicationCandidate
from rotator.setup.preparation import candidates_of

SOURCE = "the answers"

METHODS: dict[str, dict[str, str]] = {
    "approle": {"role_id": "credential:vault-role-id", "secret_id": "credential:vault-secret-id"},
    "cert": {"certificate": "credential:vault-client-certificate", "key": "credential:vault-client-key"},
    "jwt": {"jwt": "credential:vault-jwt"},
    "token": {"token": "credential:vault-token"},
}
"""The references that the configuration gets for each way to log in."""


def ask(clock: Clock, folder: Path) -> tuple[Answers, dict[str, Callable[[], Secret]]]:
    """Ask for everything; the answers, and the secret of each account that was typed. Ends with
    ``click.Abort`` on Ctrl-C."""
    click.echo("Vault or OpenBao")
    vault: dict[str, Any] = {"address": _question("  Address", VaultAnswers, "address")}
    method = click.prompt("  How to log in", type=click.Choice(list(METHODS)), default="approle")
    vault["auth"] = {"method": method, **METHODS[method]}
    if method == "jwt":
        vault["auth"]["role"] = click.prompt("  Role to log in as")
    vault["ledger_path"] = _question("  Where the ledgers are", VaultAnswers, "ledger_path", "secret/rotator")

    click.echo("Account at the provider")
    name = click.prompt("  Name of the account in the configuration", default="scaleway")
    account: dict[str, Any] = {
        "organization_id": _question("  Organisation id", AccountAnswers, "organization_id"),
        "access_key": _question("  Access key of the management key", AccountAnswers, "access_key"),
    }
    api_url = _question(
        "  Address of the API", AccountAnswers, "api_url", AccountAnswers.model_fields["api_url"].default
    )
    if api_url != AccountAnswers.model_fields["api_url"].default:
        account["api_url"] = api_url
    typed = Secret(click.prompt("  Secret key of the management key (is not stored)", hide_input=True))
    account["path"] = _question(
        "  Path of each credential document", AccountAnswers, "path", AccountAnswers.model_fields["path"].default
    )
    secrets: dict[str, Callable[[], Secret]] = {name: lambda: typed}
    account["applications"] = ["*"]
    data: dict[str, Any] = {"vault": vault, "accounts": {name: account}}
    found = candidates_of(check_answers(data, Problems(SOURCE), folder), name, clock, secrets)
    account["applications"] = _chosen(found, clock)

    click.echo("Schedule")
    data["defaults"] = {
        "every": _question("  A key is replaced at the age of", DefaultAnswers, "every", "30d"),
        "grace": _question("  An old key stays valid for", DefaultAnswers, "grace", "24h"),
    }
    return check_answers(data, Problems(SOURCE), folder), secrets


def _chosen(candidates: tuple[ApplicationCandidate, ...], clock: Clock) -> list[str]:
    if not candidates:
        raise click.UsageError(
            "the account has no application beside the one that bears the management key; create one first"
        )
    click.echo("Applications")
    for number, one in enumerate(candidates, 1):
        click.echo(f"  {number:>3}  {one.bearer.name}  ({one.summary(clock.now())})")

    def numbers(text: str) -> list[str]:
        if text.strip() == "all":
            return [one.bearer.id for one in candidates]
        picked = [part.strip() for part in text.split(",") if part.strip()]
        if not picked or not all(
            part.isascii() and part.isdecimal() and 0 < int(part) <= len(candidates) for part in picked
        ):
            raise click.BadParameter(f"write numbers from 1 to {len(candidates)} with commas between them, or all")
        return [candidates[int(part) - 1].bearer.id for part in picked]

    found: list[str] = click.prompt("  Which of them to rotate, such as 1,3 or all", value_proc=numbers)
    return found


def _question(text: str, table: type[schema.Table], option: str, default: str | None = None) -> str:
    def checked(answer: str) -> str:
        problems = Problems(SOURCE)
        read_table(table, {option: answer}, (), problems)
        try:
            problems.stop()
        except ConfigurationError as error:
            for problem in error.problems:
                if problem.path == option:
                    raise click.BadParameter(problem.message) from None
        return answer

    found: str = click.prompt(text, default=default, value_proc=checked)
    return found
