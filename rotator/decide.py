"""The decision: from what was seen of one application, the one step to take next.

The problem: a key must be replaced while others read it, by actors that may be killed at any instant, whose answers get lost
and whose writes arrive late. The invariant: what consumers read works, and nothing is revoked that somebody may still need.
The end state: the published key is the ledger's current one, nothing is unaccounted for, and there is a time to look again.

``RULES`` reads as the specification. Each rule looks at the case and either returns a step or passes. They are ordered by what
must not wait: first what forbids acting at all, then what is compromised, then what holds a secret, then what consumers lack,
then the tidying, then the calendar. Every step leads to a new observation and a new decision, so a rule never plans ahead.

The life of a key::

      claim        create      prove, publish        follow               deadline          DELETE, proof
    ─────────▶ (nothing yet) ───▶ possible ───▶ published/current ───▶ retiring ───▶ revoking ───▶ dead, forgotten
                    │                │                                                  ▲
                    └─ abandoned ────┴── never published ──▶ leftover ──────────────────┘
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from rotator.judge import Fate, fate
from rotator.ledgers import (
    abandoned,
    condemned,
    died,
    followed,
    fresh_ledger,
    marked_republished,
    retired,
)
from rotator.marker import Marker, incarnation
from rotator.model import DocumentState, Intent, Key, Ledger, Mode, Policy, Revoking, Trouble, Verdict
from rotator.steps import (
    AskRoom,
    Create,
    Delete,
    Event,
    Fence,
    LetGo,
    Probe,
    Prove,
    ProveDeath,
    Publish,
    Record,
    Request,
    Room,
    Seen,
    Sight,
    Step,
    Wait,
)
from rotator.timing import due

SOON = timedelta(seconds=30)
"""How soon to look again when something is wrong that may clear by itself."""

TAKEOVER_MARGIN = timedelta(seconds=5)
"""How long beyond its proof an emergency of another process is given before it is taken over."""

ROOMY = 3
"""Live keys of ours that one application may have without a person's asking: the current one, one in grace, one being made."""

MANY_DEAD = 2
"""Other applications of the account whose published key looked dead lately; from here on it is the account that looks wrong."""


