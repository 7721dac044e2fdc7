"""One request to the API: its route, and its arguments read as strictly as the API reads them.

A reader of an argument (``uuid_of``, ``moment_of``, …) gives its value or raises the answer 400
that belongs to it. The words of help messages are assumed, except that of the UUID.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import parse_qs

from rotator.sandbox.scaleway import responses as answers
from rotator.sandbox.scaleway.entities import Actor, ApiKey, IamBearer, Organization
from rotator.sandbox.scaleway.responses import StandInError

API_KEYS = "/iam/v1alpha1/api-keys"
API_KEY = "/iam/v1alpha1/api-keys/{access_key}"
APPLICATIONS = "/iam/v1alpha1/applications"
APPLICATION = "/iam/v1alpha1/applications/{application_id}"
QUOTA = "/iam/v1alpha1/quota"
QUOTUM = "/iam/v1alpha1/quota/{name}"
LOGS = "/iam/v1alpha1/logs"
PROJECT = "/account/v3/projects/{project_id}"
TRAIL = "/audit-trail/v1alpha1/regions/{region}/events"
SECURITY = "/iam/v1alpha1/organizations/{organization_id}/security-settings"

_FIXED = {route: route for route in (API_KEYS, APPLICATIONS, QUOTA, LOGS)}
_NAMED = {route.rpartition("/")[0]: route for route in (API_KEY, APPLICATION, QUOTUM, PROJECT)}
_SECURITY_PATH = re.compile(r"/iam/v1alpha1/organizations/([^/]+)/security-settings")
_TRAIL_PATH = re.compile(r"/audit-trail/v1alpha1/regions/([a-z]+-[a-z]+)/events")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
DURATION = re.compile(r"(\d+(?:\.\d+)?)s")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")

Item = TypeVar("Item")


def route_of(path: str) -> tuple[str, str]:
    """The route of a path, and the name in it; ("", "") for one that the stand-in does not have."""
    if fixed := _FIXED.get(path):
        return fixed, ""
    head, _, name = path.rpartition("/")
    if (named := _NAMED.get(head)) and name:
        return named, name
    if match := _SECURITY_PATH.fullmatch(path):
        return SECURITY, match[1]
    if match := _TRAIL_PATH.fullmatch(path):
        return TRAIL, match[1]
    return "", ""


@dataclass
class ApiRequest:
    """One request to the API, as far as the API looks at it."""

    method: str
    path: str
    query_string: str
    token: str
    body: bytes
    agent: str = ""
    ip: str = "127.0.0.1"
    gateway: int = 0
    """Which of the gateways took the request."""

    def __post_init__(self) -> None:
        self.route, self.name = route_of(self.path)

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters, each with all its values."""
        return parse_qs(self.query_string, keep_blank_values=True)

    def one(self, name: str) -> str:
        """The last value of a query parameter, empty when there is none."""
        return self.query.get(name, [""])[-1]

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise StandInError(answers.invalid("body", "format", "request body must be a JSON object"))
        return value


@dataclass(frozen=True)
class Caller:
    """Whose secret the request carries."""

    key: ApiKey
    actor: Actor

    @property
    def bearer(self) -> IamBearer:
        """Who bears the key."""
        return self.key.bearer

    @property
    def organization(self) -> Organization:
        """Where its rights are."""
        return self.key.bearer.organization


# --- arguments ------------------------------------------------------------------------------------


def uuid_of(name: str, value: object) -> str:
    """A UUID in lower case."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise StandInError(answers.invalid(name, "format", "value must be a valid UUID"))
    return value.lower()


def text_of(fields: Mapping[str, Any], name: str, limit: int) -> str:
    """A text of a limited number of characters; empty when it is missing."""
    value = fields.get(name) or ""
    if not isinstance(value, str):
        raise StandInError(answers.invalid(name, "format", "value must be a string"))
    if len(value) > limit:
        raise StandInError(answers.invalid(name, "constraint", f"value length must be at most {limit} characters"))
    return value


def tags_of(fields: Mapping[str, Any]) -> list[str]:
    """A list of tags."""
    value = fields.get("tags") or []
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value) or len(value) > 10:
        raise StandInError(answers.invalid("tags", "constraint", "value must be at most 10 strings"))
    return value


def boolean_of(request: ApiRequest, name: str) -> bool | None:
    """A boolean of the query, None when it is missing."""
    value = request.one(name).lower()  # the Python SDK says True
    if value not in ("", "true", "false"):
        raise StandInError(answers.invalid(name, "format", "value must be a boolean"))
    return value == "true" if value else None


def number_of(request: ApiRequest, name: str, default: int, maximum: int) -> int:
    """A number of the query from 1 on."""
    text = request.one(name)
    if not text:
        return default
    if not text.isdecimal():
        raise StandInError(answers.invalid(name, "format", "value must be an integer"))
    if not 1 <= int(text) <= maximum:
        raise StandInError(answers.invalid(name, "constraint", f"value must be between 1 and {maximum}"))
    return int(text)


def moment_of(name: str, value: object) -> datetime:
    """A time with its zone."""
    if not isinstance(value, str) or not _RFC3339.fullmatch(value):
        raise StandInError(answers.invalid(name, "format", "value must be a valid RFC 3339 timestamp"))
    try:
        return datetime.fromisoformat(value.upper())
    except ValueError:
        raise StandInError(answers.invalid(name, "format", "value must be a valid RFC 3339 timestamp")) from None


def organization_of(caller: Caller, value: str, action: str, *resources: str) -> Organization:
    """The organisation that the caller names, which must be the caller's own."""
    if not value:
        raise StandInError(answers.invalid("organization_id", "required"))
    if uuid_of("organization_id", value) != caller.organization.id:
        raise StandInError(answers.forbidden(action, *resources))
    return caller.organization


def page_of(request: ApiRequest, items: Sequence[Item]) -> Sequence[Item]:
    """The part of a list that was asked for: pages of 20 unless said otherwise."""
    page, size = number_of(request, "page", 1, 1_000_000), number_of(request, "page_size", 20, 100)
    return items[(page - 1) * size : page * size]


def ordered(request: ApiRequest, items: list[Item], orders: Mapping[str, Callable[[Item], Any]]) -> list[Item]:
    """A list, oldest first, in the order that was asked for."""
    order = request.one("order_by") or "created_at_asc"
    name, _, direction = order.rpartition("_")
    if name not in orders or direction not in ("asc", "desc"):
        raise StandInError(answers.invalid("order_by", "format", "value is not a known order"))
    if order == "created_at_asc":
        return items
    return sorted(items, key=orders[name], reverse=direction == "desc")
