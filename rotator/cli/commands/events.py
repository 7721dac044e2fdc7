"""``rotator events``: the events of the daemon as they come."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import click

from rotator.cli.following import follow
from rotator.cli.output.sentences import say
from rotator.cli.session import Session, common, pass_session
from rotator.cli.streams import output_is_lost
from rotator.util.terminal import visible_line

LEVEL_STYLES: Mapping[str, Mapping[str, Any]] = {
    "debug": {"dim": True},
    "warning": {"fg": "yellow"},
    "error": {"fg": "red"},
    "critical": {"fg": "red", "bold": True},
}


@click.command(
    "events",
    epilog="""\b
Examples:
  rotator events --follow
  rotator events --follow --application billing --event "key.*"
  rotator events --follow --json | jq -r .event""",
)
@click.option("--follow", "following", is_flag=True, help="Print each event as it comes, until Ctrl-C.")
@click.option("--application", "applications", multiple=True, metavar="APP", help="Only events of that application.")
@click.option("--event", "globs", multiple=True, metavar="GLOB", help="Only events whose name fits, such as key.*.")
@common
@pass_session
def command(session: Session, following: bool, applications: Sequence[str], globs: Sequence[str]) -> int:
    """Print the events of the daemon as they come, through its socket.

    With --json each event is one line of JSON, as in the log. When the daemon restarts, the command
    says so and goes on as soon as it answers. Past events are in the log of the daemon.
    """
    if not following:
        raise click.UsageError("add --follow; past events are in the log of the daemon, such as: journalctl -u rotator")
    try:
        for event in follow(session, lambda sentence: say(f"rotator: {sentence}", err=True)):
            if event and _wanted(event, applications, globs):
                if session.json:
                    click.echo(json.dumps(event))
                else:
                    _print(event)
                sys.stdout.flush()
            if output_is_lost():
                return 0
    except KeyboardInterrupt:
        return 0
    raise AssertionError("the events have no end")


def _wanted(event: Mapping[str, Any], applications: Sequence[str], globs: Sequence[str]) -> bool:
    name = str(event.get("event", ""))
    return (not applications or event.get("application") in applications) and (
        not globs or any(fnmatchcase(name, glob) for glob in globs)
    )


def _print(event: Mapping[str, Any]) -> None:
    fields = dict(event)
    level, at, name = (str(fields.pop(field, "")) for field in ("level", "timestamp", "event"))
    subject = visible_line(str(fields.pop("application", "") or fields.pop("account", "") or "-"))
    described = "  ".join(f"{field}={_short(value)}" for field, value in fields.items() if value not in ("", None))
    say(f"{_time(at)}  {level:<7}  {subject}  {name}  {described}".rstrip(), **LEVEL_STYLES.get(level, {}))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return visible_line(text if text and " " not in text else json.dumps(text) if isinstance(value, str) else text)


def _time(timestamp: str) -> str:
    """The local time of day on a terminal, else the timestamp in UTC to the second."""
    try:
        at = datetime.fromisoformat(timestamp)
    except ValueError:
        return timestamp
    if sys.stdout.isatty():
        return f"{at.astimezone():%H:%M:%S}"
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
