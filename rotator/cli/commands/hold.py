"""``rotator hold``: pauses rotation and revocation of applications."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rotator.cli.output.results import report
from rotator.cli.session import Session, asking, common, pass_session


@click.command(
    "hold",
    epilog="""\b
Examples:
  rotator hold billing --reason "migration to the new cluster"
  rotator hold --all --reason "freeze until Monday\"""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@click.option("--all", "everything", is_flag=True, help="Every application.")
@click.option("--reason", metavar="TEXT", help="Why, for the next operator.")
@asking
@common
@pass_session
def command(session: Session, applications: Sequence[str], everything: bool, reason: str | None) -> int:
    """Pause rotation and revocation for applications: nothing is claimed and nothing revoked, until they are resumed. Observation goes on.

    Deadlines stay where they are; what is past due by then is done when the application is resumed. An emergency waits as well,
    unless it is ordered with --override-hold.
    """
    if bool(applications) == everything:
        raise click.UsageError("say which applications: their names, or --all")
    if not (reason or "").strip():
        raise click.UsageError("say why, with --reason: the next operator must know whether the hold still counts")
    return report(session, session.ask("hold", applications=list(applications), everything=everything, reason=reason))
