"""Converts values to JSON. Secrets are masked in the values, before they are serialised."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from rotator.domain.secret import MASK, Secret, redact
from rotator.errors import RotatorError
from rotator.util.formatting import format_rfc3339


def to_json_value(value: object) -> Any:
    """The value for JSON: times in RFC 3339 UTC, durations in seconds, secrets masked, other
    objects as their type."""
    match value:
        case None | bool() | int() | float():
            return value
        case enum.Enum():
            return to_json_value(value.value)
        case str():
            return redact(value)
        case Secret():
            return MASK
        case datetime():
            return format_rfc3339(value)
        case timedelta():
            return value.total_seconds()
        case RotatorError():
            return redact(str(value))  # a sentence for the user, by contract
        case Mapping():
            return {redact(str(name)): to_json_value(item) for name, item in value.items()}
        case set() | frozenset():
            return sorted((to_json_value(item) for item in value), key=str)
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
        case Iterable():
            return [to_json_value(item) for item in value]
        case _:
            return f"<{type(value).__name__}>"