@dataclass(frozen=True)
class Case:
    """One application at one instant: what is wanted and what was seen, with the questions that rules ask of it."""

    policy: Policy
    seen: Seen

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, or an empty one where Vault has none yet."""
        return self.seen.ledger or fresh_ledger(self.policy)

    @property
    def now(self) -> datetime:
        """The time by our clock; deadlines ask all three."""
        return self.seen.clocks.ours

    @property
    def published(self) -> str | None:
        """The access key that consumers read."""
        return self.seen.document.published

    @property
    def held_back(self) -> bool:
        """Whether an operator holds this application: no claim and no revocation."""
        return self.ledger.hold is not None

    @property
    def trusted_clocks(self) -> bool:
        """Whether the clocks agree well enough to revoke by them."""
        return self.seen.clocks.spread <= self.policy.clock_tolerance

    @property
    def published_is_dying(self) -> bool:
        """Whether consumers read a key that has been condemned."""
        return self.published is not None and self.ledger.is_revoking(self.published)

    @property
    def published_is_compromised(self) -> bool:
        """Whether consumers read a key that is in the wrong hands."""
        return self.published in self.ledger.compromised_keys()

    @property
    def published_is_dead(self) -> bool:
        """Whether consumers read a key that is proven dead: refused, and gone or expired, while its bearer is seen."""
        return (
            self.published is not None
            and self.seen.proof is Verdict.REFUSED
            and self.seen.bearer_seen
            and (self.seen.sight is Sight.GONE or self.published_has_expired)
        )

    @property
    def published_has_expired(self) -> bool:
        """Whether the provider stopped accepting the published key because of its date, by every clock."""
        key = self.seen.key(self.published)
        return key is not None and key.expired(self.seen.clocks.earliest)

    @property
    def published_is_ours_just_proven(self) -> bool:
        """Whether the published key is the one that this very pass has made and proven."""
        held = self.seen.held
        return held is not None and held.proven and held.key is not None and held.key.access_key == self.published

    @cached_property
    def marked(self) -> list[tuple[Key, Marker]]:
        """The bearer's keys with our marker, oldest first."""
        found = [(key, self.seen.marker(key, self.policy.application)) for key in self.seen.keys]
        return [(key, marker) for key, marker in found if marker is not None]

    @cached_property
    def unnamed(self) -> list[tuple[Key, Marker]]:
        """Marked keys that neither the ledger nor the document nor a rotation in memory accounts for."""
        held = self.seen.held
        own = held.key.access_key if held and held.key else None
        known = self.ledger.names() | {self.published, own}
        return [(key, marker) for key, marker in self.marked if key.access_key not in known]

    def fate(self, key: Key, marker: Marker) -> Fate:
        """What became of an unnamed key (rule 7)."""
        return fate(
            key.access_key,
            marker,
            path=self.policy.path,
            document=self.seen.document,
            versions={**self.seen.versions, self.seen.document.version: self.seen.document},
        )

    @cached_property
    def possible(self) -> list[str]:
        """Unnamed keys that may still be published by somebody."""
        return [key.access_key for key, marker in self.unnamed if self.fate(key, marker) is Fate.POSSIBLE]

    @property
    def live_keys_of_ours(self) -> int:
        """How many keys of ours the provider lists, expired ones included: they count in its quota."""
        marked = {key.access_key for key, _ in self.marked}
        return sum(key.access_key in marked | self.ledger.names() | {self.published} for key in self.seen.keys)

    @property
    def urgent_mode(self) -> Mode | None:
        """Whether consumers must get another key at once, and why."""
        if self.published_is_compromised:
            return Mode.COMPROMISED
        if self.published_is_dying or self.published_is_dead:
            return Mode.DEAD
        return None

    @property
    def foreign_intent(self) -> Intent | None:
        """An intent in the ledger that is not the one held in memory."""
        intent, held = self.ledger.intent, self.seen.held
        return None if intent is None or (held and held.intent.id == intent.id) else intent

    def takeover_at(self, intent: Intent) -> datetime:
        """When an intent that is not ours may be replaced; a claim from the future counts as old (somebody's clock moved)."""
        if intent.owner == self.seen.owner or self.seen.owner_gone:
            return self.now
        if self.published_is_compromised and not intent.mode.urgent:
            return self.now
        patience = self.policy.takeover_after
        if self.urgent_mode:
            patience = min(patience, self.policy.prove_emergency.timeout + TAKEOVER_MARGIN)
        if intent.claimed_at > self.seen.clocks.latest + patience:
            return self.now
        return intent.claimed_at + patience

    # --- endings ---

    def wait(self, until: datetime, reason: str, message: str) -> Step:
        """Wait in peace; a trouble that the ledger still shows has cleared."""
        if self.seen.ledger and self.ledger.trouble and self.ledger.failures == 0:
            cleared = Event("application.recovered", {"reason": self.ledger.trouble.reason})
            return Record(replace(self.ledger, trouble=None), (cleared,))
        latest = self.now + self.policy.observe_every
        return Wait(max(min(until, latest), self.now), reason, message, self.ledger.trouble)

    def block(self, reason: str, message: str, *, until: datetime | None = None, record: bool = True) -> Step:
        """Say that nothing can be done, and why; the ledger shows it until it clears."""
        known = self.ledger.trouble
        trouble = Trouble(reason, message, known.since if known and known.reason == reason else self.now)
        if record and self.seen.ledger and (known is None or known.reason != reason):
            return Record(
                replace(self.ledger, trouble=trouble), (Event("application.blocked", {"reason": reason, "message": message}),)
            )
        return Wait(until or self.now + min(SOON, self.policy.observe_every), reason, message, trouble)


# --- what forbids acting at all -------------------------------------------------------------------------------------------


def moved(case: Case) -> Step | None:
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


def stale(case: Case) -> Step | None:
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
        if case.fate(key, marker) is Fate.RESTORED:
            return case.block(
                "restored",
                f"key {key.access_key} was made for version {marker.base} of the credential document of {case.policy.application},"
                f" which is now at version {version}: it was restored or recreated; nothing is touched",
            )
    return None


# --- what is compromised --------------------------------------------------------------------------------------------------


def contain(case: Case) -> Step | None:
    """Compromised and not published: revoke now, before anything else (rule 9)."""
    if case.held_back:
        return None
    ledger = case.ledger
    for mark in ledger.compromised:
        key, access_key = case.seen.key(mark.access_key), mark.access_key
        revoke_first = mark.mode == "revoke_first"
        if (access_key == case.published and not revoke_first) or access_key in case.seen.foreign:
            continue
        if key is not None and not key.touchable:
            continue
        if not ledger.is_revoking(access_key):
            return Record(
                condemned(ledger, access_key, _version_of(case, access_key), "compromised"),
                (_revoking(access_key, "compromised"),),
            )
        if access_key not in case.seen.deleted and access_key not in case.seen.dead:
            return Delete(access_key, "compromised", even_if_published=revoke_first)
    return None


