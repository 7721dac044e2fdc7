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
    return _to_json(value, {})


def _to_json(value: Any, masked: dict[str, str]) -> Any:
    """``masked``: the texts that were masked before; an answer repeats most of its texts, its names
    above all."""
    kind = type(value)  # the most frequent types first: an answer about 10,000 applications has a million values
    if kind is str:
        return masked[value] if value in masked else masked.setdefault(value, redact(value))
    if value is None or kind is int or kind is bool:
        return value
    if kind is dict:
        return {_to_json(str(name), masked): _to_json(item, masked) for name, item in value.items()}
    if kind is list:
        return [_to_json(item, masked) for item in value]
    match value:
        case int() | float():
            return value
        case enum.Enum():
            return _to_json(value.value, masked)
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
            return _to_json({str(name): item for name, item in value.items()}, masked)
        case set() | frozenset():
            return sorted((_to_json(item, masked) for item in value), key=str)
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
        case Iterable():
            return [_to_json(item, masked) for item in value]
        case _:
            return f"<{type(value).__name__}>"
