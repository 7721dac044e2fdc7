"""``rotator drill``: runs an emergency rotation as an exercise, with timings."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from rotator.cli.commands.rotate_login import login_rotation
from rotator.cli.output.results import progress_of
from rotator.cli.output.sentences import say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.errors import RotatorError
from rotator.operations.commands.drill import DrillResult, DrillStep
from rotator.sandbox import require_sandbox
from rotator.util.formatting import format_seconds

WORTH_A_RATIO = 0.1
"""Seconds that the calls of an emergency have to take by themselves before its time is shown as a
multiple of them."""

MEANING = (
    "this replaces the key of {name} and revokes the old one, and every key of {name} in grace, at once: its consumers "
    "are refused until they have read the new one"
)

LOGIN_MEANING = (
    "this replaces the secret id of this machine's login at Vault and destroys the former ones that this machine made "
    "at once; the configured one stays valid"
)


@click.command(
    "drill",
    epilog="""\b
Examples:
  rotator drill --sandbox
  rotator drill billing
  rotator drill billing --yes --json
  rotator drill --login""",
)
@click.argument("application", required=False, metavar="[APP]")
@click.option(
    "--sandbox", is_flag=True, help="In the sandbox on this machine, with no configuration (the extra 'sandbox')."
)
@click.option("--login", is_flag=True, help="Of the secret id of the login at Vault instead of a key.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@asking
@common
@pass_session
def command(session: Session, application: str | None, *, sandbox: bool, login: bool, yes: bool) -> int:
    """Run an emergency on one application as an exercise, timed step by step.

    It is a real one, on a key that has not leaked: the mark, the replacement, the verified
    revocation of the old key, with the reason "drill". In the end the time is compared with what
    creating, writing and deleting take by themselves.

    With --login it is the emergency of rotate-login: a new secret id that has logged in, and the
    former ones of this machine destroyed at once. The configured one is spared.
    """
    if bool(application) + sandbox + login != 1:
        raise click.UsageError("name an application, or say --sandbox or --login")
    if sandbox:
        return _in_the_sandbox(session)
    if not yes and not _confirmed(session, MEANING.format(name=application) if application else LOGIN_MEANING):
        say("nothing was done")
        return 0
    return _drill(session, application) if application else _drill_login(session)


def _confirmed(session: Session, meaning: str) -> bool:
    """The answer of a person at the terminal. Raises ``UsageError`` without one."""
    if not session.can_ask() or session.json:
        raise click.UsageError(f"{meaning}; say --yes if that is what you want")
    say(f"rotator: {meaning}", err=True)
    return click.confirm("go on?", err=True)


def _drill(session: Session, application: str) -> int:
    progress = progress_of(session)
    try:
        done: DrillResult = session.ask("drill", progress, application=application)
    finally:
        progress.mute()
    if session.json:
        click.echo(json.dumps(done.as_json(), indent=2))
    else:
        _print_result(application, done)
    if done.result.exit_code:
        say(f"rotator: {application}: {done.result.message}", err=True)
    return done.result.exit_code


def _drill_login(session: Session) -> int:
    # PLC0415: for commands that act themselves
    from rotator.operations.commands.login_drill import drill_login  # noqa: PLC0415

    with login_rotation(session) as rotation:
        done = drill_login(rotation, session.now)
    if session.json:
        click.echo(json.dumps(done.as_json(), indent=2))
    else:
        _print_steps("login", done.steps)
        say(f"  in all {format_seconds(done.seconds)}; destroyed: {done.destroyed}")
    if done.failure is None:
        return 0
    say(f"rotator: login: {done.failure.message}", err=True)
    return done.failure.exit_code


def _print_steps(name: str, steps: Sequence[DrillStep]) -> None:
    say(f"{name}: drill")
    before = 0.0
    for step in steps:
        say(
            f"  {step.at:7.2f} s  +{step.at - before:.2f} s  "
            f"{step.what}{f' ({step.access_key})' if step.access_key else ''}"
        )
        before = step.at


def _print_result(application: str, done: DrillResult) -> None:
    _print_steps(application, done.steps)
    if done.multiple is not None:
        calls = ", ".join(f"{name.partition('_')[0]} {format_seconds(took)}" for name, took in done.calls.items())
        times = (
            f"{done.multiple:.1f} times what its calls take by themselves"
            if done.bare >= WORTH_A_RATIO
            else "its calls"
        )
        say(f"  in all {format_seconds(done.seconds)}: {times} ({calls})")
    elif done.result.exit_code == 0:
        say(f"  in all {format_seconds(done.seconds)}, much of it done by another process")


def _in_the_sandbox(session: Session) -> int:
    require_sandbox("drill --sandbox")
    from rotator.sandbox.demo.environment import World  # noqa: PLC0415 - an optional extra

    say("rotator: starting OpenBao and a stand-in of Scaleway on this machine", err=True)
    with World() as context:
        context.configure("30d")
        session.config, session.direct = context.configuration, True
        (first,) = session.ask("rotate", applications=["billing"], reason="a first key")
        if first.exit_code:
            raise RotatorError(f"the sandbox did not get going: {first.message}")
        return _drill(session, "billing")
