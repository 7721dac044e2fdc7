"""The table of operations, for the API and for commands that run without a daemon.

Routes, validation and the OpenAPI description are built from it, and the command line calls it, so
all behave alike. Each function receives an ``OperationContext`` and an ``OperationRequest`` and
returns plain values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Annotated, Any

from pydantic import Field

from rotator import __version__
from rotator.domain.status import StatusReport
from rotator.operations.commands.handlers import (
    DrillRequest,
    ExtendRequest,
    HoldRequest,
    ResumeRequest,
    RevokeRequest,
    RotateRequest,
    handle_drill,
    handle_extend,
    handle_hold,
    handle_resume,
    handle_revoke,
    handle_rotate,
)
from rotator.operations.daemon_handle import HealthCause, HealthReport, ReloadResult
from rotator.operations.incidents.handlers import IncidentRequest, handle_incident, handle_incidents
from rotator.operations.mass_rotation.handlers import (
    CoverageRequest,
    MassRotationCommand,
    PreviewRequest,
    WaiveRequest,
    handle_coverage,
    handle_mass_rotation,
    handle_preview,
    handle_waive,
)
from rotator.operations.operation import Maybe, Name, Names, NoArguments, Operation, OperationContext, OperationRequest
from rotator.operations.queries.diagnosis import Diagnosis
from rotator.operations.queries.doctor import diagnose
from rotator.operations.queries.history import History, read_history
from rotator.operations.queries.key_info import KeyInfo, describe_keys
from rotator.operations.queries.plan import PlanResult, plan_applications
from rotator.operations.queries.status import status_report
from rotator.operations.signatures import SIGNATURES

# --- queries --------------------------------------------------------------------------------------


def _health(call: OperationContext, _: NoArguments) -> HealthReport:
    alive = [HealthCause(*cause) for cause in call.daemon.health()]
    ready = [HealthCause(*cause) for cause in call.daemon.readiness()]
    source = call.daemon.runtime.source
    return HealthReport(
        __version__, source, all(one.well for one in alive), all(one.well for one in ready), (*alive, *ready)
    )


class Some(OperationRequest):
    """Selected applications, or all."""

    applications: Maybe


def _status(call: OperationContext, request: Some) -> StatusReport:
    daemon = call.daemon_handle
    if daemon is None:
        return status_report(call.runtime, request.applications, call.now())
    return status_report(
        call.runtime,
        request.applications,
        call.now(),
        daemon.observed_problems(),
        observed_ledgers=daemon.observed_ledgers,
    )


def _plan(call: OperationContext, request: Some) -> tuple[PlanResult, ...]:
    return plan_applications(call.runtime, request.applications, call.runtime.context, call.sleep)


def _doctor(call: OperationContext, _: NoArguments) -> Diagnosis:
    return diagnose(call.runtime.facts())


class One(OperationRequest):
    """One application."""

    application: Name


def _history(call: OperationContext, request: One) -> History:
    return read_history(call.runtime, request.application)


# --- commands -------------------------------------------------------------------------------------


def _reload(call: OperationContext, _: NoArguments) -> Future[ReloadResult]:
    return call.daemon.reload()


class Keys(OperationRequest):
    """Access keys."""

    access_keys: Annotated[Names, Field(min_length=1)]


def _who(call: OperationContext, request: Keys) -> tuple[KeyInfo, ...]:
    return describe_keys(call.runtime, request.access_keys, call.now())


# --- the table ------------------------------------------------------------------------------------

_COMMAND = (404, 408, 409, 429)
"""Error statuses of a command beyond those of every operation."""


def _operation(
    name: str,
    summary: str,
    takes: type[OperationRequest],
    run: Callable[[OperationContext, Any], Any],
    *,
    refuses: tuple[int, ...] = (),
    per_application: bool = False,
    exclusive_key: Callable[[Any], str] = lambda _: "",
) -> Operation:
    return Operation(SIGNATURES[name], summary, takes, run, per_application, exclusive_key, refuses)


OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (
        _operation("health", "Health of the daemon.", NoArguments, _health),
        _operation(
            "status",
            "State of applications, from their ledgers.",
            Some,
            _status,
            refuses=(404, 409),
            per_application=True,
        ),
        _operation(
            "plan", "Next action of applications, and why.", Some, _plan, refuses=(404, 409), per_application=True
        ),
        _operation("doctor", "Checks of the installation, with remedies.", NoArguments, _doctor),
        _operation(
            "history",
            "History of the keys of an application.",
            One,
            _history,
            refuses=(404, 409),
            per_application=True,
        ),
        _operation(
            "reload",
            "Reload the configuration; answers when it is in force.",
            NoArguments,
            _reload,
            refuses=(422, 429),
        ),
        _operation(
            "rotate",
            "Replace keys now; answers when the new key is published and read back.",
            RotateRequest,
            handle_rotate,
            refuses=_COMMAND,
            per_application=True,
        ),
        _operation("lookup", "Application and state of keys.", Keys, _who, refuses=(409,)),
        _operation(
            "hold",
            "Pause rotation and revocation for applications until they are resumed.",
            HoldRequest,
            handle_hold,
            refuses=_COMMAND,
            per_application=True,
        ),
        _operation(
            "resume",
            "Resume applications that are on hold.",
            ResumeRequest,
            handle_resume,
            refuses=_COMMAND,
            per_application=True,
        ),
        _operation(
            "extend",
            "Extend the grace period of old keys.",
            ExtendRequest,
            handle_extend,
            refuses=_COMMAND,
            per_application=True,
        ),
        _operation(
            "revoke",
            "End a grace, or revoke an unmanaged key; answers when the revocation is verified.",
            RevokeRequest,
            handle_revoke,
            refuses=_COMMAND,
        ),
        _operation(
            "coverage",
            "Valid keys of an account from before a time.",
            CoverageRequest,
            handle_coverage,
            refuses=(404, 409),
        ),
        _operation(
            "waive",
            "Exempt an old key from coverage, with a reason, or no longer.",
            WaiveRequest,
            handle_waive,
            refuses=_COMMAND,
        ),
        _operation(
            "preview",
            "Preview of a mass rotation: order, duration, and the keys that would remain.",
            PreviewRequest,
            handle_preview,
            refuses=(404, 409),
        ),
        _operation(
            "mass_rotation",
            "Replace the keys of many applications, as many at once as the quota has room for, and report coverage.",
            MassRotationCommand,
            handle_mass_rotation,
            exclusive_key=lambda request: str(request.same),
            refuses=_COMMAND,
        ),
        _operation("incidents", "All incidents in the ledgers.", NoArguments, handle_incidents, refuses=(409,)),
        _operation("incident", "Report of one incident.", IncidentRequest, handle_incident, refuses=(409,)),
        _operation(
            "drill",
            "Run an emergency on one application as an exercise, with real keys.",
            DrillRequest,
            handle_drill,
            refuses=_COMMAND,
            per_application=True,
        ),
    )
}
"""Every operation, apart from the event stream."""
