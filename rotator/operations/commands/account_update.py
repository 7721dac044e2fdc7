"""Changes to the document of an account, each written by check-and-set and again when another
process was faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.domain.account import AccountDocument, MassRotation, Waiver
from rotator.domain.ports import Clock, VaultStore
from rotator.operations.commands.check_and_set import CheckAndSet
from rotator.operations.outage_limit import COMMAND_PATIENCE

RETRY_DELAY = timedelta(milliseconds=50)

Change = Callable[[AccountDocument], AccountDocument]
"""From the document as it is to what it is to be; the same when it is so already. It may be made
more than once."""


def update_account(
    vault: VaultStore, account: str, wanted: Change, *, clock: Clock, sleep: Callable[[datetime], None]
) -> AccountDocument:
    """Make the change and return the document as it then is. An answer that was lost is looked for
    and not guessed."""

    def write(document: AccountDocument, version: int) -> None:
        if version == 0:
            vault.installation()  # the installation's id is written before anything else
        vault.write_account(document, cas=version)

    document, _ = CheckAndSet(
        f"the document of account {account}",
        read=lambda: vault.read_account(account),
        write=write,
        clock=clock,
        sleep=sleep,
        limit=COMMAND_PATIENCE,
        retry_delay=RETRY_DELAY,
    ).update(wanted)
    return document


def mass_rotation_started(order: MassRotation, since: datetime) -> Change:
    """Remember a mass rotation; one that was begun with the same words since then and has not ended
    stays, and is gone on with."""
    return lambda document: (
        document if document.unfinished(order.selector, since) else document.with_mass_rotation(order)
    )


def mass_rotation_finished(order: MassRotation, at: datetime) -> Change:
    """Note that every application of the mass rotation is done."""

    def note(document: AccountDocument) -> AccountDocument:
        known = next((one for one in document.mass_rotations if one.id == order.id), None)
        if known is None or known.ended_at is not None:
            return document
        return document.with_mass_rotation(replace(known, ended_at=at))

    return note


def with_waiver(waiver: Waiver) -> Change:
    """Exempt an old key from coverage; the same waiver again changes nothing."""

    def note(document: AccountDocument) -> AccountDocument:
        known = next((one for one in document.waivers if one.access_key == waiver.access_key), None)
        same = known and (known.reason, known.by, known.until) == (waiver.reason, waiver.by, waiver.until)
        return document if same else document.with_waiver(waiver)

    return note


def without_waiver(access_key: str) -> Change:
    """End the exemption of an old key."""
    return lambda document: document.without_waiver(access_key)