def _version_of(case: Case, access_key: str) -> int:
    ledger = case.ledger
    if case.published == access_key:
        return case.seen.document.version
    if ledger.current and ledger.current.access_key == access_key:
        return ledger.current.version
    return next((entry.version for entry in ledger.retiring if entry.access_key == access_key), 0)


def _revoking(access_key: str, reason: str) -> Event:
    return Event("key.revoking", {"access_key": access_key, "reason": reason})


# --- what holds a secret --------------------------------------------------------------------------------------------------


def document_gone(case: Case) -> Step | None:
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
        if case.ledger.current is not None or _had_published(case):
            return case.block(
                "document_emptied",
                f"the credential document of {name} no longer holds a key: roll it back in Vault, or remove the ledger to begin anew",
            )
    return None


def _had_published(case: Case) -> bool:
    """Whether a key of ours with a base above 0 was published, as far as can be told: then this is not a first key (rule 11)."""
    return any(marker.base > 0 and case.fate(key, marker) in (Fate.PUBLISHED, Fate.ASSUMED) for key, marker in case.unnamed)


def follow(case: Case) -> Step | None:
    """The ledger follows the document (rule 6): this commits a rotation, finishes one cut short, digests a rollback."""
    if case.published is None:
        return None
    seen, ledger, name = case.seen, case.ledger, case.policy.application
    if case.published_is_dying:
        return _note_republished(case)
    current = ledger.current
    settled = current is not None and current.access_key == case.published and current.version == seen.document.version
    healthy = seen.sight is Sight.LISTED and not case.published_has_expired
    if settled and healthy:
        return None
    if seen.sight is Sight.FOREIGN:
        return case.block(
            "foreign_key",
            f"the credential document of {name} holds key {case.published}, which belongs to another bearer: publish one of its own keys",
        )
    if not case.published_is_ours_just_proven:
        if seen.proof is None:
            return Probe()
        if seen.proof is Verdict.UNCLEAR and not case.published_is_compromised:
            return case.block(
                "unproven", f"the published key of {name} could not be tried: no clear answer from the provider", record=False
            )
        if seen.proof is Verdict.REFUSED:
            return _refused(case)
    if settled or seen.proof is Verdict.UNCLEAR:
        return None
    return _commit(case)


def _note_republished(case: Case) -> Step | None:
    """A condemned key that a person published again is noted before anything else, so that it gets its grace (rule 8)."""
    entry = next(entry for entry in case.ledger.revoking if entry.access_key == case.published)
    if entry.republished or case.published_is_compromised:
        return None
    event = Event("key.republished", {"access_key": entry.access_key})
    return Record(marked_republished(case.ledger, entry.access_key), (event,))


def _refused(case: Case) -> Step | None:
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
    if case.seen.dead_elsewhere >= MANY_DEAD and case.seen.request is None and not case.published_is_compromised:
        return case.block(
            "many_dead",
            f"the published key of {name} looks dead, and so do those of other applications: check organization and address of account"
            f" {case.policy.account}; if they really died, run: rotator rotate {name}",
        )
    return None  # consumers are down: see `replace_at_once`


def _commit(case: Case) -> Step:
    seen, document = case.seen, case.seen.document
    held = seen.held
    key = seen.key(case.published) or (held.key if held else None)
    marker = seen.marker(key, case.policy.application) if key else None
    ledger, events = followed(case.ledger, document, key, marker, case.policy, seen.clocks)
    return Record(ledger, events)


def continue_held(case: Case) -> Step | None:
    """The rotation that this process holds in memory: create once, prove, publish, or end it cleanly (rules 3 to 5)."""
    held = case.seen.held
    if held is None:
        return None
    intent = case.ledger.intent
    if intent is None or intent.id != held.intent.id:
        return _end_held(case, case.ledger, "overtaken")
    if case.seen.document.version != intent.base or case.seen.document.state is DocumentState.DELETED:
        return _abandon_held(case, "overtaken", "the credential document changed meanwhile", failed=False)
    if held.failure:
        return _abandon_held(case, held.failure.reason, held.failure.message, failed=True)
    if not held.posted:
        current = case.seen.key(case.ledger.current.access_key) if case.ledger.current else case.seen.key(case.published)
        project = case.policy.default_project_id or (current.default_project_id if current else None)
        marker = Marker(case.seen.installation, case.policy.application, intent.id, intent.base, intent.incarnation)
        return Create(marker.render(), project, case.policy.lifetime)
    if held.key is None:
        return _abandon_held(case, "lost", "the answer to the create was lost", failed=True)
    return Publish() if held.proven else Prove()


