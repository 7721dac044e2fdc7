"""How commands that order something report what became of it, and ask again where a name has to be
repeated."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence

import click

from rotator.cli.output.progress import Progress
from rotator.cli.output.sentences import say
from rotator.cli.session import Session
from rotator.operations.result import OperationResult
from rotator.util.formatting import format_seconds
from rotator.util.shared_messages import grouped


def progress_of(session: Session) -> Progress:
    """The steps as lines on a terminal; nothing in a pipe."""
    return Progress(lambda: time.monotonic() - session.started, muted=not sys.stderr.isatty())


def ask_to_confirm(session: Session, results: Sequence[OperationResult]) -> list[str]:
    """The keys whose full names a person at the terminal repeats after reading what it means; none
    without a terminal."""
    wanting = [result for result in results if result.reason == "unconfirmed"]
    if session.json or not session.can_ask():
        return []
    confirmed = []
    for result in wanting:
        say(f"rotator: {result.application}: {result.message}", err=True)
        typed = click.prompt(
            "type the full name of the key to go on, anything else leaves it", default="", show_default=False, err=True
        )
        if typed.strip() == result.access_key:
            confirmed.append(result.access_key)
    return confirmed


def report(
    session: Session,
    results: Sequence[OperationResult],
    *,
    timing: Callable[[OperationResult, float], str] | None = None,
) -> int:
    """Prints each result; returns the exit code of the worst."""
    elapsed = time.monotonic() - session.started
    if session.json:
        answer = {"applications": [result.as_json() for result in results], "elapsed_seconds": round(elapsed, 3)}
        click.echo(json.dumps(answer, indent=2))
    complain((result.application, result.message) for result in results if result.exit_code)
    for result in results:
        if not (result.exit_code or session.json):
            say(f"{result.application}: {result.message}{timing(result, elapsed) if timing else ''}")
    return max((result.exit_code for result in results), default=0)


def complain(found: Iterable[tuple[str, str]]) -> None:
    """Report what went wrong with applications on standard error: once what many of them share."""
    for name, message in grouped(found):
        say(f"rotator: {name}: {message}", err=True)


def since_the_mark(result: OperationResult, elapsed: float) -> str:
    """How long a containment took, by the mark and by the start of the command."""
    after_mark = result.seconds_from_mark
    return (
        ""
        if after_mark is None
        else f"; {format_seconds(after_mark)} after the mark, {format_seconds(elapsed)} after the start"
    )
