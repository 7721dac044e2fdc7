"""The rules that read the credential document: what forbids acting at all, and how the ledger follows (rules 6, 11, 14)."""

from __future__ import annotations

from rotator.decision.classification import Disposition
from rotator.decision.observation import Presence
from rotator.decision.state import ACCOUNT_SUSPECT_THRESHOLD, ApplicationState
from rotator.decision.steps import Event, ProbePublished, ReadVersions, Step, WriteLedger
from rotator.decision.transitions import commit_published, mark_republished
from rotator.domain.document import DocumentState
from rotator.domain.keys import ProbeResult

# --- what forbids acting at all ---


def configuration_moved(case: ApplicationState) -> Step | None:
    """A ledger that speaks of another account, bearer or path is not a guide to this one (rule 11)."""
    ledger, policy = case.ledger, case.policy
    for word, before, after in (
        ("account", ledger.account, policy.account),
        ("bearer", ledger.bearer, policy.bearer),
        ("path", ledger.path, policy.path),
    ):
        if before != after:
            return case.block(
                "moved",
                f"the {word} of {policy.application} was {before} and is now {after}: put it back,"
                " or give the application a new name so that the old one can be wound up",
                record=False,
            )
    if (ledger.access_field, ledger.secret_field) != (policy.access_field, policy.secret_field):
        return case.block(
            "fields_renamed",
            f"the fields that hold the key of {policy.application} were renamed from {ledger.access_field} and"
            f" {ledger.secret_field}: put the old names back, or give the application a new name and path",
            record=False,
        )
    return None


def document_stale(case: ApplicationState) -> Step | None:
    """A document older than what is known is stale, restored or recreated: take no step (rule 14)."""
    known = max(case.ledger.highest_version(), case.seen.floor)
    version = case.seen.document.version
    if version < known:
        return case.block(
            "stale",
            f"the credential document of {case.policy.application} is at version {version}, but version {known} is known to exist:"
            " the answer is stale, or the document was restored or recreated; nothing is touched",
            record=False,
        )
    for key, marker in case.unnamed:
        if case.fate(key, marker) is Disposition.RESTORED:
            return case.block(
                "restored",
                f"key {key.access_key} was made for version {marker.base} of the credential document of {case.policy.application},"
                f" which is now at version {version}: it was restored or recreated; nothing is touched",
            )
    return None


# --- the ledger follows the document ---


def document_unusable(case: ApplicationState) -> Step | None:
    """A document that a person deleted, damaged or emptied is their decision: revoke nothing, create nothing (rules 6, 11)."""
    document, name = case.seen.document, case.policy.application
    if case.seen.held is not None:
        return None  # the rotation in memory is ended first: it may hold a key that nobody else knows
    if document.state is DocumentState.DELETED:
        return case.block(
            "document_deleted",
            f"the credential document of {name} was deleted: undelete it in Vault, or remove its metadata and its ledger to begin anew",
        )
    if document.state is DocumentState.LIVE and document.access_key is not None and document.secret is None:
        return case.block(
            "document_damaged",
            f"the credential document of {name} names key {document.access_key} but holds no secret: write a sound version, or roll it back",
        )
    if document.state is DocumentState.LIVE and document.access_key is None:
        if document.secret is not None:
            return case.block(
                "document_damaged",
                f"the credential document of {name} holds a secret but names no key: write a sound version, or roll it back",
            )
        if case.unread_versions:
            return ReadVersions(case.unread_versions)
        if case.ledger.current is not None or _had_published(case):
            return case.block(
                "document_emptied",
                f"the credential document of {name} no longer holds a key: roll it back in Vault, or remove the ledger to begin anew",
            )
    return None


def _had_published(case: ApplicationState) -> bool:
    """Whether a key of ours with a base above 0 was published, as far as can be told: then this is not a first key (rule 11)."""
    return any(
        marker.base > 0 and case.fate(key, marker) in (Disposition.PUBLISHED, Disposition.ASSUMED) for key, marker in case.unnamed
    )


def sync_ledger(case: ApplicationState) -> Step | None:
    """The ledger follows the document (rule 6): this commits a rotation, finishes one cut short, digests a rollback."""
    if case.published is None or case.seen.document.secret is None:
        return None  # nothing that could be tried; `document_gone` says so once no rotation is held any more
    seen, name = case.seen, case.policy.application
    if case.published_is_dying:
        return _note_republished(case)
    healthy = seen.sight is Presence.LISTED and not case.published_has_expired
    if case.settled and healthy:
        return None
    if seen.sight is Presence.FOREIGN:
        return case.block(
            "foreign_key",
            f"the credential document of {name} holds key {case.published}, which belongs to another bearer or is no key at all: publish one of its own keys",
        )
    if not case.published_is_ours_just_proven:
        if seen.proof is None:
            return ProbePublished()
        if seen.proof is ProbeResult.UNCLEAR and not case.published_is_compromised:
            return case.block(
                "unproven", f"the published key of {name} could not be tried: no clear answer from the provider", record=False
            )
        if seen.proof is ProbeResult.REFUSED:
            return _refused(case)
    if case.settled or seen.proof is ProbeResult.UNCLEAR:
        return None
    if _may_live_longer(case) and not case.skipped <= set(seen.versions):
        return ReadVersions(case.skipped - set(seen.versions))
    return _commit(case)


def _may_live_longer(case: ApplicationState) -> bool:
    """Whether a key that is on its way out could have been published again, and replaced again, while nobody looked."""
    return bool(case.ledger.retiring or case.ledger.revoking)


def _note_republished(case: ApplicationState) -> Step | None:
    """A condemned key that a person published again is noted before anything else, so that it gets its grace (rule 8)."""
    entry = next(entry for entry in case.ledger.revoking if entry.access_key == case.published)
    if entry.republished or case.published_is_compromised:
        return None
    event = Event("key.republished", {"access_key": entry.access_key})
    return WriteLedger(mark_republished(case.ledger, entry.access_key), (event,))


def _refused(case: ApplicationState) -> Step | None:
    name = case.policy.application
    if not case.seen.bearer_seen:
        return case.block(
            "bearer_gone",
            f"the provider does not know the bearer {case.policy.bearer} of {name}: check its id and the account, nothing is touched",
        )
    if not case.published_is_dead and not case.published_is_compromised:
        return case.block(
            "secret_refused",
            f"the secret in the credential document of {name} does not belong to key {case.published}: publish the right one, or roll back",
        )
    if case.seen.dead_elsewhere >= ACCOUNT_SUSPECT_THRESHOLD and case.seen.request is None and not case.published_is_compromised:
        return case.block(
            "many_dead",
            f"the published key of {name} looks dead, and so do those of other applications: check organization and address of account"
            f" {case.policy.account}; if they really died, run: rotator rotate {name}",
        )
    return None  # consumers are down: see `replace_at_once`


def _commit(case: ApplicationState) -> Step:
    seen, document = case.seen, case.seen.document
    held = seen.held
    key = seen.key(case.published) or (held.key if held else None)
    marker = seen.marker(key, case.policy.application) if key else None
    ledger, events = commit_published(
        case.ledger, document, key, marker, case.policy, seen.clocks, case.held_meanwhile, more=case.more_meanwhile
    )
    return WriteLedger(ledger, events)
