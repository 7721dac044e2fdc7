"""The stored form of a ledger: strict JSON with a schema version.

Strict means: what would be written for the ledger that was read is exactly what was read. An unknown field, a number where a
text belongs, a time without a zone: all of them make the ledger *damaged*, which is not the same as absent. Times are RFC 3339
in UTC, durations ISO 8601.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rotator.errors import LedgerUnreadable
from rotator.model import SCHEMA, Ledger

_adapter = TypeAdapter(Ledger)


def dump_ledger(ledger: Ledger) -> dict[str, Any]:
    """The ledger as JSON values."""
    stored: dict[str, Any] = _adapter.dump_python(ledger, mode="json")
    return stored


def load_ledger(data: Mapping[str, Any], name: str = "?") -> Ledger:
    """The ledger that these JSON values hold; raises ``LedgerUnreadable`` when they are anything but a sound ledger. ``name`` is
    the application that it was looked up for, for messages."""
    stored = dict(data)
    schema = stored.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise LedgerUnreadable(
            f"the ledger of {name} is damaged: it has no schema number; restore an earlier version of it in Vault"
        )
    if schema > SCHEMA:
        raise LedgerUnreadable(
            f"the ledger of {name} was written by a newer rotator (schema {schema}, this one knows {SCHEMA}); upgrade this rotator"
        )
    try:
        ledger = _adapter.validate_python(stored)
    except ValidationError as error:
        where = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
        raise LedgerUnreadable(f"the ledger of {name} is damaged at {where}; restore an earlier version of it in Vault") from None
    if not _same(dump_ledger(ledger), stored) or not all(time.utcoffset() == timedelta(0) for time in _times(ledger)):
        raise LedgerUnreadable(
            f"the ledger of {name} is damaged: it says more, or says it otherwise, than schema {SCHEMA} allows; "
            "restore an earlier version of it in Vault"
        )
    return ledger


def _same(ours: dict[str, Any], stored: dict[str, Any]) -> bool:
    """Equal as JSON, where true is not 1."""
    return json.dumps(ours, sort_keys=True) == json.dumps(stored, sort_keys=True)


def _times(value: object) -> Iterator[datetime]:
    if isinstance(value, datetime):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _times(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from _times(item)
