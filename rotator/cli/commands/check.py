"""``rotator check``: validates the configuration and contacts nothing."""

from __future__ import annotations

import json

import click

from rotator.cli.session import Session, common, pass_session
from rotator.config import load
from rotator.util.formatting import pluralize


@click.command(
    "check",
    epilog="""\b
Example:
  rotator check --config ./rotator.toml
  rotator check --config ./rotator.toml --without-credentials
  rotator check --schema""",
)
@click.option(
    "--without-credentials",
    is_flag=True,
    help="Read none of the files that the configuration names, as in a pull request or on a laptop.",
)
@click.option(
    "--schema", is_flag=True, help="Print the JSON Schema of the configuration, for editors; read no configuration."
)
@common
@pass_session
def command(session: Session, without_credentials: bool, schema: bool) -> int:
    """Validate the configuration and the files that it names; contact nothing."""
    if schema:
        from rotator.config.json_schema import json_schema  # noqa: PLC0415 - a check needs none

        click.echo(json.dumps(json_schema(), indent=2))
        return 0
    configuration = load(session.path, credentials=not without_credentials)
    applications, accounts = configuration.specs, configuration.accounts
    if session.json:
        answer = {
            "file": str(session.path),
            "sound": True,
            "applications": sorted(applications),
            "accounts": sorted(accounts),
            "warnings": [{"path": warning.path, "message": warning.message} for warning in configuration.warnings],
        }
        click.echo(json.dumps(answer, indent=2))
    else:
        for warning in configuration.warnings:
            click.echo(f"rotator: warning: {warning}", err=True)
        click.echo(
            f"{session.path} is sound: {pluralize(len(applications), 'application')}, "
            f"{pluralize(len(accounts), 'account')}"
        )
    return 0
