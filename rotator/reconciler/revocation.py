"""Revokes a key: the DELETE, the verification, and the destruction of its stored secret."""

from __future__ import annotations

from dataclasses import replace

from rotator.decision.observation import DestroyedVersions, Observation
from rotator.decision.steps import DeleteKey, DestroyVersions, VerifyRevocation
from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.keys import ProbeResult
from rotator.domain.secret import Secret
from rotator.errors import ConfigurationError, Indeterminate, LedgerUnreadable, PermissionDenied, Rejected, Unavailable
from rotator.reconciler.observer import ObservationStale, ObservingPass, Waits, require


class RevokingPass(ObservingPass):
    """A pass as far as it revokes."""

    def delete(self, step: DeleteKey, observation: Observation) -> None:
        """Look at the document once more, then send the DELETE. Raises ``ObservationStale`` when the document moved on, or holds the key."""
        document = self.find_document(observation.ledger)
        if (document.version, document.state) != (observation.document.version, observation.document.state):
            raise ObservationStale
        if document.published == step.access_key and not step.even_if_published:
            raise ObservationStale
        try:
            if observation.key(step.access_key) is None:
                self.require_own(step.access_key)
            done = self.provider.delete_key(step.access_key)
        except (PermissionDenied, Rejected) as error:
            self.observation = replace(observation, undeletable={**observation.undeletable, step.access_key: str(error)})
            return
        except Indeterminate as error:
            self.emit("key.delete_unconfirmed", access_key=step.access_key, reason=step.reason, message=str(error))
            observation = replace(observation, unconfirmed={**observation.unconfirmed, step.access_key: str(error)})
        else:
            self.emit("key.deleted", access_key=step.access_key, reason=step.reason, already_gone=not done)
        self.observation = observation.without_key(step.access_key)

    def require_own(self, access_key: str) -> None:
        """A ledger may be wrong, or forged: what it condemns is deleted only if it is one of this bearer's, or gone."""
        key = self.provider.get_key(access_key)
        if key is not None and key.bearer != self.spec.bearer:
            raise Rejected(
                f"key {access_key} is scheduled for revocation in the ledger of {self.spec.application} and belongs to another bearer: it is not"
                " deleted; a person edited that ledger, so look at its earlier versions in Vault",
                service=self.provider.name,
                kind="foreign_key",
            )

    def destroy(self, step: DestroyVersions, observation: Observation) -> None:
        """Destroy what Vault still keeps of a revoked secret. Failure is reported and does not
        delay the pass."""
        try:
            if self.unreadable is not None:
                raise self.unreadable
            done = DestroyedVersions(self.destroy_secret(step, observation.document))
        except (ConfigurationError, PermissionDenied, Rejected, LedgerUnreadable) as error:
            self.emit("versions.destroy_failed", access_key=step.access_key, message=str(error))
            done = DestroyedVersions(remark=str(error))
        else:
            self.emit("versions.destroyed", access_key=step.access_key, versions=list(done.versions))
        self.observation = replace(observation, destroyed={**observation.destroyed, step.access_key: done})

    def destroy_secret(self, step: DestroyVersions, observation: CredentialDocument) -> tuple[int, ...]:
        """Destroy what holds the secret, below the newest version; which ones are destroyed now. The version that the ledger names
        may have been destroyed by a pass that was killed before it could say so. Raises ``ObservationStale`` when a last look finds
        another document: one that was recreated counts its versions anew."""
        older = [version for version in self.context.vault.list_versions(self.spec.path) if version.version < observation.version]
        before = [version.version for version in older if version.destroyed and version.version == step.version]
        readable = [version.version for version in older if not version.deleted]
        holding = [number for number in readable if self.read_version(number).access_key == step.access_key]
        if holding:
            now = self.read_document()
            require(now if (now.version, now.created_time) == (observation.version, observation.created_time) else None)
            self.context.vault.destroy_versions(self.spec.path, holding)
        return tuple(sorted((*before, *holding)))

    def verify_revocation(self, step: VerifyRevocation, observation: Observation) -> Waits:
        """See the key refused, or gone by name, several times in a row and within a bound; or say that it still answers."""
        verification = self.spec.emergency_verification if step.emergency else self.spec.verification
        secret = self.old_secret(step)
        how = "refused" if secret else "gone, not probed"
        if secret is None and not self.provider.bearer_exists(self.spec.bearer):
            # An account that does not know the bearer knows none of its keys: that it has no such key says nothing.
            still_valid = observation.still_valid | {step.access_key}
            self.observation = replace(observation, bearer_observed=False, still_valid=still_valid)
            return
        give_up, in_a_row = self.context.clock.now() + verification.timeout, 0
        while True:
            verdict = self.probe_revoked(step.access_key, secret)
            in_a_row = {ProbeResult.REFUSED: in_a_row + 1, ProbeResult.ALIVE: 0, ProbeResult.UNCLEAR: in_a_row}[verdict]
            if in_a_row >= verification.successes and secret is not None and step.access_key in observation.unconfirmed:
                # The DELETE is unconfirmed, and expired or irregular keys are rejected too: ask by
                # name as well.
                verdict = self.probe_revoked(step.access_key, None)
                in_a_row = in_a_row if verdict is ProbeResult.REFUSED else 0
            if in_a_row >= verification.successes:
                self.observation = replace(observation, revoked={**observation.revoked, step.access_key: how})
                return
            again = self.context.clock.now() + verification.interval
            if again > give_up:
                self.emit("key.revocation_unverified", access_key=step.access_key)
                self.observation = replace(observation, still_valid=observation.still_valid | {step.access_key})
                return
            yield from self.wait_until(again)

    def probe_revoked(self, access_key: str, secret: Secret | None) -> ProbeResult:
        """What the key answers to its secret; without one, whether the provider still has it by name."""
        if secret is not None:
            return self.provider.authenticate(access_key, secret)
        try:
            return ProbeResult.REFUSED if self.provider.get_key(access_key) is None else ProbeResult.ALIVE
        except Unavailable:
            return ProbeResult.UNCLEAR

    def old_secret(self, step: VerifyRevocation) -> Secret | None:
        """The secret of the key, if the version that held it can still be read."""
        if step.version == 0:
            return None
        try:
            document = self.read_version(step.version)
        except (LedgerUnreadable, PermissionDenied, Rejected):
            return None
        readable = document.state is DocumentState.LIVE and document.access_key == step.access_key
        return document.secret if readable else None
