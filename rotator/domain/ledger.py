"""The ledger of an application and its entries. It names keys and holds no secret. Times are
UTC."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rotator.domain.spec import VerificationPolicy

SCHEMA = 5
"""The latest schema that this program writes and reads. ``rotator.vault.codec`` reads older ones,
and writes the former one if a ledger has nothing new."""


HISTORY_LIMIT = 50
"""Entries in a ledger's history; older ones are dropped. Vault's versions keep them."""


INCIDENT_LIMIT = 20
"""Incidents in a ledger."""


class RotationMode(enum.StrEnum):
    """Why a rotation is made, and so how urgent it is."""

    SCHEDULED = "scheduled"
    REQUESTED = "requested"
    COMPROMISED = "compromised"
    RECOVERY = "recovery"

    @property
    def urgent(self) -> bool:
        """Whether consumers are at risk, so that windows and long backoff do not apply."""
        return self in (RotationMode.COMPROMISED, RotationMode.RECOVERY)


@dataclass(frozen=True)
class CurrentKey:
    """The key that consumers should use, and the document version that published it or last
    confirmed it.

    ``written``: when Vault wrote that version, which identifies the document. ``purpose``: the
    description of the key without the marker.
    """

    access_key: str
    version: int
    since: datetime
    created_at: datetime | None = None
    expires_at: datetime | None = None
    written: datetime | None = None
    purpose: str = ""


@dataclass(frozen=True)
class Intent:
    """The claim of a rotation, written before any key is created. Only the process that wrote it
    may create a key for it."""

    id: str
    base: int
    incarnation: str
    reason: str
    mode: RotationMode
    owner: str
    claimed_at: datetime


@dataclass(frozen=True)
class RetiringKey:
    """A key that is no longer published and is valid until ``revoke_after``. ``version`` was the
    last with its secret."""

    access_key: str
    version: int
    revoke_after: datetime
    reason: str


@dataclass(frozen=True)
class RevokingKey:
    """A key that will be deleted. ``version`` held its secret, 0 if none is known.

    ``republished``: a person published the key again after it was scheduled for revocation. It is
    then revoked at ``not_before``, the end of its grace, which is set when another key replaces it.
    """

    access_key: str
    version: int
    reason: str
    republished: bool = False
    not_before: datetime | None = None


@dataclass(frozen=True)
class CompromisedKey:
    """A mark: this key has leaked. It leaves the ledger when the revocation is verified.

    ``mode``: ``replace_first``, or ``revoke_first`` to revoke before a replacement exists, at the
    cost of an outage. ``override_hold``: an operator's hold does not apply to this key.
    """

    access_key: str
    reason: str
    by: str
    at: datetime
    mode: str = "replace_first"
    incident: str = ""
    override_hold: bool = False


@dataclass(frozen=True)
class Hold:
    """An operator's hold: no claim and no revocation, until ``until`` or until it is resumed."""

    reason: str
    by: str
    at: datetime
    until: datetime | None = None

    def in_force(self, at: datetime) -> bool:
        """Whether the hold is in force at that time. Decisions pass the time of the slowest
        clock."""
        return self.until is None or at < self.until


def stronger_hold(one: Hold | None, other: Hold | None) -> Hold | None:
    """The hold that ends later, if ever; the first if both end together."""
    if one is None or other is None:
        return one or other
    if one.until is None or (other.until is not None and other.until <= one.until):
        return one
    return other


@dataclass(frozen=True)
class Problem:
    """Why work on the application stops, and since when. Written when it appears, removed when it
    clears."""

    reason: str
    message: str
    since: datetime


