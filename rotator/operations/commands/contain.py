"""Contains a compromise: marks the keys, then runs passes until they are replaced and verified as
revoked.

Nothing here decides about keys. The mark is in the ledger, and every pass of every process acts on
it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rotator.decision.transitions.compromise import mark_compromised
from rotator.decision.transitions.revocation import is_verified_revoked
from rotator.decision.unconfigured_fields import fields_line, keys_in_other_fields
from rotator.domain.access_key import ACCESS_KEY
from rotator.domain.document import CredentialDocument
from rotator.domain.ledger import Ledger, RotationMode
from rotator.domain.ports import Clock, TapSink
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Indeterminate, Refused, RotatorError
from rotator.operations.commands.convergence import Deadline, blocking_reason, wait_for_next_pass
from rotator.operations.commands.ledger_update import update_ledger
from rotator.operations.result import OperationResult, failed, short_of
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import LocalState, PassOutcome, ReconcileContext
from rotator.reconciler.runner import drive, reconcile
from rotator.util.formatting import format_seconds

DURABLE = (
    "the mark is in the ledger and stays until the keys are verified as revoked: the daemon acts on it, and this "
    "command waits for it without marking a newer key: rotator rotate {keys} --compromised --reason TEXT"
)

UNKNOWN = (
    "whether the mark was written is not known: see rotator incident list; if it was not, run the same command again, "
    "and if it was, name the leaked key, not the application"
)

RESUMED = (
    "; this command resumes the open incident, in which {spared} was published as the replacement, so {spared} is not "
    "marked; if it leaked too, name it: rotator rotate {spared} --compromised --reason TEXT"
)

MAX_CLOCK_SKEW = timedelta(minutes=2)
"""How much earlier than its mark a replacement may be dated, by the clock of another machine."""

HELD = (
    "the mark is in the ledger and stays, but the keys stay valid until the hold is released or overridden: rotator "
    "resume {name}, or rotator rotate {name} --compromised --reason TEXT --override-hold"
)


@dataclass
class ContainmentRecorder:
    """Records when keys were deleted and when others were published: the outage of consumers when a
    key is revoked first."""

    clock: Clock
    deleted: dict[object, datetime] = field(default_factory=dict)
    published: datetime | None = None

    def saw(self, event: str, fields: Mapping[str, object]) -> None:
        """Records the time of a deletion and of a publication."""
        if event == "key.deleted":
            self.deleted[fields.get("access_key")] = self.clock.now()
        if event == "rotation.published":
            self.published = self.clock.now()

    def outage(self, access_key: str | None) -> timedelta | None:
        """How long consumers had only this revoked key; None if this process caused no outage."""
        deleted = self.deleted.get(access_key)
        return self.published - deleted if deleted and self.published and deleted < self.published else None


@dataclass(frozen=True)
class CompromiseRequest:
    """Why keys are revoked, at whose request, and how. ``incident``: an id that the marks of
    several applications share."""

    reason: str
    by: str
    revoke_first: bool = False
    override_hold: bool = False
    incident: str = ""

    @property
    def mode(self) -> str:
        """The mode of the mark in the ledger."""
        return "revoke_first" if self.revoke_first else "replace_first"


def contain(
    spec: ApplicationSpec,
    context: ReconcileContext,
    sleep: Sleep,
    order: CompromiseRequest,
    *,
    keys: frozenset[str] | None = None,
    besides: frozenset[str] = frozenset(),
) -> OperationResult:
    """Marks the application's keys as compromised and waits until they are replaced and verified as
    revoked: the published key, all keys in the ledger and ``besides``; or ``keys`` and no
    others."""
    before = _published_now(spec, context) if order.revoke_first else None
    recorder = ContainmentRecorder(context.clock)
    context = replace(context, sink=TapSink(context.sink, recorder.saw))
    try:
        marked = mark(spec, context, sleep, order, keys=keys, besides=besides)
    except Indeterminate as error:
        return failed(spec.application, error, UNKNOWN)
    except RotatorError as error:
        return failed(spec.application, error, "nothing was marked")
    result = _contain(spec, context, sleep, marked.keys)
    if marked.spared:
        result = replace(result, message=result.message + RESUMED.format(spared=" ".join(sorted(marked.spared))))
    outage = recorder.outage(before) if result.exit_code == 0 else None
    if outage is not None:
        text = f"; Vault held no valid key for {format_seconds(outage.total_seconds())}"
        result = replace(result, message=result.message + text, outage_seconds=outage.total_seconds())
    return replace(result, marked_at=marked.at)


@dataclass(frozen=True)
class Marked:
    """The keys that the command covers, and when they were marked. ``spared``: keys that replace
    others of an open incident."""

    keys: frozenset[str]
    at: datetime
    spared: frozenset[str] = frozenset()


def mark(
    spec: ApplicationSpec,
    context: ReconcileContext,
    sleep: Sleep,
    order: CompromiseRequest,
    *,
    keys: frozenset[str] | None = None,
    besides: frozenset[str] = frozenset(),
) -> Marked:
    """Marks the published key and all keys in the ledger (rule 9), or these ``keys``, and confirms
    the write. A mark whose answer was lost is read back, also if it is contained by then.

    A revoked key is not marked. A key that is marked already takes over the options of this
    request. A key that was published as the replacement in an open incident is marked only by its
    own name, so repeating a command causes no second outage.
    """
    incident, only, keys, spared = order.incident or context.clock.token(), keys, frozenset[str](), frozenset[str]()
    attempts, marked_at = set[tuple[str, datetime]](), None

    def change(ledger: Ledger) -> Ledger:
        nonlocal keys, spared, marked_at
        for opened in ledger.incidents:
            if (opened.id, opened.opened_at) in attempts:  # written, and the answer was lost
                keys, marked_at = frozenset(opened.access_keys), opened.opened_at
                return ledger
        keys, published = _about(spec, context, ledger, only, by_name=only is None and not besides)
        spared = frozenset() if only is not None or besides else keys & replacements(ledger, published)
        keys = (keys | besides) - spared
        if not keys and only is None:
            raise Refused(
                f"{spec.application} has no key yet, neither published nor in its ledger, so none can be compromised"
            )
        at = context.clock.now()
        after = mark_compromised(
            ledger,
            keys,
            reason=order.reason,
            by=order.by,
            at=at,
            incident=incident,
            mode=order.mode,
            override_hold=order.override_hold,
        )
        if after.compromised == ledger.compromised:
            marked_at = max((mark.at for mark in ledger.compromised if mark.access_key in keys), default=None)
            return ledger
        attempts.add((incident, at))
        return after

    _, written = update_ledger(spec, context, sleep, change)
    if written:
        context.sink.emit(
            "compromise.marked",
            application=spec.application,
            account=spec.account,
            incident=incident,
            access_keys=sorted(keys),
            reason=order.reason,
        )
    return Marked(keys, marked_at or context.clock.now(), spared)


def replacements(ledger: Ledger, published: str | None) -> frozenset[str]:
    """The keys that were published in answer to a mark which is still in the ledger. Pure.

    If the ledger does not name the published key yet, an open claim that answers the mark shows
    what it is.
    """
    marks = [one for one in ledger.compromised if one.access_key != published]
    found = {
        entry.access_key
        for entry in ledger.history
        for one in marks
        if entry.event == "rotated" and entry.reason == one.reason and entry.at >= one.at - MAX_CLOCK_SKEW
    }
    intent = ledger.intent
    if published and published not in ledger.names() and intent and intent.mode is RotationMode.COMPROMISED and marks:
        found.add(published)
    return frozenset(found) - ledger.compromised_keys()


def _about(
    spec: ApplicationSpec, context: ReconcileContext, ledger: Ledger, only: frozenset[str] | None, *, by_name: bool
) -> tuple[frozenset[str], str | None]:
    """The keys that an emergency covers, and the published key if it can be read. ``by_name``: the
    application was named and no key."""
    named, document = ledger.names(), None
    try:
        document = _document(spec, context)
    except RotatorError:
        if not named:
            raise  # otherwise the keys of the ledger are marked, and the passes report the fault of the document
    published = document.published if document else None
    if by_name and document:
        _refuse_unclear_name(spec, context, document, named)
    keys = named | ({published} if published else set())
    if only is None:
        return keys, published
    return frozenset(key for key in only if key in keys or not is_verified_revoked(ledger, key)), published


def _refuse_unclear_name(
    spec: ApplicationSpec, context: ReconcileContext, document: CredentialDocument, named: frozenset[str]
) -> None:
    """Refuses a request that names the application and no key while consumers may read a key that
    no rotation would replace: it would replace another key and report the leak as contained.
    Returns if the provider does not answer."""
    texts = {name: value for name, value in document.fields.items() if name not in spec.fields}
    if not ACCESS_KEY.search(json.dumps(texts, default=str)):
        return
    try:
        keys = context.provider.urgent().list_keys(spec.bearer)
    except RotatorError:
        return
    found = {key: field for key, field in keys_in_other_fields(document, keys, spec.fields).items() if key not in named}
    if found:
        key, field = min(found.items())
        others = sorted(named | ({document.published} if document.published else set()))
        name_it = f", or one of {', '.join(others)} in its place" if others else ""
        raise Refused(
            f"{spec.path} also holds key {key} in the field {field}, which the configuration of {spec.application} "
            "does not name, so the name of the application does not identify the leaked key: name the key (rotator "
            f"rotate {key} --compromised --reason TEXT --confirm {key}{name_it}); before {key} can be replaced, write "
            f"{fields_line(document, field, spec.fields)} into [applications.{spec.application}]"
        )


def _document(spec: ApplicationSpec, context: ReconcileContext) -> CredentialDocument:
    return context.vault.read_document(*spec.location)


def _published_now(spec: ApplicationSpec, context: ReconcileContext) -> str | None:
    """The published key, or None if it cannot be read: an emergency does not wait for it."""
    try:
        return _document(spec, context).published
    except RotatorError:
        return None


def _contain(spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, keys: frozenset[str]) -> OperationResult:
    local_state, deadline, failures = LocalState(), Deadline(spec, context), 0
    while True:
        outcome = drive(reconcile(spec, context, local_state), sleep)
        if done := _contained(spec, context, outcome, keys):
            return done
        if lost := _mark_lost(spec, outcome, keys):
            return lost
        obstacle = blocking_reason(spec, outcome, failures, context.clock.now())
        failures = outcome.ledger.failures if outcome.ledger else failures
        over = deadline.over(obstacle, outcome.ledger)
        if obstacle and obstacle.exit_code == 4:
            over = obstacle
        if over:
            unverified, stays = (
                _still_marked(outcome, keys),
                HELD.format(name=spec.application)
                if over.reason == "held"
                else DURABLE.format(keys=" ".join(sorted(keys))),
            )
            return replace(over, message=f"{', '.join(unverified)} not verified as revoked: {over.message}; {stays}")
        wait_for_next_pass(context, sleep, outcome)


def _contained(
    spec: ApplicationSpec, context: ReconcileContext, outcome: PassOutcome, keys: frozenset[str]
) -> OperationResult | None:
    """The result once no marked key is in the ledger or published, each with its verified
    revocation."""
    ledger, document = outcome.ledger, outcome.document
    if (
        outcome.error
        or ledger is None
        or document is None
        or _still_marked(outcome, keys)
        or document.published in keys
    ):
        return None
    revoked = {key: revocation_evidence(ledger, key) for key in sorted(keys)}
    revocations = "; ".join(f"{key} is revoked ({verification})" for key, verification in revoked.items())
    if document.published:
        now = f"{document.published} is published in version {document.version} of {spec.path}"
    else:
        now = f"but no key is published at {spec.path}" + (f": {ledger.problem.message}" if ledger.problem else "")
    return OperationResult(
        spec.application,
        "contained",
        0,
        f"contained: {revocations or 'every key was revoked already'}; {now}",
        access_key=document.published or "",
        version=document.version,
        revoked=revoked,
        contained_at=context.clock.now(),
    )


def _mark_lost(spec: ApplicationSpec, outcome: PassOutcome, keys: frozenset[str]) -> OperationResult | None:
    """The failure if consumers read one of the keys and no mark is left to have it replaced."""
    published = outcome.document.published if outcome.document and outcome.error is None else None
    if published not in keys or outcome.ledger is None or _still_marked(outcome, keys):
        return None
    message = (
        f"{published} is published and no longer marked in the ledger of {spec.application}: the ledger or the"
        " document was rolled back; run the same command again"
    )
    return short_of(spec.application, 1, message, "mark_lost")


def _still_marked(outcome: PassOutcome, keys: frozenset[str]) -> list[str]:
    return sorted(keys & outcome.ledger.compromised_keys()) if outcome.ledger else sorted(keys)


def revocation_evidence(ledger: Ledger, access_key: str) -> str:
    """How the revocation was verified, according to the ledger."""
    reasons = [entry.reason for entry in ledger.history if entry.event == "revoked" and entry.access_key == access_key]
    return reasons[-1].partition("; ")[2] if reasons else "as the ledger says"
