"""The audit trail: who called what, from where, with which client. It names no access key, and
shows what a key's *bearer* did.

Changes to IAM that came over the API are on it by themselves, under the region of Paris; what
happens at other products is put there by an operator's hand. Which words the real trail has for IAM
is not recorded and assumed here; the form of an event is recorded.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rotator.sandbox.scaleway import responses as answers
from rotator.sandbox.scaleway.entities import Change, IamBearer, Organization
from rotator.sandbox.scaleway.request import ApiRequest, Caller, moment_of, number_of, organization_of
from rotator.sandbox.scaleway.responses import Answer, StandInError

if TYPE_CHECKING:
    from rotator.sandbox.scaleway.state import StandInState

HOME = "fr-par"
"""The region whose trail has the changes to IAM."""

_METHODS = {"created": "Create", "updated": "Update", "deleted": "Delete"}
_NAMES = {"api_key": "APIKey", "application": "Application", "user": "User"}


@dataclass(frozen=True)
class Deed:
    """One call as the trail records it. ``resources`` are pairs of type and id."""

    recorded_at: datetime
    organization: Organization = field(repr=False)
    principal: str
    source_ip: str
    user_agent: str
    product_name: str
    service_name: str
    method_name: str
    region: str = HOME
    project_id: str = ""
    status_code: int = 200
    resources: tuple[tuple[str, str], ...] = ()
    request_body: dict[str, Any] = field(default_factory=dict)


def deed_of(change: Change) -> Deed:
    """A change to IAM as the trail records it."""
    return Deed(
        recorded_at=change.at,
        organization=change.organization,
        principal=change.actor.bearer,
        source_ip=change.actor.ip,
        user_agent=change.actor.agent,
        product_name="iam",
        service_name="scaleway.iam.v1alpha1.Api",
        method_name=_METHODS[change.action] + _NAMES[change.resource_type],
        resources=((change.resource_type, change.resource_id),),
    )


def list_deeds(state: StandInState, caller: Caller, request: ApiRequest) -> Answer:
    """GET: what was called, the latest first unless asked otherwise; of the last hour unless asked
    otherwise."""
    organization = organization_of(caller, request.one("organization_id"), "read", "audit_trail_event")
    after = moment_of("recorded_after", request.one("recorded_after")) if request.one("recorded_after") else None
    before = moment_of("recorded_before", request.one("recorded_before")) if request.one("recorded_before") else None
    after = after or state.now() - timedelta(hours=1)
    found = [
        deed
        for deed in (*map(deed_of, (change for change in state.changes if change.actor.bearer)), *state.deeds)
        if deed.organization is organization
        and deed.region == request.name
        and after <= deed.recorded_at
        and (before is None or deed.recorded_at < before)
        and _fits(deed, request)
    ]
    found.sort(key=lambda deed: deed.recorded_at, reverse=request.one("order_by") != "recorded_at_asc")
    start, size = _start(request.one("page_token")), number_of(request, "page_size", 20, 100)
    page: dict[str, Any] = {"events": [event_object(deed) for deed in found[start : start + size]]}
    if start + size < len(found):
        page["next_page_token"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
    return answers.ok(page, spaced=state.settings.spaced)


def _fits(deed: Deed, request: ApiRequest) -> bool:
    wanted = {
        "principal_id": deed.principal,
        "source_ip": deed.source_ip,
        "method_name": deed.method_name,
        "service_name": deed.service_name,
        "product_name": deed.product_name,
        "project_id": deed.project_id,
        "status": str(deed.status_code),
    }
    if any(request.one(name) not in ("", value) for name, value in wanted.items()):
        return False
    kind, name = request.one("resource_type"), request.one("resource_id").lower()
    return any(
        (kind in ("", "unknown_type", of_kind)) and (name in ("", resource))
        for of_kind, resource in deed.resources or (("", ""),)
    )


def _start(token: str) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode()))
    except ValueError:
        raise StandInError(answers.invalid("page_token", "format", "value must be a page token")) from None


def event_object(deed: Deed) -> dict[str, Any]:
    """An event, its fields in the recorded order. Times have nine fraction digits here."""
    stamp = deed.recorded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    about = f"{stamp} {deed.method_name} {deed.principal} {deed.resources}"
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, about)),
        "recorded_at": stamp,
        "locality": deed.region,
        "principal": {"id": deed.principal},
        "organization_id": deed.organization.id,
        "project_id": deed.project_id or deed.organization.id,
        "source_ip": deed.source_ip,
        "user_agent": deed.user_agent,
        "product_name": deed.product_name,
        "service_name": deed.service_name,
        "method_name": deed.method_name,
        "request_id": str(uuid.uuid5(uuid.NAMESPACE_URL, about)),
        "request_body": deed.request_body,
        "status_code": deed.status_code,
        "resources": [_resource(kind, name, deed) for kind, name in deed.resources],
    }


def _resource(kind: str, name: str, deed: Deed) -> dict[str, Any]:
    at = answers.stamp(deed.recorded_at)
    return {"id": name, "type": kind, "created_at": at, "updated_at": at, "deleted_at": None, "name": ""}


def made_up(at: datetime, bearer: IamBearer, method_name: str, said: Mapping[str, Any]) -> Deed:
    """A call as an operator describes it; of what was not given, something likely."""
    usual = {
        "source_ip": "203.0.113.7",
        "user_agent": "curl/8.5.0",
        "product_name": "instance",
        "service_name": "scaleway.instance.v1.Api",
    }
    resources = tuple((kind, name) for kind, name in said.get("resources", ()))
    given = {**usual, **said, "resources": resources}
    return Deed(recorded_at=at, organization=bearer.organization, principal=bearer.id, method_name=method_name, **given)
