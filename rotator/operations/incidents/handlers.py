"""Incident reports, from the ledgers, the provider's key list and its audit trail."""

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
"""How long before the report a key counts as leaked, unless ``since`` is given."""

MOST_TRAILS = 20
"""Maximum of applications whose audit trail is read by default, since each costs provider calls."""


def handle_incidents(call: OperationContext, _: NoArguments) -> IncidentList:
    """Lists every incident in the ledgers, oldest first, without coverage and trail."""
    snapshots, unavailable = _look(call, keys=False)
    unread, now = _unread(snapshots), call.now()
    reports = [
        IncidentReport(name, now, now, tuple(found), _masses(snapshots, name), unread=unread, unavailable=unavailable)
        for name, found in _known(snapshots).items()
    ]
    return IncidentList(tuple(sorted(reports, key=lambda report: report.opened_at)), unread, unavailable)


def _look(call: OperationContext, *, keys: bool) -> tuple[list[AccountSnapshot], dict[str, str]]:
    """The accounts that could be read, and why the others could not. Raises if none could."""
    scopes = of(call)
    looked = run_concurrently(lambda scope: take_snapshot(scope, keys=keys), scopes, lane=lambda scope: scope.account)
    snapshots = [snapshot for snapshot in looked if isinstance(snapshot, AccountSnapshot)]
    errors = {scope.account: error for scope, error in zip(scopes, looked, strict=True) if isinstance(error, Exception)}
    for error in errors.values():
        if not snapshots or not isinstance(error, RotatorError):
            raise error
    return snapshots, {name: str(error) for name, error in errors.items()}


def _unread(snapshots: Sequence[AccountSnapshot]) -> dict[str, str]:
    return {name: str(error) for snapshot in snapshots for name, error in snapshot.survey.unread.items()}


def _masses(snapshots: Sequence[AccountSnapshot], name: str) -> tuple[MassRotation, ...]:
    return tuple(mass for snapshot in snapshots for mass in snapshot.document.mass_rotations if mass.id == name)


class IncidentRequest(OperationRequest):
    """One incident."""

    id: Name
    since: Annotated[Perhaps, Field(description="Since when the keys are suspected to have leaked.")] = None
    trail: Annotated[
        bool | SkipJsonSchema[None],
        Field(description=f"Whether to read the audit trail; by default for up to {MOST_TRAILS} applications."),
    ] = None


def handle_incident(call: OperationContext, request: IncidentRequest) -> IncidentReport:
    """Reports one incident in full."""
    snapshots, unavailable = _look(call, keys=True)
    known, unread = _known(snapshots), _unread(snapshots)
    if request.id not in known:
        away = [f"account {name} could not be read: {why}" for name, why in sorted(unavailable.items())]
        away += [f"the ledger of {name} could not be read: {why}" for name, why in sorted(unread.items())]
        if away:
            raise OperationError(
                "incomplete", f"no ledger that could be read remembers an incident {request.id}; {'; '.join(away)}", 3
            )
        raise Refused(f"no ledger remembers an incident {request.id}: see rotator incident list")
    report = _report(request.id, known[request.id], snapshots, call.now(), request.since)
    report = replace(report, unavailable=unavailable, unread=unread)
    if request.trail or (request.trail is None and len(report.affected) <= MOST_TRAILS):
        report = replace(report, trails=_trails(report, snapshots))
    return report


def _known(snapshots: Sequence[AccountSnapshot]) -> dict[str, list[ApplicationImpact]]:
    found: dict[str, list[ApplicationImpact]] = {}
    for snapshot in snapshots:
        for name, affected in all_incidents(snapshot.survey.ledgers, snapshot.document.mass_rotations).items():
            found.setdefault(name, []).extend(affected)
    return found


def _report(
    name: str,
    affected: Sequence[ApplicationImpact],
    snapshots: Sequence[AccountSnapshot],
    now: datetime,
    since: datetime | None,
) -> IncidentReport:
    masses = _masses(snapshots, name)
    opened = min([one.opened_at for one in affected] + [mass.begun_at for mass in masses])
    # The coverage of a mass rotation of whole accounts includes these. Any other incident covers
    # the bearers of the marked keys.
    mass = masses[0] if masses else None
    accounts = {one.account for one in affected} | {
        snapshot.scope.account for snapshot in snapshots if _masses([snapshot], name)
    }
    old = mass.created_before if mass else opened
    whole = mass is not None and not is_partial(mass.selector)
    bearers = {one.bearer for one in affected}
    proofs = []
    for snapshot in snapshots:
        if snapshot.scope.account in accounts:
            verification = snapshot.coverage(max([old, *(one.created_before for one in _masses([snapshot], name))]))
            part = f"the {pluralize(len(bearers), 'affected application')}"
            proofs.append(verification if whole else verification.restricted(bearers, part))
    return IncidentReport(name, now, since or min(old, opened - BEFORE), tuple(affected), masses, tuple(proofs))


def _trails(report: IncidentReport, snapshots: Sequence[AccountSnapshot]) -> Mapping[str, AuditTrail]:
    providers = {snapshot.scope.account: snapshot.scope.provider for snapshot in snapshots}
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
