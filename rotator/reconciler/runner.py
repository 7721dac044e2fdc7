"""The pass: observe, decide, take one step, observe again, until the step is to wait.

A daemon, a second daemon elsewhere and the command line all do exactly this, each for itself; check-and-set decides between
them. A pass keeps no state but what it has seen and the rotation that it holds in memory (``LocalState``), so it may be killed at
any instant and the next one goes on.

``reconcile`` is a generator: it yields the time until which it has nothing to do but wait (for a
new key to become valid, for Vault to return), so that its thread can run another pass meanwhile,
and returns a ``PassOutcome``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.decision.decide import decide
from rotator.decision.observation import InFlightRotation, Observation, Preconditions, Presence, RotationFailure, RotationRequest
from rotator.decision.state import RETRY_INTERVAL
from rotator.decision.steps import (
    Act,
    CheckPreconditions,
    CreateKey,
    DeleteKey,
    DestroyVersions,
    DiscardInFlight,
    FenceDocument,
    ProbePublished,
    PublishKey,
    ReadVersions,
    SupersedeLedger,
    VerifyKey,
    Wait,
    WriteLedger,
)
from rotator.domain.document import CredentialDocument
from rotator.domain.keys import Key, ProbeResult
from rotator.domain.ledger import Ledger, Problem
from rotator.domain.reasons import Reason
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec, VerificationPolicy
from rotator.errors import Conflict, Indeterminate, NotFound, RotatorError, ServiceError, Unavailable
from rotator.reconciler.context import LocalState, PassOutcome, ReconcileContext
from rotator.reconciler.observer import ObservationStale, Waits, require
from rotator.reconciler.rendering import document_fields, notes
from rotator.reconciler.revocation import RevokingPass

MAX_STEPS = 100
"""Steps that one pass may take before it stops and looks at the calendar again; a sound one needs about a dozen."""

MAX_OBSERVATIONS = 10
"""Observations that one pass may begin, because others were faster each time, before it leaves the field to them."""

RETRY_DELAY = timedelta(seconds=1)
"""How long to wait before asking a service again that is away while a secret is held."""


def reconcile(
    spec: ApplicationSpec, context: ReconcileContext, local_state: LocalState, request: RotationRequest | None = None
) -> Generator[datetime, None, PassOutcome]:
    """One pass for one application. Never raises a ``RotatorError``: what cut it short is in the outcome."""
    current = _Pass(spec, context, local_state, request)
    try:
        wait = yield from current.run()
    except RotatorError as error:
        return current.cut_short(error)
    return current.outcome(wait)


class _Pass(RevokingPass):
    found_invalid = ""
    """The published key that this observation found invalid, until it is reported: a node of Vault
    that is behind may still show one that was replaced and revoked, so the ledger is written first,
    which needs its newest version."""

    # --- the loop ---

    def run(self) -> Generator[datetime, None, Wait]:
        for _ in range(MAX_OBSERVATIONS):
            self.observation, self.found_invalid = self.look(), ""
            for _ in range(MAX_STEPS):
                self.observation = replace(self.observation, clocks=self.context.clocks(), in_flight=self.local_state.in_flight)
                step = decide(self.configured, self.observation)
                if isinstance(step, Wait):
                    if self.unreadable is not None:
                        raise self.unreadable
                    step = self.report_problem(step, self.observation)
                    self.report_invalid_published()
                    self.emit("pass.decided", reason=step.reason, message=step.message, until=step.until)
                    return step
                try:
                    yield from self.take(step, self.observation)
                except ObservationStale:
                    break
                except (Conflict, Indeterminate) as error:
                    # A refused check-and-set, or an answer that got lost: what is true now has to be looked at.
                    self.emit("pass.interrupted", kind=error.kind, message=str(error))
                    yield self.context.clock.now() + RETRY_DELAY / 4
                    break
        return Wait(self.context.clock.now() + RETRY_DELAY, Reason.CONTENDED, "others were faster each time")

    def cut_short(self, error: RotatorError) -> PassOutcome:
        now = self.context.clock.now()
        reason = error.kind if isinstance(error, ServiceError) else Reason.LEDGER_UNREADABLE
        self.emit("pass.failed", reason=reason, message=str(error))
        patience = RETRY_INTERVAL if isinstance(error, ServiceError) else 2 * RETRY_INTERVAL
        in_flight = self.local_state.in_flight
        if in_flight is not None:
            patience = RETRY_DELAY
            if self.too_late(in_flight):
                failure = in_flight.failure or RotationFailure(
                    Reason.DEPENDENCIES_UNAVAILABLE, "Vault or the provider did not come back in time to publish"
                )
                self.local_state.in_flight = replace(in_flight, secret=None, failure=failure)
        wait = Wait(now + min(patience, self.spec.resync_interval), reason, str(error), Problem(reason, str(error), now))
        return self.outcome(wait, error)

    def outcome(self, wait: Wait, error: RotatorError | None = None) -> PassOutcome:
        observation = self.observation
        return (
            PassOutcome(wait, observation.ledger, observation.document, error, observation.keys)
            if observation
            else PassOutcome(wait, error=error)
        )

    # --- act: one step, whose confirmed result is the next observation ---

    def take(self, step: Act, observation: Observation) -> Waits:
        match step:
            case WriteLedger():
                self.record(step, observation)
            case SupersedeLedger():
                self.context.vault.write_ledger(step.ledger, cas=step.version)
                raise ObservationStale
            case ProbePublished():
                yield from self.probe(observation)
            case ReadVersions():
                read = {version: self.read_version(version) for version in sorted(step.versions)}
                self.observation = replace(observation, versions={**observation.versions, **read})
            case CheckPreconditions():
                lacking = tuple(self.context.vault.missing_capabilities(self.spec.path))
                self.observation = replace(
                    observation,
                    preconditions=Preconditions(
                        lacking,
                        None if lacking or step.urgent else self.provider.headroom(),
                        bearer_missing=step.revoke_first and not self.provider.bearer_exists(self.spec.bearer),
                    ),
                )
            case CreateKey():
                self.create(step, observation)
            case VerifyKey():
                yield from self.verification()
            case PublishKey():
                yield from self.publish(observation)
            case FenceDocument():
                self.fence(observation)
            case DeleteKey():
                self.delete(step, observation)
            case DestroyVersions():
                self.destroy(step, observation)
            case DiscardInFlight():
                self.local_state.in_flight = None
            case _:
                yield from self.verify_revocation(step, observation)

    def record(self, step: WriteLedger, observation: Observation) -> None:
        before, intent = observation.ledger, step.ledger.intent
        claimed = intent is not None and intent.id == observation.next_rotation_id
        if claimed and intent is not None:
            # Held from before the write: if its answer is lost and the next observation finds the
            # claim, it is known as this actor's, and that nothing was posted for it.
            self.local_state.in_flight = InFlightRotation(intent)
        version = self.context.vault.write_ledger(step.ledger, cas=observation.ledger_version)
        self.report_invalid_published()
        in_flight = self.local_state.in_flight
        if in_flight and in_flight.key and step.ledger.is_revoking(in_flight.key.access_key):
            self.local_state.in_flight = None  # the secret is dropped before its key is deleted
        for event in step.events:
            self.emit(event.name, **event.fields)
        if step.ledger.failures > (before.failures if before else 0):
            self.request = None  # a request is one attempt; that it failed is for the person to hear, not to be repeated at once
        self.observation = replace(
            observation,
            ledger=step.ledger,
            ledger_version=version,
            request=self.request,
            next_rotation_id=self.context.clock.token() if claimed else observation.next_rotation_id,
            preconditions=None,
        )
        if step.ledger.current and (before is None or before.current != step.ledger.current):
            self.annotate(step.ledger)

    def report_invalid_published(self) -> None:
        if self.found_invalid:
            self.emit("key.published_key_invalid", access_key=self.found_invalid)
            self.found_invalid = ""

    def annotate(self, ledger: Ledger) -> None:
        try:
            self.context.vault.annotate(self.spec.path, notes(ledger))
        except ServiceError as error:
            self.emit("document.annotate_failed", message=str(error))

    def probe(self, observation: Observation) -> Waits:
        published, secret = require(observation.document.published), require(observation.document.secret)
        verdict = yield from self.ask(lambda: self.provider.authenticate(published, secret), self.spec.emergency_verification)
        bearer_observed = verdict is not ProbeResult.REFUSED or self.provider.bearer_exists(self.spec.bearer)
        now = self.context.clock.now()
        if verdict is ProbeResult.REFUSED and bearer_observed and observation.presence is Presence.GONE:
            self.found_invalid = published
            self.context.casualties.note(self.spec.application, now)
        elif verdict is ProbeResult.ALIVE:
            self.context.casualties.clear(self.spec.application)
        self.observation = replace(observation, published_probe=verdict, bearer_observed=bearer_observed)

    def ask(
        self, try_once: Callable[[], ProbeResult], verification: VerificationPolicy
    ) -> Generator[datetime, None, ProbeResult]:
        """One success settles that a secret works; that it does not takes several refusals in a row."""
        give_up, refusals = self.context.clock.now() + verification.timeout, 0
        while True:
            verdict = try_once()
            refusals += verdict is ProbeResult.REFUSED
            if verdict is ProbeResult.ALIVE or refusals >= verification.successes:
                return verdict
            again = self.context.clock.now() + verification.interval
            if again > give_up:
                return ProbeResult.UNCLEAR
            yield from self.wait_until(again)

    def create(self, step: CreateKey, observation: Observation) -> None:
        in_flight = self.holding()
        self.local_state.in_flight = in_flight = replace(
            in_flight, posted=True
        )  # before the call: it must never be sent a second time
        now = self.context.clock.now()
        try:
            key, secret = self.provider.create_key(
                self.spec.bearer,
                step.description,
                default_project_id=step.default_project_id,
                expires_at=now + step.lifetime if step.lifetime else None,
            )
        except ServiceError as error:
            unclear = isinstance(error, Indeterminate)
            reason = Reason.BEARER_GONE if isinstance(error, NotFound) else error.kind
            self.local_state.in_flight = replace(in_flight, failure=RotationFailure(reason, str(error)))
            self.emit(
                "rotation.create_failed", rotation_id=in_flight.intent.id, reason=reason, message=str(error), unclear=unclear
            )
            return
        # Should Vault or the provider go away before the proof has even begun, the secret must not wait for ever.
        verification = self.spec.emergency_verification if in_flight.intent.mode.urgent else self.spec.verification
        deadline = now + verification.timeout + self.spec.publish_timeout
        self.local_state.in_flight = replace(in_flight, key=key, secret=secret, publish_by=deadline)
        self.emit("rotation.created", rotation_id=in_flight.intent.id, access_key=key.access_key, reason=in_flight.intent.reason)
        self.observation = replace(observation, keys=(*observation.keys, key))

    def verification(self) -> Waits:
        in_flight = self.holding()
        key, secret = self.unpublished(in_flight)
        verification = self.spec.emergency_verification if in_flight.intent.mode.urgent else self.spec.verification
        since = in_flight.verifying_since or self.context.clock.now()
        in_a_row = in_flight.successes
        while True:
            verdict = self.provider.authenticate(key.access_key, secret)
            in_a_row = {ProbeResult.ALIVE: in_a_row + 1, ProbeResult.REFUSED: 0, ProbeResult.UNCLEAR: in_a_row}[verdict]
            now = self.context.clock.now()
            self.local_state.in_flight = in_flight = replace(in_flight, verifying_since=since, successes=in_a_row)
            about = {"rotation_id": in_flight.intent.id, "access_key": key.access_key, "reason": in_flight.intent.reason}
            if in_a_row >= verification.successes:
                self.local_state.in_flight = replace(in_flight, verified=True, publish_by=now + self.spec.publish_timeout)
                self.emit("rotation.verified", successes=in_a_row, **about)
                return
            if now + verification.interval > since + verification.timeout:
                message = f"the new key {key.access_key} did not authenticate within {verification.timeout.total_seconds():.0f} s: it is revoked, the old one stays"
                self.local_state.in_flight = replace(in_flight, failure=RotationFailure(Reason.VERIFICATION_FAILED, message))
                self.emit("rotation.verification_failed", **about)
                return
            yield from self.wait_until(now + verification.interval)

    def publish(self, observation: Observation) -> Waits:
        in_flight = self.holding()
        key, secret = self.unpublished(in_flight)
        base = in_flight.intent.base
        document = yield from self.patiently(in_flight, self.read_document)
        same = (
            document is not None and document.created_time == observation.document.created_time
        )  # one that was recreated is another
        if document is not None and same and (document.version, document.state) == (base, observation.document.state):
            fields = document_fields(self.spec, document, key, secret, in_flight.intent.id)
            sent_before = in_flight.publish_sent
            self.local_state.in_flight = in_flight = replace(
                in_flight, publish_sent=True
            )  # before the call: its answer may never come
            try:
                self.context.vault.write_document(self.spec.path, fields, cas=base)
            except (Conflict, Indeterminate) as error:
                # Only an observation shows it: a lost answer says nothing, and a conflict may be
                # with this actor's own earlier write.
                self.emit("pass.interrupted", kind=error.kind, message=str(error))
            except ServiceError as error:
                self.local_state.in_flight = in_flight = replace(in_flight, publish_sent=sent_before)  # surely not executed
                if not isinstance(error, Unavailable) or self.too_late(in_flight):
                    self.local_state.in_flight = replace(in_flight, failure=RotationFailure(error.kind, str(error)))
                    return
                yield from self.wait_until(self.context.clock.now() + RETRY_DELAY)
                return
            document = yield from self.patiently(self.holding(), self.read_document)
        if document is None:
            in_flight = self.holding()
            self.local_state.in_flight = replace(
                in_flight,
                secret=None,
                failure=RotationFailure(Reason.VAULT_UNAVAILABLE, "Vault did not come back in time to publish"),
            )
            return
        if document.published == key.access_key:
            self.emit(
                "rotation.published",
                rotation_id=in_flight.intent.id,
                access_key=key.access_key,
                version=document.version,
                reason=in_flight.intent.reason,
            )
        elif document.version == base and self.too_late(self.holding()):
            failure = RotationFailure(Reason.PUBLISH_TIMEOUT, "Vault did not take the publish in time")
            self.local_state.in_flight = replace(self.holding(), secret=None, failure=failure)
            return
        elif document.version == base:
            yield from self.wait_until(self.context.clock.now() + RETRY_DELAY / 4)
        if document.published not in {observation.document.published, key.access_key}:
            raise ObservationStale  # another actor's key: it has to be found at the provider first
        presence = Presence.LISTED if document.published == key.access_key else observation.presence
        self.observation = replace(observation, document=document, presence=presence, published_probe=None)

    def patiently(
        self, in_flight: InFlightRotation, read: Callable[[], CredentialDocument]
    ) -> Generator[datetime, None, CredentialDocument | None]:
        """Read while a secret waits: a Vault that is away may come back before the time is up. None when it did not."""
        while True:
            try:
                return read()
            except Unavailable as error:
                self.emit("pass.interrupted", kind=error.kind, message=str(error))
            if self.too_late(in_flight):
                return None
            yield from self.wait_until(self.context.clock.now() + RETRY_DELAY)

    def too_late(self, in_flight: InFlightRotation) -> bool:
        return in_flight.publish_by is not None and self.context.clock.now() >= in_flight.publish_by

    def holding(self) -> InFlightRotation:
        return require(self.local_state.in_flight)

    def unpublished(self, in_flight: InFlightRotation) -> tuple[Key, Secret]:
        return require(in_flight.key), require(in_flight.secret)

    def fence(self, observation: Observation) -> None:
        """Move the document on by one version, which no publish based on this one survives. Where there is no document, check-and-set
        0 writes an empty one: a first key may be about to be published as well. A last look narrows the time in which a document
        that is recreated at the same version would be overwritten. Raises ``ObservationStale``."""
        document, latest = observation.document, self.read_document()
        if (latest.version, latest.state, latest.created_time) != (document.version, document.state, document.created_time):
            raise ObservationStale
        fields = {**document.fields, self.spec.secret_field: document.secret} if document.secret else document.fields
        version, _ = self.context.vault.write_document(self.spec.path, fields, cas=document.version)
        self.emit("document.fenced", access_key=document.published or "", version=version)
        raise ObservationStale


def drive(passing: Generator[datetime, None, PassOutcome], sleep_until: Callable[[datetime], None]) -> PassOutcome:
    """Run a pass to its end on the calling thread, sleeping where it has to wait."""
    while True:
        try:
            sleep_until(next(passing))
        except StopIteration as end:
            outcome: PassOutcome = end.value
            return outcome


def observe(
    spec: ApplicationSpec, context: ReconcileContext, local_state: LocalState, request: RotationRequest | None = None
) -> Generator[datetime, None, Observation]:
    """Look at one application, and take the steps that only ask, so that ``decide`` can tell what a pass would do next.

    Changes nothing. Yields like ``reconcile``; raises ``RotatorError`` where a pass would be cut short.
    """
    current = _Pass(spec, context, local_state, request)
    current.observation = observation = current.look()
    while isinstance(step := decide(spec, observation), ProbePublished | CheckPreconditions | ReadVersions):
        try:
            yield from current.take(step, observation)
        except ObservationStale:
            current.observation = current.look()
        observation = current.observation
    if current.unreadable is not None:
        raise current.unreadable
    return observation
