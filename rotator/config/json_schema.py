"""The JSON Schema of the configuration for editors, from the tables that validate it.

It has types, names and descriptions. Constraints between options are checked only by ``rotator
check``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import models_json_schema

from rotator.config import schema
from rotator.config.specs import NAME
from rotator.util.durations import format_duration


def json_schema() -> dict[str, Any]:
    """The schema of a configuration file."""
    tables = [*schema.SINGLE.values(), *schema.NAMED.values()]
    references, definitions = models_json_schema([(table, "validation") for table in tables])
    found: dict[str, Any] = definitions["$defs"]
    for table in _every(schema.Table):
        for name, option in found.get(table.__name__, {}).get("properties", {}).items():
            _set_default(option, table.model_fields[name].default)
    properties: dict[str, Any] = {name: references[table, "validation"] for name, table in schema.SINGLE.items()}
    for name, table in schema.NAMED.items():
        properties[name] = {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": f"^(?:{NAME.pattern})$"},
            "additionalProperties": references[table, "validation"],
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of rotator",
        "type": "object",
        "properties": properties,
        "required": ["vault", "accounts"],
        "additionalProperties": False,
        "$defs": found,
    }


def _every(table: type[schema.Table]) -> set[type[schema.Table]]:
    found = {inner for kind in table.__subclasses__() for inner in {kind} | _every(kind)}
    return {kind for kind in found if kind.__module__ == schema.__name__}


def _set_default(option: dict[str, Any], default: object) -> None:
    """Writes a default as in a configuration file; removes one that is no value."""
    option.pop("title", None)
    option.pop("computed", None)
    if isinstance(default, timedelta):
        option["default"] = format_duration(default)
    elif not isinstance(default, str | bool | int | float | list):
        option.pop("default", None)
