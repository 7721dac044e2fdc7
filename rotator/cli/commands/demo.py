"""``rotator demo``: the whole life cycle on this machine, with a real OpenBao and a stand-in of Scaleway."""

from __future__ import annotations

from importlib.util import find_spec

import click

from rotator.cli.session import Session, common, pass_session
from rotator.errors import RotatorError

PACKAGES = ("httptools", "uvicorn")
"""What the stand-in is made with. Asked for before anything of the sandbox is imported, because that imports them."""


@click.command(
    "demo",
    epilog="""\b
Example:
  pip install 'rotator[sandbox]' && rotator demo""",
)
@common
@pass_session
def command(session: Session) -> int:
    """See rotations, a kill -9 and a compromise drill on this machine, in under a minute; needs no configuration."""
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise RotatorError(f"the demo needs {' and '.join(missing)}: install the extra with pip install 'rotator[sandbox]'")
    from rotator.sandbox.demo import main  # noqa: PLC0415 - the sandbox is an optional extra, and nobody else's cost

    return main(as_json=session.json)
