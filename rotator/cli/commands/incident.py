"""``rotator incident``: what happened in an emergency, for those who were not there."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from rotator.cli.commands.coverage import print_coverage
from rotator.cli.output.pager import paged
from rotator.cli.output.results import complain
from rotator.cli.output.sentences import columns, say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.cli.times import parse_time_argument
from rotator.errors import Refused
from rotator.operations.incidents.audit_calls import count_calls, groups
from rotator.operations.incidents.report import IncidentList, IncidentReport
from rotator.util.formatting import format_seconds, format_span, format_time, format_timestamp, pluralize

MOST_DRAWN = 40
"""Applications that are drawn on a terminal; the file has all of them."""


@click.command(
    "incident",
    epilog="""\b
Examples:
  rotator incident list
  rotator incident show 0123456789abcdef
  rotator incident show 0123456789abcdef --since 2026-05-04T12:00:00Z --html incident.html""",
)
@click.argument("words", nargs=-1, required=True, metavar="list|show ID")
@click.option(
    "--since", metavar="TIME", help="From when the key is suspected to have been in the wrong hands, or how long ago."
)
@click.option(
    "--trail/--no-trail",
    default=None,
    help="Whether to ask the provider's audit trail.  [default: up to 20 applications]",
)
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it as one HTML file as well."
)
@asking
@common
@pass_session
@paged
def command(session: Session, words: tuple[str, ...], since: str | None, trail: bool | None, html: Path | None) -> int:
    """Show an incident: from the report to the verified revocation, who requested it and why, what
    was replaced and destroyed, whether any old key is valid, and what the bearers did since the
    suspected time, by address and client.

    The id stands in the answer of rotate --compromised, in the logs and in rotator status; list
    names all of them.
    """
    if words == ("list",):
        return _list(session, session.ask("incidents"))
    incident = words[-1]
    if words not in {(incident,), ("show", incident)} or incident == "show":
        raise click.UsageError("write rotator incident list, or rotator incident show ID")
    moment = parse_time_argument(since, session.now()) if since else None
    report: IncidentReport = session.ask("incident", id=incident, since=moment, trail=trail)
    if html is not None:
        from rotator.operations.incidents.html import render_html  # noqa: PLC0415 - only for a file

        _write(html, render_html(report))
    if session.json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        _say(report)
        if html is not None:
            say(f"written to {html}")
    return 0


def _write(path: Path, text: str) -> None:
    """Write the file for its owner alone: it names who was breached, and from where. A link is
    replaced, never followed."""
    try:
        if not path.is_symlink() and path.exists() and not path.is_file():
            raise Refused(f"{path} is not a plain file; name one")
        with (
            tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
            ) as file,
            _removed_unless_moved(Path(file.name)),
        ):
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from None


MIN_WIDTH, MAX_WIDTH = 10, 50
"""Columns of the line of one application."""


@contextlib.contextmanager
def _removed_unless_moved(file: Path) -> Iterator[None]:
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


# --- text -----------------------------------------------------------------------------------------


def _list(session: Session, found: IncidentList) -> int:
    reports = found.incidents
    if session.json:
        rows = [
            {
                "id": one.id,
                "opened_at": format_timestamp(one.opened_at),
                "closed_at": format_timestamp(one.closed_at) if one.closed_at else None,
                "state": one.state,
                "applications": [app.application for app in one.affected],
                "reason": one.reason,
                "by": one.by,
            }
            for one in reports
        ]
        away = [{"account": name, "message": why} for name, why in sorted(found.unavailable.items())]
        away += [{"application": name, "message": why} for name, why in sorted(found.unread.items())]
        click.echo(json.dumps({"incidents": rows, "not_read": away}, indent=2))
        return 0
    for one in reports:
        what = one.affected[0].application if len(one.affected) == 1 else pluralize(len(one.affected), "application")
        say(f"{one.id}  {format_time(one.opened_at)}  {_state(one)}  {what}: {one.reason} ({one.by})")
    if not reports:
        partial = found.unread or found.unavailable
        say("no ledger that could be read remembers an incident" if partial else "no incident is remembered")
    for name, why in sorted(found.unavailable.items()):
        say(f"rotator: account {name} could not be read, so its incidents are not in the list: {why}", err=True)
    unread = "the ledger of {} could not be read, so its incidents are not in the list: {}"
    complain((name, unread.format(name, why)) for name, why in sorted(found.unread.items()))
    return 0


def _state(report: IncidentReport) -> str:
    if report.closed_at:
        return f"contained after {format_span(report.closed_at - report.opened_at)}"
    return (
        f"NOT KNOWN TO BE CONTAINED, {report.missing} could not be read"
        if report.state == "unknown"
        else "NOT CONTAINED"
    )


def _say(report: IncidentReport) -> None:
    say(
        f"incident {report.id}: {_state(report)}; {pluralize(len(report.affected), 'application')}; {report.reason} "
        f"({report.by})"
    )
    say(f"reported {format_time(report.opened_at)}, suspected since {format_time(report.since)}")
    for impact in report.affected[:MOST_DRAWN]:
        if impact.purpose:
            say(f"{impact.application} is for: {impact.purpose}")
    _draw(report)
    if len(report.affected) <= MOST_DRAWN:
        say("")
        for one in report.moments():
            words = [one.what, one.application, one.access_key, one.text]
            say(f"  {format_time(one.at)}  " + "  ".join(word for word in words if word))
    say("")
    for verification in report.coverage:
        print_coverage(verification)
    for name, trail in sorted(report.trails.items()):
        say("")
        say(f"{name}: {count_calls(trail)}")
        for group in groups(trail):
            refused = f", {group.refused} refused" if group.refused else ""
            say(
                f"  {group.source}  {group.agent}: {pluralize(len(group.audit_events), 'call')}{refused}, "
                f"{format_time(group.audit_events[0].at)} to {format_time(group.audit_events[-1].at)}: "
                f"{', '.join(group.methods())}"
            )
    say("")
    for limit in report.limits:
        say(f"note: {limit}")


def _draw(report: IncidentReport) -> None:
    """Each application as a line: from the mark, over the replacement, to the verified revocation;
    those that took longest at the top."""
    if not report.affected:
        return
    end = max(one.closed_at or report.as_of for one in report.affected)
    length = max((end - report.opened_at).total_seconds(), 0.001)
    slowest = sorted(report.affected, key=lambda one: (one.closed_at or end) - one.opened_at, reverse=True)
    names = max(len(one.application) for one in slowest[:MOST_DRAWN])
    room = columns() - names - len("        revoked after 00.00 s") if sys.stdout.isatty() else MAX_WIDTH
    width = max(MIN_WIDTH, min(MAX_WIDTH, room))

    def column(at: datetime) -> int:
        return min(width - 1, round((at - report.opened_at).total_seconds() / length * (width - 1)))

    say("")
    say(f"  {'':<{names}}  0{format_span(end - report.opened_at):>{width - 1}}")
    for one in slowest[:MOST_DRAWN]:
        cells = [" "] * width
        first, last = column(one.opened_at), column(one.closed_at or end)
        cells[first : last + 1] = "━" * (last + 1 - first)
        if one.replaced_at:
            cells[column(one.replaced_at)] = "◆"
        cells[last] = "✕" if one.closed_at else "▶"
        state = f"revoked after {format_seconds(one.lived_on.total_seconds())}" if one.lived_on is not None else "valid"
        say(f"  {one.application:<{names}}  {''.join(cells)}  {state}")
    if len(slowest) > MOST_DRAWN:
        say(f"  … and {len(slowest) - MOST_DRAWN} that were faster")
    say("  ━ compromised and valid   ◆ replaced   ✕ verified as revoked")