def _abandon_held(case: Case, reason: str, message: str, *, failed: bool) -> Step:
    event = Event(
        "rotation.abandoned",
        {"rotation_id": case.ledger.intent.id if case.ledger.intent else "", "reason": reason, "message": message},
    )
    ledger = abandoned(
        case.ledger, case.policy, case.now, failed=failed, trouble=Trouble(reason, message, case.now) if failed else None
    )
    return _end_held(case, ledger, reason, event)


def _end_held(case: Case, ledger: Ledger, reason: str, *events: Event) -> Step:
    """Rule 7's first shortcut: who made a key and never sent a publish may condemn it at once. Else the version tells later."""
    held = case.seen.held
    if held and held.key and not held.publish_sent and not ledger.is_revoking(held.key.access_key):
        ledger = condemned(ledger, held.key.access_key, 0, "leftover")
        return Record(ledger, (*events, _revoking(held.key.access_key, f"leftover, {reason}")))
    return Record(ledger, events) if ledger != case.ledger else LetGo()


# --- what consumers lack --------------------------------------------------------------------------------------------------


def replace_at_once(case: Case) -> Step | None:
    """Published and compromised, dying or dead: rotate now, ahead of everything."""
    mode = case.urgent_mode
    if mode is None or case.held_back or not case.policy.configured:
        return None
    if _too_soon(case) or _somebody_else_is_at_it(case):
        return None
    reasons = {mark.access_key: mark.reason for mark in case.ledger.compromised}
    return claim(case, mode, reasons.get(case.published or "", "the published key is dead"))


def _too_soon(case: Case) -> bool:
    """Whether an earlier failure still asks for patience; a person's request does not wait, nor does a clock that leapt."""
    not_before = case.ledger.not_before
    if case.seen.request is not None or not_before is None:
        return False
    return case.now < not_before <= case.now + timedelta(hours=2)


def _somebody_else_is_at_it(case: Case) -> bool:
    intent = case.foreign_intent
    return intent is not None and case.now < case.takeover_at(intent)


# --- tidying --------------------------------------------------------------------------------------------------------------


def forget_the_dead(case: Case) -> Step | None:
    """A key whose death is proven leaves the ledger, and its mark with it (rules 8, 9)."""
    dead = [entry for entry in case.ledger.revoking if entry.access_key in case.seen.dead]
    if not dead:
        return None
    ledger, events = died(case.ledger, {entry.access_key: case.seen.dead[entry.access_key] for entry in dead}, case.now)
    return Record(ledger, events)


def delete_condemned(case: Case) -> Step | None:
    """What is in ``revoking`` never comes back (rule 8)."""
    if case.held_back:
        return None
    for entry in case.ledger.revoking:
        if entry.access_key != case.published and entry.access_key not in case.seen.deleted and _may_die(case, entry):
            return Delete(entry.access_key, entry.reason)
    return None


def _may_die(case: Case, entry: Revoking) -> bool:
    key = case.seen.key(entry.access_key)
    if key is not None and not key.touchable:
        return False
    if entry.access_key in case.ledger.compromised_keys() or not entry.republished:
        return True
    return entry.not_before is not None and case.trusted_clocks and case.seen.clocks.passed(entry.not_before)


def prove_deaths(case: Case) -> Step | None:
    """A deleted key is dead when it was seen dead (rule 8)."""
    for entry in case.ledger.revoking:
        if entry.access_key in case.seen.deleted - set(case.seen.dead) - case.seen.still_alive:
            return ProveDeath(entry.access_key, entry.version, entry.access_key in case.ledger.compromised_keys())
    return None


def end_graces(case: Case) -> Step | None:
    """A retiring key whose deadline has passed by every clock is condemned (rules 8, 13)."""
    if case.held_back or not case.trusted_clocks or case.urgent_mode:
        return None  # while consumers are down or in danger, a key that still works may be their only one
    for entry in case.ledger.retiring:
        key = case.seen.key(entry.access_key)
        if entry.access_key == case.published or (key is not None and not key.touchable):
            continue
        if case.seen.clocks.passed(entry.revoke_after):
            ledger = condemned(case.ledger, entry.access_key, entry.version, entry.reason)
            return Record(ledger, (_revoking(entry.access_key, "grace ended"),))
    return None


