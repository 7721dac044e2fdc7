"""The operations of the API, each a function of the state and one request. Their order of checks is: right, arguments,
existence, policy, quota; the real order is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rotator.sandbox.scaleway import responses as answers
from rotator.sandbox.scaleway.audit_trail import list_deeds
from rotator.sandbox.scaleway.entities import ApiKey, Bearer, Organization
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
    Caller,
    Request,
    boolean_of,
    moment_of,
    ordered,
    organization_of,
    page_of,
    tags_of,
    text_of,
    uuid_of,
)
from rotator.sandbox.scaleway.responses import Answer, ApiError
from rotator.sandbox.scaleway.state import State

# --- keys -----------------------------------------------------------------------------------------------------------------


def _policy(state: State, organization: Organization, expires_at: datetime | None) -> None:
    """Raise when the organisation's maximum duration does not allow a key with this expiry."""
    maximum = DURATION.fullmatch(organization.security["max_api_key_expiration_duration"])
    seconds = float(maximum[1]) if maximum else 0.0
    if seconds and expires_at is None:
        help_message = "organization security settings require an expiration date for API keys"
        raise ApiError(answers.invalid("expires_at", "constraint", help_message))
    # The two texts below are assumptions; no refusal of a date was recorded.
    if expires_at and expires_at <= state.now():
        raise ApiError(answers.invalid("expires_at", "constraint", "expiration date must be in the future"))
    if seconds and expires_at and expires_at > state.now() + timedelta(seconds=seconds):
        help_message = "expiration date exceeds the maximum duration of the organization security settings"
        raise ApiError(answers.invalid("expires_at", "constraint", help_message))


def _project(organization: Organization, value: object) -> str:
    project = uuid_of("default_project_id", value)
    if project not in organization.projects:
        raise ApiError(answers.not_found("project", project))
    return project


def _bearer_of(caller: Caller, fields: Mapping[str, Any]) -> Bearer:
    """The bearer that a create names: an application of the organisation, or the caller's own user."""
    named = {name: fields[name] for name in ("application_id", "user_id") if fields.get(name)}
    if len(named) != 1:
        reason = "constraint" if named else "required"
        raise ApiError(answers.invalid("bearer", reason, "exactly one of application_id and user_id must be set"))
    ((argument, value),) = named.items()
    kind = argument.removesuffix("_id")
    bearer = caller.organization.bearers.get(uuid_of(argument, value))
    if bearer is None or bearer.kind != kind:
        raise ApiError(answers.not_found(kind, str(value)))
    if kind == "user" and bearer is not caller.bearer:
        raise ApiError(answers.forbidden("write", "api_key"))
    return bearer


def create_key(state: State, caller: Caller, request: Request) -> Answer:
    """POST: a new key, and the only sight of its secret."""
    fields = request.fields
    bearer = _bearer_of(caller, fields)
    organization = bearer.organization
    description = text_of(fields, "description", 200)
    expires_at = moment_of("expires_at", fields["expires_at"]) if fields.get("expires_at") else None
    project = _project(organization, fields["default_project_id"]) if fields.get("default_project_id") else None
    _policy(state, organization, expires_at)
    if len(organization.keys) >= organization.quota:
        state.record("quota_exceeded", bearer=bearer.id, by=caller.key.access_key)
        raise ApiError(answers.quota_exceeded(len(organization.keys), organization.quota))
    key = state.add_key(bearer, description=description, expires_at=expires_at, default_project_id=project, actor=caller.actor)
    return answers.ok(answers.key_object(key, secret=True), spaced=state.settings.spaced)


def _key(state: State, caller: Caller, access_key: str) -> ApiKey:
    key = state.live_key(access_key)
    if key is None or key.bearer.organization is not caller.organization:
        raise ApiError(answers.not_found("access_key", access_key))
    return key


def get_key(state: State, caller: Caller, request: Request) -> Answer:
    """GET by name."""
    return answers.ok(answers.key_object(_key(state, caller, request.name)), spaced=state.settings.spaced)


def update_key(state: State, caller: Caller, request: Request) -> Answer:
    """PATCH: description, default project and, if settings allow, expiry, which cannot be cleared."""
    key, fields = _key(state, caller, request.name), request.fields
    if not key.editable:
        raise ApiError(answers.precondition("API key is not editable"))
    changes: dict[str, Any] = {}
    if fields.get("description") is not None:
        changes["description"] = text_of(fields, "description", 200)
    if fields.get("default_project_id"):
        changes["default_project_id"] = _project(caller.organization, fields["default_project_id"])
    if fields.get("expires_at"):
        if not state.settings.expires_at_patchable:
            raise ApiError(answers.invalid("expires_at", "constraint", "expiration date cannot be changed"))
        changes["expires_at"] = moment_of("expires_at", fields["expires_at"])
        _policy(state, caller.organization, changes["expires_at"])
    state.update_key(key, changes, actor=caller.actor)
    return answers.ok(answers.key_object(key), spaced=state.settings.spaced)


