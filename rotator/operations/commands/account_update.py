"""Changes the document of an account by check-and-set; repeats the change after a lost race."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.domain.account import AccountDocument, MassRotation, Waiver
from rotator.domain.ports import Clock, VaultStore
from rotator.operations.commands.check_and_set import CheckAndSet
from rotator.operations.outage_limit import COMMAND_LIMIT

RETRY_DELAY = timedelta(milliseconds=50)

Change = Callable[[AccountDocument], AccountDocument]
"""Returns the document after the change; the same document if there is nothing to change. May be
called more than once."""


def update_account(
    vault: VaultStore, account: str, wanted: Change, *, clock: Clock, sleep: Callable[[datetime], None]
) -> AccountDocument:
    """Makes the change and returns the resulting document. After a lost answer the document is read
    again."""

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
        limit=COMMAND_LIMIT,
        retry_delay=RETRY_DELAY,
    ).update(wanted)
    return document


def mass_rotation_started(order: MassRotation, since: datetime) -> Change:
    """Records a mass rotation. An unfinished one with the same selector that started since then is
    kept instead, and is resumed."""
    return lambda document: (
        document if document.unfinished(order.selector, since) else document.with_mass_rotation(order)
    )


def mass_rotation_finished(order: MassRotation, at: datetime) -> Change:
    """Records that the mass rotation is finished."""

    def note(document: AccountDocument) -> AccountDocument:
        known = next((one for one in document.mass_rotations if one.id == order.id), None)
        if known is None or known.ended_at is not None:
            return document
        return document.with_mass_rotation(replace(known, ended_at=at))

    return note


def with_waiver(waiver: Waiver) -> Change:
    """Exempts an old key from coverage; the same waiver again changes nothing."""

    def note(document: AccountDocument) -> AccountDocument:
        known = next((one for one in document.waivers if one.access_key == waiver.access_key), None)
        same = known and (known.reason, known.by, known.until) == (waiver.reason, waiver.by, waiver.until)
        return document if same else document.with_waiver(waiver)

    return note


def without_waiver(access_key: str) -> Change:
    """Ends the exemption of an old key."""
    return lambda document: document.without_waiver(access_key)
