"""The description of the API, made from the table of operations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import pytest
from pydantic import Field

from rotator import __version__
from rotator.api.errors import MEANINGS, STATUSES, error_response
from rotator.api.openapi import ERROR, openapi_document
from rotator.errors import ConfigurationError, ConfigurationProblem, Refused, Unavailable
from rotator.operations.operation import NoArguments, Operation, OperationRequest
from rotator.operations.refusal import OperationError
from rotator.operations.registry import OPERATIONS
from rotator.operations.signatures import Signature


class Asked(OperationRequest):
    """A question with an option that must be there and one that may."""

    name: Annotated[str, Field(description="The application.")]
    lately: timedelta | None = None


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    seconds: timedelta


class Given(Signature):
    """An operation whose answer is defined here."""

    @property
    def gives(self) -> Any:
        return Answer


ASK = Given("ask", "GET", "")
DO = Given("do", "POST", "", changes=True)


def operation(signature: Signature = ASK, **changes: Any) -> Operation:
    values: dict[str, Any] = {"summary": "Ask.", "takes": Asked, "run": print, "refuses": (404,)}
    return Operation(signature, **{**values, **changes})


CONFIG = {
    "name": "Rotator-Config",
    "in": "header",
    "required": False,
    "description": (
        "The configuration that the caller means, percent-encoded; another one than the daemon's is refused with 421."
    ),
    "schema": {"type": "string", "pattern": "^/[!-~]*$"},
}


def error(status: int) -> dict[str, Any]:
    return {
        "description": MEANINGS[status],
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def test_a_question_has_its_options_in_the_query_and_the_statuses_of_a_question() -> None:
    document = openapi_document([operation()], events=False)
    assert list(document["paths"]) == [operation().path]
    asked = document["paths"][operation().path]["get"]
    assert (asked["operationId"], asked["summary"]) == ("ask", "Ask.")
    config, name, lately = asked["parameters"]
    assert config == CONFIG
    assert {**name, "schema": None} == {
        "name": "name",
        "in": "query",
        "required": True,
        "description": "The application.",
        "schema": None,
    }
    assert (name["schema"]["type"], lately["name"], lately["required"], lately["description"]) == (
        "string",
        "lately",
        False,
        "",
    )
    assert "requestBody" not in asked
    assert list(asked["responses"]) == ["200", "400", "404", "405", "421", "500", "503"]
    assert asked["responses"]["404"] == error(404)
    assert asked["responses"]["200"] == {
        "description": "Done.",
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/Answer"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }


def test_a_command_has_its_options_in_the_body_and_the_statuses_of_one() -> None:
    made = operation(DO, refuses=())
    done = openapi_document([made], events=False)["paths"][made.path]["post"]
    assert done["parameters"] == [CONFIG]
    assert done["requestBody"] == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Asked"}}},
    }
    assert list(done["responses"]) == ["200", "400", "405", "408", "413", "415", "421", "500", "503"]


def test_a_command_without_options_has_no_body_and_an_immediate_question_no_events() -> None:
    made = operation(DO, takes=NoArguments)
    assert "requestBody" not in openapi_document([made], events=False)["paths"][made.path]["post"]
    now = operation(Given("ask", "GET", "", immediate=True))
    answer = openapi_document([now], events=False)["paths"][now.path]["get"]
    assert list(answer["responses"]["200"]["content"]) == ["application/json"]


def test_the_document_names_its_version_and_has_every_schema_and_that_of_errors() -> None:
    document = openapi_document([operation()])
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {
        "title": "rotator",
        "version": __version__,
        "description": "The control API of the daemon: docs/control.md.",
    }
    schemas = document["components"]["schemas"]
    assert set(schemas) == {"Answer", "Asked", "Error"}
    assert schemas["Error"] == ERROR
    assert schemas["Answer"]["properties"]["seconds"] == {
        "description": "A duration as in ISO 8601.",
        "title": "Seconds",
        "type": "string",
    }


def test_the_stream_of_events_is_described_beside_the_operations() -> None:
    described = openapi_document([])["paths"]
    assert described == {
        "/v1/events": {
            "get": {
                "operationId": "events",
                "summary": "Every event of the daemon from now on, one a line, until the caller disconnects.",
                "parameters": [CONFIG],
                "responses": {
                    "200": {
                        "description": "The stream.",
                        "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
                    },
                    **{str(status): error(status) for status in (400, 405, 421, 429, 500, 503)},
                },
            }
        }
    }
    assert openapi_document([], events=False)["paths"] == {}


def test_every_operation_is_described_and_every_status_has_a_meaning() -> None:
    document = openapi_document(OPERATIONS.values())
    assert set(document["paths"]) == {one.path for one in OPERATIONS.values()} | {"/v1/events"}
    assert set(STATUSES.values()) <= MEANINGS.keys()
    assert ERROR["properties"]["error"]["required"] == ["kind", "message", "exit_code"]  # type: ignore[index]  # of objects


# --- errors ---


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (OperationError("usage", "x"), 400),
        (OperationError("not_found", "x"), 404),
        (OperationError("busy", "x", 3), 429),
        (OperationError("stopping", "x", 3), 503),
        (OperationError("other_configuration", "x", config="/c"), 421),
        (OperationError("something", "x", 2), 400),
        (OperationError("something", "x", 3), 503),
        (OperationError("something", "x", 4), 409),
        (OperationError("something", "x", 1), 500),
        (Refused("x"), 409),
        (ConfigurationError([ConfigurationProblem("f", "p", "x")]), 422),
        (Unavailable("x", service="acme", kind="not_found"), 503),
        (KeyError("x"), 500),
    ],
)
def test_an_error_has_the_status_of_its_kind_or_of_its_exit_code(raised: Exception, status: int) -> None:
    found = error_response(raised)
    assert found.status == status
    assert set(found.body) == {"error"}
    assert {"kind", "message", "exit_code"} <= found.body["error"].keys()


def test_the_details_of_an_error_are_beside_its_message() -> None:
    assert error_response(OperationError("other_configuration", "the daemon works for /c", config="/c")).body == {
        "error": {"kind": "other_configuration", "message": "the daemon works for /c", "exit_code": 2, "config": "/c"}
    }
