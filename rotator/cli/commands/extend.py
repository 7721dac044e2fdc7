"""``rotator extend``: more time for consumers that still use it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rotator.cli.output.results import report
from rotator.cli.session import Session, asking, common, pass_session
from rotator.util.durations import parse_duration


@click.command(
    "extend",
    epilog="""\b
Examples:
  rotator extend billing --by 24h""",
)
@click.argument("applications", nargs=-1, required=True, metavar="APP...")
@click.option(
    "--by", "longer", required=True, metavar="DURATION", help="How much longer the keys in grace live, such as 24h."
)
@asking
@common
@pass_session
def command(session: Session, applications: Sequence[str], longer: str) -> int:
    """Let the keys in grace of an application live on: a consumer has not moved yet, and it is 3
    a.m.

    The new deadline is in the ledger before the command returns. Keys that are compromised or
    scheduled for revocation are not extended.
    """
    try:
        duration = parse_duration(longer)
    except ValueError as error:
        raise click.UsageError(f"--by {longer}: {error}") from None
    return report(
        session, session.ask("extend", applications=list(applications), seconds=int(duration.total_seconds()))
    )