def delete_key(state: State, caller: Caller, request: Request) -> Answer:
    """DELETE by name; the second one finds nothing."""
    key = _key(state, caller, request.name)
    if not key.deletable:
        raise ApiError(answers.precondition("API key is not deletable"))
    state.remove_key(key, actor=caller.actor)
    return answers.NO_CONTENT


_KEY_ORDERS: Mapping[str, Callable[[ApiKey], Any]] = {
    "created_at": lambda key: key.created_at,
    "updated_at": lambda key: key.updated_at,
    "expires_at": lambda key: (key.expires_at is None, key.expires_at),
    "access_key": lambda key: key.access_key,
}


def list_keys(state: State, caller: Caller, request: Request) -> Answer:
    """GET: keys of the organisation that fit all filters."""
    organization = organization_of(caller, request.one("organization_id"), "read", "api_key")
    bearer_id = request.one("bearer_id") or request.one("application_id") or request.one("user_id")
    if bearer_id:
        bearer_id = uuid_of("bearer_id", bearer_id)
    kind = request.one("bearer_type")
    if kind not in ("", "unknown_bearer_type", "user", "application"):
        raise ApiError(answers.invalid("bearer_type", "format", "value is not a known bearer type"))
    names = set(request.query.get("access_keys", [])) | set(request.query.get("access_key", []))
    description, now = request.one("description"), state.now()
    editable, expired = boolean_of(request, "editable"), boolean_of(request, "expired")
    keys = [
        key
        for key in state.listed(organization, bearer_id or None)
        if (kind not in ("user", "application") or key.bearer.kind == kind)
        and (not names or key.access_key in names)
        and description in key.description
        and editable in (None, key.editable)
        and expired in (None, key.expires_at is not None and key.expires_at <= now)
    ]
    shown = [answers.key_object(key) for key in page_of(request, ordered(request, keys, _KEY_ORDERS))]
    return answers.ok({"api_keys": shown, "total_count": len(keys)}, spaced=state.settings.spaced)


# --- applications ---------------------------------------------------------------------------------------------------------


def create_application(state: State, caller: Caller, request: Request) -> Answer:
    """POST: a new application, without any right."""
    fields = request.fields
    organization = organization_of(caller, str(fields.get("organization_id") or ""), "write", "application")
    if not (name := text_of(fields, "name", 64)):
        raise ApiError(answers.invalid("name", "required"))
    bearer = state.add_bearer(
        organization,
        "application",
        name,
        description=text_of(fields, "description", 200),
        tags=tags_of(fields),
        actor=caller.actor,
    )
    return answers.ok(answers.application_object(bearer), spaced=state.settings.spaced)


def _application(caller: Caller, name: str) -> Bearer:
    bearer = caller.organization.bearers.get(uuid_of("application_id", name))
    if bearer is None or bearer.kind != "application":
        raise ApiError(answers.not_found("application", name))
    return bearer


def get_application(state: State, caller: Caller, request: Request) -> Answer:
    """GET by id."""
    return answers.ok(answers.application_object(_application(caller, request.name)), spaced=state.settings.spaced)


def update_application(state: State, caller: Caller, request: Request) -> Answer:
    """PATCH: name, description, tags."""
    bearer, fields = _application(caller, request.name), request.fields
    changes: dict[str, Any] = {}
    if fields.get("name"):
        changes["name"] = text_of(fields, "name", 64)
    if fields.get("description") is not None:
        changes["description"] = text_of(fields, "description", 200)
    if fields.get("tags") is not None:
        changes["tags"] = tags_of(fields)
    state.update_bearer(bearer, changes, actor=caller.actor)
    return answers.ok(answers.application_object(bearer), spaced=state.settings.spaced)


def delete_application(state: State, caller: Caller, request: Request) -> Answer:
    """DELETE: the application and its keys."""
    state.remove_bearer(_application(caller, request.name), actor=caller.actor)
    return answers.NO_CONTENT


_APPLICATION_ORDERS: Mapping[str, Callable[[Bearer], Any]] = {
    "created_at": lambda bearer: bearer.created_at,
    "updated_at": lambda bearer: bearer.updated_at,
    "name": lambda bearer: bearer.name,
}


