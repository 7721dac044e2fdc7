"""The operations on API keys. The order of checks is: right, arguments, existence, policy, quota;
the real order is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from rotator.sandbox.scaleway import responses as answers
from rotator.sandbox.scaleway.entities import ApiKey, IamBearer, Organization
from rotator.sandbox.scaleway.request import (
    DURATION,
    ApiRequest,
    Caller,
    boolean_of,
    moment_of,
    ordered,
    organization_of,
    page_of,
    text_of,
    uuid_of,
)
from rotator.sandbox.scaleway.responses import Answer, StandInError
from rotator.sandbox.scaleway.state import StandInState


def _policy(state: StandInState, organization: Organization, expires_at: datetime | None) -> None:
    """Raise when the organisation's maximum duration does not allow a key with this expiry."""
    maximum = DURATION.fullmatch(organization.security["max_api_key_expiration_duration"])
    seconds = float(maximum[1]) if maximum else 0.0
    if seconds and expires_at is None:
        help_message = "organization security settings require an expiration date for API keys"
        raise StandInError(answers.invalid("expires_at", "constraint", help_message))
    # The two texts below are assumptions; no refusal of a date was recorded.
    if expires_at and expires_at <= state.now():
        raise StandInError(answers.invalid("expires_at", "constraint", "expiration date must be in the future"))
    if seconds and expires_at and expires_at > state.now() + timedelta(seconds=seconds):
        help_message = "expiration date exceeds the maximum duration of the organization security settings"
        raise StandInError(answers.invalid("expires_at", "constraint", help_message))


def _project(organization: Organization, value: object) -> str:
    project = uuid_of("default_project_id", value)
    if project not in organization.projects:
        raise StandInError(answers.not_found("project", project))
    return project


def _bearer_of(caller: Caller, fields: Mapping[str, Any]) -> IamBearer:
    """The bearer that a create names: an application of the organisation, or the caller's own
    user."""
    named = {name: fields[name] for name in ("application_id", "user_id") if fields.get(name)}
    if len(named) != 1:
        reason = "constraint" if named else "required"
        raise StandInError(answers.invalid("bearer", reason, "exactly one of application_id and user_id must be set"))
    ((argument, value),) = named.items()
    kind = argument.removesuffix("_id")
    bearer = caller.organization.bearers.get(uuid_of(argument, value))
    if bearer is None or bearer.kind != kind:
        raise StandInError(answers.not_found(kind, str(value)))
    if kind == "user" and bearer is not caller.bearer:
        raise StandInError(answers.forbidden("write", "api_key"))
    return bearer


def create_key(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
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
        raise StandInError(answers.quota_exceeded(len(organization.keys), organization.quota))
    key = state.add_key(
        bearer, description=description, expires_at=expires_at, default_project_id=project, actor=caller.actor
    )
    return answers.ok(answers.key_object(key, secret=True), spaced=state.settings.spaced)


def _key(state: StandInState, caller: Caller, access_key: str) -> ApiKey:
    key = state.live_key(access_key)
    if key is None or key.bearer.organization is not caller.organization:
        raise StandInError(answers.not_found("access_key", access_key))
    return key


def get_key(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """GET by name."""
    return answers.ok(answers.key_object(_key(state, caller, request.name)), spaced=state.settings.spaced)


def update_key(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """PATCH: description, default project and, if settings allow, expiry, which cannot be
    cleared."""
    key, fields = _key(state, caller, request.name), request.fields
    if not key.editable:
        raise StandInError(answers.precondition("API key is not editable"))
    changes: dict[str, Any] = {}
    if fields.get("description") is not None:
        changes["description"] = text_of(fields, "description", 200)
    if fields.get("default_project_id"):
        changes["default_project_id"] = _project(caller.organization, fields["default_project_id"])
    if fields.get("expires_at"):
        if not state.settings.expires_at_patchable:
            raise StandInError(answers.invalid("expires_at", "constraint", "expiration date cannot be changed"))
        changes["expires_at"] = moment_of("expires_at", fields["expires_at"])
        _policy(state, caller.organization, changes["expires_at"])
    state.update_key(key, changes, actor=caller.actor)
    return answers.ok(answers.key_object(key), spaced=state.settings.spaced)


def delete_key(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """DELETE by name; the second one finds nothing."""
    key = _key(state, caller, request.name)
    if not key.deletable:
        raise StandInError(answers.precondition("API key is not deletable"))
    state.remove_key(key, actor=caller.actor)
    return answers.NO_CONTENT


_KEY_ORDERS: Mapping[str, Callable[[ApiKey], Any]] = {
    "created_at": lambda key: key.created_at,
    "updated_at": lambda key: key.updated_at,
    "expires_at": lambda key: (key.expires_at is None, key.expires_at),
    "access_key": lambda key: key.access_key,
}


def list_keys(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """GET: keys of the organisation that fit all filters."""
    organization = organization_of(caller, request.one("organization_id"), "read", "api_key")
    bearer_id = request.one("bearer_id") or request.one("application_id") or request.one("user_id")
    if bearer_id:
        bearer_id = uuid_of("bearer_id", bearer_id)
    kind = request.one("bearer_type")
    if kind not in ("", "unknown_bearer_type", "user", "application"):
        raise StandInError(answers.invalid("bearer_type", "format", "value is not a known bearer type"))
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
