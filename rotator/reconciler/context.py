"""What a pass acts through, what it carries from one to the next, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.decision.observation import Clocks, Fence, InFlightRotation
from rotator.decision.steps import Wait
from rotator.domain.document import CredentialDocument
from rotator.domain.keys import Key
from rotator.domain.ledger import Ledger, Problem
from rotator.domain.ports import Clock, EventSink, Provider, VaultStore
from rotator.domain.spec import ApplicationSpec
from rotator.errors import RotatorError


class InvalidKeyBreaker:
    """Applications of one account whose published key was found invalid lately: several at once
    mean that the account, the organisation or the address is wrong, not the keys."""

    MEMORY = timedelta(hours=1)

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}

    def note(self, application: str, now: datetime) -> None:
        """The application's published key was found invalid."""
        self._seen[application] = now

    def clear(self, application: str) -> None:
        """The application's published key works."""
        self._seen.pop(application, None)

    def others(self, application: str, now: datetime) -> int:
        """How many other applications were noted within the last hour."""
        observation = dict(self._seen)
        return sum(other != application and now - when <= self.MEMORY for other, when in observation.items())


@dataclass
class ReconcileContext:
    """What a pass acts through. ``owner`` is random per process start; ``is_gone`` is true of an
    owner on this machine whose process has ended, and false of any other.
    ``related`` gives the names of the ledgers without configuration that name the application's
    bearer. ``manages_account``: the account logs in to its provider with the key of this
    application, so a new one is verified by what it may read as well."""

    provider: Provider
    vault: VaultStore
    clock: Clock
    sink: EventSink
    owner: str
    casualties: InvalidKeyBreaker = field(default_factory=InvalidKeyBreaker)
    is_gone: Callable[[str], bool] = lambda owner: False  # noqa: ARG005  # a default that knows no owners
    # ARG005: a default that knows no ledgers
    related: Callable[[ApplicationSpec], Sequence[str]] = lambda spec: ()  # noqa: ARG005
    manages_account: bool = False

    def clocks(self) -> Clocks:
        """The time by the three clocks, now: one reading of each, taken again if this machine's
        clock was set in between."""
        while True:
            now = self.clock.now()
            clocks = Clocks(now, now + self.vault.clock_offset(), now + self.provider.clock_offset())
            if timedelta(0) <= self.clock.now() - now < timedelta(seconds=1):
                return clocks


@dataclass
class LocalState:
    """What a process carries from one pass of an application to the next: the rotation held in
    memory, the highest version of the document seen, its last fence, and which unmanaged keys were
    reported. ``look_again`` asks a pass that waits for a new observation."""

    in_flight: InFlightRotation | None = None
    floor: int = 0
    fence: Fence | None = None
    reported: Problem | None = None
    """What this process has reported to stop the application and the ledger does not record."""
    unmanaged_keys: frozenset[str] = frozenset()
    look_again: bool = False


@dataclass(frozen=True)
class PassOutcome:
    """How a pass ended: until when it may rest and why, what it last knew, and the error that cut
    it short, if one did.

    ``keys`` is what the provider listed for the bearer, None when it was not asked.
    """

    wait: Wait
    ledger: Ledger | None = None
    document: CredentialDocument | None = None
    error: RotatorError | None = None
    keys: tuple[Key, ...] | None = None
