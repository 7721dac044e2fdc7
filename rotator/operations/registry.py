"""The verbs, as a table: what can be asked and ordered, through a socket or by a command that acts itself.

Routes, checks and the OpenAPI description of the API are made from this table, and the command line asks and orders by it, so both
do the same. Each function gets a ``OperationContext`` and a ``OperationRequest`` and returns plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from rotator import __version__
from rotator.operations.commands.drill import DrillResult
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
from rotator.operations.coverage import CoverageReport
from rotator.operations.daemon_handle import ReloadResult
from rotator.operations.incidents.handlers import IncidentList, IncidentRequest, handle_incident, handle_incidents
from rotator.operations.incidents.report import IncidentReport
from rotator.operations.mass_rotation.handlers import (
    CoverageRequest,
    MassRotationCommand,
    MassRotationReport,
    PreviewRequest,
    WaiveRequest,
    WaiveResult,
    handle_coverage,
    handle_mass_rotation,
    handle_preview,
    handle_waive,
)
from rotator.operations.mass_rotation.preview import Preview
from rotator.operations.operation import Maybe, Name, Names, NoArguments, Operation, OperationContext, OperationRequest
from rotator.operations.queries.history import History, read_history
from rotator.operations.queries.key_info import KeyInfo, describe_keys
from rotator.operations.queries.plan import PlanResult, plan_applications
from rotator.operations.queries.status import StatusReport, status_report
from rotator.operations.result import OperationResult

# --- queries --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HealthCause:
    """One reason to call the daemon well or not."""

    name: str
    well: bool
    how: str


@dataclass(frozen=True)
class HealthReport:
    """The daemon: its version, the configuration that it works for, whether it lives and whether it can do its work."""

    version: str
    config: str
    alive: bool
    ready: bool
    causes: tuple[HealthCause, ...]


def _health(call: OperationContext, _: NoArguments) -> HealthReport:
    alive = [HealthCause(*cause) for cause in call.daemon.health()]
    ready = [HealthCause(*cause) for cause in call.daemon.readiness()]
    source = call.daemon.runtime.source
    return HealthReport(__version__, source, all(one.well for one in alive), all(one.well for one in ready), (*alive, *ready))


class Some(OperationRequest):
    """Some applications, or all."""

    applications: Maybe


def _status(call: OperationContext, request: Some) -> StatusReport:
    observed = call.daemon_handle.observed_problems() if call.daemon_handle else {}
    return status_report(call.runtime, request.applications, call.now(), observed)


def _plan(call: OperationContext, request: Some) -> tuple[PlanResult, ...]:
    return plan_applications(call.runtime, request.applications, call.runtime.context, call.sleep)


class One(OperationRequest):
    """One application."""

    application: Name


def _history(call: OperationContext, request: One) -> History:
    return read_history(call.runtime, request.application)


# --- commands -------------------------------------------------------------------------------------------------------------


def _reload(call: OperationContext, _: NoArguments) -> Future[ReloadResult]:
    return call.daemon.reload()


class Keys(OperationRequest):
    """Names of keys."""

    access_keys: Annotated[Names, Field(min_length=1)]


def _who(call: OperationContext, request: Keys) -> tuple[KeyInfo, ...]:
    return describe_keys(call.runtime, request.access_keys, call.now())


# --- the table ------------------------------------------------------------------------------------------------------------

_COMMAND: dict[str, Any] = {"changes": True, "refuses": (404, 408, 409, 429)}
_QUERY_EACH: dict[str, Any] = {"per_application": True, "refuses": (404, 409)}
_COMMAND_EACH: dict[str, Any] = {"per_application": True, **_COMMAND}

OPERATIONS: Mapping[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation("health", "GET", "How the daemon is.", NoArguments, HealthReport, _health, immediate=True),
        Operation("status", "GET", "How the applications are, by their ledgers.", Some, StatusReport, _status, **_QUERY_EACH),
        Operation("plan", "GET", "What would be done next, and why.", Some, tuple[PlanResult, ...], _plan, **_QUERY_EACH),
        Operation("history", "GET", "What happened to the keys of an application.", One, History, _history, **_QUERY_EACH),
        Operation(
            "reload",
            "POST",
            "Read the configuration again; answers when it is in force.",
            NoArguments,
            ReloadResult,
            _reload,
            changes=True,
            urgent=lambda _: True,
            refuses=(422, 429),
        ),
        Operation(
            "rotate",
            "POST",
            "Replace keys now; answers when it is true and read back.",
            RotateRequest,
            tuple[OperationResult, ...],
            handle_rotate,
            urgent=lambda request: bool(request.compromised),
            **_COMMAND_EACH,
        ),
        Operation("lookup", "GET", "Whose keys these are, and how they stand.", Keys, tuple[KeyInfo, ...], _who, refuses=(409,)),
        Operation(
            "hold",
            "POST",
            "Leave applications alone until they are resumed.",
            HoldRequest,
            tuple[OperationResult, ...],
            handle_hold,
            **_COMMAND_EACH,
        ),
        Operation(
            "resume",
            "POST",
            "Let held applications go on.",
            ResumeRequest,
            tuple[OperationResult, ...],
            handle_resume,
            **_COMMAND_EACH,
        ),
        Operation(
            "extend",
            "POST",
            "Let keys in grace live on.",
            ExtendRequest,
            tuple[OperationResult, ...],
            handle_extend,
            **_COMMAND_EACH,
        ),
        Operation(
            "revoke",
            "POST",
            "End a grace, or revoke an unmanaged key; answers when the revocation is verified.",
            RevokeRequest,
            tuple[OperationResult, ...],
            handle_revoke,
            urgent=lambda _: True,
            **_COMMAND,
        ),
        Operation(
            "coverage",
            "GET",
            "Every live key of an account from before a time.",
            CoverageRequest,
            CoverageReport,
            handle_coverage,
            refuses=(404, 409),
        ),
        Operation(
            "waive",
            "POST",
            "Let an old key stay, by name and with a reason, or no longer.",
            WaiveRequest,
            WaiveResult,
            handle_waive,
            **_COMMAND,
        ),
        Operation(
            "preview",
            "GET",
            "What a rotation of many applications would do, in which order, and which keys would remain.",
            PreviewRequest,
            tuple[Preview, ...],
            handle_preview,
            refuses=(404, 409),
        ),
        Operation(
            "mass_rotation",
            "POST",
            "Replace the keys of many applications, as many at once as there is room for, to the coverage proof.",
            MassRotationCommand,
            MassRotationReport,
            handle_mass_rotation,
            urgent=lambda request: bool(request.compromised),
            exclusive_key=lambda request: str(request.same),
            **_COMMAND,
        ),
        Operation(
            "incidents",
            "GET",
            "Every incident that a ledger remembers.",
            NoArguments,
            IncidentList,
            handle_incidents,
            refuses=(409,),
        ),
        Operation(
            "incident", "GET", "What happened in an emergency.", IncidentRequest, IncidentReport, handle_incident, refuses=(409,)
        ),
        Operation(
            "drill",
            "POST",
            "Practise the emergency on one application, for real.",
            DrillRequest,
            DrillResult,
            handle_drill,
            **_COMMAND_EACH,
        ),
    )
}
"""Everything that can be asked and ordered, beside the stream of events."""
