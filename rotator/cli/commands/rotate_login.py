"""``rotator rotate-login``: replaces the secret id of the login at Vault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from rotator.cli.session import Session, common, pass_session
from rotator.errors import Refused

if TYPE_CHECKING:
    from rotator.vault.secret_id_rotation import SecretIdRotation


@contextmanager
def login_rotation(session: Session) -> Iterator[SecretIdRotation]:
    """What rotates the secret id of the configured login. Raises ``Refused`` if ``own_secret_id``
    is not set."""
    from rotator.app import open_runtime  # noqa: PLC0415 - hvac and httpx are for commands that contact something

    with closing(open_runtime(session.path)) as app:
        rotation = app.vault.secret_ids
        if rotation is None:
            raise Refused(
                "the secret id is not rotated here: set own_secret_id in [vault.auth], or replace it at Vault and in "
                "its file"
            )
        yield rotation


@click.command(
    "rotate-login",
    epilog="""\b
Example:
  rotator rotate-login
  rotator rotate-login --compromised""",
)
@click.option("--compromised", is_flag=True, help="Destroy the former secret ids at once, and the configured one.")
@common
@pass_session
def command(session: Session, *, compromised: bool) -> int:
    """Replace the secret id of the login at Vault.

    Needs [vault.auth] own_secret_id. The new secret id has to log in before the former one is given
    up. The daemon reads the file at its next login.
    """
    with login_rotation(session) as rotation:
        destroyed = rotation.rotate(compromised=compromised)
    if session.json:
        click.echo(json.dumps({"rotated": True, "destroyed": destroyed}))
    else:
        click.echo(f"a new secret id has logged in and is used from now on; destroyed: {destroyed}")
        if compromised:
            click.echo(
                "tokens that were issued before stay valid until they end: revoke them by their accessors", err=True
            )
    return 0
