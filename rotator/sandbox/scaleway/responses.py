"""What goes over the wire: bodies of answers, successes and errors, as the recordings show them.

An error is compact JSON with its keys in alphabetical order; a success has its keys in the order of
the object, compact or with a space after each comma. Where no recording exists, the answer is an
assumption, and a comment says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rotator.sandbox.scaleway.entities import ApiKey, Change, IamBearer

JSON = "application/json"
QUOTA_ON_KEYS = "IamApiKeys"
"""The name of the quota on keys. Assumed, after ``IamSshKeys``, which is recorded."""
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_spaced = json.JSONEncoder(ensure_ascii=False, separators=(", ", ":")).encode


@dataclass(frozen=True)
class Answer:
    """One answer; ``content_type`` is None for the answers of the gateway that have none."""

    status: int
    body: bytes = b""
    content_type: str | None = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class StandInError(Exception):
    """An operation ends with this answer instead of its own."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


# --- successes ------------------------------------------------------------------------------------


def ok(value: object, *, spaced: bool) -> Answer:
    """200 with an object; creating something is no 201."""
    return Answer(200, (_spaced if spaced else _compact)(value).encode())


NO_CONTENT = Answer(204)


def stamp(moment: datetime) -> str:
    """A creation or update time: UTC with six fraction digits."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def expiry(moment: datetime | None) -> str | None:
    """An expiry: UTC with as many fraction digits as it takes, none, three or six."""
    if moment is None:
        return None
    text = stamp(moment)
    if text.endswith(".000000Z"):
        return text[:-8] + "Z"
    return text[:-4] + "Z" if text.endswith("000Z") else text


def key_object(key: ApiKey, *, secret: bool = False) -> dict[str, Any]:
    """A key as the API shows it; its secret only in the answer that made it."""
    return {
        "access_key": key.access_key,
        "secret_key": key.secret if secret else None,
        "description": key.description,
        "created_at": stamp(key.created_at),
        "updated_at": stamp(key.updated_at),
        "expires_at": expiry(key.expires_at),
        "default_project_id": key.default_project_id,
        "editable": key.editable,
        "deletable": key.deletable,
        "managed": key.managed,
        "creation_ip": key.creation_ip,
        f"{key.bearer.kind}_id": key.bearer.id,
    }


def application_object(bearer: IamBearer) -> dict[str, Any]:
    """An application as the API shows it."""
    return {
        "id": bearer.id,
        "name": bearer.name,
        "description": bearer.description,
        "created_at": stamp(bearer.created_at),
        "updated_at": stamp(bearer.updated_at),
        "organization_id": bearer.organization.id,
        "editable": True,
        "deletable": True,
        "managed": False,
        "nb_api_keys": len(bearer.keys),
        "tags": bearer.tags,
    }


def log_object(number: int, change: Change) -> dict[str, Any]:
    """An entry of the IAM log. The field order is not recorded."""
    return {
        "id": f"00000000-0000-4000-8000-{number:012x}",
        "created_at": stamp(change.at),
        "ip": change.actor.ip,
        "user_agent": change.actor.agent,
        "action": change.action,
        "bearer_id": change.actor.bearer,
        "organization_id": change.organization.id,
        "resource_type": change.resource_type,
        "resource_id": change.resource_id,
    }


# --- errors ---------------------------------------------------------------------------------------


def error(status: int, **fields: object) -> Answer:
    """An error of the API; keys in alphabetical order, compact."""
    return Answer(status, _compact(dict(sorted(fields.items()))).encode())


def denied(reason: str) -> Answer:
    """401: no key, or none any more, has this secret."""
    return error(401, message="authentication is denied", method="api_key", reason=reason, type="denied_authentication")


def forbidden(action: str, *resources: str) -> Answer:
    """403: the secret is good, but its bearer may not do that."""
    details = [{"action": action, "resource": resource} for resource in resources]
    return error(403, details=details, message="insufficient permissions", type="permissions_denied")


def quota_exceeded(current: int, quota: int) -> Answer:
    """403 and not 429."""
    details = [{"current": current, "quota": quota, "resource": QUOTA_ON_KEYS}]
    return error(403, details=details, message="quota(s) exceeded for this resource", type="quotas_exceeded")


def not_found(resource: str, resource_id: str) -> Answer:
    """404: there is no such thing."""
    return error(404, message="resource is not found", resource=resource, resource_id=resource_id, type="not_found")


def invalid(argument: str, reason: str, help_message: str = "") -> Answer:
    """400: one argument is missing (``required``), malformed (``format``) or out of bounds
    (``constraint``)."""
    details = [{"argument_name": argument, "help_message": help_message, "reason": reason}]
    return error(400, details=details, message="invalid argument(s)", type="invalid_arguments")


def precondition(help_message: str) -> Answer:
    """412, recorded for another product; assumed for a key that is protected from changes."""
    return error(
        412,
        help_message=help_message,
        message="precondition is not respected",
        precondition="protected_resource",
        type="precondition_failed",
    )


RATE_LIMITED = Answer(429, b"", None, {"X-Envoy-Ratelimited": "true"})


def unknown_operation(method: str, path: str) -> Answer:
    """501: not an answer of the real API, which is why it is so loud."""
    return error(501, message=f"the sandbox does not know {method} {path}", type="sandbox_unknown_operation")


def html(status: int, title: str) -> Answer:
    """An answer of whatever stands in front of the API: a page instead of JSON."""
    page = (
        f"<html>\r\n<head><title>{status} {title}</title></head>\r\n<body><center><h1>{status} "
        f"{title}</h1></center></body>\r\n</html>\r\n"
    )
    return Answer(status, page.encode(), "text/html")


def by_status(status: int, route: str, argument: str) -> Answer:
    """The typical answer of a status, for faults."""
    resource = "application" if "/applications" in route else "access_key" if "/api-keys" in route else "resource"
    match status:
        case 400:
            return invalid("description", "constraint", "value is not acceptable")
        case 401:
            return denied("not_found")
        case 403:
            return forbidden("read", "application" if resource == "application" else "api_key")
        case 404:
            return not_found(resource, argument)
        case 409:
            return error(
                409,
                current_state="updating",
                message="resource is in a transient state",
                resource=resource,
                resource_id=argument,
                type="transient_state",
            )
        case 412:
            return precondition("resource is protected")
        case 429:
            return RATE_LIMITED
        case 500:
            return error(500, message="grpc: error while marshaling: proto: oneof field has nil value")
        case 502:
            return html(502, "Bad Gateway")
        case 503:
            return html(503, "Service Temporarily Unavailable")
        case 504:
            return html(504, "Gateway Time-out")
        case _:
            return error(status, message=f"status {status} on command")
