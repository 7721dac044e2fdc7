"""What the parts of one pass share: the last observation, the rotation held in memory, and access
to Vault and the provider."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import TypeVar

from rotator.decision.observation import InFlightRotation, Observation, RotationRequest
from rotator.decision.state import RETRY_INTERVAL
from rotator.domain.document import UNREADABLE, CredentialDocument
from rotator.domain.ledger import Ledger
from rotator.domain.ports import Provider, VaultStore
from rotator.domain.spec import ApplicationSpec
from rotator.errors import ConfigurationError, LedgerUnreadable, PermissionDenied, Rejected, RotatorError, ServiceError
from rotator.reconciler.context import LocalState, ReconcileContext

T = TypeVar("T")

Waits = Generator[datetime, None, None]
"""The times until which there is nothing to do but wait."""


class ObservationStale(Exception):
    """The observation no longer holds; the pass begins a new one."""


def require(value: T | None) -> T:
    """The value that the step rests on. Raises ``ObservationStale`` when it is gone."""
    if value is None:
        raise ObservationStale
    return value


class PassState:
    """One pass. ``observation`` is the latest one, None before the first.

    ``configured`` is the configuration of the application; ``spec`` is where the pass observes and
    acts, which differs only while compromised keys are contained that the ledger names elsewhere.
    ``unreadable`` is why the document could not be read, and ``refused_fence`` why a fence could
    not be written.
    """

    def __init__(
        self, spec: ApplicationSpec, context: ReconcileContext, local_state: LocalState, request: RotationRequest | None
    ) -> None:
        self.configured = spec
        self.spec = spec
        self.context = context
        self.vault: VaultStore = context.vault
        self.local_state = local_state
        self.request = request
        self.observation: Observation | None = None
        self.unreadable: RotatorError | None = None
        self.refused_fence: ServiceError | None = None
        self.ledger_read_at: datetime | None = None

    @property
    def in_flight(self) -> InFlightRotation | None:
        """The rotation that this process holds in memory."""
        return self.local_state.in_flight

    @in_flight.setter
    def in_flight(self, in_flight: InFlightRotation | None) -> None:
        self.local_state.in_flight = in_flight

    def now(self) -> datetime:
        """The time of this machine."""
        return self.context.clock.now()

    @property
    def provider(self) -> Provider:
        """The provider, by the ledger as last observed."""
        return self.provider_for(require(self.observation).ledger)

    def provider_for(self, ledger: Ledger | None) -> Provider:
        """The provider; in an emergency with the share of its rate limit that is kept for those."""
        emergency = ledger is not None and (ledger.compromised or (ledger.intent and ledger.intent.mode.urgent))
        return self.context.provider.urgent() if emergency else self.context.provider

    def emit(self, event: str, **fields: object) -> None:
        """Emit an event with the application and its account."""
        self.context.sink.emit(event, application=self.spec.application, account=self.spec.account, **fields)

    def wait_until(self, until: datetime) -> Waits:
        """Wait until then. Raises ``ObservationStale`` when another observation was asked for, or
        when the ledger has changed: it is read again every ``RETRY_INTERVAL``, so that no wait is
        blind to an emergency."""
        nap = self.now()
        while nap < until:
            nap = min(until, nap + RETRY_INTERVAL)
            yield nap
            if self.local_state.look_again or self.ledger_changed():
                raise ObservationStale

    def ledger_changed(self) -> bool:
        """Whether the ledger is another one than was observed. A Vault that is away says
        nothing."""
        now, read_at = self.now(), self.ledger_read_at
        if read_at is not None and read_at <= now < read_at + RETRY_INTERVAL:
            return False
        self.ledger_read_at = now
        try:
            _, version = self.vault.read_ledger(self.configured.application)
        except ServiceError:
            return False
        return version != require(self.observation).ledger_version

    def read_document(self) -> CredentialDocument:
        """The credential document as it is now."""
        document = self.vault.read_document(*self.spec.location)
        self.local_state.floor = max(self.local_state.floor, document.version)
        return document

    def find_document(self, ledger: Ledger | None) -> CredentialDocument:
        """The credential document. One that Vault does not give out keeps no compromised key from
        being revoked."""
        self.unreadable = None
        try:
            self.vault.require_kv2(self.spec.path)
            return self.read_document()
        except (ConfigurationError, LedgerUnreadable, PermissionDenied, Rejected) as error:
            if ledger is None or not ledger.compromised:
                raise
            self.unreadable = error
            return UNREADABLE

    def read_version(self, version: int) -> CredentialDocument:
        """One version of the credential document."""
        return self.vault.read_version(self.spec.path, version, self.spec.access_field, self.spec.secret_field)