@dataclass(frozen=True)
class HistoryEntry:
    """One event of one key of the application."""

    at: datetime
    event: str
    access_key: str
    version: int = 0
    rotation_id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class RevocationRecord:
    """The end of a compromised key: when and how its revocation was verified, and which versions of
    the credential document with its secret are destroyed. ``remark``: why others are not."""

    access_key: str
    at: datetime
    verification: str
    destroyed: tuple[int, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Incident:
    """One emergency, from the mark to the verified revocation; a report is built from it."""

    id: str
    opened_at: datetime
    reason: str
    by: str
    access_keys: tuple[str, ...]
    closed_at: datetime | None = None
    mode: str = "replace_first"
    override_hold: bool = False
    revocations: tuple[RevocationRecord, ...] = ()


@dataclass(frozen=True)
class Predecessor:
    """An earlier name of the application whose ledger this one takes over, and its document.

    ``taken_over`` is False until the content is copied. ``access_key``: a key that a document at
    another path still publishes; it is not revoked until that document is gone.
    """

    application: str
    path: str
    access_field: str
    secret_field: str
    taken_over: bool = False
    access_key: str = ""


@dataclass(frozen=True)
class Ledger:
    """The ledger of one application. It names keys and holds no secret.

    It suffices to finish the revocations of a removed application. ``successor``: the application
    that took this ledger over; from then on this ledger is not acted on.
    """

    application: str
    account: str
    bearer: str
    path: str
    access_field: str
    secret_field: str
    grace: timedelta
    verification: VerificationPolicy
    emergency_verification: VerificationPolicy
    current: CurrentKey | None = None
    intent: Intent | None = None
    retiring: tuple[RetiringKey, ...] = ()
    revoking: tuple[RevokingKey, ...] = ()
    compromised: tuple[CompromisedKey, ...] = ()
    hold: Hold | None = None
    problem: Problem | None = None
    failures: int = 0
    not_before: datetime | None = None
    history: tuple[HistoryEntry, ...] = ()
    incidents: tuple[Incident, ...] = ()
    predecessors: tuple[Predecessor, ...] = ()
    successor: str = ""
    schema: int = SCHEMA

    def names(self) -> frozenset[str]:
        """Every access key that is published, in grace, to be revoked or compromised."""
        entries: tuple[RetiringKey | RevokingKey | CompromisedKey, ...] = (
            *self.retiring,
            *self.revoking,
            *self.compromised,
        )
        named = {entry.access_key for entry in entries}
        if self.current:
            named.add(self.current.access_key)
        return frozenset(named)

    def published_elsewhere(self) -> frozenset[str]:
        """The keys that documents at former paths still publish."""
        return frozenset(one.access_key for one in self.predecessors if one.access_key)

    def predecessor(self, application: str) -> Predecessor | None:
        """The predecessor of that name, if any."""
        return next((one for one in self.predecessors if one.application == application), None)

    def with_predecessor(self, changed: Predecessor) -> Ledger:
        """This ledger with the predecessor added or replaced."""
        others = tuple(one for one in self.predecessors if one.application != changed.application)
        return replace(self, predecessors=(*others, changed))

    def held(self, at: datetime) -> bool:
        """Whether a hold is in force at that time."""
        return self.hold is not None and self.hold.in_force(at)

    def compromised_keys(self) -> frozenset[str]:
        """The access keys that are marked as compromised."""
        return frozenset(mark.access_key for mark in self.compromised)

    def is_revoking(self, access_key: str) -> bool:
        """Whether the key is scheduled for revocation."""
        return any(entry.access_key == access_key for entry in self.revoking)

    def highest_version(self) -> int:
        """The highest version of the credential document that this ledger names."""
        entries: tuple[RetiringKey | RevokingKey, ...] = (*self.retiring, *self.revoking)
        versions = [entry.version for entry in entries]
        if self.current:
            versions.append(self.current.version)
        if self.intent:
            versions.append(self.intent.base)
        return max(versions, default=0)

    def without_past(self) -> Ledger:
        """This ledger without history and incidents, to keep in memory. Both are read from Vault on
        demand."""
        return replace(self, history=(), incidents=())

    def with_history(self, *entries: HistoryEntry) -> Ledger:
        """This ledger with more history; drops the oldest entries beyond the limit."""
        return replace(self, history=(*self.history, *entries)[-HISTORY_LIMIT:])
