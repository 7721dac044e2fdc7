"""The coverage report: every valid key of an account that is older than a given time, by name.
Pure.

The report starts from the provider's list, not from the ledgers, because a key that no ledger names
is easily missed. It is complete when each old key on the list is revoked or waived. For selected
applications it covers the keys of their bearers.
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
"""Exit code when the list lacks keys that are known to exist, so that it proves nothing."""

CLOCK_TOLERANCE = timedelta(minutes=5)
"""A key whose creation date is further in the future has a wrong date."""

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
"""The kinds of key, as its ledger and its marker show, with their descriptions."""


@dataclass(frozen=True)
class StaleKey:
    """An old key that is valid, the application of its bearer, and its waiver if it has one."""

    key: Key
    kind: str
    application: str = ""
    revoke_at: datetime | None = None
    waiver: Waiver | None = None

    @property
    def open(self) -> bool:
        """Whether this key keeps the report from being complete."""
        return self.waiver is None


@dataclass(frozen=True)
class CoverageReport:
    """The old keys of an account. ``expired`` keys are old too; they are no longer accepted but
    count in the quota. ``unread`` names applications whose ledger could not be read, so the state
    of their keys is unknown."""

    account: str
    created_before: datetime
    as_of: datetime
    listed: int
    rows: tuple[StaleKey, ...] = ()
    expired: tuple[Key, ...] = ()
    unread: tuple[str, ...] = ()
    unlisted: str = ""
    """Why keys of bearers without an application were not listed; the report is incomplete then."""
    missing: tuple[str, ...] = ()
    """Keys that are known to exist and are not on the list; if there are any, it proves nothing."""
    manager_named: bool = True
    """Whether the configuration names the management key of the account, so that no other row can
    be it."""
    part: str = ""
    """What the report is restricted to, such as ``the 3 chosen applications``; empty for the whole
    account."""
    outside: int | None = None
    """How many keys outside of that part keep the report of the whole account from being
    complete."""

    def restricted(self, bearers: Collection[str], part: str) -> CoverageReport:
        """The same report, restricted to the keys of these bearers. Their keys are listed even if
        the account has too many keys for one list."""
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
        """The keys that keep the report from being complete."""
        return tuple(row for row in self.rows if row.open)

    @property
    def complete(self) -> bool:
        """Whether every key was listed and each old valid key is waived."""
        return not self.open and not self.gap

    @property
    def gap(self) -> str:
        """Why the list may lack keys, so that its counts are lower bounds; empty when the list is
        whole."""
        if self.missing:
            return f"the list lacks {', '.join(self.missing)}"
        return f"not every key was listed: {self.unlisted}" if self.unlisted and not self.part else ""

    @property
    def exit_code(self) -> int:
        """0 when complete, 1 when not, 6 when the list lacks known keys."""
        return UNPROVABLE if self.missing else int(not self.complete)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON."""
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
    """What is known apart from the list: the bearer of each application, the ledgers, the
    installation's id, the account's document, and the access key of the management key (empty if
    unknown)."""

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
    """Builds the report from one list of the account's keys. ``now`` is the earliest of the clocks,
    so that no key counts as expired too soon. A key dated in the future counts as old, because its
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
    """The keys that a whole list contains: those that ledgers call valid or not yet verified as
    revoked, and the management key. A list by application lacks the latter."""
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
