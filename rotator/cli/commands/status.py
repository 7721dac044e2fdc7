"""``rotator status``: every application from its ledger; needs no right to read credentials."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime

import click

from rotator.cli.exit_codes import PROBLEM
from rotator.cli.output.nagios import has_problem, line, unknown
from rotator.cli.session import Session, asking, common, pass_session
from rotator.domain.status import ApplicationStatus, StatusReport
from rotator.operations.failures import explain
from rotator.util.formatting import format_span, format_timestamp


@click.command(
    "status",
    epilog="""\b
Examples:
  rotator status
  rotator status billing mailer
  rotator status --check    # one line for Nagios, Icinga and the like
  rotator status --json | jq '.applications[] | select(.problem != null)'""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@click.option(
    "--check", is_flag=True, help="One line and the exit code of a monitoring plugin: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."
)
@asking
@common
@pass_session
def command(session: Session, applications: Sequence[str], check: bool) -> int:
    """Show every application from its ledger: its keys, their deadlines, what comes next, and what is wrong.

    On a terminal the keys are drawn along the time; in a pipe it is plain text. Ends with 5 when an application is overdue or has a problem.
    """
    if check:
        if session.json:
            raise click.UsageError("--check prints one line for a monitoring plugin; leave out --json")
        return _check(session, applications)
    found: StatusReport = session.ask("status", applications=list(applications))
    _show(session, found)
    for remark in found.remarks:
        click.echo(f"rotator: {remark}", err=True)
    if session.alone:
        click.echo(f"rotator: {session.alone}; the ledgers were read directly", err=True)
    return found.exit_code or (PROBLEM if any(map(has_problem, found.views)) else 0)


def _check(session: Session, applications: Sequence[str]) -> int:
    """Whatever happens, there is one line on standard output and one of the four exit codes."""
    try:
        found: StatusReport = session.ask("status", applications=list(applications))
        state, text = line(found.views, found.remarks, found.as_of)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not known how things are, and that is what plugins say
        state, text = unknown(" ".join(explain(error).sentences))
    click.echo(text)
    return state


def _show(session: Session, overview: StatusReport) -> None:
    views = overview.views
    if session.json:
        answer = {"applications": [found.as_json() for found in views], "not_shown": list(overview.remarks)}
        click.echo(json.dumps(answer, indent=2))
    elif sys.stdout.isatty():
        from rotator.cli.output.status_view import draw  # noqa: PLC0415 - same
        from rotator.cli.output.styled_console import StyledConsole  # noqa: PLC0415 - a pipe needs no colours

        draw(views, StyledConsole(), fine="utf" in (sys.stdout.encoding or "").lower())
    else:
        click.echo(plain(views, overview.as_of))


def plain(views: Sequence[ApplicationStatus], now: datetime) -> str:
    """The same for a pipe: one line for each application, one indented line for each further thing."""
    width = max((len(found.name) for found in views), default=0)
    lines = []
    for found in views:
        ledger, coming = found.ledger, found.next
        current = ledger.current if ledger else None
        none = "no key known yet" if found.known else "keys unknown"
        key = f"{current.access_key} since {format_timestamp(current.since)}" if current else none
        late = f", past due by {format_span(found.late)}" if found.phase == "overdue" else ""
        when = f"{coming.action} {format_timestamp(coming.at)} ({coming.reason}{late})"
        if coming.action == "held":
            when = "held, until it is resumed"
        lines.append(f"{found.name:<{width}}  {found.phase:<11}  {key}  next: {when}")
        if ledger:
            lines += [
                f"  grace: {entry.access_key} until {format_timestamp(entry.revoke_after)} ({entry.reason})"
                for entry in ledger.retiring
            ]
            lines += [f"  revoking: {entry.access_key} ({entry.reason})" for entry in ledger.revoking]
            lines += [
                f"  compromised: {mark.access_key} since {format_timestamp(mark.at)} by {mark.by} ({mark.reason})"
                for mark in ledger.compromised
            ]
            if ledger.hold:
                lines.append(f"  held: since {format_timestamp(ledger.hold.at)} by {ledger.hold.by} ({ledger.hold.reason})")
        if current and current.purpose:
            lines.append(f"  purpose: {current.purpose}")
        if not found.spec.configured:
            lines.append("  orphan: not in the configuration any more")
        if found.problem:
            lines.append(f"  trouble: {found.problem.message}")
    return "\n".join([*lines, f"ledgers read {format_timestamp(now)}"])
