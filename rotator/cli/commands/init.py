"""``rotator init``: writes a new configuration from answers, and prints what is left to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from rotator.cli.session import Session, common, pass_session


@click.command(
    "init",
    epilog="""\b
Examples:
  rotator init
  rotator init --config ./rotator.toml --from-answers answers.toml""",
)
@click.option(
    "--from-answers",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Take the answers from this file, TOML or JSON; ask nothing.",
)
@common
@pass_session
def command(session: Session, file: Path | None) -> int:
    """Write a new configuration, and print the commands that set up the rest.

    Asks for Vault, the account and its applications, or takes them from a file. The provider is
    asked which applications there are; nothing is changed but the new file, and no file is
    overwritten.
    """
    from rotator.app.app_runtime import SystemClock  # noqa: PLC0415 - pydantic and httpx are not for --help
    from rotator.errors import Refused  # noqa: PLC0415 - see above
    from rotator.setup.answers import read_answers  # noqa: PLC0415 - see above
    from rotator.setup.instructions import instructions  # noqa: PLC0415 - see above
    from rotator.setup.preparation import prepare  # noqa: PLC0415 - see above
    from rotator.setup.rendering import render, write_new  # noqa: PLC0415 - see above
    from rotator.util.formatting import pluralize  # noqa: PLC0415 - see above

    if session.path.exists() or session.path.is_symlink():
        raise Refused(f"{session.path} exists and is not overwritten; move it away, or name another file with --config")
    clock = SystemClock()
    if file is not None:
        answers, secrets = read_answers(file), None
    elif session.can_ask():
        from rotator.cli.questions import ask  # noqa: PLC0415 - see above

        answers, secrets = ask(clock, Path.cwd())
    else:
        raise click.UsageError(
            "there is no terminal to ask at; write the answers into a file and name it with --from-answers"
        )
    chosen = prepare(answers, clock, source=str(file or "the answers"), secrets=secrets)
    configuration = write_new(session.path, render(answers, chosen))
    steps = instructions(configuration)
    if session.json:
        answer = {
            "file": str(session.path),
            "applications": [
                {"name": one.name, "application_id": one.application_id, "path": one.path} for one in chosen
            ],
            "instructions": [{"title": step.title, "script": step.script} for step in steps],
        }
        click.echo(json.dumps(answer, indent=2))
        return 0
    click.echo(
        f"{session.path} is written: {pluralize(len(chosen), 'application')}. Nothing else was changed; left to do:"
    )
    for number, step in enumerate(steps, 1):
        click.echo(f"\n# {number}. {step.title}\n\n{step.script}", nl=False)
    sys.stdout.flush()
    return 0
