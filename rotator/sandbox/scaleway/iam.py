"""The operations of the API by method and route, each a function of the state and one request; here
those on what is neither a key nor an application.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rotator.sandbox.scaleway import responses as answers
from rotator.sandbox.scaleway.audit_trail import list_deeds
from rotator.sandbox.scaleway.iam_applications import (
    create_application,
    delete_application,
    get_application,
    list_applications,
    update_application,
)
from rotator.sandbox.scaleway.iam_keys import create_key, delete_key, get_key, list_keys, update_key
from rotator.sandbox.scaleway.request import (
    API_KEY,
    API_KEYS,
    APPLICATION,
    APPLICATIONS,
    DURATION,
    LOGS,
    PROJECT,
    QUOTA,
    QUOTUM,
    SECURITY,
    TRAIL,
    ApiRequest,
    Caller,
    moment_of,
    organization_of,
    page_of,
)
from rotator.sandbox.scaleway.responses import Answer, StandInError
from rotator.sandbox.scaleway.state import StandInState


def get_security(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """GET: the organisation's security settings."""
    organization = organization_of(caller, request.name, "read", "organization")
    return answers.ok(organization.security, spaced=state.settings.spaced)


def update_security(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """PATCH: any of the organisation's security settings. They bind new keys only."""
    organization = organization_of(caller, request.name, "write", "organization")
    for name, value in request.fields.items():
        if name not in organization.security or value is None:
            continue
        if name.endswith("_duration") and not (isinstance(value, str) and DURATION.fullmatch(value)):
            raise StandInError(answers.invalid(name, "format", "value must be a duration"))
        organization.security[name] = value
    state.record("security_updated", by=caller.key.access_key, detail=organization.id)
    return answers.ok(organization.security, spaced=state.settings.spaced)


def _quotum(name: str, limit: int) -> dict[str, Any]:
    return {
        "name": name,
        "pretty_name": "API keys",
        "unit": "unit",
        "description": "Number of API keys in the Organization",
        "locality_type": "global",
        "limits": [{"global": True, "limit": limit}],
    }


def list_quota(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """GET: the limits of the organisation; not how much of them is used."""
    organization = organization_of(caller, request.one("organization_id"), "read", "quota")
    names = request.query.get("quotum_names")
    quota = [_quotum(answers.QUOTA_ON_KEYS, organization.quota)] if not names or answers.QUOTA_ON_KEYS in names else []
    return answers.ok({"quota": list(page_of(request, quota)), "total_count": len(quota)}, spaced=state.settings.spaced)


def get_quotum(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """GET: one limit."""
    organization = organization_of(caller, request.one("organization_id"), "read", "quota")
    if request.name != answers.QUOTA_ON_KEYS:
        raise StandInError(answers.not_found("quotum", request.name))
    return answers.ok(_quotum(answers.QUOTA_ON_KEYS, organization.quota), spaced=state.settings.spaced)


def get_project(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """GET of a project, which names the organisation's id."""
    name = caller.organization.projects.get(request.name)
    if name is None:
        raise StandInError(answers.not_found("project", request.name))
    project = {
        "id": request.name,
        "name": name,
        "organization_id": caller.organization.id,
        "created_at": "2024-01-01T00:00:00.000000Z",
        "updated_at": "2024-01-01T00:00:00.000000Z",
        "description": "",
        "qualification": None,
    }
    return answers.ok(project, spaced=state.settings.spaced)


def list_logs(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """GET: who changed what in IAM, newest first. The use of a key is not in there."""
    organization = organization_of(caller, request.one("organization_id"), "read", "log")
    action, kind, search = request.one("action"), request.one("resource_type"), request.one("search")
    after, before = (
        request.one(name) and moment_of(name, request.one(name)) for name in ("created_after", "created_before")
    )
    found = [
        answers.log_object(number, change)
        for number, change in enumerate(state.changes)
        if change.organization is organization
        and action in ("", "unknown_action", change.action)
        and kind in ("", "unknown_resource_type", change.resource_type)
        and search in ("", change.resource_id, change.actor.bearer)
        and (not after or change.at >= after)
        and (not before or change.at <= before)
    ]
    found.reverse()
    return answers.ok({"logs": list(page_of(request, found)), "total_count": len(found)}, spaced=state.settings.spaced)


@dataclass(frozen=True)
class RouteOperation:
    """What a method does on a route, and which right it needs."""

    run: Callable[[StandInState, Caller, ApiRequest], Answer]
    action: str
    resources: tuple[str, ...]


_WRITE_KEY = ("api_key", "self_api_key")

OPERATIONS: Mapping[tuple[str, str], RouteOperation] = {
    ("POST", API_KEYS): RouteOperation(create_key, "write", _WRITE_KEY),
    ("GET", API_KEYS): RouteOperation(list_keys, "read", ("api_key",)),
    ("GET", API_KEY): RouteOperation(get_key, "read", ("api_key",)),
    ("PATCH", API_KEY): RouteOperation(update_key, "write", _WRITE_KEY),
    ("DELETE", API_KEY): RouteOperation(delete_key, "write", _WRITE_KEY),
    ("POST", APPLICATIONS): RouteOperation(create_application, "write", ("application",)),
    ("GET", APPLICATIONS): RouteOperation(list_applications, "read", ("application",)),
    ("GET", APPLICATION): RouteOperation(get_application, "read", ("application",)),
    ("PATCH", APPLICATION): RouteOperation(update_application, "write", ("application",)),
    ("DELETE", APPLICATION): RouteOperation(delete_application, "write", ("application",)),
    ("GET", SECURITY): RouteOperation(get_security, "read", ("organization",)),
    ("PATCH", SECURITY): RouteOperation(update_security, "write", ("organization",)),
    ("GET", QUOTA): RouteOperation(list_quota, "read", ("quota",)),
    ("GET", QUOTUM): RouteOperation(get_quotum, "read", ("quota",)),
    ("GET", LOGS): RouteOperation(list_logs, "read", ("log",)),
    ("GET", PROJECT): RouteOperation(get_project, "read", ("project",)),
    ("GET", TRAIL): RouteOperation(list_deeds, "read", ("audit_trail_event",)),
}
