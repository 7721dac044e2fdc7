"""The logs: one event per line on standard output, and a promise that no trouble with them troubles the work.

JSON lines for machines, a readable form for terminals, and entries of the journal of systemd, made from the same lines. Names
and levels are those of ``rotator.observability.events``. A secret is a type that shows as ``[secret]``; whatever still slips through is looked
for in the finished line. A line that cannot be written is lost and counted, and the count is told as soon as lines can be
written again.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from rotator.domain.secret import MASK, Secret
from rotator.errors import RotatorError
from rotator.util.formatting import format_rfc3339


def to_json_value(value: object) -> Any:
    """The value as JSON can say it: times in RFC 3339 UTC, durations in seconds, secrets masked, strange things as their type."""
    match value:
        case None | bool() | int() | float():
            return value
        case enum.Enum():
            return to_json_value(value.value)
        case str():
            return value
        case Secret():
            return MASK
        case datetime():
            return format_rfc3339(value)
        case timedelta():
            return value.total_seconds()
        case RotatorError():
            return str(value)  # a sentence for a person, by contract
        case Mapping():
            return {str(name): to_json_value(item) for name, item in value.items()}
        case set() | frozenset():
            return sorted((to_json_value(item) for item in value), key=str)
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
        case Iterable():
            return [to_json_value(item) for item in value]
        case _:
            return f"<{type(value).__name__}>"
