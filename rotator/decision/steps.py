"""The steps of a pass. Plain values; each is one action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.domain.ledger import Ledger, Problem
from rotator.domain.status import NextAction


@dataclass(frozen=True)
class Event:
    """An event to be logged once the step that it belongs to is confirmed."""

    name: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """No action until then. With ``problem``, the application is blocked until it clears.

    ``next`` is the next action, which may come later than the next observation at ``until``;
    `decide` sets it on each step to wait.
    """

    until: datetime
    reason: str
    message: str
    problem: Problem | None = None
    next: NextAction | None = None


@dataclass(frozen=True)
class WriteLedger:
    """Writes this ledger by check-and-set on the version that was read."""

    ledger: Ledger
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class SupersedeLedger:
    """Writes the ledger of another name that this application takes over, by check-and-set on the
    version that was read."""

    ledger: Ledger
    version: int


@dataclass(frozen=True)
class ProbePublished:
    """Probes the published secret; if it is rejected, checks that the bearer exists."""


@dataclass(frozen=True)
class ReadVersions:
    """Reads these versions of the document, to classify a tagged key (rule 7)."""

    versions: frozenset[int]


@dataclass(frozen=True)
class CheckPreconditions:
    """Reads the token's rights on the credential path and the free quota, before a claim. In an
    emergency the quota is not read: that takes as long as a create, whose rejection shows the same.
    ``revoke_first``: a published key is about to be revoked, so everything that would prevent
    another one is checked now."""

    urgent: bool = False
    revoke_first: bool = False


@dataclass(frozen=True)
class CreateKey:
    """Sends the one POST of the claimed rotation."""

    description: str
    default_project_id: str | None
    lifetime: timedelta | None


@dataclass(frozen=True)
class VerifyKey:
    """Verifies that the new key authenticates, several times in a row, within a timeout."""


@dataclass(frozen=True)
class PublishKey:
    """Observes again, writes the new key into the credential document by check-and-set, and reads
    it back."""


@dataclass(frozen=True)
class FenceDocument:
    """Rewrites the unchanged credential document: its new version makes possibly orphaned keys
    certainly orphaned."""


@dataclass(frozen=True)
class DeleteKey:
    """Reads the document again, then deletes the key at the provider. ``even_if_published``: for
    revoke-first."""

    access_key: str
    reason: str
    even_if_published: bool = False


@dataclass(frozen=True)
class VerifyRevocation:
    """Verifies that the deleted key is rejected, with the secret in ``version`` of the document, or
    that no key has its name."""

    access_key: str
    version: int
    emergency: bool


@dataclass(frozen=True)
class DestroyVersions:
    """Destroys the earlier versions of the document with the secret of this key, which is
    compromised and verified as revoked. ``version``: the one in the ledger. Failure is reported and
    does not delay the pass."""

    access_key: str
    version: int


@dataclass(frozen=True)
class DiscardInFlight:
    """Discards the rotation in memory, which is over."""


Act = (
    WriteLedger
    | SupersedeLedger
    | ProbePublished
    | ReadVersions
    | CheckPreconditions
    | CreateKey
    | VerifyKey
    | PublishKey
    | FenceDocument
    | DeleteKey
    | VerifyRevocation
    | DestroyVersions
    | DiscardInFlight
)


Step = Wait | Act
