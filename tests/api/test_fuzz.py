"""The API, fuzzed by schemathesis from its own description: it answers as it says, and never with an error of the program."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, assume, given, reject, settings

from rotator.api.http_server import MAX_HEAD
from rotator.api.listeners import Listeners
from rotator.config import Control
from rotator.errors import ConfigurationError, ConfigurationProblem
from tests.api.conftest import FakeHouse, Front
from tests.support.daemon_stage import runtime, settled

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what its own dependencies warn of at import
    import schemathesis
    from schemathesis.core.result import Ok
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]

EXAMPLES = int(os.environ.get("ROTATOR_EXAMPLES", "8"))
"""For each operation and each kind of input, sound and unsound; drawn from a seed that never changes. More take minutes."""


@pytest.fixture(scope="module")
def open_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder: Path = tmp_path_factory.mktemp("door")
    made = runtime("billing", "mailer", source=str(folder / "rotator.toml"))
    made.next_one = ConfigurationError([ConfigurationProblem("rotator.toml", "vault", "is missing")])
    daemon_handle = FakeHouse(made)
    made.sink = daemon_handle.sink
    settled("billing", made)
    listeners = Listeners(daemon_handle)
    listeners.maintain(Control(folder))
    yield Front(folder, daemon_handle, listeners)
    daemon_handle.stopping.set()
    listeners.executor.give_up()
    listeners.close()


def operations(described: dict[str, Any]) -> list[Any]:
    schema = schemathesis.openapi.from_dict(described)
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def send(client: httpx.Client, case: Any) -> tuple[httpx.Response, dict[str, Any]]:
    request = case.as_transport_kwargs(base_url="http://rotator")
    known = {
        name: request[name]
        for name in ("method", "url", "params", "headers", "json", "data", "cookies")
        if request.get(name)
    }
    if isinstance(known.get("data"), bytes | str):
        known["content"] = known.pop("data")
    try:
        built = client.build_request(**known)
    except (httpx.InvalidURL, UnicodeEncodeError, ValueError):
        reject()  # the client itself cannot say it
    assume(len(built.url.raw_path) + sum(len(name) + len(value) for name, value in built.headers.raw) < MAX_HEAD / 2)
    try:
        return client.send(built), known
    except httpx.LocalProtocolError:
        reject()  # the same, seen when it is sent


def fuzzed(front: Front, operation: Any, mode: GenerationMode) -> set[int]:
    """The statuses that the operation answered with, all of them as it says."""
    statuses: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def fuzz(case: Any) -> None:
        with front.http() as client:
            answer, sent = send(client, case)
        statuses.add(answer.status_code)
        assert answer.status_code != 500, (sent, answer.text)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code != 200:
            error = answer.json()["error"]
            assert error["kind"]
            assert error["message"]

    fuzz()
    return statuses


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["sound", "unsound"])
def test_every_verb_answers_as_the_description_says(open_front: Front, mode: GenerationMode) -> None:
    described = open_front.ask("GET", "/openapi.json").json()
    seen = {
        operation.path: fuzzed(open_front, operation, mode)
        for operation in operations(described)
        if operation.path != "/v1/events"  # it has no end; tested by hand
    }
    assert not [fields for name, fields in open_front.daemon_handle.events.events if name == "daemon.crashed"]
    if mode is GenerationMode.NEGATIVE:
        assert [path for path, found in seen.items() if not found - {200, 422}] == [], "some refused nothing"


def test_the_description_is_sound_openapi(open_front: Front) -> None:
    described = open_front.ask("GET", "/openapi.json").json()
    schema = schemathesis.openapi.from_dict(described)
    schema.validate()
    assert len(operations(described)) >= 12
    assert {"/v1/status", "/v1/rotate", "/v1/reload", "/v1/events"} <= set(described["paths"])
