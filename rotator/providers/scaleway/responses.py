"""Parses Scaleway's successful answers. A body of an unexpected form is an error and never read as
empty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeGuard

from rotator.domain.access_key import is_access_key
from rotator.domain.keys import Bearer, Key
from rotator.domain.secret import Secret
from rotator.domain.secret_form import SECRET_OF_A_KEY
from rotator.http import HttpResponse
from rotator.util.instants import clamp

LARGEST_COUNT = 10**9
"""Larger counts and quotas are invalid."""


class Unexpected(Exception):
    """The body does not have the required form. Names the part, never its value."""


def body_of(answer: HttpResponse) -> Mapping[str, Any]:
    """The JSON object of an answer."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    return _mapping(body, "the body")


def key_of(value: object) -> Key:
    """A key from its object. Answers of 2022 and 2023 lack ``deletable`` and ``managed``."""
    body = _mapping(value, "a key")
    access_key, created_at = _text(body, "access_key"), _moment(body, "created_at")
    bearers = [text for name in ("application_id", "user_id") if (text := _text(body, name, required=False))]
    if not is_access_key(access_key) or created_at is None or len(bearers) != 1:
        raise Unexpected("access_key, created_at or bearer")
    return Key(
        access_key=access_key,
        bearer=bearers[0],
        description=_text(body, "description", required=False),
        created_at=created_at,
        expires_at=_moment(body, "expires_at"),
        default_project_id=_text(body, "default_project_id", required=False) or None,
        deletable=_flag(body, "deletable", default=True),
        provider_managed=_flag(body, "managed", default=False),
    )


def bearer_of(value: object) -> Bearer:
    """An application from its object."""
    body = _mapping(value, "an application")
    found = _text(body, "id")
    if not found:
        raise Unexpected("id")
    return Bearer(found, _text(body, "name"))


def created_of(answer: HttpResponse) -> tuple[Key, Secret]:
    """The created key and its secret."""
    body = body_of(answer)
    key, secret = key_of(body), _text(body, "secret_key")
    if not SECRET_OF_A_KEY.fullmatch(secret):
        raise Unexpected("secret_key")
    return key, Secret(secret)


def page_of(answer: HttpResponse, name: str) -> tuple[list[Any], int]:
    """The items of one page of a list, and the number of items on all pages."""
    body = body_of(answer)
    items, total = body.get(name), body.get("total_count")
    if not isinstance(items, list) or not is_count(total):
        raise Unexpected(name)
    return items, total


def is_count(value: object) -> TypeGuard[int]:
    """Whether the value is a plausible count."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Unexpected(name)
    return value


def _text(body: Mapping[str, Any], name: str, *, required: bool = True) -> str:
    value = body.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise Unexpected(name)
    return value


def _moment(body: Mapping[str, Any], name: str) -> datetime | None:
    value = _text(body, name, required=False)
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Unexpected(name)
    return clamp(moment)


def _flag(body: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise Unexpected(name)
    return value
