"""``rotator waive``: a person's word that an old key may stay."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from rotator.cli.output.sentences import say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.cli.times import parse_time_argument
from rotator.domain.account import Waiver
from rotator.util.formatting import format_time, format_timestamp

if TYPE_CHECKING:
    from rotator.operations.mass_rotation.results import WaiveResult


@click.command(
    "waive",
    epilog="""\b
Examples:
  rotator waive SCWAAAAAAAAAAAAAAAAA --reason "break-glass key in the safe"
  rotator waive SCWAAAAAAAAAAAAAAAAA --reason "moves on Monday" --until 3d
  rotator waive SCWAAAAAAAAAAAAAAAAA --withdraw""",
)
@click.argument("access_key", metavar="SCW...")
@click.option("--reason", metavar="TEXT", help="Why it may stay, for the readers of the coverage.")
@click.option("--until", metavar="TIME", help="When it counts no longer, or how long from now.  [default: for good]")
@click.option("--withdraw", is_flag=True, help="It may stay no longer.")
@click.option("--account", metavar="NAME", help="The account.  [default: the only one]")
@asking
@common
@pass_session
def command(
    session: Session, access_key: str, reason: str | None, until: str | None, withdraw: bool, account: str | None
) -> int:
    """Let a live key stay in spite of its age, so that it does not fail the coverage proof. The
    proof goes on showing it.

    Nothing is done to the key. The word is kept in the document of the account in Vault.
    """
    if withdraw and (reason or until):
        raise click.UsageError("--withdraw takes neither --reason nor --until")
    if not withdraw and not (reason or "").strip():
        raise click.UsageError("a waiver needs a reason, with --reason")
    now = session.now()
    ends = parse_time_argument(until, now, ahead=True) if until else None
    if ends is not None and ends <= now:
        raise click.UsageError(f"--until {until} has passed: write a time to come, or a duration such as 30d")
    found: WaiveResult = session.ask(
        "waive",
        access_key=access_key,
        account=account or "",
        reason=(reason or "").strip(),
        until=ends,
        withdraw=withdraw,
    )
    if session.json:
        click.echo(
            json.dumps({"account": found.account, "waivers": [_as_json(one) for one in found.waivers]}, indent=2)
        )
    elif withdraw:
        say(f"{access_key} is not waived any more")
    else:
        rest = f"until {format_time(ends)}" if ends else "for good; end it with --withdraw"
        say(f"{access_key} is waived {rest}")
    return 0


def _as_json(waiver: Waiver) -> dict[str, object]:
    return {
        "access_key": waiver.access_key,
        "reason": waiver.reason,
        "by": waiver.by,
        "at": format_timestamp(waiver.at),
        "until": format_timestamp(waiver.until) if waiver.until else None,
    }
