"""The OpenAPI description of the API, made from the table of operations; pydantic makes the schemas
from the types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from rotator import __version__
from rotator.api.errors import MEANINGS
from rotator.api.socket_names import LINES
from rotator.operations.operation import NoArguments, Operation

ERROR = {
    "title": "Error",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["kind", "message", "exit_code"],
            "properties": {
                "kind": {"type": "string", "description": "Stable, for machines."},
                "message": {"type": "string", "description": "Sentences for people."},
                "exit_code": {"type": "integer", "description": "What the command line ends with."},
            },
        }
    },
}

_COMMON = (400, 405, 421, 500, 503)
_WITH_BODY = (408, 413, 415)
_CONFIG = {
    "name": "Rotator-Config",
    "in": "header",
    "required": False,
    "description": "The configuration that the caller means, percent-encoded; another one than the daemon's is refused "
    "with 421.",
    "schema": {"type": "string", "pattern": "^/[!-~]*$"},
}


def openapi_document(operations: Iterable[Operation], *, events: bool = True) -> dict[str, Any]:
    """The whole document."""
    operations = list(operations)
    kinds: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = []
    for operation in operations:
        kinds.append((f"{operation.name} request", "validation", TypeAdapter(operation.takes)))
        kinds.append((f"{operation.name} answer", "serialization", TypeAdapter(operation.gives)))
    schemas, definitions = TypeAdapter.json_schemas(kinds, ref_template="#/components/schemas/{model}")
    definitions = _with_fractions(definitions)
    paths: dict[str, Any] = {}
    for operation in operations:
        arguments = schemas[f"{operation.name} request", "validation"]
        answer = schemas[f"{operation.name} answer", "serialization"]
        paths[operation.path] = {
            operation.method.lower(): _operation(operation, arguments, answer, definitions.get("$defs", {}))
        }
    if events:
        paths["/v1/events"] = {"get": _events()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rotator",
            "version": __version__,
            "description": "The control API of the daemon: docs/control.md.",
        },
        "paths": paths,
        "components": {"schemas": {**definitions.get("$defs", {}), "Error": ERROR}},
    }


def _with_fractions(schema: Any) -> Any:
    """Durations without JSON Schema's format of that name, which forbids the fractions of a second
    that ISO 8601 permits."""
    if isinstance(schema, dict):
        if schema.get("format") == "duration":
            return {
                **{name: value for name, value in schema.items() if name != "format"},
                "description": "A duration as in ISO 8601.",
            }
        return {name: _with_fractions(value) for name, value in schema.items()}
    return [_with_fractions(item) for item in schema] if isinstance(schema, list) else schema


def _operation(
    operation: Operation, arguments: dict[str, Any], answer: dict[str, Any], definitions: dict[str, Any]
) -> dict[str, Any]:
    content = {"application/json": {"schema": answer}}
    if not operation.immediate:
        content[LINES] = {"schema": {"type": "string"}}
    found: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [_CONFIG],
        "responses": {"200": {"description": "Done.", "content": content}, **_errors(operation)},
    }
    if operation.method == "GET":
        table = definitions[arguments["$ref"].rpartition("/")[2]] if "$ref" in arguments else arguments
        found["parameters"] = [_CONFIG, *_parameters(table)]
    elif operation.takes is not NoArguments:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": arguments}}}
    return found


def _parameters(table: dict[str, Any]) -> list[dict[str, Any]]:
    required = table.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": schema.get("description", ""),
            "schema": schema,
        }
        for name, schema in table.get("properties", {}).items()
    ]


def _errors(operation: Operation) -> dict[str, Any]:
    statuses = {*_COMMON, *operation.refuses, *(_WITH_BODY if operation.method == "POST" else ())}
    return {
        str(status): {
            "description": MEANINGS[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status in sorted(statuses)
    }


def _events() -> dict[str, Any]:
    return {
        "operationId": "events",
        "summary": "Every event of the daemon from now on, one a line, until the caller disconnects.",
        "parameters": [_CONFIG],
        "responses": {
            "200": {"description": "The stream.", "content": {LINES: {"schema": {"type": "string"}}}},
            **{
                str(status): {
                    "description": MEANINGS[status],
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
                for status in (400, 405, 421, 429, 500, 503)
            },
        },
    }
