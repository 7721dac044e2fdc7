"""What one observation of an application holds. Plain values, so that every test can write one
down."""

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
    """The same instant by three clocks: this machine's, Vault's and the provider's (their ``Date``
    headers)."""

    ours: datetime
    vault: datetime
    provider: datetime

    @property
    def earliest(self) -> datetime:
        """The clock that a deadline must have passed by, to have passed."""
        return min(self.ours, self.vault, self.provider)

    @property
    def latest(self) -> datetime:
        """The clock that a deadline is counted from."""
        return max(self.ours, self.vault, self.provider)

    @property
    def spread(self) -> timedelta:
        """How far the clocks are apart."""
        return self.latest - self.earliest

    def passed(self, deadline: datetime) -> bool:
        """Whether the deadline has passed by every clock."""
        return self.earliest >= deadline

    def ours_at(self, deadline: datetime) -> datetime:
        """What this machine's clock will show when the deadline has passed by every clock."""
        return deadline + (self.ours - self.earliest)


class Presence(enum.StrEnum):
    """Where the published key was seen at the provider."""

    NOTHING = "nothing published"
    LISTED = "listed"
    FOREIGN = "of another bearer"
    GONE = "gone"


@dataclass(frozen=True)
class RotationFailure:
    """Why a rotation that was under way cannot be finished."""

    reason: str
    message: str


@dataclass(frozen=True)
class InFlightRotation:
    """A rotation that this process holds in memory, from its claim to its end. The only place where
    an unpublished secret is.

    ``posted``: the one POST was sent. ``verifying_since`` and ``successes``: how far its proof has
    come. ``publish_sent``: a publish was sent, so that the key may be in the document whatever the
    answer was. ``publish_by``: until when the secret waits for Vault to come back.
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
    """A person's request to rotate now; fulfilled when the published key is another one than
    ``replaces``."""

    reason: str
    replaces: str | None
    mode: RotationMode = RotationMode.REQUESTED


@dataclass(frozen=True)
class Preconditions:
    """What was checked before a claim, or before a published key is revoked first: the rights that
    the Vault token lacks on the credential path, how many keys still fit (None: unknown), and
    whether the provider does not know the bearer."""

    missing_capabilities: tuple[str, ...] = ()
    headroom: int | None = None
    bearer_missing: bool = False


@dataclass(frozen=True)
class DestroyedVersions:
    """The versions of the document that held a revoked compromised secret and are destroyed;
    ``remark`` says why others are not."""

    versions: tuple[int, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class RelatedLedger:
    """The ledger of another name that names the same bearer or document, and its version.
    ``document`` is the one at its path, where that is another one and can be read."""

    ledger: Ledger
    version: int
    document: CredentialDocument | None = None


@dataclass(frozen=True)
class Observation:
    """One observation of one application, with what this pass has confirmed since.

    ``published_probe`` is the verdict on the published secret, ``deleted`` the keys whose DELETE
    was sent in this pass (``unconfirmed``: and its answer lost, with what was heard instead),
    ``revoked`` the keys whose revocation is verified and how, ``still_valid`` those that kept
    answering, ``undeletable`` those whose DELETE was refused for good, with the reason: one such
    key must not keep the others waiting. ``destroyed``: what became of the stored secrets of
    revoked compromised keys. ``versions`` holds earlier versions of the document that were read
    because a key asked for them. ``related`` are ledgers of other names for the same bearer or
    document, ``former_documents`` those at former paths that still publish a key, by path, as far
    as they can be read.
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
    owner_gone: bool = False
    invalid_elsewhere: int = 0
    request: RotationRequest | None = None
    related: tuple[RelatedLedger, ...] = ()
    former_documents: Mapping[str, CredentialDocument] = field(default_factory=dict)

    @classmethod
    def of_ledger(cls, ledger: Ledger, now: datetime) -> Observation:
        """What the ledger alone shows, by the clock of this machine: neither document nor keys are
        known."""
        return cls(Clocks(now, now, now), installation="", owner="", next_rotation_id="", ledger=ledger)

    def key(self, access_key: str | None) -> Key | None:
        """The bearer's key of that name, if it was seen."""
        return next((key for key in self.keys if key.access_key == access_key), None)

    def marker(self, key: Key, applications: Collection[str]) -> Marker | None:
        """The key's marker, if it is one of this installation and of one of these names, and the
        key may be touched at all."""
        marker = parse_marker(key.description)
        if marker and marker.installation == self.installation and marker.application in applications and key.revocable:
            return marker
        return None

    def without_key(self, access_key: str) -> Observation:
        """The same without a key whose deletion was confirmed."""
        return replace(
            self,
            keys=tuple(key for key in self.keys if key.access_key != access_key),
            deleted=self.deleted | {access_key},
        )
