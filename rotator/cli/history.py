"""``rotator history``: what happened to the keys of one application, from its ledger and from Vault's own versions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from rotator.cli.session import Session, chosen, common, pass_session
from rotator.errors import Refused, ServiceError, Unavailable
from rotator.model import Ledger
from rotator.ports import Version
from rotator.render import timestamp
from rotator.words import moment

EVENTS: Mapping[str, str] = {
    "rotated": "became the current key",
    "adopted": "was taken over as it was",
    "followed": "was published by somebody else",
    "revoked": "was revoked",
    "abandoned": "rotation given up",
    "written": "document written",
    "emergency": "marked compromised",
    "contained": "emergency over, all dead",
}
"""The events of a history, in words."""


@dataclass(frozen=True)
class Entry:
    """One thing that happened. ``source`` is the ledger, or Vault where only its versions tell."""

    at: datetime
    event: str
    access_key: str = ""
    version: int = 0
    rotation_id: str = ""
    reason: str = ""
    source: str = "ledger"


@click.command(
    "history",
    epilog="""\b
Examples:
  rotator history billing
  rotator history billing --json | jq '.history[] | select(.event == "revoked")'""",
)
@click.argument("application", metavar="APP")
@common
@pass_session
def command(session: Session, application: str) -> int:
    """Show past rotations of an application, newest last, from its ledger and from the versions that Vault keeps."""
    problem = ""
    with session.app() as app:
        [policy] = chosen(app, [application])
        ledger, _ = app.vault.read_ledger(application)
        versions: Sequence[Version] = ()
        try:
            versions = app.vault.list_versions(policy.path)
        except Unavailable:
            raise
        except ServiceError as error:
            problem = str(error)
    if ledger is None and not versions and not problem:
        raise Refused(f"{application} has no history yet: neither a ledger nor a credential document")
    entries = told(ledger, versions)
    if session.json:
        click.echo(json.dumps({"name": application, "history": [_as_json(entry) for entry in entries]}, indent=2))
    else:
        for line in lines(entries):
            click.echo(line)
    if problem:
        click.echo(f"rotator: the versions in Vault are not shown: {problem}", err=True)
    return 0


def told(ledger: Ledger | None, versions: Sequence[Version]) -> list[Entry]:
    """Everything in the order in which it happened. A version of the document that the ledger explains is not told twice."""
    entries = [
        Entry(entry.at, entry.event, entry.access_key, entry.version, entry.rotation_id, entry.reason)
        for entry in (ledger.history if ledger else ())
    ]
    explained = {entry.version for entry in entries if entry.event in ("rotated", "adopted", "followed")}
    for version in versions:
        if version.version not in explained:
            reason = "no longer readable" if version.deleted else ""
            entries.append(Entry(version.created_time, "written", version=version.version, reason=reason, source="vault"))
    for incident in ledger.incidents if ledger else ():
        keys = ", ".join(incident.access_keys)
        entries.append(Entry(incident.opened_at, "emergency", keys, reason=f"{incident.reason}, by {incident.by}"))
        if incident.closed_at:
            entries.append(Entry(incident.closed_at, "contained", keys))
    return sorted(entries, key=lambda entry: entry.at)


def lines(entries: Sequence[Entry]) -> list[str]:
    """One line for each, in columns."""
    cells = [
        (
            moment(entry.at),
            entry.access_key or "",
            EVENTS.get(entry.event, entry.event),
            f"v{entry.version}" if entry.version else "",
            entry.reason,
        )
        for entry in entries
    ]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(4)]
    return ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip() for row in cells]


def _as_json(entry: Entry) -> dict[str, object]:
    return {
        "at": timestamp(entry.at),
        "event": entry.event,
        "access_key": entry.access_key or None,
        "version": entry.version or None,
        "rotation_id": entry.rotation_id or None,
        "reason": entry.reason or None,
        "source": entry.source,
    }
