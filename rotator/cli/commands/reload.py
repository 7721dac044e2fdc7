"""``rotator reload``: returns when the daemon works for the new configuration, or says why it does
not."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from rotator.cli.exit_codes import REFUSED
from rotator.cli.output.results import complain
from rotator.cli.output.sentences import say
from rotator.cli.session import Session, common, pass_session
from rotator.util.formatting import pluralize

if TYPE_CHECKING:
    from rotator.operations.daemon_handle import ReloadResult


@click.command(
    "reload",
    epilog="""\b
Example:
  rotator reload""",
)
@common
@pass_session
def command(session: Session) -> int:
    """Have the daemon read its configuration again, and wait until the new one is in force.

    An invalid one is refused: the old one stays in force, all problems are shown, and the exit code
    is 2. It is 3 when no daemon answers, and 4 when the new configuration is in force and
    contradicts the ledger of an application, which it stops.
    """
    with session.daemon(commands=True) as daemon:
        found: ReloadResult = daemon.call("reload")
    if session.json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        say(_sentence(found))
    complain((one.application, f"stopped: {one.message}") for one in found.blocked)
    return REFUSED if found.blocked else 0


def _sentence(found: ReloadResult) -> str:
    parts = [f"the new configuration is in force: {pluralize(found.applications, 'application')}"]
    for what, names in (
        ("new", found.added),
        ("gone", found.removed),
        ("in force only after a restart", found.restart_needed),
    ):
        if names:
            parts.append(f"{what}: {', '.join(names)}")
    return "; ".join(parts)
