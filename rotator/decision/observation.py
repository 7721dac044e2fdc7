"""The values of one observation of an application. Plain, so that tests can write them by hand."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rotator.domain.document import ABSENT, CredentialDocument
from rotator.domain.keys import Key, ProbeResult
from rotator.domain.ledger import Intent, Ledger, RotationMode
from rotator.domain.marker import Marker, parse_marker
from rotator.domain.secret import Secret


@dataclass(frozen=True)
class Clocks:
    """One instant on three clocks: this machine's, Vault's and the provider's (from ``Date``
    headers)."""

    ours: datetime
    vault: datetime
    provider: datetime

    @property
    def earliest(self) -> datetime:
        """The slowest clock: a deadline has passed when it has on this one."""
        return min(self.ours, self.vault, self.provider)

    @property
    def latest(self) -> datetime:
        """The fastest clock: deadlines count from this one."""
        return max(self.ours, self.vault, self.provider)

    @property
    def spread(self) -> timedelta:
        """The difference between the fastest and the slowest clock."""
        return self.latest - self.earliest

    def passed(self, deadline: datetime) -> bool:
        """Whether the deadline has passed on every clock."""
        return self.earliest >= deadline

    def ours_at(self, deadline: datetime) -> datetime:
        """The time of this machine's clock when the deadline has passed on every clock."""
        return deadline + (self.ours - self.earliest)


class Presence(enum.StrEnum):
    """Where the provider lists the published key."""

    NOTHING = "nothing published"
    LISTED = "listed"
    FOREIGN = "of another bearer"
    GONE = "gone"


@dataclass(frozen=True)
class RotationFailure:
    """Why a rotation in flight cannot be finished."""

    reason: str
    message: str


@dataclass(frozen=True)
class InFlightRotation:
    """A rotation that this process holds in memory, from its claim to its end. An unpublished
    secret exists only here.

    ``posted``: the one POST was sent. ``verifying_since`` and ``successes``: the progress of its
    verification. ``publish_sent``: a publish was sent, so the document may contain the key whatever
    the answer was. ``publish_by``: how long the secret waits for Vault to recover.
    """

    intent: Intent
    posted: bool = False
    key: Key | None = None
    secret: Secret | None = field(default=None, repr=False)
    verifying_since: datetime | None = None
    successes: int = 0
    verified: bool = False
    publish_sent: bool = False
    publish_by: datetime | None = None
    failure: RotationFailure | None = None


@dataclass(frozen=True)
class RotationRequest:
    """An operator's request to rotate now. It is fulfilled when another key than ``replaces`` is
    published."""

    reason: str
    replaces: str | None
    mode: RotationMode = RotationMode.REQUESTED


@dataclass(frozen=True)
class Fence:
    """A version of the document that this process wrote as a fence, or may have written, and the
    keys that were compromised before: each existed then, so no process can publish it upon this
    version or a later one, of any author."""

    version: int
    compromised: frozenset[str]


@dataclass(frozen=True)
class Preconditions:
    """What is checked before a claim, or before a published key is revoked first: the rights that
    the Vault token lacks on the credential path, the free quota (None: unknown), and whether the
    provider does not know the bearer."""

    missing_capabilities: tuple[str, ...] = ()
    headroom: int | None = None
    bearer_missing: bool = False


@dataclass(frozen=True)
class DestroyedVersions:
    """The destroyed versions of the document with a revoked compromised secret; ``remark``: why
    others are not."""

    versions: tuple[int, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class RelatedLedger:
    """The ledger of another name with the same bearer or document, and its version. ``document``:
    the one at its path, if that is another one and can be read."""

    ledger: Ledger
    version: int
    document: CredentialDocument | None = None


@dataclass(frozen=True)
class Observation:
    """One observation of one application, with what this pass has confirmed since.

    ``published_probe``: the result for the published secret. ``deleted``: keys whose DELETE was
    sent in this pass; ``unconfirmed``: those of them whose answer was lost, with what was received
    instead. ``revoked``: keys whose revocation is verified, and how. ``still_valid``: deleted keys
    that still authenticate. ``undeletable``: keys whose DELETE was rejected, with the reason; they
    do not block other keys. ``destroyed``: the stored secrets of revoked compromised keys.
    ``fence``: the last fence that this process wrote; ``fence_refused``: a write of a fence was
    refused since this observation, so nothing waits for one.
    ``versions``: earlier versions of the document that were read to classify a key. ``related``:
    ledgers of other names with the same bearer or document. ``unread_ledgers``: the names of such
    ledgers that cannot be read, which is not the same as absent. ``former_documents``: documents at
    former paths that still publish a key, by path, as far as they can be read.
    """

    clocks: Clocks
    installation: str
    owner: str
    next_rotation_id: str
    ledger: Ledger | None = None
    ledger_version: int = 0
    document: CredentialDocument = ABSENT
    keys: tuple[Key, ...] = ()
    presence: Presence = Presence.NOTHING
    foreign: frozenset[str] = frozenset()
    published_probe: ProbeResult | None = None
    bearer_observed: bool = True
    versions: Mapping[int, CredentialDocument] = field(default_factory=dict)
    preconditions: Preconditions | None = None
    in_flight: InFlightRotation | None = None
    deleted: frozenset[str] = frozenset()
    unconfirmed: Mapping[str, str] = field(default_factory=dict)
    revoked: Mapping[str, str] = field(default_factory=dict)
    destroyed: Mapping[str, DestroyedVersions] = field(default_factory=dict)
    still_valid: frozenset[str] = frozenset()
    undeletable: Mapping[str, str] = field(default_factory=dict)
    floor: int = 0
    fence: Fence | None = None
    fence_refused: bool = False
    owner_gone: bool = False
    invalid_elsewhere: int = 0
    request: RotationRequest | None = None
    related: tuple[RelatedLedger, ...] = ()
    unread_ledgers: tuple[str, ...] = ()
    former_documents: Mapping[str, CredentialDocument] = field(default_factory=dict)

    @classmethod
    def of_ledger(cls, ledger: Ledger, now: datetime) -> Observation:
        """The observation that the ledger alone gives, on this machine's clock, without document
        and keys."""
        return cls(Clocks(now, now, now), installation="", owner="", next_rotation_id="", ledger=ledger)

    def key(self, access_key: str | None) -> Key | None:
        """The bearer's key of that name, if the provider lists it."""
        return next((key for key in self.keys if key.access_key == access_key), None)

    def marker(self, key: Key, applications: Collection[str]) -> Marker | None:
        """The key's marker, if it is of this installation and of one of these names, and the key is
        revocable."""
        marker = parse_marker(key.description)
        if marker and marker.installation == self.installation and marker.application in applications and key.revocable:
            return marker
        return None

    def without_key(self, access_key: str) -> Observation:
        """The observation without a key whose deletion was confirmed."""
        return replace(
            self,
            keys=tuple(key for key in self.keys if key.access_key != access_key),
            deleted=self.deleted | {access_key},
        )