def account_for_keys(case: Case) -> Step | None:
    """Keys with our marker that nothing names: leftovers are condemned, published ones get their grace (rule 7)."""
    if case.held_back:
        return None
    for key, marker in case.unnamed:
        verdict = case.fate(key, marker)
        if verdict is Fate.LEFTOVER:
            events = (
                Event("leftover.found", {"access_key": key.access_key, "rotation_id": marker.rotation}),
                _revoking(key.access_key, "leftover"),
            )
            return Record(condemned(case.ledger, key.access_key, 0, "leftover"), events)
        if verdict in (Fate.PUBLISHED, Fate.ASSUMED):
            version = marker.base + 1 if verdict is Fate.PUBLISHED else 0
            ledger, event = retired(case.ledger, key.access_key, version, verdict.value, case.policy, case.seen)
            return Record(ledger, (event,))
    return None


# --- the calendar ---------------------------------------------------------------------------------------------------------


def rotate_when_due(case: Case) -> Step | None:
    """A first key, a takeover, a person's wish, or the schedule."""
    if case.held_back or not case.policy.configured:
        return None
    if _somebody_else_is_at_it(case):
        return None
    wanted = _wanted(case)
    if wanted is None:
        return _drop_stale_intent(case)
    return None if _too_soon(case) else claim(case, *wanted)


def _drop_stale_intent(case: Case) -> Step | None:
    """An emergency that somebody began and that is over needs no takeover, only an end."""
    intent = case.foreign_intent
    if intent is None or case.urgent_mode:
        return None
    event = Event("rotation.abandoned", {"rotation_id": intent.id, "reason": "stale", "message": "nothing asks for it any more"})
    return Record(abandoned(case.ledger, case.policy, case.now, failed=False, trouble=None), (event,))


def _wanted(case: Case) -> tuple[Mode, str] | None:
    request, intent = case.seen.request, case.foreign_intent
    if request is not None and case.published == request.replaces:
        return request.mode, request.reason
    if intent is not None and not intent.mode.urgent:
        return intent.mode, intent.reason
    if case.published is None:
        return Mode.SCHEDULED, "first key"
    if case.ledger.current is not None and (calendar := due(case.policy, case.ledger.current, started=case.seen.started)):
        return (Mode.SCHEDULED, calendar.reason) if case.seen.clocks.passed(calendar.at) else None
    return None


def claim(case: Case, mode: Mode, reason: str) -> Step:
    """Claim the rotation (rule 2), or say why it would be unsafe."""
    seen, name, request = case.seen, case.policy.application, case.seen.request
    if case.published is None and len(case.possible) >= 2:
        return case.block(
            "two_possible_leftovers",
            f"two attempts to make the first key of {name} may have left keys behind ({', '.join(case.possible)}): delete them by hand",
        )
    crowded = case.live_keys_of_ours >= (case.policy.max_live_keys if request else ROOMY)
    if crowded and not mode.urgent:
        return _make_room(
            case,
            "too_many_keys",
            f"{name} has {case.live_keys_of_ours} live keys already: wait for the grace of the old ones to end",
        )
    if seen.room is None:
        return AskRoom()
    if seen.room.missing_capabilities:
        lacking = " and ".join(seen.room.missing_capabilities)
        return case.block("vault_denies", f"our Vault token may not {lacking} {case.policy.path} of {name}: extend its policy")
    if seen.room.headroom == 0:
        return _make_room(
            case,
            "quota",
            f"the organisation of account {case.policy.account} has no room for another key, so {name} cannot be rotated:"
            " delete keys that nobody needs, or have the quota raised",
        )
    return _claimed(case, mode, reason)


def _make_room(case: Case, reason: str, message: str) -> Step:
    """A possible leftover that must go sooner is made a certain one by moving the document on (rule 7, second shortcut)."""
    if case.possible and case.published is not None and not _somebody_else_is_at_it(case):
        return Fence()
    deadlines = [entry.revoke_after for entry in case.ledger.retiring]
    until = min((case.seen.clocks.ours_at(deadline) for deadline in deadlines), default=case.now + SOON)
    return case.block(reason, message, until=max(until, case.now + timedelta(seconds=1)))


