"""``rotator resume``: ends a hold."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rotator.cli.output.results import report
from rotator.cli.session import Session, asking, common, pass_session


@click.command(
    "resume",
    epilog="""\b
Examples:
  rotator resume billing
  rotator resume --all""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@click.option("--all", "everything", is_flag=True, help="Every application.")
@asking
@common
@pass_session
def command(session: Session, applications: Sequence[str], everything: bool) -> int:
    """Resume applications that are on hold. Keys whose grace has ended meanwhile are revoked, and
    what is past due is rotated."""
    if bool(applications) == everything:
        raise click.UsageError("say which applications: their names, or --all")
    return report(session, session.ask("resume", applications=list(applications), everything=everything))
