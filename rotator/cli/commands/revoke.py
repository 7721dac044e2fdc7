"""``rotator revoke``: revokes single keys before their time."""

from __future__ import annotations

from collections.abc import Sequence

import click

from rotator.cli.commands.lookup import refuse_secrets
from rotator.cli.output.results import ask_to_confirm, progress_of, report
from rotator.cli.session import Session, asking, common, pass_session
from rotator.operations.result import OperationResult


@click.command(
    "revoke",
    epilog="""\b
Examples:
  rotator revoke SCWAAAAAAAAAAAAAAAAA --confirm SCWAAAAAAAAAAAAAAAAA
  rotator revoke SCWAAAAAAAAAAAAAAAAA --confirm SCWAAAAAAAAAAAAAAAAA --reason "not in use\"""",
)
@click.argument("access_keys", nargs=-1, required=True, metavar="SCW...")
@click.option(
    "--confirm", multiple=True, metavar="SCW...", help="The full name of the key again; on a terminal you are asked."
)
@click.option("--reason", metavar="TEXT", help="Why; recorded in the ledger and the logs.")
@click.option("--override-hold", is_flag=True, help="An unmanaged key is revoked although its application is on hold.")
@asking
@common
@pass_session
def command(
    session: Session, access_keys: Sequence[str], confirm: Sequence[str], reason: str | None, override_hold: bool
) -> int:
    """End the grace of a key, or revoke an unmanaged key of a configured bearer; return when the
    revocation is verified.

    Never what consumers read: that is replaced with rotator rotate.
    """
    refuse_secrets((*access_keys, *confirm))
    progress = progress_of(session)

    def order(names: Sequence[str], confirmed: Sequence[str]) -> Sequence[OperationResult]:
        found: Sequence[OperationResult] = session.ask(
            "revoke",
            progress,
            access_keys=list(names),
            confirm=list(confirmed),
            reason=reason or "",
            override_hold=override_hold,
        )
        return found

    try:
        results = list(order(access_keys, confirm))
        if confirmed := ask_to_confirm(session, results):
            results = [one for one in results if one.access_key not in confirmed or one.reason != "unconfirmed"]
            results += order(confirmed, confirmed)
    finally:
        progress.mute()
    return report(session, results)
