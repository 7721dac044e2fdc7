"""``rotator demo``: the whole life cycle on this machine, with a real OpenBao and a stand-in of
Scaleway."""

from __future__ import annotations

import click

from rotator.cli.session import Session, common, pass_session
from rotator.sandbox import require_sandbox


@click.command(
    "demo",
    epilog="""\b
Example:
  rotator demo""",
)
@common
@pass_session
def command(session: Session) -> int:
    """See rotations, a kill -9 and a compromise drill on this machine, in under a minute; needs no
    configuration."""
    require_sandbox("demo")
    from rotator.sandbox.demo import main  # noqa: PLC0415 - the sandbox is an optional extra

    return main(as_json=session.json)
