"""``rotator upgrade-config``: prints the configuration with the present names of its options."""

from __future__ import annotations

import json

import click

from rotator.cli.session import Session, common, pass_session


@click.command(
    "upgrade-config",
    epilog="""\b
Example:
  rotator upgrade-config --config ./rotator.toml""",
)
@common
@pass_session
def command(session: Session) -> int:
    """Print the configuration with the present names of its options; comments and order stay.
    Change nothing.

    What was renamed goes to standard error, a line for each.
    """
    import tomllib  # noqa: PLC0415 - not for --help

    from rotator.config.upgrade import upgrade  # noqa: PLC0415 - see above
    from rotator.errors import ConfigurationError, ConfigurationProblem  # noqa: PLC0415 - see above

    try:
        text = session.path.read_text(encoding="utf-8")
        changed, warnings = upgrade(text, str(session.path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        message = "cannot be read as TOML by this user; rotator check says more"
        raise ConfigurationError([ConfigurationProblem(str(session.path), "", message)]) from None
    if session.json:
        renamed = [{"path": one.path, "message": one.message} for one in warnings]
        click.echo(json.dumps({"configuration": changed, "renamed": renamed}, indent=2))
        return 0
    for one in warnings:
        click.echo(f"rotator: {one.path} {one.message.partition(';')[0]}", err=True)
    click.echo(changed, nl=False)
    return 0
