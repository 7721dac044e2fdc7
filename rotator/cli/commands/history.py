"""``rotator history``: what happened to the keys of one application, from its ledger and from
Vault's own versions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

from rotator.cli.output.pager import paged
from rotator.cli.output.sentences import say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.operations.queries.history import History, HistoryItem
from rotator.util.formatting import format_time, format_timestamp

EVENTS: Mapping[str, str] = {
    "rotated": "became the current key",
    "adopted": "was taken over as it was",
    "followed": "was published by another writer",
    "revoked": "was revoked",
    "abandoned": "rotation given up",
    "held": "application held",
    "resumed": "application resumed",
    "extended": "grace extended",
    "grace_ended": "grace ended early",
    "written": "document written",
    "emergency": "marked compromised",
    "contained": "emergency over, all revoked",
    "renamed": "application renamed",
}
"""The events of a history, in words."""


@click.command(
    "history",
    epilog="""\b
Examples:
  rotator history billing
  rotator history billing --json | jq '.history[] | select(.event == "revoked")'""",
)
@click.argument("application", metavar="APP")
@asking
@common
@pass_session
@paged
def command(session: Session, application: str) -> int:
    """Show past rotations of an application, newest last, from its ledger and from the versions
    that Vault keeps."""
    found: History = session.ask("history", application=application)
    if session.json:
        entries = [_as_json(entry) for entry in found.entries]
        click.echo(
            json.dumps({"name": application, "history": entries, "versions_not_read": found.problem or None}, indent=2)
        )
    else:
        for line in lines(found.entries):
            say(line)
    if found.problem:
        say(f"rotator: the versions in Vault are not shown: {found.problem}", err=True)
    return 0


def lines(entries: Sequence[HistoryItem]) -> list[str]:
    """One line for each, in columns."""
    cells = [
        (
            format_time(entry.at),
            entry.access_key or "",
            EVENTS.get(entry.event, entry.event),
            f"v{entry.version}" if entry.version else "",
            entry.reason,
        )
        for entry in entries
    ]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(4)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip()
        for row in cells
    ]


def _as_json(entry: HistoryItem) -> dict[str, object]:
    return {
        "at": format_timestamp(entry.at),
        "event": entry.event,
        "access_key": entry.access_key or None,
        "version": entry.version or None,
        "rotation_id": entry.rotation_id or None,
        "reason": entry.reason or None,
        "source": entry.source,
    }
