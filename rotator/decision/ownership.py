"""Decides which ledger owns a bearer and a credential document, and moves a ledger to a new name.
Pure.

One bearer and one document have one owner: the application that the configuration names for them. A
ledger of another name for the same bearer is a predecessor. Four check-and-set writes take it over,
and a kill between two of them loses nothing::

    1  announce    the ledger of the new name names the old one            (CAS on the new ledger)
    2  supersede   the old ledger names its successor; nothing acts by it  (CAS on the old ledger)
    3  copy        the new ledger takes the content                        (CAS on the new ledger)
    4  empty       the old ledger keeps its names only                     (CAS on the old ledger)

Announcing comes before superseding: of two daemons whose configurations use each other's name, at
most one succeeds. If both announce, neither supersedes, and both report a conflict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from rotator.decision.observation import Clocks, RelatedLedger
from rotator.decision.steps import Event, SupersedeLedger, WriteLedger
from rotator.decision.transitions.compromise import incidents_within_limit
from rotator.decision.transitions.grace import grace_deadline
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import HISTORY_LIMIT, HistoryEntry, Ledger, Predecessor, RetiringKey, stronger_hold
from rotator.domain.spec import ApplicationSpec

T = TypeVar("T")

REMOVED_CLAIM_TIMEOUT = timedelta(days=1)
"""Age at which the claim of a removed application is dropped. Another installation may have it
configured and be rotating it."""


MAX_TAKEOVER_STEPS = 50
"""Maximum of writes that a preview follows; each related ledger takes four."""


class OwnershipConflict(Exception):  # a result, not an error of the program
    """Two ledgers name one bearer, and its owner is unknown. The message says what to do."""


def owner_of(bearer: str, path: str, specs: Iterable[ApplicationSpec]) -> str:
    """The configured application with this bearer, else the one with this document; empty without
    one."""
    found = list(specs)
    by_bearer = [spec.application for spec in found if spec.bearer == bearer]
    by_path = [spec.application for spec in found if spec.path == path]
    return next(iter((*by_bearer, *by_path)), "")


def removed_application(
    ledger: Ledger, specs: Iterable[ApplicationSpec], *, organization_id: str, max_clock_skew: timedelta
) -> ApplicationSpec:
    """The spec of a removed application, from its ledger. ``specs``: the configured
    applications."""
    return ApplicationSpec(
        application=ledger.application,
        account=ledger.account,
        bearer=ledger.bearer,
        path=ledger.path,
        fields={ledger.access_field: "{access_key}", ledger.secret_field: "{secret_key}"},
        grace=ledger.grace,
        verification=ledger.verification,
        emergency_verification=ledger.emergency_verification,
        organization_id=organization_id,
        max_clock_skew=max_clock_skew,
        stale_claim_timeout=REMOVED_CLAIM_TIMEOUT,
        configured=False,
        owner=owner_of(ledger.bearer, ledger.path, specs),
    )


def next_takeover_step(
    spec: ApplicationSpec, own: Ledger | None, related: Sequence[RelatedLedger], published: str | None, clocks: Clocks
) -> WriteLedger | SupersedeLedger | None:
    """The next write that merges the ledgers of one bearer; None when they are merged. Raises
    ``OwnershipConflict``."""
    ledger = own or new_ledger(spec)
    if ledger.bearer != spec.bearer:
        return (
            None  # the name was given to another bearer: that is blocked, and two applications never share one ledger
        )
    names = {spec.application, *(one.application for one in ledger.predecessors)}
    present = {other.ledger.application for other in related}
    # Empty ledgers come last: their content, and what is known of their documents, comes with the
    # ledger that took them over.
    for other in sorted(related, key=lambda other: is_emptied(other.ledger)):
        theirs = other.ledger
        if theirs.bearer != spec.bearer:
            continue  # it shares only the document: its keys are not this application's
        known = ledger.predecessor(theirs.application)
        if theirs.successor and theirs.successor not in names:
            if theirs.successor in present or is_emptied(theirs):
                continue  # its successor is taken over first and brings this name
            raise OwnershipConflict(
                f"the ledger of {theirs.application} names the same bearer as {spec.application} and was given to "
                f"{theirs.successor}, which has none: restore the ledger of {theirs.successor} in Vault, or remove "
                "both"
            )
        mine = theirs.predecessor(spec.application)
        if not theirs.successor and mine is not None and not mine.taken_over:
            raise OwnershipConflict(
                f"two configurations name one bearer: as {spec.application} here and as {theirs.application} "
                "elsewhere; use one name in both, then remove the ledger of the other name in Vault"
            )
        if known is None or (known.taken_over and not theirs.successor):
            if not (spec.configured or theirs.successor):
                raise OwnershipConflict(
                    f"{spec.application} and {theirs.application} left the configuration, and their ledgers name one "
                    "bearer: configure one of them, or remove the ledger of the other in Vault"
                )
            return WriteLedger(ledger.with_predecessor(replace(known or _predecessor(theirs), taken_over=False)))
        if not theirs.successor:
            return SupersedeLedger(replace(theirs, successor=spec.application, intent=None), other.version)
        if not known.taken_over:
            return _copied(spec, ledger, other, published, clocks)
        if not is_emptied(theirs):
            return SupersedeLedger(emptied(theirs), other.version)
    return None


def consolidated(
    spec: ApplicationSpec, own: Ledger | None, related: Sequence[RelatedLedger], published: str | None, clocks: Clocks
) -> Ledger | None:
    """The ledger after every related ledger is taken over, for queries."""
    ledgers = {other.ledger.application: other for other in related}
    try:
        for _ in range(MAX_TAKEOVER_STEPS):
            step = next_takeover_step(spec, own, tuple(ledgers.values()), published, clocks)
            if step is None:
                break
            if isinstance(step, WriteLedger):
                own = step.ledger
            else:
                name = step.ledger.application
                ledgers[name] = replace(ledgers[name], ledger=step.ledger)
    except OwnershipConflict:
        pass
    return own


def is_emptied(ledger: Ledger) -> bool:
    """Whether a superseded ledger has no content left."""
    return bool(ledger.successor) and ledger == emptied(ledger)


def own_ledger(spec: ApplicationSpec, found: Ledger | None) -> Ledger | None:
    """The ledger under the application's name; None for the empty ledger of another application
    that had this name before."""
    if found is not None and is_emptied(found) and spec.bearer != found.bearer and spec.path != found.path:
        return None
    return found


def superseded_message(name: str, ledger: Ledger, owner: str) -> str:
    """Why an application that owns neither bearer nor document is not acted on, and what to do."""
    if ledger.successor:
        return (
            f"{name} was renamed to {ledger.successor}, which has taken its ledger over: use that name in every "
            f"configuration; to use {name} again, remove its empty ledger in Vault"
        )
    return (
        f"{name} left the configuration and {owner} has its bearer or its document: nothing is done for {name}; its "
        f"remaining keys are managed by {owner}, or, if the bearer is another one, must be revoked at the provider"
    )


def emptied(ledger: Ledger) -> Ledger:
    """The superseded ledger without its content: only its names and its successor."""
    return replace(
        ledger,
        current=None,
        intent=None,
        retiring=(),
        revoking=(),
        compromised=(),
        hold=None,
        problem=None,
        failures=0,
        not_before=None,
        history=(),
        incidents=(),
    )


def _predecessor(theirs: Ledger) -> Predecessor:
    return Predecessor(theirs.application, theirs.path, theirs.access_field, theirs.secret_field)


def _copied(
    spec: ApplicationSpec, ledger: Ledger, other: RelatedLedger, published: str | None, clocks: Clocks
) -> WriteLedger:
    """The ledger with the content of the other one. A key in both keeps the later deadline."""
    theirs, moved = other.ledger, other.ledger.path != spec.path
    fresh = ledger.current is None and not moved
    current = theirs.current if fresh else ledger.current
    elsewhere = _published_elsewhere(other) if moved else ""
    after = replace(
        ledger,
        access_field=theirs.access_field if fresh else ledger.access_field,
        secret_field=theirs.secret_field if fresh else ledger.secret_field,
        current=current,
        hold=stronger_hold(ledger.hold, theirs.hold),
        failures=max(ledger.failures, theirs.failures),
        not_before=max(filter(None, (ledger.not_before, theirs.not_before)), default=None),
        compromised=_united(ledger.compromised, theirs.compromised, "access_key"),
        incidents=incidents_within_limit(_united(ledger.incidents, theirs.incidents, "id")),
        predecessors=_predecessors(
            spec, ledger, replace(_predecessor(theirs), taken_over=True, access_key=elsewhere), theirs
        ),
        history=tuple(sorted((*ledger.history, *theirs.history), key=lambda entry: entry.at))[-HISTORY_LIMIT:],
    )
    after = _with_promises(
        after, theirs, current.access_key if current else published, grace_deadline(spec, clocks), moved=moved
    )
    note = HistoryEntry(
        clocks.ours, "renamed", current.access_key if current else "", reason=f"from {theirs.application}"
    )
    event = Event(
        "application.renamed",
        {"previous_name": theirs.application, "previous_path": theirs.path, "access_keys": sorted(theirs.names())},
    )
    return WriteLedger(after.with_history(note), (event,))


def _published_elsewhere(other: RelatedLedger) -> str:
    """The key that the document at the former path publishes, if known."""
    if other.document is not None:
        return other.document.published or ""
    return other.ledger.current.access_key if other.ledger.current else ""


def _predecessors(
    spec: ApplicationSpec, ledger: Ledger, former: Predecessor, theirs: Ledger
) -> tuple[Predecessor, ...]:
    known = _united(ledger.with_predecessor(former).predecessors, theirs.predecessors, "application")
    # What the other ledger has taken over is known there, also where it is only announced here.
    taken_over = {one.application: one for one in theirs.predecessors if one.taken_over}
    known = tuple(one if one.taken_over else taken_over.get(one.application, one) for one in known)
    return tuple(
        replace(one, access_key="") if one.path == spec.path else one
        for one in known
        if one.application != spec.application
    )


def _with_promises(ledger: Ledger, theirs: Ledger, current: str | None, deadline: datetime, *, moved: bool) -> Ledger:
    """The ledger with the other one's keys in grace or revoking, and with its current key if
    another one is current here: that gets a full grace from now. Versions of a document at another
    path are dropped."""
    retiring = {entry.access_key: entry for entry in ledger.retiring}
    revoking = {entry.access_key: entry for entry in ledger.revoking}
    promised = list(theirs.retiring)
    if theirs.current is not None:
        promised.append(RetiringKey(theirs.current.access_key, theirs.current.version, deadline, "renamed"))
    for entry in promised:
        known = retiring.get(entry.access_key)
        if known is not None:
            retiring[entry.access_key] = replace(known, revoke_after=max(known.revoke_after, entry.revoke_after))
        elif entry.access_key != current and entry.access_key not in revoking:
            retiring[entry.access_key] = replace(entry, version=0) if moved else entry
    for revoking_key in theirs.revoking:
        if revoking_key.access_key not in retiring:
            revoking.setdefault(revoking_key.access_key, replace(revoking_key, version=0) if moved else revoking_key)
    return replace(ledger, retiring=tuple(retiring.values()), revoking=tuple(revoking.values()))


def _united(ours: tuple[T, ...], theirs: tuple[T, ...], by: str) -> tuple[T, ...]:
    """The first entries, and those of the second that are not among them."""
    known = {getattr(entry, by) for entry in ours}
    return (*ours, *(entry for entry in theirs if getattr(entry, by) not in known))
