"""Reads one table by its schema. The valid options of a table with an invalid one are read too, so
that all problems are reported at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rotator.config import schema
from rotator.config.problems import Problems, dotted
from rotator.config.specs import NAME

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def read_table(table: type[schema.Table], raw: object, where: tuple[str, ...], problems: Problems) -> dict[str, Any]:
    """The valid options that are set in one table; invalid ones go to ``problems``."""
    errors: list[ErrorDetails] = []
    try:
        found = table.model_validate(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    else:
        return {name: getattr(found, name) for name in found.model_fields_set}
    problems.add_invalid(table, where, errors)
    bad = {error["loc"][0] if error["loc"] else "" for error in errors}
    if not isinstance(raw, dict):
        return {}
    found = table.model_construct()
    good = [name for name in raw if name not in bad]
    for name in good:
        setattr(found, name, raw[name])
    return {name: getattr(found, name) for name in good}


def with_defaults(table: type[schema.Table], options: dict[str, Any]) -> dict[str, Any] | None:
    """The options with the defaults of those that are not set; None if a required one is
    missing."""
    if any(field.is_required() and name not in options for name, field in table.model_fields.items()):
        return None
    return {name: options.get(name, field.default) for name, field in table.model_fields.items()}


def table_of(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The table of that name; empty if there is none."""
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def named_tables(data: dict[str, Any], name: str, problems: Problems) -> dict[str, Any]:
    """A table of tables, without those with invalid names."""
    raw = data.get(name, {})
    if not isinstance(raw, dict):
        problems.add(name, f"is not a table; write [{name}.NAME]")
        return {}
    for key in raw:
        if not NAME.fullmatch(key):
            with problems.concerning((key,)):
                problems.add(
                    dotted(name, key),
                    'is not a good name; write at most 64 of "a-z", "0-9", ".", "_" and "-", the first a letter or '
                    "digit",
                )
    return {key: value for key, value in raw.items() if NAME.fullmatch(key)}
