"""Revokes a key: deletes it, verifies the revocation, and destroys the versions that hold its
secret."""

from __future__ import annotations

from dataclasses import replace

from rotator.decision.observation import DestroyedVersions, Observation
from rotator.decision.steps import DeleteKey, DestroyVersions, VerifyRevocation
from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.keys import ProbeResult
from rotator.domain.secret import Secret
from rotator.errors import (
    ConfigurationError,
    Indeterminate,
    LedgerUnreadable,
    PermissionDenied,
    Rejected,
    ServiceError,
    Unavailable,
)
from rotator.reconciler.pass_state import ObservationStale, PassState, Waits, require


class Revoker:
    """Carries out the steps of a pass that revoke a key."""

    def __init__(self, current: PassState) -> None:
        self._pass = current

    def delete(self, step: DeleteKey, observation: Observation) -> None:
        """Read the document once more, then delete the key: no call stands between the two, since a
        person may publish the key again meanwhile. Raises ``ObservationStale`` when the document
        moved on or holds the key."""
        try:
            if observation.key(step.access_key) is None:
                self._require_own(step.access_key)
        except (PermissionDenied, Rejected) as error:
            self._refused(step, observation, error)
            return
        document = self._pass.find_document(observation.ledger)
        if (document.version, document.state) != (observation.document.version, observation.document.state):
            raise ObservationStale
        if document.published == step.access_key and not step.even_if_published:
            raise ObservationStale
        try:
            done = self._pass.provider.delete_key(step.access_key)
        except (PermissionDenied, Rejected) as error:
            self._refused(step, observation, error)
            return
        except Indeterminate as error:
            self._pass.emit(
                "key.delete_unconfirmed", access_key=step.access_key, reason=step.reason, message=str(error)
            )
            observation = replace(observation, unconfirmed={**observation.unconfirmed, step.access_key: str(error)})
        else:
            self._pass.emit("key.deleted", access_key=step.access_key, reason=step.reason, already_gone=not done)
        self._pass.observation = observation.without_key(step.access_key)

    def _refused(self, step: DeleteKey, observation: Observation, error: ServiceError) -> None:
        self._pass.observation = replace(
            observation, undeletable={**observation.undeletable, step.access_key: str(error)}
        )

    def _require_own(self, access_key: str) -> None:
        """Raise ``Rejected`` unless the key is absent or belongs to this bearer: a ledger may be
        wrong, or forged."""
        key = self._pass.provider.get_key(access_key)
        if key is not None and key.bearer != self._pass.spec.bearer:
            raise Rejected(
                f"key {access_key} is scheduled for revocation in the ledger of {self._pass.spec.application} and "
                "belongs to another bearer: it is not deleted; a person edited that ledger, so look at its earlier "
                "versions in Vault",
                service=self._pass.provider.name,
                kind="foreign_key",
            )

    def destroy(self, step: DestroyVersions, observation: Observation) -> None:
        """Destroy the versions that hold the secret of a revoked key. Failure is reported and does
        not delay the pass."""
        try:
            if self._pass.unreadable is not None:
                raise self._pass.unreadable
            done = DestroyedVersions(self._destroy_secret(step, observation.document))
        except (ConfigurationError, PermissionDenied, Rejected, LedgerUnreadable) as error:
            self._pass.emit("versions.destroy_failed", access_key=step.access_key, message=str(error))
            done = DestroyedVersions(remark=str(error))
        else:
            self._pass.emit("versions.destroyed", access_key=step.access_key, versions=list(done.versions))
        self._pass.observation = replace(observation, destroyed={**observation.destroyed, step.access_key: done})

    def _destroy_secret(self, step: DestroyVersions, observation: CredentialDocument) -> tuple[int, ...]:
        """Destroy what holds the secret, below the newest version; which ones are destroyed now.
        The version that the ledger names may have been destroyed by a pass that was killed before
        it could say so. Raises ``ObservationStale`` when a last look finds another document: one
        that was recreated counts its versions anew."""
        older = [
            version
            for version in self._pass.vault.list_versions(self._pass.spec.path)
            if version.version < observation.version
        ]
        before = [version.version for version in older if version.destroyed and version.version == step.version]
        readable = [version.version for version in older if not version.deleted]
        holding = [number for number in readable if self._pass.read_version(number).access_key == step.access_key]
        if holding:
            now = self._pass.read_document()
            require(now if (now.version, now.created_time) == (observation.version, observation.created_time) else None)
            self._pass.vault.destroy_versions(self._pass.spec.path, holding)
        return tuple(sorted((*before, *holding)))

    def verify_revocation(self, step: VerifyRevocation, observation: Observation) -> Waits:
        """Probe until the key is refused, or absent by name, several times in a row; report it when
        the timeout is over before."""
        verification = self._pass.spec.emergency_verification if step.emergency else self._pass.spec.verification
        secret = self._old_secret(step)
        how = "refused" if secret else "gone, not probed"
        if secret is None and not self._pass.provider.bearer_exists(self._pass.spec.bearer):
            # An account that does not know the bearer knows none of its keys: that it has no such
            # key says nothing.
            still_valid = observation.still_valid | {step.access_key}
            self._pass.observation = replace(observation, bearer_observed=False, still_valid=still_valid)
            return
        give_up, in_a_row = self._pass.now() + verification.timeout, 0
        while True:
            verdict = self._probe_revoked(step.access_key, secret)
            if verdict is not ProbeResult.INCONCLUSIVE:
                in_a_row = in_a_row + 1 if verdict is ProbeResult.REJECTED else 0
            if in_a_row >= verification.successes and secret is not None and step.access_key in observation.unconfirmed:
                # No answer confirmed the DELETE, and expired and flapping keys are refused too: ask
                # by name as well.
                verdict = self._probe_revoked(step.access_key, None)
                in_a_row = in_a_row if verdict is ProbeResult.REJECTED else 0
            if in_a_row >= verification.successes:
                self._pass.observation = replace(observation, revoked={**observation.revoked, step.access_key: how})
                return
            again = self._pass.now() + verification.interval
            if again > give_up:
                self._pass.emit("key.revocation_unverified", access_key=step.access_key)
                self._pass.observation = replace(observation, still_valid=observation.still_valid | {step.access_key})
                return
            yield from self._pass.wait_until(again)

    def _probe_revoked(self, access_key: str, secret: Secret | None) -> ProbeResult:
        """What the key answers to its secret; without one, whether the provider still has it by
        name."""
        if secret is not None:
            return self._pass.provider.authenticate(access_key, secret)
        try:
            return ProbeResult.REJECTED if self._pass.provider.get_key(access_key) is None else ProbeResult.VALID
        except Unavailable:
            return ProbeResult.INCONCLUSIVE

    def _old_secret(self, step: VerifyRevocation) -> Secret | None:
        """The secret of the key, if the version that held it can still be read."""
        if step.version == 0:
            return None
        try:
            document = self._pass.read_version(step.version)
        except (LedgerUnreadable, PermissionDenied, Rejected):
            return None
        readable = document.state is DocumentState.LIVE and document.access_key == step.access_key
        return document.secret if readable else None
