"""Issues a key: creates it, verifies that it authenticates, publishes it, and fences the document
against a publish under way."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.decision.observation import Fence, InFlightRotation, Observation, Presence, RotationFailure
from rotator.decision.state import ApplicationState
from rotator.decision.steps import CreateKey
from rotator.domain.document import CredentialDocument
from rotator.domain.keys import Key, ProbeResult
from rotator.domain.reasons import Reason
from rotator.domain.secret import Secret
from rotator.errors import Conflict, Indeterminate, NotFound, PermissionDenied, Rejected, ServiceError, Unavailable
from rotator.reconciler.pass_state import ObservationStale, PassState, Waits, require
from rotator.reconciler.rendering import document_fields

RETRY_DELAY = timedelta(seconds=1)
"""How long to wait before asking a service again that is away while a secret is held."""


class Issuer:
    """Carries out the steps of a pass that issue a key."""

    def __init__(self, current: PassState) -> None:
        self._pass = current

    def create(self, step: CreateKey, observation: Observation) -> None:
        """Create the key. The request is sent at most once for one claim."""
        in_flight = self._held()
        self._pass.in_flight = in_flight = replace(in_flight, posted=True)  # before the call: it is never sent twice
        now = self._pass.now()
        try:
            key, secret = self._pass.provider.create_key(
                self._pass.spec.bearer,
                step.description,
                default_project_id=step.default_project_id,
                expires_at=now + step.lifetime if step.lifetime else None,
            )
        except ServiceError as error:
            unclear = isinstance(error, Indeterminate)
            reason = Reason.BEARER_GONE if isinstance(error, NotFound) else error.kind
            self._pass.in_flight = replace(in_flight, failure=RotationFailure(reason, str(error)))
            self._pass.emit(
                "rotation.create_failed",
                rotation_id=in_flight.intent.id,
                reason=reason,
                message=str(error),
                unclear=unclear,
            )
            return
        # Bounds how long the secret waits when Vault or the provider becomes unavailable before the
        # verification begins.
        verification = (
            self._pass.spec.emergency_verification if in_flight.intent.mode.urgent else self._pass.spec.verification
        )
        deadline = now + verification.timeout + self._pass.spec.publish_timeout
        self._pass.in_flight = replace(in_flight, key=key, secret=secret, publish_by=deadline)
        self._pass.emit(
            "rotation.created",
            rotation_id=in_flight.intent.id,
            access_key=key.access_key,
            reason=in_flight.intent.reason,
        )
        self._pass.observation = replace(observation, keys=(*observation.keys, key))

    def verify(self) -> Waits:
        """Probe the new key until it has authenticated several times in a row, or the timeout is
        over. A key that manages its account must also have the rights for that."""
        in_flight = self._held()
        key, secret = self._unpublished(in_flight)
        verification = (
            self._pass.spec.emergency_verification if in_flight.intent.mode.urgent else self._pass.spec.verification
        )
        since = in_flight.verifying_since or self._pass.now()
        in_a_row = in_flight.successes
        while True:
            verdict = self._pass.provider.authenticate(key.access_key, secret)
            if verdict is not ProbeResult.INCONCLUSIVE:
                in_a_row = in_a_row + 1 if verdict is ProbeResult.VALID else 0
            now = self._pass.now()
            self._pass.in_flight = in_flight = replace(in_flight, verifying_since=since, successes=in_a_row)
            about = {
                "rotation_id": in_flight.intent.id,
                "access_key": key.access_key,
                "reason": in_flight.intent.reason,
            }
            lacking = self._missing_right(key, secret) if in_a_row >= verification.successes else ""
            if in_a_row >= verification.successes and not lacking:
                self._pass.in_flight = replace(
                    in_flight, verified=True, publish_by=now + self._pass.spec.publish_timeout
                )
                self._pass.emit("rotation.verified", successes=in_a_row, **about)
                return
            if now + verification.interval > since + verification.timeout:
                seconds = f"{verification.timeout.total_seconds():.0f} s"
                fault = (
                    f"authenticates and was not seen to manage the account within {seconds} ({lacking})"
                    if lacking
                    else f"did not authenticate within {seconds}"
                )
                message = f"the new key {key.access_key} {fault}: it is revoked, the old one stays"
                self._pass.in_flight = replace(in_flight, failure=RotationFailure(Reason.VERIFICATION_FAILED, message))
                self._pass.emit("rotation.verification_failed", **about)
                return
            yield from self._pass.wait_until(now + verification.interval)

    def _missing_right(self, key: Key, secret: Secret) -> str:
        """Why the account cannot be managed with the new key; empty if it can, and for a key that
        no account logs in with."""
        if not self._pass.context.manages_account:
            return ""
        try:
            return self._pass.provider.missing_right(key, secret)
        except ServiceError as error:
            return str(error)

    def publish(self, observation: Observation) -> Waits:
        """Write the new key into the document, based on the version that the claim names."""
        in_flight = self._held()
        key, secret = self._unpublished(in_flight)
        base = in_flight.intent.base
        document = yield from self._read_patiently(in_flight, self._pass.read_document)
        # A document that was deleted and created again is another one.
        same = document is not None and document.created_time == observation.document.created_time
        if document is not None and same and (document.version, document.state) == (base, observation.document.state):
            fields = document_fields(self._pass.spec, document, key, secret, in_flight.intent.id)
            sent_before = in_flight.publish_sent
            self._pass.in_flight = in_flight = replace(
                in_flight, publish_sent=True
            )  # before the call: its answer may never come
            try:
                self._pass.vault.write_document(self._pass.spec.path, fields, cas=base)
            except (Conflict, Indeterminate) as error:
                # Only an observation shows it: a lost answer says nothing, and a conflict may be
                # with this actor's own earlier write.
                self._pass.emit("pass.interrupted", kind=error.kind, message=str(error))
            except ServiceError as error:
                self._pass.in_flight = in_flight = replace(in_flight, publish_sent=sent_before)  # surely not executed
                if not isinstance(error, Unavailable) or self.too_late(in_flight):
                    self._pass.in_flight = replace(in_flight, failure=RotationFailure(error.kind, str(error)))
                    return
                yield from self._pass.wait_until(self._pass.now() + RETRY_DELAY)
                return
            document = yield from self._read_patiently(self._held(), self._pass.read_document)
        if document is None:
            in_flight = self._held()
            self._pass.in_flight = replace(
                in_flight,
                secret=None,
                failure=RotationFailure(Reason.VAULT_UNAVAILABLE, "Vault did not come back in time to publish"),
            )
            return
        if document.published == key.access_key:
            self._pass.emit(
                "rotation.published",
                rotation_id=in_flight.intent.id,
                access_key=key.access_key,
                version=document.version,
                reason=in_flight.intent.reason,
            )
        elif document.version == base and self.too_late(self._held()):
            failure = RotationFailure(Reason.PUBLISH_TIMEOUT, "Vault did not take the publish in time")
            self._pass.in_flight = replace(self._held(), secret=None, failure=failure)
            return
        elif document.version == base:
            yield from self._pass.wait_until(self._pass.now() + RETRY_DELAY / 4)
        if document.published not in {observation.document.published, key.access_key}:
            raise ObservationStale  # a third key is published: the next observation looks it up at the provider
        presence = Presence.LISTED if document.published == key.access_key else observation.presence
        self._pass.observation = replace(observation, document=document, presence=presence, published_probe=None)

    def _read_patiently(
        self, in_flight: InFlightRotation, read: Callable[[], CredentialDocument]
    ) -> Generator[datetime, None, CredentialDocument | None]:
        """Read while a secret waits: a Vault that is away may come back before the time is up. None
        when it did not."""
        while True:
            try:
                return read()
            except Unavailable as error:
                self._pass.emit("pass.interrupted", kind=error.kind, message=str(error))
            if self.too_late(in_flight):
                return None
            yield from self._pass.wait_until(self._pass.now() + RETRY_DELAY)

    def too_late(self, in_flight: InFlightRotation) -> bool:
        """Whether the time to publish the new key is over."""
        return in_flight.publish_by is not None and self._pass.now() >= in_flight.publish_by

    def _held(self) -> InFlightRotation:
        return require(self._pass.in_flight)

    def _unpublished(self, in_flight: InFlightRotation) -> tuple[Key, Secret]:
        return require(in_flight.key), require(in_flight.secret)

    def fence(self, observation: Observation) -> None:
        """Move the document on by one version, which no publish based on this one survives. Where
        there is no document, check-and-set 0 writes an empty one: a first key may be about to be
        published as well. A last look at the ledger spares a rotation that was claimed meanwhile;
        one at the document narrows the time in which a document that is recreated at the same
        version would be overwritten. Raises ``ObservationStale``."""
        _, ledger_version = self._pass.vault.read_ledger(self._pass.configured.application)
        if ledger_version != observation.ledger_version:
            raise ObservationStale
        document, latest = observation.document, self._pass.read_document()
        if (latest.version, latest.state, latest.created_time) != (
            document.version,
            document.state,
            document.created_time,
        ):
            raise ObservationStale
        fields = (
            {**document.fields, self._pass.spec.secret_field: document.secret} if document.secret else document.fields
        )
        compromised = ApplicationState(self._pass.configured, observation).ledger.compromised_keys()
        # Kept before the write: if its answer is lost and the version is there, it need not be
        # known who wrote it.
        self._pass.local_state.fence = Fence(document.version + 1, compromised)
        try:
            version, _ = self._pass.vault.write_document(self._pass.spec.path, fields, cas=document.version)
        except (PermissionDenied, Rejected) as error:
            self._pass.refused_fence = error
            self._pass.observation = replace(observation, fence_refused=True)
            return
        self._pass.emit("document.fenced", access_key=document.published or "", version=version)
        raise ObservationStale
