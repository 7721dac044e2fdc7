"""The coverage proof: every valid key of an account that is older than a time, managed or
unmanaged, by name. Pure.

A rotation of many keys is over when no older key is valid, not when every command succeeded: a key
that no ledger names is easily missed. So the proof begins with the list of the provider and not
with the ledgers. It fails until the list is empty or a person has waived each key that is on it, by
name and with a reason. Of chosen applications it is about the keys of their bearers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rotator.domain.account import AccountDocument, Waiver
from rotator.domain.keys import Key
from rotator.domain.ledger import Ledger
from rotator.domain.marker import parse_marker
from rotator.util.formatting import format_timestamp

UNPROVABLE = 6
"""The exit code when a list lacks keys that are known to be there, so that nothing is proven."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far in the future a key may seem to be made before its date counts as wrong."""

KINDS: Mapping[str, str] = {
    "management": "the key that this account is managed with: replace it by hand",
    "compromised": "marked compromised, scheduled for revocation",
    "revoking": "scheduled for revocation",
    "current": "the current key of its application",
    "grace": "in grace",
    "untracked": "created by rotator, not in its ledger yet",
    "protected": "managed or not deletable at the provider: have it removed there",
    "unmanaged": "unmanaged: neither created nor published by rotator",
    "unknown": "not known: the ledger of its application could not be read",
}
"""What a key is, as far as its ledger and its marker tell, and what that means."""


@dataclass(frozen=True)
class StaleKey:
    """One old key that is valid: what it is, of which application its bearer is, and whether it is
    waived."""

    key: Key
    kind: str
    application: str = ""
    revoke_at: datetime | None = None
    waiver: Waiver | None = None

    @property
    def open(self) -> bool:
        """Whether the proof fails because of this key."""
        return self.waiver is None


@dataclass(frozen=True)
class CoverageReport:
    """What is left of the keys of one account that were made before a time. ``expired`` are old as
    well, no longer accepted, and still count in the quota; ``unread`` are applications whose ledger
    could not be read, so that the state of their keys is unknown."""

    account: str
    created_before: datetime
    as_of: datetime
    listed: int
    rows: tuple[StaleKey, ...] = ()
    expired: tuple[Key, ...] = ()
    unread: tuple[str, ...] = ()
    unlisted: str = ""
    """Why keys of bearers that no application has were not listed; the report is not complete
    then."""
    missing: tuple[str, ...] = ()
    """Keys that are known to be there and that the list lacks: it proves nothing then."""
    manager_named: bool = True
    """Whether the configuration names the key that manages the account, so that no other row can be
    it."""
    part: str = ""
    """What the report is restricted to, such as ``the 3 chosen applications``; empty where it is
    about the whole account."""
    outside: int | None = None
    """How many keys that are in the way of the whole account's proof are outside of that part."""

    def restricted(self, bearers: Collection[str], part: str) -> CoverageReport:
        """The same for the keys of these bearers. Their keys are listed also where the account has
        too many for one list."""
        return replace(
            self,
            rows=tuple(row for row in self.rows if row.key.bearer in bearers),
            expired=tuple(key for key in self.expired if key.bearer in bearers),
            unread=tuple(
                sorted(set(self.unread) & {row.application for row in self.rows if row.key.bearer in bearers})
            ),
            part=part,
            outside=sum(row.key.bearer not in bearers for row in self.open),
        )

    @property
    def open(self) -> tuple[StaleKey, ...]:
        """The keys that are in the way of the proof."""
        return tuple(row for row in self.rows if row.open)

    @property
    def complete(self) -> bool:
        """Whether every key was listed and no old one is valid but those that a person has
        waived."""
        return not self.open and not self.gap

    @property
    def gap(self) -> str:
        """Why the list may lack keys, so that no number of it is the whole; empty when it is
        whole."""
        if self.missing:
            return f"the list lacks {', '.join(self.missing)}"
        return f"not every key was listed: {self.unlisted}" if self.unlisted and not self.part else ""

    @property
    def exit_code(self) -> int:
        """0 with the proof, 1 without it, 6 when the list cannot be believed."""
        return UNPROVABLE if self.missing else int(not self.complete)

    def as_json(self) -> dict[str, Any]:
        """The proof for machines."""
        return {
            "account": self.account,
            "created_before": format_timestamp(self.created_before),
            "as_of": format_timestamp(self.as_of),
            "complete": self.complete,
            "keys_listed": self.listed,
            "keys": [_row_as_json(row) for row in self.rows],
            "expired": [key.access_key for key in self.expired],
            "ledgers_not_read": list(self.unread),
            "not_listed": self.unlisted or None,
            "missing": list(self.missing),
            "part": self.part or None,
            "outside": self.outside,
        }


