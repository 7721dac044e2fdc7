"""``rotator coverage``: lists the old keys of an account that are still valid."""

from __future__ import annotations

import json

import click

from rotator.cli.output.pager import paged
from rotator.cli.output.results import complain
from rotator.cli.output.sentences import say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.cli.times import parse_time_argument
from rotator.operations.coverage import KINDS, CoverageReport, StaleKey
from rotator.util.formatting import format_relative, format_time, format_timestamp, pluralize


@click.command(
    "coverage",
    epilog="""\b
Examples:
  rotator coverage --created-before 2026-05-04T12:00:00Z
  rotator coverage --account acme --created-before 36h --json""",
)
@click.option("--account", metavar="NAME", help="The account.  [default: the only one]")
@click.option(
    "--created-before", metavar="TIME", required=True, help="The time of the breach, or how long ago that was."
)
@asking
@common
@pass_session
@paged
def command(session: Session, account: str | None, created_before: str) -> int:
    """Name every valid key of an account that was created before a time: managed or unmanaged, of
    any bearer.

    It reads the provider's list of all keys of the organisation, every page of it. It fails until
    that list names no such key, or each is waived by name (see: rotator waive).
    """
    proof: CoverageReport = session.ask(
        "coverage", account=account or "", created_before=parse_time_argument(created_before, session.now())
    )
    if session.json:
        click.echo(json.dumps(proof.as_json(), indent=2))
    else:
        print_coverage(proof)
    return proof.exit_code


def print_coverage(proof: CoverageReport) -> None:
    """Print a proof for a person."""
    since = f"of {proof.part} from before {format_time(proof.created_before)}" if proof.part else ""
    since = since or f"from before {format_time(proof.created_before)}"
    looked = f"looked at {pluralize(proof.listed, 'key')} of account {proof.account} at {format_time(proof.as_of)}"
    if proof.complete:
        but = f" but {pluralize(len(proof.rows), 'key')} that a person has waived" if proof.rows else ""
        say(f"coverage proven: no key {since} is valid{but}; {looked}")
    elif proof.missing:
        say(
            f"no proof: the list of account {proof.account} lacks {', '.join(proof.missing)}, which the ledgers or "
            f"access_key in [accounts.{proof.account}] name, so the absence of other keys proves nothing; rotator "
            f"plan says what becomes of these keys, and rotator lookup whether the account has them; {looked}"
        )
    else:
        but = "not every key was listed; of those that were, " if proof.gap else ""
        say(f"coverage not proven: {but}{pluralize(len(proof.open), 'key')} {since} still valid; {looked}")
    for line in lines(proof):
        say(f"  {line}")
    if proof.outside:
        command = (
            f"rotator coverage --account {proof.account} --created-before {format_timestamp(proof.created_before)}"
        )
        say(f"{outside(proof)} from before that time are outside of the selection: {command}")
    if proof.unlisted and not proof.part:
        say(f"  {proof.unlisted}")
    if not proof.manager_named and any(not row.application for row in proof.open):
        say(f"  is one of these the key that manages the account? name it: access_key in [accounts.{proof.account}]")
    if proof.expired:
        say(f"  expired, no longer accepted, still in the quota: {', '.join(key.access_key for key in proof.expired)}")
    complain(
        (name, f"the ledger of {name} could not be read: the state of its keys is not known") for name in proof.unread
    )


def outside(proof: CoverageReport) -> str:
    """How many keys that are in the way of the whole account's proof are outside of the part."""
    return f"{'at least ' if proof.unlisted else ''}{pluralize(proof.outside or 0, 'key')}"


def lines(proof: CoverageReport) -> list[str]:
    """One line for each old key that is valid, unresolved ones first."""
    rows = sorted(proof.rows, key=lambda row: not row.open)
    where = [row.application or row.key.bearer for row in rows]
    width = max(map(len, where), default=0)
    return [
        f"{row.key.access_key}  made {format_time(row.key.created_at)}  {place:<{width}}  {_told(row, proof)}"
        for row, place in zip(rows, where, strict=True)
    ]


def _told(row: StaleKey, proof: CoverageReport) -> str:
    what = KINDS[row.kind]
    if row.revoke_at:
        what += f", revoked {format_relative(row.revoke_at, proof.as_of)}"
    if row.waiver:
        until = f" until {format_time(row.waiver.until)}" if row.waiver.until else ""
        what += f"; waived by {row.waiver.by}{until}: {row.waiver.reason}"
    return what
