"""``rotator agenda``: what is due in the next days across all applications."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby

import click

from rotator.cli.output.pager import paged
from rotator.cli.output.results import complain
from rotator.cli.output.sentences import say, zone_now
from rotator.cli.session import Session, asking, common, pass_session
from rotator.domain.status import StatusReport
from rotator.operations.queries.agenda import AgendaEntry, agenda
from rotator.util.formatting import format_timestamp, pluralize

WORDS = {"rotate": "rotate", "revoke": "revoke", "contain": "contain", "expire": "expires", "hold_ends": "resumes"}
"""How each action stands in a line."""

COUNTED = {
    "contain": "key to contain",
    "rotate": "rotation",
    "revoke": "revocation",
    "expire": "expiry",
    "hold_ends": "end of a hold",
}
"""How each action is counted in the first line."""

LONGEST_NAME = 24
"""A longer name moves the rest of its line to the right."""


@click.command(
    "agenda",
    epilog="""\b
Examples:
  rotator agenda
  rotator agenda billing --days 30
  rotator agenda --json | jq '.entries[] | select(.held)'""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@click.option("--days", type=click.IntRange(1, 3650), default=7, show_default=True, help="How far to look ahead.")
@asking
@common
@pass_session
@paged
def command(session: Session, applications: Sequence[str], days: int) -> int:
    """Show what is due in the next days: rotations, ends of grace, expirations, ends of holds.

    By the ledgers of all applications, or of the named ones, one day after the other, in local
    time. What is overdue stands first. Of the rotations of an application the next one is shown.
    """
    found: StatusReport = session.ask("status", applications=list(applications))
    until = found.as_of + timedelta(days=days)
    entries = agenda(found.views, until)
    unread = [view for view in found.views if not view.known]
    if session.json:
        answer = {
            "as_of": format_timestamp(found.as_of),
            "until": format_timestamp(until),
            "entries": [entry.as_json() for entry in entries],
            "not_shown": [*found.remarks, *(view.problem.message for view in unread if view.problem)],
        }
        click.echo(json.dumps(answer, indent=2))
    else:
        _show(entries, found.as_of, days)
    for remark in found.remarks:
        say(f"rotator: {remark}", err=True)
    complain((view.name, f"what is due is not known: {view.problem.message}") for view in unread if view.problem)
    return found.exit_code


def _show(entries: Sequence[AgendaEntry], now: datetime, days: int) -> None:
    counts = Counter(entry.action for entry in entries)
    due = ", ".join(_counted(counts[action], noun) for action, noun in COUNTED.items() if counts[action])
    say(f"The next {pluralize(days, 'day')}: {due or 'nothing is due'}; times in {zone_now(now)}")
    width = min(max((len(entry.application) for entry in entries), default=0), LONGEST_NAME)
    late = sorted((entry for entry in entries if entry.at < now), key=lambda entry: entry.action != "contain")
    if late:
        say()
        say("Overdue", bold=True, fg="red")
    for entry in late:
        say(f"  {entry.at.astimezone():%d %b %H:%M}  {_told(entry, width)}")
    coming = entries[len(late) :]
    for day, group in groupby(coming, key=lambda entry: entry.at.astimezone().date()):
        ahead = (day - now.astimezone().date()).days
        near = {0: "Today, ", 1: "Tomorrow, "}.get(ahead, "")
        say()
        say(
            f"{near}{day:%A} {day.day} {day:%B}{'' if day.year == now.astimezone().year else f' {day.year}'}", bold=True
        )
        for entry in group:
            say(f"  {entry.at.astimezone():%H:%M}  {_told(entry, width)}")


def _told(entry: AgendaEntry, width: int) -> str:
    key = f"{entry.access_key}, " if entry.action in ("revoke", "contain", "expire") else ""
    held = ", put off by a hold" if entry.held else ""
    return f"{WORDS[entry.action]:<7}  {entry.application:<{width}}  {key}{entry.reason}{held}"


def _counted(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    plural = {"key to contain": "keys to contain", "expiry": "expiries", "end of a hold": "ends of holds"}
    return f"{number} {plural.get(noun, f'{noun}s')}"
