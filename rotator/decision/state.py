"""The state of an application at one instant, with the derived facts that the rules use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rotator.decision.classification import Disposition, classify, wanted_versions
from rotator.decision.observation import Observation, Presence
from rotator.decision.steps import Event, Step, Wait, WriteLedger
from rotator.decision.transitions.publication import new_ledger
from rotator.decision.unconfigured_fields import keys_in_other_fields
from rotator.domain.document import DocumentState
from rotator.domain.due_time import Due, plan_rotation
from rotator.domain.keys import Key, ProbeResult
from rotator.domain.ledger import CurrentKey, Intent, Ledger, Predecessor, RevokingKey, RotationMode
from rotator.domain.marker import Marker
from rotator.domain.spec import ApplicationSpec
from rotator.domain.status import NextAction
from rotator.util.cached import cached_property

RETRY_INTERVAL = timedelta(seconds=30)
"""Time until the next observation if a problem may clear by itself."""

TAKEOVER_MARGIN = timedelta(seconds=5)
"""How long after its verification timeout an emergency of another process is taken over."""

MAX_SCHEDULED_LIVE_KEYS = 3
"""Maximum of valid tagged keys of one application without a request: current, in grace, being
created."""

KEPT_VERSIONS = 10
"""Versions of a document that KV version 2 keeps by default."""

MAX_BACKOFF = timedelta(hours=2)
"""Longest backoff after failures; a later time was written by a wrong clock."""

ACCOUNT_SUSPECT_THRESHOLD = 2
"""How many other applications of the account with an invalid published key make the account
suspect."""


@dataclass(frozen=True)
class ApplicationState:
    """One application at one instant: spec and observation, with the facts derived from both."""

    spec: ApplicationSpec
    observation: Observation

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, or a new one if Vault has none."""
        return self.observation.ledger or new_ledger(self.spec)

    @property
    def now(self) -> datetime:
        """The time of this machine's clock; deadlines use all three clocks."""
        return self.observation.clocks.ours

    @property
    def published(self) -> str | None:
        """The access key that consumers read."""
        return self.observation.document.published

    @property
    def on_hold(self) -> bool:
        """Whether an operator's hold is in force: its end has not passed on every clock."""
        return self.ledger.held(self.observation.clocks.earliest)

    @property
    def override_hold(self) -> frozenset[str]:
        """The compromised keys to which no hold applies, at an operator's request."""
        return frozenset(mark.access_key for mark in self.ledger.compromised if mark.override_hold)

    def blocked_by_hold(self, access_key: str | None) -> bool:
        """Whether a hold delays an emergency about this key."""
        return self.on_hold and access_key not in self.override_hold

    @property
    def trusted_clocks(self) -> bool:
        """Whether the clocks agree well enough for revocations."""
        return self.observation.clocks.spread <= self.spec.max_clock_skew

    @property
    def ledger_in_sync(self) -> bool:
        """Whether the ledger matches the observed document."""
        current = self.ledger.current
        if current is None:
            return self.published is None
        document = self.observation.document
        same = current.written is None or current.written == document.created_time
        return same and (current.access_key, current.version) == (self.published, document.version)

    @property
    def known_version(self) -> int:
        """The highest version of the document that is known to exist."""
        return max(self.ledger.highest_version(), self.observation.floor)

    @property
    def document_in_doubt(self) -> bool:
        """Whether the published key is unknown: the document cannot be read, or is older than
        known."""
        document = self.observation.document
        return document.state is DocumentState.UNREADABLE or document.version < self.known_version

    @cached_property
    def keys_in_other_fields(self) -> dict[str, str]:
        """The bearer's keys in fields of the document that the configuration does not name, each
        with its field."""
        return keys_in_other_fields(self.observation.document, self.observation.keys, self.spec.fields)

    def surely_unpublished(self, access_key: str) -> bool:
        """Whether consumers certainly do not read this key. If the document is in doubt, this holds
        for a key that the ledger saw replaced, and if the document can be read and shows another
        key, for one that was not made for this application."""
        if access_key == self.published:
            return False
        if not self.document_in_doubt:
            # A key that the ledger saw published and replaced is contained: otherwise a writer of
            # the document could disable that.
            return access_key not in self.keys_in_other_fields or self.was_published(access_key)
        if self.ledger.current is not None and access_key == self.ledger.current.access_key:
            return False
        if self.was_published(access_key):
            return True
        tagged = any(key.access_key == access_key for key, _ in self.tagged_keys)
        return not tagged and self.observation.document.state is not DocumentState.UNREADABLE

    def was_published(self, access_key: str) -> bool:
        """Whether the ledger knows that consumers have read the key."""
        current = {self.ledger.current.access_key} if self.ledger.current else set()
        leaving = {entry.access_key for entry in self.ledger.retiring} | {
            entry.access_key for entry in self.ledger.revoking
        }
        return access_key in current | leaving

    @property
    def published_is_revoking(self) -> bool:
        """Whether the published key is scheduled for revocation."""
        return self.published is not None and self.ledger.is_revoking(self.published)

    @property
    def published_is_compromised(self) -> bool:
        """Whether the published key is compromised."""
        return self.published in self.ledger.compromised_keys()

    @property
    def published_is_invalid(self) -> bool:
        """Whether the published key is certainly invalid: rejected, and gone or expired, while its
        bearer exists."""
        return (
            self.published is not None
            and self.observation.published_probe is ProbeResult.REJECTED
            and self.observation.bearer_observed
            and (self.observation.presence is Presence.GONE or self.published_has_expired)
        )

    @property
    def published_has_expired(self) -> bool:
        """Whether the published key has expired at the provider, on every clock."""
        key = self.observation.key(self.published)
        return key is not None and key.expired(self.observation.clocks.earliest)

    @property
    def published_just_verified_here(self) -> bool:
        """Whether the document has exactly the pair of access key and secret that this process
        created and verified."""
        in_flight = self.observation.in_flight
        if in_flight is None or not in_flight.verified or in_flight.key is None or in_flight.secret is None:
            return False
        return in_flight.key.access_key == self.published and in_flight.secret == self.observation.document.secret

    @cached_property
    def names(self) -> frozenset[str]:
        """The current and former names of this application."""
        return frozenset({self.spec.application, *(one.application for one in self.ledger.predecessors)})

    @cached_property
    def tagged_keys(self) -> list[tuple[Key, Marker]]:
        """The bearer's keys with a marker of this application, under any of its names, oldest
        first."""
        found = [(key, self.observation.marker(key, self.names)) for key in self.observation.keys]
        return [(key, marker) for key, marker in found if marker is not None]

    @cached_property
    def unaccounted_keys(self) -> list[tuple[Key, Marker]]:
        """Tagged keys that neither the ledger nor the document accounts for. Evaluated only without
        a rotation in memory."""
        known = self.ledger.names() | self.ledger.published_elsewhere() | {self.published}
        return [(key, marker) for key, marker in self.tagged_keys if key.access_key not in known]

    def disposition(self, key: Key, marker: Marker) -> Disposition:
        """The disposition of an unaccounted key (rule 7)."""
        former = self.ledger.predecessor(marker.application)
        if former is not None and former.path != self.spec.path:
            return self._disposition_elsewhere(former, marker)
        return classify(
            key.access_key,
            marker,
            path=self.spec.path,
            document=self.observation.document,
            versions={**self.observation.versions, self.observation.document.version: self.observation.document},
        )

    def _disposition_elsewhere(self, former: Predecessor, marker: Marker) -> Disposition:
        """The disposition of a key for a document at a former path: while that document is at the
        base of the key, a process may still publish it there."""
        document = self.observation.former_documents.get(former.path)
        if former.access_key and (document is None or document.version <= marker.base):
            return Disposition.ELSEWHERE
        return Disposition.ASSUMED

    @property
    def unobserved_versions(self) -> frozenset[int]:
        """Versions of the document that classify unaccounted keys and that this pass has not
        read."""
        former = {one.application for one in self.ledger.predecessors if one.path != self.spec.path}
        markers = [marker for _, marker in self.unaccounted_keys if marker.application not in former]
        return wanted_versions(markers, self.observation.document) - set(self.observation.versions)

    @cached_property
    def skipped_versions(self) -> frozenset[int]:
        """Versions of the document between the ledger's and the current one, which no pass
        observed; at most the latest that Vault keeps. They include the ledger's version, to check
        that it is the same document, unless this process wrote the current version upon it."""
        version, current = self.observation.document.version, self.ledger.current
        known = current.version if current else 0
        first = known + 1 if self.published_just_verified_here else max(known, 1)
        return frozenset(range(max(first, version - KEPT_VERSIONS), version))

    @cached_property
    def published_meanwhile(self) -> frozenset[str]:
        """The keys that consumers may have read from the skipped versions, as far as these can be
        read."""
        found = [self.observation.versions.get(number) for number in self.skipped_versions]
        return frozenset(document.access_key for document in found if document and document.access_key)

    @cached_property
    def missed_versions(self) -> bool:
        """Whether consumers may have read other keys meanwhile that are unknown."""
        current, version = self.ledger.current, self.observation.document.version
        if current is not None and (
            version - current.version > KEPT_VERSIONS or not self._still_the_same_document(current)
        ):
            return True
        found = [self.observation.versions.get(number) for number in self.skipped_versions]
        return any(document is None or document.state is not DocumentState.LIVE for document in found)

    def _still_the_same_document(self, current: CurrentKey) -> bool:
        """Whether the ledger's version of the document still holds its key. A document that was
        deleted with its metadata and recreated counts versions from 1, and does not show what
        consumers read before."""
        known = self.observation.versions.get(current.version)
        if known is None:
            return self.published_just_verified_here
        return known.access_key == current.access_key and current.written in (None, known.created_time)

    @cached_property
    def possibly_pending(self) -> list[str]:
        """Unaccounted keys that another process may still publish."""
        return [
            key.access_key
            for key, marker in self.unaccounted_keys
            if self.disposition(key, marker) is Disposition.POSSIBLE
        ]

    @property
    def live_key_count(self) -> int:
        """How many tagged keys the provider lists; expired ones count in its quota too."""
        tagged_keys = {key.access_key for key, _ in self.tagged_keys}
        return sum(
            key.access_key in tagged_keys | self.ledger.names() | {self.published} for key in self.observation.keys
        )

    @property
    def urgent_mode(self) -> RotationMode | None:
        """Why consumers need another key at once; None if they do not."""
        if self.published_is_compromised:
            return RotationMode.COMPROMISED
        if self.published_is_revoking or self.published_is_invalid:
            return RotationMode.RECOVERY
        return None

    def takeover_at(self, intent: Intent) -> datetime:
        """When the intent of another owner may be replaced. A claim from the future counts as old,
        since a clock was changed."""
        if intent.owner == self.observation.owner or self.observation.owner_gone:
            return self.now
        if self.published_is_compromised and not intent.mode.urgent:
            return self.now
        timeout = self.spec.stale_claim_timeout
        if self.urgent_mode and self.spec.configured:
            timeout = min(timeout, self.spec.emergency_verification.timeout + TAKEOVER_MARGIN)
        if intent.claimed_at > self.observation.clocks.latest + timeout:
            return self.now
        return intent.claimed_at + timeout

    @cached_property
    def scheduled_rotation(self) -> Due | None:
        """The next scheduled rotation of the current key and its start, on the earliest clock; None
        without one."""
        ledger = self.ledger
        if ledger.current is None or not self.spec.configured:
            return None
        # A failed or stopped rotation started in its turn already, and has its own backoff.
        begun = ledger.failures > 0 or ledger.problem is not None
        spec = replace(self.spec, startup_spread=timedelta(0)) if begun else self.spec
        return plan_rotation(spec, ledger.current, self.observation.clocks.earliest)

    @property
    def in_backoff(self) -> bool:
        """Whether an earlier failure delays the next attempt. A request, or a time beyond the
        longest backoff, is not delayed."""
        not_before = self.ledger.not_before
        if self.observation.request is not None or not_before is None:
            return False
        return self.now < not_before <= self.now + MAX_BACKOFF

    def may_delete(self, entry: RevokingKey) -> bool:
        """Whether a key scheduled for revocation may be deleted now; `contain_compromised` handles
        compromised ones."""
        key = self.observation.key(entry.access_key)
        if entry.access_key == self.published or (key is not None and not key.revocable):
            return False
        if entry.access_key in self.ledger.published_elsewhere():
            return False
        if not self.ledger_in_sync:
            return False  # before that it is unknown whether the key was published again
        if not entry.republished:
            return True
        return entry.not_before is not None and self.trusted_clocks and self.observation.clocks.passed(entry.not_before)

    def wait(self, following: NextAction) -> Step:
        """Waits for the next action; first removes a problem from the ledger that has cleared."""
        if self.observation.ledger and self.ledger.problem and self.ledger.failures == 0:
            cleared = Event("application.recovered", {"reason": self.ledger.problem.reason})
            return WriteLedger(replace(self.ledger, problem=None), (cleared,))
        until = max(min(following.at, self.now + self.spec.resync_interval), self.now)
        return Wait(until, following.action, following.reason, self.ledger.problem)
