"""``rotator rotate``: rotates now and returns when it is true, not when it was attempted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from rotator.cli.exit_codes import Interrupted
from rotator.cli.output.results import ask_to_confirm, progress_of, report, since_the_mark
from rotator.cli.output.sentences import say
from rotator.cli.session import Session, asking, common, pass_session
from rotator.domain.access_key import is_access_key
from rotator.operations.result import OperationResult

OUTAGE = (
    "with --revoke-first the published key is deleted before there is another one: from then on {names} can do "
    "nothing with what Vault holds, until a new key is made, proven, published and read; usually some seconds, and as "
    "long as the provider takes"
)
"""What the command says before keys are revoked first."""


@click.command(
    "rotate",
    epilog="""\b
Examples:
  rotator rotate billing
  rotator rotate billing mailer --reason "the contractor left"
  rotator rotate billing --compromised --reason "found in a public repository"
  rotator rotate SCWAAAAAAAAAAAAAAAAA --compromised --reason "found in a public repository"
  rotator rotate --all --compromised --reason "breach" --dry-run
  rotator rotate --match "shop-*" --created-before 90d --wait""",
)
@click.argument("applications", nargs=-1, metavar="[APP]...")
@click.option("--all", "everything", is_flag=True, help="Every application.")
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Every application of that account.")
@click.option(
    "--match", "globs", multiple=True, metavar="GLOB", help="Every application whose name fits, such as shop-*."
)
@click.option(
    "--created-before",
    metavar="TIME",
    default="",
    help="Of these, only keys older than a time, or than so long.  [default: now]",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what, in which order, how long it takes and what remains; change nothing."
)
@click.option(
    "--wait", is_flag=True, help="Where the quota has no room for all at once, wait until graces end and go on."
)
@click.option("--yes", is_flag=True, help="Do not ask before many keys are revoked at once.")
@click.option("--compromised", is_flag=True, help="Revoke the old keys at once; return when that is verified.")
@click.option(
    "--reason", metavar="TEXT", help="Why, for the ledger, the logs and the auditor; required with --compromised."
)
@click.option(
    "--revoke-first", is_flag=True, help="With --compromised: delete the key before there is another; an outage."
)
@click.option("--override-hold", is_flag=True, help="With --compromised: although an operator holds the application.")
@click.option("--confirm", multiple=True, metavar="SCW...", help="An unmanaged key to revoke, by its full name again.")
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
    yes: bool,
    compromised: bool,
    reason: str | None,
    revoke_first: bool,
    override_hold: bool,
    confirm: Sequence[str],
) -> int:
    """Rotate now, and wait until the new key is published and read back.

    The old key lives on for its grace. With --compromised the keys of the application are first
    marked in the ledger (from then on every daemon acts on it, whatever happens to this command),
    then replaced, and revoked within seconds. An access key stands for its application.

    With --all, --account, --match or --created-before (which can be combined) it is a mass
    rotation: oldest keys first, as many at once as the quota has room for, until coverage shows
    that no older key is valid. After a kill the same command continues.
    """
    if compromised and not (reason or "").strip():
        raise click.UsageError("say why, with --reason: it goes into the ledger, the logs and the incident report")
    if not compromised and (revoke_first or override_hold or confirm):
        raise click.UsageError("--revoke-first, --override-hold and --confirm are for --compromised")
    if not compromised and (keys := [name for name in applications if is_access_key(name)]):
        raise click.UsageError(f"{keys[0]} is an access key: name its application, or say --compromised")
    session.question = dry_run
    many = bool(everything or accounts or globs or created_before or dry_run)
    if applications and everything:
        raise click.UsageError("--all and the names of applications exclude each other")
    if not applications and not (everything or accounts or globs or created_before):
        raise click.UsageError("say which applications: their names, or --all, --account, --match or --created-before")
    if many:
        if revoke_first or override_hold or confirm or any(map(is_access_key, applications)):
            raise click.UsageError(
                "a mass rotation takes no access keys, and neither --revoke-first, --override-hold nor --confirm"
            )
        # PLC0415: an emergency of one application need not load it
        from rotator.cli.output.mass_rotation import MassRotationOptions, rotate_many  # noqa: PLC0415
        from rotator.operations.mass_rotation.selection import Selection  # noqa: PLC0415 - same

        selection = Selection(tuple(applications), tuple(accounts), tuple(globs))
        return rotate_many(
            session, MassRotationOptions(selection, created_before, compromised, reason, dry_run, wait, yes)
        )
    if wait or yes:
        raise click.UsageError("--wait and --yes are for a mass rotation")
    if revoke_first:
        say(f"rotator: {OUTAGE.format(names=', '.join(applications))}", err=True)
    request = {
        "reason": reason or "",
        "compromised": compromised,
        "revoke_first": revoke_first,
        "override_hold": override_hold,
    }
    return _rotate(session, applications, confirm, request)


def _rotate(session: Session, applications: Sequence[str], confirm: Sequence[str], request: dict[str, Any]) -> int:
    progress, compromised = progress_of(session), request["compromised"]

    def order(names: Sequence[str], confirmed: Sequence[str]) -> Sequence[OperationResult]:
        found: Sequence[OperationResult] = session.ask(
            "rotate", progress, notify=compromised, applications=list(names), confirm=list(confirmed), **request
        )
        return found

    try:
        results = list(order(applications, confirm))
        if confirmed := ask_to_confirm(session, results):
            results = [one for one in results if one.access_key not in confirmed or one.reason != "unconfirmed"]
            results += order(confirmed, confirmed)
    except KeyboardInterrupt:
        unmarked = sorted(set(applications) - progress.marked)
        if compromised and unmarked:
            raise Interrupted(
                f"interrupted before the mark of {', '.join(unmarked)} was confirmed: rotator incident shows whether "
                "it was written; if it was not, run the same command again"
            ) from None
        if compromised:
            keys = " ".join(sorted(filter(is_access_key, progress.marked)))
            raise Interrupted(
                f"interrupted; nothing is lost: the mark of {', '.join(sorted(progress.marked))} is in the ledger. "
                "Not every key is verified as revoked yet: the daemon acts on the mark, and rotator status shows how "
                f"far it is; to wait for it without marking a newer key: rotator rotate {keys} --compromised --reason "
                "TEXT"
            ) from None
        raise
    finally:
        progress.mute()
    code = report(session, results, timing=since_the_mark)
    contained = [one.application for one in results if one.outcome == "contained"]
    if contained and not session.json:
        for line in next_steps(contained, sorted(progress.incidents)):
            say(line)
    return code


def next_steps(applications: Sequence[str], incidents: Sequence[str]) -> list[str]:
    """What is left to do after an emergency, with the incident that the report is found by."""
    head = [f"incident {' '.join(incidents)}; next:"] if incidents else ["next:"]
    consumers = (
        f"  see that the consumers of {', '.join(applications)} have read the new key; restart those that read it "
        "only at their start"
    )
    shown = [
        f"  rotator incident show {one}    # what the key was used for, and the report: --html FILE"
        for one in incidents
    ]
    return [*head, consumers, *shown, "  find out how it leaked, and close that way before the next rotation"]
