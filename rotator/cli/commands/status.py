"""``rotator status``: every application from its ledger; needs no right to read credentials."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import click

from rotator.cli.exit_codes import PROBLEM
from rotator.cli.output.nagios import has_problem, line, unknown
from rotator.cli.output.pager import paged
from rotator.cli.output.sentences import say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.domain.status import PHASES, WORST_FIRST, ApplicationStatus, StatusReport
from rotator.operations.failures import explain
from rotator.util.formatting import format_span, format_timestamp

ORDERS: Mapping[str, Callable[[ApplicationStatus], Any]] = {
    "worst": lambda view: (WORST_FIRST.index(view.phase), -view.late, view.name),
    "name": lambda view: view.name,
    "next": lambda view: (view.next.at, view.name),
}
"""What applications may be sorted by: what is most pressing, their names, or when something happens
next."""


@click.command(
    "status",
    epilog="""\b
Examples:
  rotator status
  rotator status billing mailer
  rotator status --phase blocked --phase failing --match "shop-*"
  rotator status --watch
  rotator status --check    # one line for Nagios, Icinga and the like
  rotator status --json | jq '.applications[] | select(.problem != null)'""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@click.option("--phase", "phases", multiple=True, type=click.Choice(PHASES), help="Only applications in that phase.")
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Only applications of that account.")
@click.option(
    "--match", "globs", multiple=True, metavar="GLOB", help="Only applications whose name fits, such as shop-*."
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(list(ORDERS)),
    help="[default: worst on a terminal, else that of the configuration]",
)
@click.option(
    "--check",
    is_flag=True,
    help="One line and the exit code of a monitoring plugin: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
)
@click.option("--watch", is_flag=True, help="Draw it again when something happens, until Ctrl-C; needs the daemon.")
@asking
@common
@pass_session
@paged
def command(
    session: Session,
    applications: Sequence[str],
    phases: Sequence[str],
    accounts: Sequence[str],
    globs: Sequence[str],
    order: str | None,
    check: bool,
    watch: bool,
) -> int:
    """Show every application from its ledger: its keys, their deadlines, what comes next, and what
    is wrong.

    On a terminal the keys are drawn along the time; in a pipe it is plain text. Ends with 5 when an
    application is overdue or has a problem.
    """
    if check:
        if session.json:
            raise click.UsageError("--check prints one line for a monitoring plugin; leave out --json")
        return _check(session, applications, Filter(phases, accounts, globs))
    chosen = Filter(phases, accounts, globs)

    def show() -> StatusReport:
        found: StatusReport = session.ask("status", applications=list(applications))
        whole = len(found.views)
        found = replace(
            found, views=sort(chosen.choose(found.views), order or ("worst" if sys.stdout.isatty() else ""))
        )
        _show(session, found, whole, cut=not (applications or chosen.given))
        return found

    if watch:
        return _watch(session, show)
    found = show()
    if found.observed_since:
        age = format_span(found.as_of - found.observed_since)
        say(
            f"rotator: the ledgers are shown as the daemon last saw them, the oldest {age} ago; `rotator status NAME` "
            "reads one anew",
            err=True,
        )
    for remark in found.remarks:
        say(f"rotator: {remark}", err=True)
    if session.alone:
        say(f"rotator: {session.alone}; the ledgers were read directly", err=True)
    return found.exit_code or (PROBLEM if any(map(has_problem, found.views)) else 0)


def _watch(session: Session, show: Callable[[], StatusReport]) -> int:
    if session.json or session.direct or not sys.stdout.isatty():
        raise click.UsageError(
            "--watch draws on a terminal what the daemon reports; without a terminal, with --json and with --direct use"
            " rotator events --follow, or ask again"
        )
    from rotator.cli.output.watch import watch  # noqa: PLC0415 - most ask once

    watch(session, show)
    return 0


def _check(session: Session, applications: Sequence[str], chosen: Filter) -> int:
    """Whatever happens, there is one line on standard output and one of the four exit codes."""
    try:
        found: StatusReport = session.ask("status", applications=list(applications))
        state, text = line(chosen.choose(found.views), found.remarks, found.as_of)
    # BLE001: whatever it is, it is not known how things are, and that is what plugins say
    except Exception as error:  # noqa: BLE001
        state, text = unknown(" ".join(explain(error).sentences))
    click.echo(text)
    return state


@dataclass(frozen=True)
class Filter:
    """Which applications are shown: those in one of these phases, of one of these accounts, whose
    name fits one of these patterns."""

    phases: Sequence[str]
    accounts: Sequence[str]
    globs: Sequence[str]

    @property
    def given(self) -> bool:
        """Whether anything is left out."""
        return bool(self.phases or self.accounts or self.globs)

    def choose(self, views: Sequence[ApplicationStatus]) -> tuple[ApplicationStatus, ...]:
        """The applications that are shown, in their order."""
        return tuple(
            view
            for view in views
            if (not self.phases or view.phase in self.phases)
            and (not self.accounts or view.spec.account in self.accounts)
            and (not self.globs or any(fnmatchcase(view.name, glob) for glob in self.globs))
        )


def sort(views: Sequence[ApplicationStatus], order: str) -> tuple[ApplicationStatus, ...]:
    """The same by one of ``ORDERS``, or as they are."""
    return tuple(sorted(views, key=ORDERS[order]) if order else views)


def _show(session: Session, overview: StatusReport, whole: int, *, cut: bool) -> None:
    views = overview.views
    if session.json:
        answer = {"applications": [found.as_json() for found in views], "not_shown": list(overview.remarks)}
        since = {"observed_since": format_timestamp(overview.observed_since)} if overview.observed_since else {}
        click.echo(json.dumps(answer | since, indent=2))
    elif sys.stdout.isatty():
        from rotator.cli.output.status_view import draw  # noqa: PLC0415 - same
        from rotator.cli.output.styled_console import StyledConsole  # noqa: PLC0415 - a pipe needs no colours

        draw(views, StyledConsole(), whole=whole, cut=cut, fine="utf" in (sys.stdout.encoding or "").lower())
    else:
        click.echo(plain(views, overview.as_of))


def plain(views: Sequence[ApplicationStatus], now: datetime) -> str:
    """The same for a pipe: one line for each application, one indented line for each further
    thing."""
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
            ends = ledger.hold.until if ledger and ledger.hold else None
            when = f"held, until {format_timestamp(ends) if ends else 'it is resumed'}"
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
                until = f" until {format_timestamp(ledger.hold.until)}" if ledger.hold.until else ""
                remark = "; it may have been forgotten" if found.hold_forgotten else ""
                since = format_timestamp(ledger.hold.at)
                lines.append(f"  held: since {since}{until} by {ledger.hold.by} ({ledger.hold.reason}){remark}")
        if current and current.purpose:
            lines.append(f"  purpose: {current.purpose}")
        if not found.spec.configured:
            lines.append("  orphan: not in the configuration any more")
        if found.problem:
            lines.append(f"  trouble: {found.problem.message}")
    return "\n".join([*lines, f"ledgers read {format_timestamp(now)}"])
