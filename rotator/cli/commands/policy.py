"""``rotator policy``: prints the policy that the login at Vault needs; contacts nothing."""

from __future__ import annotations

import json

import click

from rotator.cli.session import Session, common, pass_session
from rotator.config import load


@click.command(
    "policy",
    epilog="""\b
Example:
  rotator policy | bao policy write rotator -""",
)
@common
@pass_session
def command(session: Session) -> int:
    """Print the policy that the login at Vault needs for this configuration, and nothing beyond it.

    The mount of a path is taken to be its first segment. Vault's default policy is not needed beside it.
    """
    from rotator.vault.policy import policy_text, required_rights  # noqa: PLC0415 - hvac is not for --help

    configuration = load(session.path)
    references = [account.secret_key for account in configuration.accounts.values() if account.secret_key]
    secrets = [reference.target for reference in references if reference.kind == "vault"]
    auth = configuration.vault.auth
    role = f"auth/{auth.mount}/role/{auth.own_secret_id.role}" if auth.own_secret_id else ""
    paths = [spec.path for spec in configuration.specs.values()]
    rights = required_rights(configuration.vault.ledger_path, paths, secrets, role=role)
    if session.json:
        lines = [{"path": right.path, "capabilities": right.capabilities, "purpose": right.purpose} for right in rights]
        click.echo(json.dumps({"policy": policy_text(rights), "rights": lines}, indent=2))
    else:
        click.echo(policy_text(rights), nl=False)
    return 0
