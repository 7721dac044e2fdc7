"""``rotator rotate``: rotates now and returns when it is true, not when it was attempted."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence

import click

from rotator.cli.endings import Interrupted
from rotator.cli.progress import Progress
from rotator.cli.session import Session, asking, common, pass_session
from rotator.hands.result import Result
from rotator.words import seconds


@click.command(
    "rotate",
    epilog="""\b
Examples:
  rotator rotate billing
  rotator rotate billing mailer --reason "the contractor left"
  rotator rotate billing --compromised --reason "found in a public repository"
  rotator rotate --all --compromised --reason "breach" --dry-run
  rotator rotate --match "shop-*" --created-before 90d --wait""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@click.option("--all", "everything", is_flag=True, help="Every application.")
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Every application of that account.")
@click.option("--match", "globs", multiple=True, metavar="GLOB", help="Every application whose name fits, such as shop-*.")
@click.option(
    "--created-before", metavar="TIME", default="", help="Of these, only keys older than a time, or than so long.  [default: now]"
)
@click.option("--dry-run", is_flag=True, help="Say what, in which order, how long it takes and what remains; change nothing.")
@click.option("--wait", is_flag=True, help="Where the quota has no room for all at once, wait until graces end and go on.")
@click.option("--compromised", is_flag=True, help="The old keys die at once; return when they are proven dead.")
@click.option("--reason", metavar="TEXT", help="Why, for the ledger, the logs and the auditor.")
@asking
@common
@pass_session
def command(
    session: Session,
    applications: Sequence[str],
    everything: bool,
    accounts: Sequence[str],
    globs: Sequence[str],
    created_before: str,
    dry_run: bool,
    wait: bool,
    compromised: bool,
    reason: str | None,
) -> int:
    """Rotate now, and wait until the new key is published and read back.

    The old key lives on for its grace. With --compromised the keys of the application are first marked in the ledger (from
    then on every daemon acts on it, whatever happens to this command), then replaced, and dead within seconds.

    With --all, --account, --match or --created-before (which can be combined) it is a mass rotation: oldest keys first, as many
    at once as the quota has room for, to the proof that no older key is alive. After a kill the same command goes on.
    """
    many = bool(everything or accounts or globs or created_before or dry_run)
    if applications and everything:
        raise click.UsageError("--all and the names of applications exclude each other")
    if not applications and not (everything or accounts or globs or created_before):
        raise click.UsageError("say which applications: their names, or --all, --account, --match or --created-before")
    if many:
        from rotator.cli.mass import Asked, rotate_many  # noqa: PLC0415 - an emergency of one application need not load it
        from rotator.mass import Selection  # noqa: PLC0415 - same

        selection = Selection(tuple(applications), tuple(accounts), tuple(globs))
        return rotate_many(session, Asked(selection, created_before, compromised, reason, dry_run, wait))
    if wait:
        raise click.UsageError("--wait is for a mass rotation")
    return _rotate(session, applications, compromised=compromised, reason=reason)


def _rotate(session: Session, applications: Sequence[str], *, compromised: bool, reason: str | None) -> int:
    progress = Progress(lambda: time.monotonic() - session.started, muted=not sys.stderr.isatty())
    try:
        results: Sequence[Result] = session.ask(
            "rotate",
            progress,
            tell=compromised,
            applications=list(applications),
            compromised=compromised,
            reason=reason or "",
        )
    except KeyboardInterrupt:
        unmarked = sorted(set(applications) - progress.marked)
        if compromised and unmarked:
            raise Interrupted(
                f"interrupted before the mark of {', '.join(unmarked)} was confirmed: run the same command again"
            ) from None
        if compromised:
            raise Interrupted(
                f"interrupted; nothing is lost: the mark of {', '.join(sorted(progress.marked))} is in the ledger. But not every key is "
                "proven dead yet: the daemon acts on the mark, or run the same command again; rotator status shows how far it is"
            ) from None
        raise
    finally:
        progress.mute()
    return _report(session, results)


def _report(session: Session, results: Sequence[Result]) -> int:
    elapsed = time.monotonic() - session.started
    if session.json:
        answer = {"applications": [result.as_json() for result in results], "elapsed_seconds": round(elapsed, 3)}
        click.echo(json.dumps(answer, indent=2))
    for result in results:
        if result.exit_code:
            click.echo(f"rotator: {result.application}: {result.message}", err=True)
        elif not session.json:
            click.echo(f"{result.application}: {result.message}{_timing(result, elapsed)}")
    return max((result.exit_code for result in results), default=0)


def _timing(result: Result, elapsed: float) -> str:
    after_mark = result.seconds_from_mark
    return "" if after_mark is None else f"; {seconds(after_mark)} after the mark, {seconds(elapsed)} after the start"
