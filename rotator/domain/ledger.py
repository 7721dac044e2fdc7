"""The ledger of an application and its entries. It names keys and holds no secret. Times are
UTC."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rotator.domain.spec import VerificationPolicy

SCHEMA = 5
"""The latest schema of the ledger that this program writes and reads. ``rotator.vault.codec``
reads older ones, and writes the former one where a ledger holds nothing that is new."""


HISTORY_LIMIT = 50
"""Entries kept in a ledger's history; older ones are dropped, Vault's own versions remain."""


INCIDENT_LIMIT = 20
"""Entries kept in a ledger's list of incidents."""


class RotationMode(enum.StrEnum):
    """Why a rotation is in a hurry, or not."""

    SCHEDULED = "scheduled"
    REQUESTED = "requested"
    COMPROMISED = "compromised"
    RECOVERY = "recovery"

    @property
    def urgent(self) -> bool:
        """Whether consumers are in danger or down, so that windows and long backoff do not
        apply."""
        return self in (RotationMode.COMPROMISED, RotationMode.RECOVERY)


@dataclass(frozen=True)
class CurrentKey:
    """The key that consumers should be using, and the document version that made it so (or last
    confirmed it).

    ``written`` is when that version was written, by Vault's clock: by it the document is known
    again. ``purpose`` is what the description of the key says beside the marker.
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
    """The claim of a rotation, written before anything is created. Only the process that wrote it
    may create for it."""

    id: str
    base: int
    incarnation: str
    reason: str
    mode: RotationMode
    owner: str
    claimed_at: datetime


@dataclass(frozen=True)
class RetiringKey:
    """A key that left the credential document and lives on until ``revoke_after``. ``version`` last
    held its secret."""

    access_key: str
    version: int
    revoke_after: datetime
    reason: str


@dataclass(frozen=True)
class RevokingKey:
    """A key that will be deleted and never comes back. ``version`` held its secret, 0 if no version
    is known to.

    ``republished``: a person published the key again after it had been scheduled for revocation. It
    is then revoked at ``not_before``, which is set when another key replaces it: the end of its
    grace.
    """

    access_key: str
    version: int
    reason: str
    republished: bool = False
    not_before: datetime | None = None


@dataclass(frozen=True)
class CompromisedKey:
    """A mark: this key has leaked. It leaves the ledger when the revocation is verified.

    ``mode``: ``replace_first``, or ``revoke_first`` when consumers rather stand still than have the
    key live a moment longer. ``override_hold``: an operator's hold does not spare this key.
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
    """An operator's hold: no claim and no revocation for this application, ``until`` then or until
    it is resumed."""

    reason: str
    by: str
    at: datetime
    until: datetime | None = None

    def in_force(self, at: datetime) -> bool:
        """Whether it has not ended by the clock that shows this time; for a decision, the clock
        that is furthest behind."""
        return self.until is None or at < self.until


def stronger_hold(one: Hold | None, other: Hold | None) -> Hold | None:
    """Of two holds the one that ends later, which is one without an end; the first if they end
    together."""
    if one is None or other is None:
        return one or other
    if one.until is None or (other.until is not None and other.until <= one.until):
        return one
    return other


@dataclass(frozen=True)
class Problem:
    """Why the application cannot go on, since when; written when it appears and removed when it
    clears."""

    reason: str
    message: str
    since: datetime


@dataclass(frozen=True)
class HistoryEntry:
    """One thing that happened to one key of the application."""

    at: datetime
    event: str
    access_key: str
    version: int = 0
    rotation_id: str = ""
    reason: str = ""


@dataclass(frozen=True)
class RevocationRecord:
    """How a compromised key ended: when and how its revocation was verified, and which versions of
    the credential document that held its secret are destroyed. ``remark`` says why others are
    not."""

    access_key: str
    at: datetime
    verification: str
    destroyed: tuple[int, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Incident:
    """One emergency, from the mark to the verified revocation: enough to write a report from."""

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
    """An earlier name of the application, whose ledger this one takes over, with the document that
    it published to.

    ``taken_over`` is False from the announcement until the content has been copied. ``access_key``
    is the key that a document at another path still publishes: it is not revoked until that
    document is gone.
    """

    application: str
    path: str
    access_field: str
    secret_field: str
    taken_over: bool = False
    access_key: str = ""


@dataclass(frozen=True)
class Ledger:
    """What is remembered of one application. It names keys and never holds a secret.

    It says enough to finish the revocations of an application that has left the configuration.
    ``successor`` is the application that has taken this ledger over: from then on nothing acts by
    this one.
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
        """Every access key that this ledger holds an obligation for."""
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
        """The earlier name, if it is one."""
        return next((one for one in self.predecessors if one.application == application), None)

    def with_predecessor(self, changed: Predecessor) -> Ledger:
        """This ledger with an earlier name more, or with a known one as it is now."""
        others = tuple(one for one in self.predecessors if one.application != changed.application)
        return replace(self, predecessors=(*others, changed))

    def held(self, at: datetime) -> bool:
        """Whether an operator's hold is in force by the clock that shows this time."""
        return self.hold is not None and self.hold.in_force(at)

    def compromised_keys(self) -> frozenset[str]:
        """The access keys that are marked compromised."""
        return frozenset(mark.access_key for mark in self.compromised)

    def is_revoking(self, access_key: str) -> bool:
        """Whether the key has been scheduled for revocation."""
        return any(entry.access_key == access_key for entry in self.revoking)

    def highest_version(self) -> int:
        """The highest version of the credential document that this ledger knows to exist."""
        entries: tuple[RetiringKey | RevokingKey, ...] = (*self.retiring, *self.revoking)
        versions = [entry.version for entry in entries]
        if self.current:
            versions.append(self.current.version)
        if self.intent:
            versions.append(self.intent.base)
        return max(versions, default=0)

    def without_past(self) -> Ledger:
        """This ledger without history and incidents, for memory: what has ended is read from Vault
        when it is asked for."""
        return replace(self, history=(), incidents=())

    def with_history(self, *entries: HistoryEntry) -> Ledger:
        """This ledger with more history, the oldest entries dropped beyond the limit."""
        return replace(self, history=(*self.history, *entries)[-HISTORY_LIMIT:])