def _row_as_json(row: StaleKey) -> dict[str, Any]:
    waiver = row.waiver
    return {
        "access_key": row.key.access_key,
        "created_at": format_timestamp(row.key.created_at),
        "bearer": row.key.bearer,
        "application": row.application or None,
        "kind": row.kind,
        "revoke_after": format_timestamp(row.revoke_at) if row.revoke_at else None,
        "waiver": {
            "reason": waiver.reason,
            "by": waiver.by,
            "at": format_timestamp(waiver.at),
            "until": format_timestamp(waiver.until) if waiver.until else None,
        }
        if waiver
        else None,
    }


@dataclass(frozen=True)
class Inventory:
    """What is known beside the list: which application has which bearer, their ledgers, the
    installation's id, the account's document, and the public name of the key that the account is
    managed with (empty if unknown)."""

    document: AccountDocument
    bearers: Mapping[str, str]
    ledgers: Mapping[str, Ledger]
    installation: str = ""
    management_key: str = ""
    unread: Sequence[str] = ()
    unlisted: str = ""


def coverage_report(
    keys: Sequence[Key], known: Inventory, *, created_before: datetime, now: datetime
) -> CoverageReport:
    """The proof, from one list of the account's keys. ``now`` is the earliest of the clocks: no key
    is called expired too soon. A key that seems to be made in the future counts as old, because its
    date is wrong."""
    listed = {key.access_key for key in keys}
    old = sorted(
        (key for key in keys if key.created_at < created_before or key.created_at > now + CLOCK_TOLERANCE),
        key=lambda key: (key.created_at, key.access_key),
    )
    return CoverageReport(
        account=known.document.account,
        created_before=created_before,
        as_of=now,
        listed=len(keys),
        rows=tuple(_row(key, known, now) for key in old if not key.expired(now)),
        expired=tuple(key for key in old if key.expired(now)),
        unread=tuple(sorted(set(known.unread) & {known.bearers.get(key.bearer, "") for key in old})),
        unlisted=known.unlisted,
        missing=tuple(sorted(_known_keys(known) - listed)),
        manager_named=bool(known.management_key),
    )


def _known_keys(known: Inventory) -> frozenset[str]:
    """The keys that a whole list holds: those that ledgers call valid or not yet verified as
    revoked, and the one that the account logs in with, which a list by application lacks."""
    found = {known.management_key} if known.management_key and not known.unlisted else set()
    for ledger in known.ledgers.values():
        found |= {entry.access_key for entry in ledger.retiring} | {entry.access_key for entry in ledger.revoking}
        found |= {ledger.current.access_key} if ledger.current else set()
    return frozenset(found)


def _row(key: Key, known: Inventory, now: datetime) -> StaleKey:
    application = known.bearers.get(key.bearer, "")
    ledger = known.ledgers.get(application)
    revoke_at = (
        next((entry.revoke_after for entry in ledger.retiring if entry.access_key == key.access_key), None)
        if ledger
        else None
    )
    kind = _kind(key, known, ledger)
    if application in known.unread and kind in ("untracked", "unmanaged"):
        kind = "unknown"
    return StaleKey(key, kind, application, revoke_at, known.document.waiver(key.access_key, now))


def _kind(key: Key, known: Inventory, ledger: Ledger | None) -> str:
    name = key.access_key
    if name == known.management_key:
        return "management"
    if not key.revocable:
        return "protected"
    if ledger is not None:
        if name in ledger.compromised_keys():
            return "compromised"
        if ledger.is_revoking(name):
            return "revoking"
        if ledger.current and ledger.current.access_key == name:
            return "current"
        if any(entry.access_key == name for entry in ledger.retiring):
            return "grace"
    marker = parse_marker(key.description)
    return "untracked" if marker and marker.installation == known.installation else "unmanaged"
