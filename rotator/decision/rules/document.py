"""The rules about the credential document: what forbids acting, and how the ledger follows it
(rules 6, 11, 14)."""

from __future__ import annotations

from rotator.decision.blocking import block, other_keys, uncontained
from rotator.decision.classification import Disposition
from rotator.decision.observation import Presence
from rotator.decision.state import ACCOUNT_SUSPECT_THRESHOLD, ApplicationState
from rotator.decision.steps import Event, ProbePublished, ReadVersions, Step, WriteLedger
from rotator.decision.transitions.publication import commit_published
from rotator.decision.transitions.revocation import mark_republished
from rotator.decision.unconfigured_fields import fields_line
from rotator.domain.document import DocumentState
from rotator.domain.keys import ProbeResult
from rotator.domain.ledger import Ledger
from rotator.domain.reasons import Reason
from rotator.domain.spec import ApplicationSpec

# --- what forbids acting at all ---


def configuration_mismatch(spec: ApplicationSpec, ledger: Ledger) -> tuple[Reason, str] | None:
    """What in the configuration contradicts the ledger; None if nothing does."""
    for word, before, after in (
        ("account", ledger.account, spec.account),
        ("bearer", ledger.bearer, spec.bearer),
        ("path", ledger.path, spec.path),
    ):
        if before != after:
            return Reason.CONFIGURATION_MOVED, f"the {word} of {spec.application} was {before} and is now {after}"
    recorded = (ledger.access_field, ledger.secret_field)
    if ledger.current is not None and recorded != (spec.access_field, spec.secret_field):
        return (
            Reason.FIELDS_RENAMED,
            (
                f"the fields that hold the key of {spec.application} were renamed from {ledger.access_field} and "
                f"{ledger.secret_field}"
            ),
        )
    return None


def configuration_moved(state: ApplicationState) -> Step | None:
    """Blocks if the ledger is of another account, bearer or path (rule 11)."""
    found = configuration_mismatch(state.spec, state.ledger)
    return block(state, *found, remark=uncontained(state)) if found else None


def document_unreadable(state: ApplicationState) -> Step | None:
    """Blocks if Vault does not permit to read the document: it is not known to be empty (rule
    11)."""
    if state.observation.document.state is not DocumentState.UNREADABLE:
        return None
    observed = f"the credential document of {state.spec.application} cannot be read"
    return block(state, Reason.DOCUMENT_UNREADABLE, observed, remark=uncontained(state))


def document_stale(state: ApplicationState) -> Step | None:
    """Blocks if the document is older than its known versions: stale, restored or recreated (rule
    14)."""
    known, version = state.known_version, state.observation.document.version
    if version < known:
        return block(
            state,
            # Every process sees the ledger; ``floor`` is what this process alone has observed.
            Reason.DOCUMENT_RESTORED if version < state.ledger.highest_version() else Reason.DOCUMENT_STALE,
            f"the credential document of {state.spec.application} is at version {version}, but version {known} is "
            "known to exist, so nothing is touched",
            remark=other_keys(state) + uncontained(state),
        )
    for key, marker in state.unaccounted_keys:
        if state.disposition(key, marker) is Disposition.RESTORED:
            return block(
                state,
                Reason.DOCUMENT_RESTORED,
                f"key {key.access_key} was made for version {marker.base} of the credential document of "
                f"{state.spec.application}, which is now at version {version}, so nothing is touched",
                remark=other_keys(state) + uncontained(state),
            )
    return None


# --- the ledger follows the document ---


def document_unusable(state: ApplicationState) -> Step | None:
    """Blocks if a person deleted, damaged or emptied the document: revokes nothing, creates nothing
    (rules 6, 11)."""
    document, name = state.observation.document, state.spec.application
    if state.observation.in_flight is not None:
        return None  # the rotation in memory ends first: it may hold a key that no other process knows
    if document.state is DocumentState.DELETED and document.expired:
        return block(
            state, Reason.DOCUMENT_EXPIRES, f"version {document.version} of the credential document of {name} expired"
        )
    if document.state is DocumentState.DELETED:
        return block(
            state, Reason.DOCUMENT_DELETED, f"the credential document of {name} was deleted", remark=other_keys(state)
        )
    if document.state is DocumentState.LIVE and document.access_key is not None and document.secret is None:
        return block(
            state,
            Reason.DOCUMENT_DAMAGED,
            f"the credential document of {name} names key {document.access_key} but holds no text that can be its "
            "secret",
            remark=uncontained(state),
        )
    if document.state is DocumentState.LIVE and document.access_key is None:
        if document.secret is not None:
            return block(
                state, Reason.DOCUMENT_DAMAGED, f"the credential document of {name} holds a secret but names no key"
            )
        if state.unobserved_versions:
            return ReadVersions(state.unobserved_versions)
        if state.ledger.current is not None or _had_published(state):
            observed = f"the credential document of {name} no longer holds a key"
            return block(state, Reason.DOCUMENT_EMPTIED, observed, remark=other_keys(state))
    return None


