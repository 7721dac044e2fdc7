"""The operations as callers see them: name, method and type of the result.

A command that calls the daemon needs no more. It imports neither the code of the operations nor the
library that validates requests; the daemon validates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal


@dataclass(frozen=True)
class Signature:
    """One query or command.

    ``result``: module and class of the result; ``many``: a tuple of these. ``changes``: a command.
    ``immediate``: the daemon's event loop answers it. ``selects``: it concerns a selection of any
    number of applications, so its duration is unbounded. ``urgent``: whether a request with these
    arguments is an emergency.
    """

    name: str
    method: Literal["GET", "POST"]
    result: str
    many: bool = False
    changes: bool = False
    immediate: bool = False
    selects: bool = False
    urgent: Callable[[Mapping[str, Any]], bool] = lambda _: False

    @property
    def path(self) -> str:
        """The path in the API."""
        return f"/v1/{self.name}"

    @property
    def gives(self) -> Any:
        """The type of the result, imported on demand."""
        module, _, name = self.result.partition(":")
        found: Any = getattr(import_module(f"rotator.{module}"), name)
        return tuple[found, ...] if self.many else found


def _always(_: Mapping[str, Any]) -> bool:
    return True


def _if_compromised(arguments: Mapping[str, Any]) -> bool:
    return bool(arguments.get("compromised"))


_RESULT = "operations.result:OperationResult"
_MASS = "operations.mass_rotation.results"

SIGNATURES: Mapping[str, Signature] = {
    one.name: one
    for one in (
        Signature("health", "GET", "operations.daemon_handle:HealthReport", immediate=True),
        Signature("status", "GET", "domain.status:StatusReport"),
        Signature("plan", "GET", "operations.queries.plan:PlanResult", many=True),
        Signature("doctor", "GET", "operations.queries.doctor:Diagnosis"),
        Signature("history", "GET", "operations.queries.history:History"),
        Signature("reload", "POST", "operations.daemon_handle:ReloadResult", changes=True, urgent=_always),
        Signature("rotate", "POST", _RESULT, many=True, changes=True, urgent=_if_compromised),
        Signature("lookup", "GET", "operations.queries.key_info:KeyInfo", many=True),
        Signature("hold", "POST", _RESULT, many=True, changes=True),
        Signature("resume", "POST", _RESULT, many=True, changes=True),
        Signature("extend", "POST", _RESULT, many=True, changes=True),
        Signature("revoke", "POST", _RESULT, many=True, changes=True, urgent=_always),
        Signature("coverage", "GET", "operations.coverage:CoverageReport"),
        Signature("waive", "POST", f"{_MASS}:WaiveResult", changes=True),
        Signature("preview", "GET", "operations.mass_rotation.preview:Preview", many=True),
        Signature(
            "mass_rotation", "POST", f"{_MASS}:MassRotationReport", changes=True, selects=True, urgent=_if_compromised
        ),
        Signature("incidents", "GET", "operations.incidents.report:IncidentList"),
        Signature("incident", "GET", "operations.incidents.report:IncidentReport"),
        Signature("drill", "POST", "operations.commands.drill:DrillResult", changes=True),
    )
}
"""Every operation, apart from the event stream."""
