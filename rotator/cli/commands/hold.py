"""``rotator hold``: pauses rotation and revocation of applications."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rotator.cli.output.results import report
from rotator.cli.session import Session, asking, common, pass_session
from rotator.cli.times import parse_time_argument


@click.command(
    "hold",
    epilog="""\b
Examples:
  rotator hold billing --reason "migration to the new cluster"
  rotator hold --all --reason "freeze over the holidays" --until 3d""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@click.option("--all", "everything", is_flag=True, help="Every application.")
@click.option("--reason", metavar="TEXT", help="Why, for the next operator.")
@click.option("--until", metavar="TIME", help="When the hold ends, or how long from now.  [default: at resume]")
@asking
@common
@pass_session
def command(
    session: Session, applications: Sequence[str], everything: bool, reason: str | None, until: str | None
) -> int:
    """Pause rotation and revocation for applications.

    Nothing is claimed and nothing revoked until they are resumed, or until a time. Observation
    goes on. Deadlines stay where they are; what is overdue by then is done when the hold ends.
    An emergency waits as well, unless it is ordered with --override-hold.

    A hold ends when the clocks of this machine, of Vault and of the provider have passed its
    time. Of two holds the one counts that ends later; to shorten one, resume first.
    """
    if bool(applications) == everything:
        raise click.UsageError("say which applications: their names, or --all")
    if not (reason or "").strip():
        raise click.UsageError("say why, with --reason: the next operator must know whether the hold still counts")
    now = session.now()
    ends = parse_time_argument(until, now, ahead=True) if until else None
    if ends is not None and ends <= now:
        raise click.UsageError(f"--until {until} has passed: write a time to come, or a duration such as 3d")
    names = list(applications)
    return report(session, session.ask("hold", applications=names, everything=everything, reason=reason, until=ends))