def _claimed(case: Case, mode: Mode, reason: str) -> Record:
    seen, before = case.seen, case.ledger.intent
    intent = Intent(
        id=seen.spare_id,
        base=seen.document.version,
        incarnation=incarnation(case.policy.path, seen.document.created_time),
        reason=reason,
        mode=mode,
        owner=seen.owner,
        claimed_at=case.now,
    )
    events = [Event("rotation.claimed", {"rotation_id": intent.id, "base": intent.base, "reason": reason, "mode": mode.value})]
    if before is not None:
        events.insert(0, Event("rotation.taken_over", {"rotation_id": before.id, "reason": f"claimed by {before.owner}"}))
    ledger = replace(
        case.ledger,
        intent=intent,
        grace=case.policy.grace,
        prove=case.policy.prove,
        prove_emergency=case.policy.prove_emergency,
    )
    return Record(ledger, tuple(events))


def rest(case: Case) -> Step:
    """Nothing to do now: when next, and why."""
    until, reason, message = next_action(case.policy, case.ledger, case.seen)
    if case.seen.still_alive:
        keys = ", ".join(sorted(case.seen.still_alive))
        return case.block("still_alive", f"the deleted key {keys} of {case.policy.application} still answers; probing goes on")
    untouchable = [
        key.access_key for key in case.seen.keys if not key.touchable and key.access_key in case.ledger.names() - {case.published}
    ]
    if untouchable:
        return case.block(
            "untouchable",
            f"key {', '.join(untouchable)} of {case.policy.application} became managed or not deletable: have Scaleway remove it",
        )
    foreign = case.seen.foreign & case.ledger.compromised_keys()
    if foreign:
        return case.block(
            "foreign_key",
            f"the compromised key {', '.join(sorted(foreign))} named for {case.policy.application} belongs to another bearer: revoke it there",
        )
    if not case.trusted_clocks and (case.ledger.retiring or case.ledger.revoking):
        return case.block(
            "clocks_differ",
            f"our clock, Vault's and the provider's differ by {case.seen.clocks.spread.total_seconds():.0f} s:"
            f" revocations of {case.policy.application} wait; correct the clock",
        )
    if case.urgent_mode and not case.policy.configured:
        return case.block(
            "not_configured",
            f"the published key of {case.policy.application} must be replaced, but the application left the configuration: put it back",
        )
    return case.wait(until, reason, message)


def next_action(policy: Policy, ledger: Ledger, seen: Seen) -> tuple[datetime, str, str]:
    """When something is next to be done for an application at rest, what, and why, for people and for the scheduler."""
    clocks = seen.clocks
    horizon = clocks.ours + policy.observe_every
    candidates = [
        (clocks.ours_at(entry.revoke_after), "revoke", f"grace of {entry.access_key} ends") for entry in ledger.retiring
    ]
    candidates += [
        (
            clocks.ours_at(entry.not_before) if entry.not_before else clocks.ours + SOON,
            "revoke",
            f"{entry.access_key} is condemned",
        )
        for entry in ledger.revoking
    ]
    if ledger.hold:
        return horizon, "held", f"held by {ledger.hold.by}: {ledger.hold.reason}"
    if ledger.intent is not None:
        until = Case(policy, replace(seen, ledger=ledger)).takeover_at(ledger.intent)
        candidates.append((until, "takeover", f"rotation {ledger.intent.id} is under way"))
    if policy.configured and ledger.current and (calendar := due(policy, ledger.current, started=seen.started)):
        at = clocks.ours_at(calendar.at)
        if ledger.not_before:
            at = max(at, ledger.not_before)
        candidates.append((at, "rotate", calendar.reason))
    elif policy.configured and ledger.not_before:
        candidates.append((ledger.not_before, "rotate", "after a failure"))
    floor = clocks.ours + timedelta(milliseconds=200)
    return min(
        ((max(at, floor), what, why) for at, what, why in candidates),
        default=(horizon, "observe", "nothing is due"),
    )


RULES: tuple[Callable[[Case], Step | None], ...] = (
    moved,
    stale,
    contain,
    document_gone,
    follow,
    continue_held,
    forget_the_dead,
    replace_at_once,
    delete_condemned,
    prove_deaths,
    end_graces,
    account_for_keys,
    rotate_when_due,
)


def decide(policy: Policy, seen: Seen) -> Step:
    """The one step to take next for one application. Pure: the same observation always leads to the same step."""
    case = Case(policy, seen)
    for rule in RULES:
        step = rule(case)
        if step is not None:
            return step
    return rest(case)


__all__ = ["RULES", "Case", "Request", "Room", "decide", "next_action"]
