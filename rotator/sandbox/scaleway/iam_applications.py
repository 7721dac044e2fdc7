"""The operations on IAM applications."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rotator.sandbox.scaleway import responses as answers
from rotator.sandbox.scaleway.entities import IamBearer
from rotator.sandbox.scaleway.request import (
    ApiRequest,
    Caller,
    boolean_of,
    ordered,
    organization_of,
    page_of,
    tags_of,
    text_of,
    uuid_of,
)
from rotator.sandbox.scaleway.responses import Answer, StandInError
from rotator.sandbox.scaleway.state import StandInState


def create_application(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """POST: a new application, without any right."""
    fields = request.fields
    organization = organization_of(caller, str(fields.get("organization_id") or ""), "write", "application")
    if not (name := text_of(fields, "name", 64)):
        raise StandInError(answers.invalid("name", "required"))
    bearer = state.add_bearer(
        organization,
        "application",
        name,
        description=text_of(fields, "description", 200),
        tags=tags_of(fields),
        actor=caller.actor,
    )
    return answers.ok(answers.application_object(bearer), spaced=state.settings.spaced)


def _application(caller: Caller, name: str) -> IamBearer:
    bearer = caller.organization.bearers.get(uuid_of("application_id", name))
    if bearer is None or bearer.kind != "application":
        raise StandInError(answers.not_found("application", name))
    return bearer


def get_application(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """GET by id."""
    return answers.ok(answers.application_object(_application(caller, request.name)), spaced=state.settings.spaced)


def update_application(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
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


def delete_application(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """DELETE: the application and its keys."""
    state.remove_bearer(_application(caller, request.name), actor=caller.actor)
    return answers.NO_CONTENT


_APPLICATION_ORDERS: Mapping[str, Callable[[IamBearer], Any]] = {
    "created_at": lambda bearer: bearer.created_at,
    "updated_at": lambda bearer: bearer.updated_at,
    "name": lambda bearer: bearer.name,
}


def list_applications(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
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
    shown = [
        answers.application_object(bearer) for bearer in page_of(request, ordered(request, found, _APPLICATION_ORDERS))
    ]
    return answers.ok({"applications": shown, "total_count": len(found)}, spaced=state.settings.spaced)