def list_applications(state: State, caller: Caller, request: Request) -> Answer:
    """GET: applications of the organisation that fit all filters."""
    organization = organization_of(caller, request.one("organization_id"), "read", "application")
    name, tag, ids = request.one("name"), request.one("tag"), set(request.query.get("application_ids", []))
    editable = boolean_of(request, "editable")
    found = [
        bearer
        for bearer in organization.bearers.values()
        if bearer.kind == "application"
        and name in bearer.name
        and (not tag or tag in bearer.tags)
        and (not ids or bearer.id in ids)
        and editable is not False
    ]
    shown = [answers.application_object(bearer) for bearer in page_of(request, ordered(request, found, _APPLICATION_ORDERS))]
    return answers.ok({"applications": shown, "total_count": len(found)}, spaced=state.settings.spaced)


# --- the rest, minimal ----------------------------------------------------------------------------------------------------


def get_security(state: State, caller: Caller, request: Request) -> Answer:
    """GET: the organisation's security settings."""
    organization = organization_of(caller, request.name, "read", "organization")
    return answers.ok(organization.security, spaced=state.settings.spaced)


def update_security(state: State, caller: Caller, request: Request) -> Answer:
    """PATCH: any of the organisation's security settings. They bind new keys only."""
    organization = organization_of(caller, request.name, "write", "organization")
    for name, value in request.fields.items():
        if name not in organization.security or value is None:
            continue
        if name.endswith("_duration") and not (isinstance(value, str) and DURATION.fullmatch(value)):
            raise ApiError(answers.invalid(name, "format", "value must be a duration"))
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


def list_quota(state: State, caller: Caller, request: Request) -> Answer:
    """GET: the limits of the organisation; not how much of them is used."""
    organization = organization_of(caller, request.one("organization_id"), "read", "quota")
    names = request.query.get("quotum_names")
    quota = [_quotum(answers.QUOTA_ON_KEYS, organization.quota)] if not names or answers.QUOTA_ON_KEYS in names else []
    return answers.ok({"quota": list(page_of(request, quota)), "total_count": len(quota)}, spaced=state.settings.spaced)


def get_quotum(state: State, caller: Caller, request: Request) -> Answer:
    """GET: one limit."""
    organization = organization_of(caller, request.one("organization_id"), "read", "quota")
    if request.name != answers.QUOTA_ON_KEYS:
        raise ApiError(answers.not_found("quotum", request.name))
    return answers.ok(_quotum(answers.QUOTA_ON_KEYS, organization.quota), spaced=state.settings.spaced)


def get_project(state: State, caller: Caller, request: Request) -> Answer:
    """GET of a project, which tells the organisation's id."""
    name = caller.organization.projects.get(request.name)
    if name is None:
        raise ApiError(answers.not_found("project", request.name))
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


def list_logs(state: State, caller: Caller, request: Request) -> Answer:
    """GET: who changed what in IAM, newest first. The use of a key is not in there."""
    organization = organization_of(caller, request.one("organization_id"), "read", "log")
    action, kind, search = request.one("action"), request.one("resource_type"), request.one("search")
    after, before = (request.one(name) and moment_of(name, request.one(name)) for name in ("created_after", "created_before"))
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
class Operation:
    """What a method does on a route, and which right it needs."""

    run: Callable[[State, Caller, Request], Answer]
    action: str
    resources: tuple[str, ...]


_WRITE_KEY = ("api_key", "self_api_key")

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", API_KEYS): Operation(create_key, "write", _WRITE_KEY),
    ("GET", API_KEYS): Operation(list_keys, "read", ("api_key",)),
    ("GET", API_KEY): Operation(get_key, "read", ("api_key",)),
    ("PATCH", API_KEY): Operation(update_key, "write", _WRITE_KEY),
    ("DELETE", API_KEY): Operation(delete_key, "write", _WRITE_KEY),
    ("POST", APPLICATIONS): Operation(create_application, "write", ("application",)),
    ("GET", APPLICATIONS): Operation(list_applications, "read", ("application",)),
    ("GET", APPLICATION): Operation(get_application, "read", ("application",)),
    ("PATCH", APPLICATION): Operation(update_application, "write", ("application",)),
    ("DELETE", APPLICATION): Operation(delete_application, "write", ("application",)),
    ("GET", SECURITY): Operation(get_security, "read", ("organization",)),
    ("PATCH", SECURITY): Operation(update_security, "write", ("organization",)),
    ("GET", QUOTA): Operation(list_quota, "read", ("quota",)),
    ("GET", QUOTUM): Operation(get_quotum, "read", ("quota",)),
    ("GET", LOGS): Operation(list_logs, "read", ("log",)),
    ("GET", PROJECT): Operation(get_project, "read", ("project",)),
    ("GET", TRAIL): Operation(list_deeds, "read", ("audit_trail_event",)),
}
