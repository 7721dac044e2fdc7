"""``rotator run``: the daemon, in the foreground."""

from __future__ import annotations

from typing import Literal

import click

from rotator.cli.session import Session, common, pass_session


@click.command(
    "run",
    epilog="""\b
Examples:
  rotator run
  rotator run --once                  # one round over all applications, for cron and Kubernetes
  rotator run --log-format journal    # then: journalctl ROTATOR_APPLICATION=billing""",
)
@click.option("--once", is_flag=True, help="Make one round of passes over all applications and end.")
@click.option(
    "--log-format",
    type=click.Choice(["json", "console", "journal"]),
    help="How logs are written: to standard output, or to the journal.  [default: console on a terminal, else json]",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    default="info",
    show_default=True,
    help="The least that is worth a line; debug has one for every pass.",
)
@common
@pass_session
def command(
    session: Session, once: bool, log_format: Literal["json", "console", "journal"] | None, log_level: str
) -> int:
    """Run the daemon in the foreground: SIGTERM ends it cleanly, SIGHUP reads the configuration
    again."""
    # PLC0415: hvac, httpx and pydantic are for commands that contact something
    from rotator.app import RuntimeBuilder  # noqa: PLC0415
    from rotator.daemon import run  # noqa: PLC0415 - apscheduler and structlog are for the daemon alone

    return run(RuntimeBuilder(session.path), once=once, log_format=log_format, log_level=log_level)
