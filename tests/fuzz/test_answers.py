"""Every field of an answer replaced by each of a list of hostile values: a refusal with a name, or a value within bounds (hazard C18)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.config import load
from rotator.errors import ConfigurationError, RotatorError
from rotator.http import HttpResponse
from rotator.providers.scaleway.responses import Unexpected, body_of, created_of, key_of
from rotator.util.instants import is_in_range
from rotator.vault.codec import dump_ledger, load_ledger
from rotator.vault.decoding import document_of, versions_of
from rotator.vault.login import _seconds
from rotator.vault.responses import Reply, mapping
from tests.vault.test_codec import full

HOSTILE = [
    *("null", "true", "[]", "{}", "0", "-1", "1e999", "-1e999", "NaN", "1" + "0" * 30, "1" + "0" * 400, "9" * 10_000),
    *('""', '"abc"', '"\\ud800"', '"\\u0000\\u001b[2J"', '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"'),
    *('"' + "x" * 100_000 + '"', "[" * 5000 + "]" * 5000, '{"a": 1, "a": 2}', '{"1": {}, "x": null}', "[null, 1, {}]"),
]
DOCUMENT = {
    "data": {
        "data": {"access_key": "SCWAAAAAAAAAAAAAAAAA", "secret_key": "8e3a0b7c-1111-4222-8333-944445555666"},
        "metadata": {"version": 3, "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": False},
    }
}
METADATA = {"versions": {"1": {"created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": False}}}
KEY = {
    "access_key": "SCWAAAAAAAAAAAAAAAAA",
    "secret_key": "8e3a0b7c-1111-4222-8333-944445555666",
    "application_id": "a",
    "description": "d",
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-01-01T00:00:00Z",
    "deletable": True,
    "managed": False,
}


def changed(value: Any) -> Iterator[str]:
    """The JSON of the value, with each of its parts replaced by each hostile one."""
    for part in HOSTILE:
        yield part
        for name, inner in (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        ):
            if part is HOSTILE[0]:
                for text in changed(inner):
                    yield _with(value, name, text)
        if isinstance(value, dict):
            yield json.dumps(value)[:-1] + (", " if value else "") + '"strange": ' + part + "}"


def _with(value: Any, name: Any, text: str) -> str:
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(
                f"{json.dumps(key)}: {text if key == name else json.dumps(item)}" for key, item in value.items()
            )
            + "}"
        )
    return "[" + ", ".join(text if place == name else json.dumps(item) for place, item in enumerate(value)) + "]"


def parsed(text: str) -> Any:
    try:
        return HttpResponse(200, {}, text.encode()).json()
    except ValueError as error:
        assert str(error) == "the answer is not JSON"  # noqa: PT017 - most of the values are sound, and these are not
        return None


def test_c18_a_document_of_vault_is_a_document_within_bounds_or_refused_by_name() -> None:
    for text in changed(DOCUMENT):
        try:
            document = document_of(Reply(200, (), mapping(parsed(text))), "access_key", "secret_key")
        except RotatorError:
            continue
        assert 0 <= document.version < 2**53
        assert document.version is not True
        assert document.created_time is None or is_in_range(document.created_time)
        str(document.access_key).encode()


def test_c18_the_versions_of_a_document_are_within_bounds() -> None:
    for text in [*changed(METADATA), '{"versions": {"x": {"created_time": "2026-01-01T00:00:00Z"}}}']:
        for version in versions_of(mapping(parsed(text))):
            assert 0 < version.version < 2**53
            assert is_in_range(version.created_time)


def test_c18_a_duration_of_vault_is_within_bounds() -> None:
    for text in HOSTILE:
        assert 0 <= _seconds(parsed(text)) <= timedelta(days=40_000).total_seconds()


def test_c18_a_key_of_the_provider_is_a_key_within_bounds_or_refused_by_name() -> None:
    for text in changed(KEY):
        for decode in (lambda answer: key_of(body_of(answer)), created_of):
            try:
                decode(HttpResponse(200, {}, text.encode()))
            except Unexpected:
                continue


def test_c18_a_ledger_is_read_or_refused_by_name() -> None:
    for text in changed(dump_ledger(full())):
        if isinstance(stored := parsed(text), dict):
            try:
                load_ledger(stored)
            except RotatorError:
                continue


@pytest.mark.parametrize(
    "value", ["1" + "0" * 10_000, "1e999", "nan", "-1", '"\\u0000"', "[" * 3000, "0001-01-01T00:00:00Z"]
)
def test_c18_a_hostile_value_in_the_configuration_is_a_problem_by_name(tmp_path: Path, value: str) -> None:
    file = tmp_path / "rotator.toml"
    file.touch(mode=0o600)
    file.write_text(f"[vault]\naddress = {value}\n[metrics]\nport = {value}\n[accounts.a]\nrate_limit = {value}\n")
    with pytest.raises(ConfigurationError):
        load(file)