def key_in_other_field(state: ApplicationState) -> Step | None:
    """Blocks if consumers may read a key in a field that no rotation replaces: creates and revokes
    nothing (rules 8, 11)."""
    if not state.keys_in_other_fields or not state.spec.configured:
        return None
    spec, document, name = state.spec, state.observation.document, state.spec.application
    access_key, field = min(state.keys_in_other_fields.items(), key=lambda found: (found[0] == state.published, found))
    line = fields_line(document, field, spec.fields)
    way_out = f"write {line} into [applications.{name}]"
    if state.ledger.current is not None:
        way_out = (
            f"remove it from there once no consumer reads it, or remove the ledger of {name} in Vault and {way_out}"
        )
    observed = (
        f"the credential document {spec.path} of {name} holds key {access_key} in the field {field}, which is none of "
        f"its fields ({spec.access_field} and {spec.secret_field}), so consumers may read a key that a rotation would "
        f"not replace: {way_out}"
    )
    return block(state, Reason.KEY_IN_OTHER_FIELD, observed, remark=uncontained(state))


def _had_published(state: ApplicationState) -> bool:
    """Whether a tagged key with a base above 0 was or may have been published, so that this is not
    the first key (rule 11)."""
    return any(
        marker.base > 0 and state.disposition(key, marker) in (Disposition.PUBLISHED, Disposition.ASSUMED)
        for key, marker in state.unaccounted_keys
    )


def sync_ledger(state: ApplicationState) -> Step | None:
    """Makes the ledger follow the document (rule 6): commits a rotation, finishes an interrupted
    one, accepts a rollback."""
    if state.published is None or state.observation.document.secret is None:
        return None  # nothing to probe; `document_unusable` reports it once no rotation is in memory
    observation, name = state.observation, state.spec.application
    if state.published_is_revoking:
        return _note_republished(state)
    healthy = observation.presence is Presence.LISTED and not state.published_has_expired
    if state.ledger_in_sync and healthy:
        return None
    if observation.presence is Presence.FOREIGN:
        return block(
            state,
            Reason.FOREIGN_KEY,
            f"the credential document of {name} holds key {state.published}, which belongs to another bearer or is no "
            "key at all",
        )
    if not state.published_just_verified_here:
        if observation.published_probe is None:
            return ProbePublished()
        if observation.published_probe is ProbeResult.INCONCLUSIVE and not state.published_is_compromised:
            return block(
                state,
                Reason.PROBE_INCONCLUSIVE,
                f"the published key of {name} could not be probed: no clear answer from the provider",
            )
        if observation.published_probe is ProbeResult.REJECTED:
            return _refused(state)
        if (
            observation.published_probe is ProbeResult.VALID
            and observation.presence is Presence.GONE
            and not state.published_is_compromised
        ):
            return block(
                state,
                Reason.WRONG_ACCOUNT,
                f"the published key {state.published} of {name} works, and account {state.spec.account} has no such "
                "key",
            )
    if state.ledger_in_sync or observation.published_probe is ProbeResult.INCONCLUSIVE:
        return None
    if _may_live_longer(state) and not state.skipped_versions <= set(observation.versions):
        return ReadVersions(state.skipped_versions - set(observation.versions))
    return _commit(state)


def _may_live_longer(state: ApplicationState) -> bool:
    """Whether a key in grace or revoking could have been published and replaced again between two
    passes."""
    return bool(state.ledger.retiring or state.ledger.revoking)


def _note_republished(state: ApplicationState) -> Step | None:
    """Records first that a key scheduled for revocation is published again, so that it gets its
    grace (rule 8)."""
    entry = next(entry for entry in state.ledger.revoking if entry.access_key == state.published)
    if entry.republished or state.published_is_compromised:
        return None
    event = Event("key.republished", {"access_key": entry.access_key})
    return WriteLedger(mark_republished(state.ledger, entry.access_key), (event,))


def bearer_gone(state: ApplicationState) -> Step:
    """Blocks because the provider does not know the bearer, so no key can be created."""
    return block(
        state,
        Reason.BEARER_GONE,
        f"the provider does not know the bearer {state.spec.bearer} of {state.spec.application}, so nothing is touched",
        remark=uncontained(state),
    )


def _refused(state: ApplicationState) -> Step | None:
    name = state.spec.application
    if not state.observation.bearer_observed:
        return bearer_gone(state)
    if not state.published_is_invalid and not state.published_is_compromised:
        return block(
            state,
            Reason.SECRET_REJECTED,
            f"the secret in the credential document of {name} does not belong to key {state.published}",
        )
    if (
        state.observation.invalid_elsewhere >= ACCOUNT_SUSPECT_THRESHOLD
        and state.observation.request is None
        and not state.published_is_compromised
    ):
        return block(
            state,
            Reason.MANY_KEYS_INVALID,
            f"the published key of {name} does not authenticate, and neither do those of other applications of its "
            "account",
        )
    return None  # consumers have no valid key: see `rotate_urgently`


def _commit(state: ApplicationState) -> Step:
    observation, document = state.observation, state.observation.document
    in_flight = observation.in_flight
    key = observation.key(state.published) or (in_flight.key if in_flight else None)
    marker = observation.marker(key, state.names) if key else None
    ledger, events = commit_published(
        state.ledger,
        document,
        key,
        marker,
        state.spec,
        observation.clocks,
        state.published_meanwhile,
        more=state.missed_versions,
    )
    return WriteLedger(ledger, events)
