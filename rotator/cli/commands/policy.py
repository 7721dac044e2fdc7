"""``rotator policy``: prints the policies that a configuration needs, and the commands that install
them; contacts nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from rotator.cli.session import Session, common, pass_session
from rotator.config import load

FORMATS = ("hcl", "json", "shell", "terraform")

HOLDERS = ("daemon", "watcher", "consumer", "provider")


@click.command(
    "policy",
    epilog="""\b
Examples:
  rotator policy | bao policy write rotator -
  rotator policy --format shell --cidr 192.0.2.7/32
  rotator policy --for consumer billing
  rotator policy --for provider --format terraform""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@click.option(
    "--for",
    "holder",
    type=click.Choice(HOLDERS),
    default="daemon",
    show_default=True,
    help="Whose rights: the daemon's at Vault, those of a login that only shows the state, of the consumers of "
    "applications, or of the management key at the provider.",
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="hcl", show_default=True, help="How the policy is written."
)
@click.option(
    "--cidr",
    "cidrs",
    multiple=True,
    metavar="NETWORK",
    help="Accept the AppRole from this network only; may be repeated.",
)
@common
@pass_session
def command(session: Session, applications: Sequence[str], holder: str, form: str, cidrs: Sequence[str]) -> int:
    """Print the policy that the login at Vault needs for this configuration, and nothing beyond it.

    The mount of a path is taken to be its first segment. Vault's default policy is not needed
    beside it.
    """
    from rotator.setup.policies import (  # noqa: PLC0415 - hvac is not for --help
        consumer_policies,
        daemon_policy,
        provider_rights,
        render,
        watcher_policy,
    )
    from rotator.util.suggestions import closest_match  # noqa: PLC0415 - see above
    from rotator.vault.policy import policy_text  # noqa: PLC0415 - see above

    configuration = load(session.path, credentials=False)
    if applications and holder != "consumer":
        raise click.UsageError(
            f"--for {holder} is about the whole configuration; leave out the names, or write --for consumer"
        )
    for name in applications:
        if name not in configuration.specs:
            raise click.UsageError(f"there is no application {name}; {closest_match(name, configuration.specs)}")
    if holder == "provider":
        click.echo(provider_rights(list(configuration.accounts.values()), form), nl=False)
        return 0
    if holder == "consumer":
        policies = consumer_policies(configuration, applications or list(configuration.specs))
    else:
        policies = (daemon_policy(configuration) if holder == "daemon" else watcher_policy(configuration),)
    if session.json:
        rights = [right for policy in policies for right in policy.rights]
        lines = [{"path": right.path, "capabilities": right.capabilities, "purpose": right.purpose} for right in rights]
        click.echo(json.dumps({"policy": policy_text(rights), "rights": lines}, indent=2))
    else:
        click.echo(render(policies, form, cidrs=cidrs), nl=False)
    return 0
