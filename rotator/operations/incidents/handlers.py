"""The question after an emergency: what happened, put together from the ledgers, the provider's
list and its audit trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from rotator.domain.account import MassRotation
from rotator.domain.audit import AuditTrail
from rotator.errors import Refused, RotatorError
from rotator.operations.incidents.collection import all_incidents
from rotator.operations.incidents.report import ApplicationImpact, IncidentList, IncidentReport
from rotator.operations.mass_rotation.account_snapshot import AccountSnapshot, take_snapshot
from rotator.operations.mass_rotation.handlers import of
from rotator.operations.mass_rotation.selection import is_partial
from rotator.operations.operation import Name, NoArguments, OperationContext, OperationRequest, Perhaps
from rotator.operations.refusal import OperationError
from rotator.util.concurrency import run_concurrently
from rotator.util.formatting import pluralize

BEFORE = timedelta(days=1)
"""How long before the report a key counts as leaked, without ``since``."""

MOST_TRAILS = 20
"""Applications whose audit trail is asked for without being told to: each takes calls at the
provider."""


def handle_incidents(call: OperationContext, _: NoArguments) -> IncidentList:
    """Every incident that a ledger remembers, oldest first, without coverage and trail."""
    sights, unavailable = _look(call, keys=False)
    unread, now = _unread(sights), call.now()
    reports = [
        IncidentReport(name, now, now, tuple(found), _masses(sights, name), unread=unread, unavailable=unavailable)
        for name, found in _known(sights).items()
    ]
    return IncidentList(tuple(sorted(reports, key=lambda report: report.opened_at)), unread, unavailable)


def _look(call: OperationContext, *, keys: bool) -> tuple[list[AccountSnapshot], dict[str, str]]:
    """The accounts that could be read, and why the others could not; raises when none could."""
    scopes = of(call)
    looked = run_concurrently(lambda scope: take_snapshot(scope, keys=keys), scopes, lane=lambda scope: scope.account)
    sights = [sight for sight in looked if isinstance(sight, AccountSnapshot)]
    errors = {scope.account: error for scope, error in zip(scopes, looked, strict=True) if isinstance(error, Exception)}
    for error in errors.values():
        if not sights or not isinstance(error, RotatorError):
            raise error
    return sights, {name: str(error) for name, error in errors.items()}


def _unread(sights: Sequence[AccountSnapshot]) -> dict[str, str]:
    return {name: str(error) for sight in sights for name, error in sight.survey.unread.items()}


def _masses(sights: Sequence[AccountSnapshot], name: str) -> tuple[MassRotation, ...]:
    return tuple(mass for sight in sights for mass in sight.document.mass_rotations if mass.id == name)


class IncidentRequest(OperationRequest):
    """One incident."""

    id: Name
    since: Annotated[
        Perhaps, Field(description="From when the keys are suspected to have been in the wrong hands.")
    ] = None
    trail: Annotated[
        bool | SkipJsonSchema[None],
        Field(description=f"Whether to ask the audit trail; else only up to {MOST_TRAILS} applications."),
    ] = None


def handle_incident(call: OperationContext, request: IncidentRequest) -> IncidentReport:
    """Everything about one incident."""
    sights, unavailable = _look(call, keys=True)
    known, unread = _known(sights), _unread(sights)
    if request.id not in known:
        away = [f"account {name} could not be read: {why}" for name, why in sorted(unavailable.items())]
        away += [f"the ledger of {name} could not be read: {why}" for name, why in sorted(unread.items())]
        if away:
            raise OperationError(
                "incomplete", f"no ledger that could be read remembers an incident {request.id}; {'; '.join(away)}", 3
            )
        raise Refused(f"no ledger remembers an incident {request.id}: see rotator incident list")
    report = _report(request.id, known[request.id], sights, call.now(), request.since)
    report = replace(report, unavailable=unavailable, unread=unread)
    if request.trail or (request.trail is None and len(report.affected) <= MOST_TRAILS):
        report = replace(report, trails=_trails(report, sights))
    return report


def _known(sights: Sequence[AccountSnapshot]) -> dict[str, list[ApplicationImpact]]:
    found: dict[str, list[ApplicationImpact]] = {}
    for sight in sights:
        for name, affected in all_incidents(sight.survey.ledgers, sight.document.mass_rotations).items():
            found.setdefault(name, []).extend(affected)
    return found


def _report(
    name: str,
    affected: Sequence[ApplicationImpact],
    sights: Sequence[AccountSnapshot],
    now: datetime,
    since: datetime | None,
) -> IncidentReport:
    masses = _masses(sights, name)
    opened = min([one.opened_at for one in affected] + [mass.begun_at for mass in masses])
    # A mass rotation of whole accounts covers these; another incident covers the bearers of the
    # marked keys.
    mass = masses[0] if masses else None
    accounts = {one.account for one in affected} | {sight.scope.account for sight in sights if _masses([sight], name)}
    old = mass.created_before if mass else opened
    whole = mass is not None and not is_partial(mass.selector)
    bearers = {one.bearer for one in affected}
    proofs = []
    for sight in sights:
        if sight.scope.account in accounts:
            verification = sight.coverage(max([old, *(one.created_before for one in _masses([sight], name))]))
            part = f"the {pluralize(len(bearers), 'affected application')}"
            proofs.append(verification if whole else verification.restricted(bearers, part))
    return IncidentReport(name, now, since or min(old, opened - BEFORE), tuple(affected), masses, tuple(proofs))


def _trails(report: IncidentReport, sights: Sequence[AccountSnapshot]) -> Mapping[str, AuditTrail]:
    providers = {sight.scope.account: sight.scope.provider for sight in sights}
    asked = [one for one in report.affected if one.account in providers]
    found = run_concurrently(
        lambda one: providers[one.account].trail(one.bearer, report.since, report.as_of),
        asked,
        lane=lambda one: one.account,
    )
    return {
        one.application: trail if isinstance(trail, AuditTrail) else AuditTrail(unavailable=(str(trail),))
        for one, trail in zip(asked, found, strict=True)
    }
