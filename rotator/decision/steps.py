"""The steps that a pass can take. Plain values; each is one thing to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.domain.ledger import Ledger, Problem
from rotator.domain.status import NextAction


@dataclass(frozen=True)
class Event:
    """Something to be logged once the step that it belongs to has been confirmed."""

    name: str
    fields: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """Nothing to do until then. With ``problem``, nothing can be done until it clears.

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
    """Write this ledger by check-and-set on the version that was read."""

    ledger: Ledger
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class SupersedeLedger:
    """Write the ledger of another name, which this application takes over, by check-and-set on the
    version that was read."""

    ledger: Ledger
    version: int


@dataclass(frozen=True)
class ProbePublished:
    """Try the published secret, and ask whether the bearer is known when it is refused."""


@dataclass(frozen=True)
class ReadVersions:
    """Read these versions of the document, to classify a tagged key (rule 7)."""

    versions: frozenset[int]


@dataclass(frozen=True)
class CheckPreconditions:
    """Ask Vault for the token's rights on the credential path and the provider for headroom, before
    a claim. An emergency does not ask for headroom, which takes as long as a create: the provider's
    refusal says the same. ``revoke_first``: a published key is about to be revoked, so whatever
    would keep another one from being made is asked now."""

    urgent: bool = False
    revoke_first: bool = False


@dataclass(frozen=True)
class CreateKey:
    """Send the one POST of the claimed rotation."""

    description: str
    default_project_id: str | None
    lifetime: timedelta | None


@dataclass(frozen=True)
class VerifyKey:
    """See the new key work, several times in a row, within a bound."""


@dataclass(frozen=True)
class PublishKey:
    """Look once more, then write the new key into the credential document by check-and-set, then
    read it back."""


@dataclass(frozen=True)
class FenceDocument:
    """Rewrite the unchanged credential document, which moves its version on, so that possibly
    orphaned keys are certainly orphaned."""


@dataclass(frozen=True)
class DeleteKey:
    """Look at the document once more, then delete the key at the provider. ``even_if_published``:
    an operator's revoke-first."""

    access_key: str
    reason: str
    even_if_published: bool = False


@dataclass(frozen=True)
class VerifyRevocation:
    """See the deleted key refused, with the secret that ``version`` of the document held, or gone
    by name."""

    access_key: str
    version: int
    emergency: bool


@dataclass(frozen=True)
class DestroyVersions:
    """Destroy the earlier versions of the document that hold the secret of this key, which is
    compromised and verified as revoked. ``version`` is the one that the ledger names. Failure is
    reported and does not delay the pass."""

    access_key: str
    version: int


@dataclass(frozen=True)
class DiscardInFlight:
    """Forget the held rotation: it is over, and nothing is left to do for it here."""


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
