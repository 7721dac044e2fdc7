"""What a pass observes of one application: the ledger, then the document, then the provider's keys; the order matters."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from rotator.decision.observation import Observation, Presence, RotationRequest
from rotator.decision.ownership import own_ledger
from rotator.decision.state import RETRY_INTERVAL, ApplicationState
from rotator.decision.steps import Wait
from rotator.domain.document import UNREADABLE, CredentialDocument
from rotator.domain.keys import Key
from rotator.domain.ledger import Ledger
from rotator.domain.ports import Provider
from rotator.domain.spec import ApplicationSpec
from rotator.errors import ConfigurationError, LedgerUnreadable, PermissionDenied, Rejected, RotatorError, ServiceError
from rotator.reconciler.context import LocalState, ReconcileContext
from rotator.reconciler.ledger_directory import read_former_document, read_related

T = TypeVar("T")

Waits = Generator[datetime, None, None]
"""The times until which there is nothing to do but wait."""


class ObservationStale(Exception):
    """What was seen no longer holds: begin a new observation."""


def require(value: T | None) -> T:
    """What the step rests on. Should it be gone, what was seen no longer holds."""
    if value is None:
        raise ObservationStale
    return value


def containment_place(spec: ApplicationSpec, ledger: Ledger | None) -> ApplicationSpec:
    """Where a pass looks and acts: where the configuration says, or, while compromised keys are to be contained, where the ledger
    says that they are. A ledger without a current key has seen none in its fields, so those of the configuration count."""
    if ledger is None or not ledger.compromised or ledger.account != spec.account:
        return spec
    source = ledger if ledger.current is not None else spec
    recorded = (ledger.bearer, ledger.path, source.access_field, source.secret_field)
    if recorded == (spec.bearer, spec.path, spec.access_field, spec.secret_field):
        return spec
    fields = {source.access_field: "{access_key}", source.secret_field: "{secret_key}"}
    return replace(spec, bearer=ledger.bearer, path=ledger.path, fields=fields, grace=ledger.grace)


class ObservingPass:
    """A pass as far as it only looks. ``observation`` is what it has seen so far, None before the first look.

    ``configured`` is what the configuration wants, ``spec`` where this pass looks and acts: another place only while compromised
    keys are to be contained that the ledger names elsewhere. ``unreadable`` is why the document could not be read.
    """

    def __init__(
        self, spec: ApplicationSpec, context: ReconcileContext, local_state: LocalState, request: RotationRequest | None
    ) -> None:
        self.configured = spec
        self.spec = spec
        self.context = context
        self.local_state = local_state
        self.request = request
        self.observation: Observation | None = None
        self.unreadable: RotatorError | None = None
        self.ledger_read_at: datetime | None = None

    @property
    def provider(self) -> Provider:
        """The provider, by the ledger as it was last seen; steps ask for it, and each rests on a look."""
        return self.provider_for(require(self.observation).ledger)

    def provider_for(self, ledger: Ledger | None) -> Provider:
        """The provider; in an emergency with the share of its rate limit that is kept for those."""
        emergency = ledger is not None and (ledger.compromised or (ledger.intent and ledger.intent.mode.urgent))
        return self.context.provider.urgent() if emergency else self.context.provider

    def emit(self, event: str, **fields: object) -> None:
        """Tell the journal, in the name of the application."""
        self.context.sink.emit(event, application=self.spec.application, account=self.spec.account, **fields)

    # --- wait, and see an emergency meanwhile ---

    def wait_until(self, until: datetime) -> Waits:
        """Wait until then. Raises ``ObservationStale`` when another observation was asked for, or when the ledger has changed: it is
        read again every ``RETRY_INTERVAL``, so that no wait is blind to an emergency."""
        nap = self.context.clock.now()
        while nap < until:
            nap = min(until, nap + RETRY_INTERVAL)
            yield nap
            if self.local_state.look_again or self.ledger_changed():
                raise ObservationStale

    def ledger_changed(self) -> bool:
        """Whether the ledger is another one than was observed. A Vault that is away says nothing."""
        now, read_at = self.context.clock.now(), self.ledger_read_at
        if read_at is not None and read_at <= now < read_at + RETRY_INTERVAL:
            return False
        self.ledger_read_at = now
        try:
            _, version = self.context.vault.read_ledger(self.configured.application)
        except ServiceError:
            return False
        return version != require(self.observation).ledger_version

    # --- observe: the ledger, then the document, then the provider; the order matters ---

    def look(self) -> Observation:
        """One observation. Raises what the services raise."""
        vault = self.context.vault
        self.local_state.look_again = False
        found, ledger_version = vault.read_ledger(self.configured.application)
        self.ledger_read_at = self.context.clock.now()
        ledger = own_ledger(self.configured, found)
        spec = self.spec = containment_place(self.configured, ledger)
        related = read_related(spec, vault, tuple(self.context.related(spec)))
        document = self.find_document(ledger)
        if found is None:
            self.local_state.floor = (
                document.version
            )  # a ledger that is gone, or never was, is the word to begin from what there is
        installation = vault.installation()
        keys = {key.access_key: key for key in self.provider_for(ledger).list_keys(spec.bearer)}
        presence, foreign = self.find_unlisted(document.published, ledger, keys)
        now = self.context.clock.now()
        observation = Observation(
            clocks=self.context.clocks(),
            installation=installation,
            owner=self.context.owner,
            next_rotation_id=self.context.clock.token(),
            ledger=ledger,
            ledger_version=ledger_version,
            document=document,
            keys=tuple(sorted(keys.values(), key=lambda key: (key.created_at, key.access_key))),
            presence=presence,
            foreign=foreign,
            in_flight=self.local_state.in_flight,
            floor=self.local_state.floor,
            owner_gone=bool(ledger and ledger.intent and self.context.is_gone(ledger.intent.owner)),
            invalid_elsewhere=self.context.casualties.others(spec.application, now),
            request=self.request,
            related=related,
            former_documents=self.read_former_documents(ledger),
        )
        self.report_unmanaged(ApplicationState(spec, observation))
        return observation

    def read_former_documents(self, ledger: Ledger | None) -> dict[str, CredentialDocument]:
        """The documents at former paths that published a key when last seen, as far as they can be read."""
        found: dict[str, CredentialDocument] = {}
        for former in ledger.predecessors if ledger and not ledger.successor else ():
            if former.access_key:
                document = read_former_document(self.context.vault, former.path, former.access_field, former.secret_field)
                found |= {former.path: document} if document else {}
        return found

    def find_document(self, ledger: Ledger | None) -> CredentialDocument:
        """The credential document. One that Vault does not give out keeps no compromised key from being revoked."""
        self.unreadable = None
        try:
            self.context.vault.require_kv2(self.spec.path)
            return self.read_document()
        except (ConfigurationError, LedgerUnreadable, PermissionDenied, Rejected) as error:
            if ledger is None or not ledger.compromised:
                raise
            self.unreadable = error
            return UNREADABLE

    def find_unlisted(
        self, published: str | None, ledger: Ledger | None, keys: dict[str, Key]
    ) -> tuple[Presence, frozenset[str]]:
        """Absence is not proven by a list: the published key and the compromised ones are asked for by name."""
        foreign: set[str] = set()
        condemned = {entry.access_key for entry in ledger.revoking} if ledger else set()
        asked = {published} if published else set()
        asked |= (ledger.compromised_keys() - condemned) if ledger else set()
        for access_key in sorted(asked - set(keys)):
            try:
                key = self.provider_for(ledger).get_key(access_key)
            except Rejected as refusal:
                if refusal.argument != "access_key":
                    raise
                foreign.add(access_key)  # what a person wrote there is no name of a key
                continue
            if key is not None and key.bearer == self.spec.bearer:
                keys[key.access_key] = key
            elif key is not None:
                foreign.add(key.access_key)
        if published is None:
            return Presence.NOTHING, frozenset(foreign)
        if published in keys:
            return Presence.LISTED, frozenset(foreign)
        return (Presence.FOREIGN if published in foreign else Presence.GONE), frozenset(foreign)

    def report_unmanaged(self, state: ApplicationState) -> None:
        """Report keys that this application neither made nor published, under any of its names, once each."""
        observation, names = state.observation, state.names | {one.ledger.application for one in state.observation.related}
        known = {key.access_key for key in observation.keys if observation.marker(key, names)} | {state.published}
        for ledger in (state.ledger, *(one.ledger for one in observation.related)):
            known |= ledger.names() | ledger.published_elsewhere()
        unmanaged_keys = frozenset(key.access_key for key in observation.keys) - known
        for access_key in sorted(unmanaged_keys - self.local_state.unmanaged_keys):
            self.emit("key.unmanaged_found", access_key=access_key)
        self.local_state.unmanaged_keys = unmanaged_keys

    def report_problem(self, wait: Wait, observation: Observation) -> Wait:
        """Report what stops the application and is not recorded, once when it appears and once when it clears.

        Who records a problem reports it with the write, and who asked for a rotation gets the answer."""
        if self.request is not None:
            return wait
        recorded = observation.ledger.problem if observation.ledger else None
        problem, known = wait.problem, self.local_state.reported
        if problem is not None and recorded is not None and problem.reason == recorded.reason:
            problem = None
        if known is not None and problem is not None and problem.reason == known.reason:
            return replace(wait, problem=replace(problem, since=known.since))
        if known is not None:
            self.emit("application.recovered", reason=known.reason)
        if problem is not None:
            self.emit("application.blocked", reason=problem.reason, message=problem.message)
        self.local_state.reported = problem
        return wait

    def read_document(self) -> CredentialDocument:
        """The credential document as it is now."""
        document = self.context.vault.read_document(self.spec.path, self.spec.access_field, self.spec.secret_field)
        self.local_state.floor = max(self.local_state.floor, document.version)
        return document

    def read_version(self, version: int) -> CredentialDocument:
        """One version of the credential document."""
        return self.context.vault.read_version(self.spec.path, version, self.spec.access_field, self.spec.secret_field)
