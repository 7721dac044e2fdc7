"""A body of another shape is never read as empty: the error names the part, and never what stands there."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from rotator import providers
from rotator.domain.keys import Bearer
from rotator.errors import ConfigurationError
from rotator.http import HttpResponse
from rotator.providers import load
from rotator.providers.scaleway.quota import limit_on_keys
from rotator.providers.scaleway.responses import (
    LARGEST_COUNT,
    Unexpected,
    bearer_of,
    body_of,
    created_of,
    is_count,
    key_of,
    page_of,
)
from tests.providers.test_scaleway_answers import CREATED, KEY


def reply(body: object) -> HttpResponse:
    return HttpResponse(200, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: body_of(reply(b"<html>")), "the body"),
    (lambda: body_of(reply([])), "the body"),
    (lambda: key_of([]), "a key"),
    (lambda: key_of({**KEY, "access_key": 3}), "access_key"),
    (lambda: key_of({**KEY, "access_key": None}), "access_key"),
    (lambda: key_of({**KEY, "access_key": "SCW1"}), "access_key, created_at or bearer"),
    (lambda: key_of({**KEY, "created_at": None}), "access_key, created_at or bearer"),
    (lambda: key_of({**KEY, "application_id": None}), "access_key, created_at or bearer"),
    (lambda: key_of({**KEY, "user_id": "u"}), "access_key, created_at or bearer"),
    (lambda: key_of({**KEY, "created_at": "yesterday"}), "created_at"),
    (lambda: key_of({**KEY, "expires_at": "2026-01-01T00:00:00"}), "expires_at"),
    (lambda: key_of({**KEY, "description": 3}), "description"),
    (lambda: key_of({**KEY, "deletable": "yes"}), "deletable"),
    (lambda: key_of({**KEY, "managed": None}), "managed"),
    (lambda: bearer_of(3), "an application"),
    (lambda: bearer_of({"name": "x"}), "id"),
    (lambda: bearer_of({"id": "", "name": "x"}), "id"),
    (lambda: bearer_of({"id": "b"}), "name"),
    (lambda: created_of(reply({**CREATED, "secret_key": "short"})), "secret_key"),
    (lambda: created_of(reply({**CREATED, "secret_key": None})), "secret_key"),
    (lambda: page_of(reply({"api_keys": 3, "total_count": 1}), "api_keys"), "api_keys"),
    (lambda: page_of(reply({"api_keys": []}), "api_keys"), "api_keys"),
    (lambda: page_of(reply({"api_keys": [], "total_count": True}), "api_keys"), "api_keys"),
]


@pytest.mark.parametrize(("read", "part"), WRONG)
def test_a_part_of_another_shape_is_named(read: Callable[[], object], part: str) -> None:
    with pytest.raises(Unexpected) as raised:
        read()
    assert str(raised.value) == part


def test_an_application_and_a_page_are_read_as_they_stand() -> None:
    assert bearer_of({"id": "b", "name": "one"}) == Bearer("b", "one")
    assert page_of(reply({"api_keys": [1], "total_count": 7}), "api_keys") == ([1], 7)
    assert [is_count(value) for value in (0, LARGEST_COUNT, LARGEST_COUNT + 1, -1, True, "1", 1.0)] == [
        True,
        True,
        False,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("quota", "limit"),
    [
        ([], None),
        (["odd", {"name": 3}, {"name": "IamSshKeys", "limit": 9}], None),
        ([{"name": "IamSshKeys", "limit": 9}, {"name": "IamApiKeys", "limit": 5}], 5),
        ([{"name": "api-key", "limits": ["odd", {"limit": "x"}, {"limit": 4}], "limit": 9}], 4),
        ([{"name": "iam_api_keys", "unlimited": True, "limit": 9}], None),
        ([{"name": "iam_api_keys", "limits": 3, "limit": 0}], 0),
        ([{"name": "iam_api_keys"}], None),
    ],
)
def test_the_limit_on_keys_is_the_first_number_of_the_quota_of_that_name(quota: list[Any], limit: int | None) -> None:
    assert limit_on_keys(quota) == limit


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    entries = [EntryPoint(name, "rotator.providers.nothing:build", providers.GROUP) for name in names]
    monkeypatch.setattr(
        providers, "entry_points", lambda group, name="": [one for one in entries if name in ("", one.name)]
    )


@pytest.mark.parametrize(
    ("names", "asked", "said"),
    [
        (("scaleway", "other"), "scalway", 'there is no provider "scalway"; did you mean "scaleway"?'),
        (("scaleway", "other"), "xyz", 'there is no provider "xyz"; there is "other" or "scaleway"'),
        ((), "xyz", 'there is no provider "xyz"; none is installed'),
        (
            ("scaleway",),
            "scaleway",
            'the provider "scaleway" is installed but cannot be loaded; install it again',
        ),
    ],
)
def test_a_provider_that_cannot_be_had_is_told_with_what_there_is(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...], asked: str, said: str
) -> None:
    installed(monkeypatch, *names)
    with pytest.raises(ConfigurationError) as raised:
        load(asked)
    ((problem),) = raised.value.problems
    assert (problem.file, problem.path, problem.message) == ("provider", "", said)
