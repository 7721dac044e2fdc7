"""``rotator notify``: who is notified, and with --test whether messages arrive."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from rotator.cli.output.sentences import say
from rotator.cli.session import Session, common, pass_session
from rotator.errors import ConfigurationError, ConfigurationProblem
from rotator.observability.notifications import send_test
from rotator.util.concurrency import run_concurrently

_NOBODY = (
    'names no target; write targets = ["credential:NAME"] into [notifications], where the file NAME holds one address '
    "as Apprise writes it"
)


@click.command(
    "notify",
    epilog="""\b
Examples:
  rotator notify            # which targets are configured?
  rotator notify --test     # send each of them a message""",
)
@click.option("--test", is_flag=True, help="Send one message to every target, and say which of them took it.")
@common
@pass_session
def command(session: Session, test: bool) -> int:
    """List the targets of the alarm's messages by their references; send each of them a test. The
    addresses are never shown."""
    session.question = not test
    with session.app() as app:
        settings = app.alarm
        if not settings.targets:
            raise ConfigurationError([ConfigurationProblem(str(session.path), "notifications.targets", _NOBODY)])
        names = list(settings.targets)
        answers = run_concurrently(lambda name: send_test(settings, name), names) if test else [None] * len(names)
        found = dict(zip(names, answers, strict=True))
    return _report(session, found, test=test)


def _report(session: Session, found: Mapping[str, Exception | None], *, test: bool) -> int:
    if session.json:
        targets: list[dict[str, Any]] = [
            {"target": name} | ({"sent": problem is None, "problem": str(problem) if problem else None} if test else {})
            for name, problem in found.items()
        ]
        click.echo(json.dumps({"targets": targets}, indent=2))
    for name, problem in found.items():
        if problem:
            say(f"rotator: {name}: {problem}", err=True)
        elif not session.json:
            say(f"{name}: the message was sent" if test else name)
    return 1 if any(found.values()) else 0
