"""The stored form of a ledger and of an account document: strict JSON with a schema version.

Strict means: what would be written for the ledger that was read is exactly what was read. An
unknown field, a number where a text belongs, a time without a zone: all of them make the ledger
*damaged*, which is not the same as absent. Times are RFC 3339 in UTC, durations ISO 8601.

Lists that grow hold *rows*: the values of each record in the order of its fields, without their
names, because a server counts names as well (``rotator.vault.budget``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from rotator.domain.account import ACCOUNT_SCHEMA, AccountDocument, MassRotation, Waiver
from rotator.domain.ledger import SCHEMA, HistoryEntry, Incident, Ledger, RevocationRecord
from rotator.domain.reasons import FORMER_NAMES
from rotator.errors import LedgerUnreadable
from rotator.util.durations import MAX_DURATION
from rotator.util.instants import is_in_range

MOST_PLACES = 10
"""Damaged places that a message names."""

_ledgers = TypeAdapter(Ledger)
_accounts = TypeAdapter(AccountDocument)

_LEDGER_ROWS: Mapping[str, type] = {"history": HistoryEntry, "incidents": Incident}
_ACCOUNT_ROWS: Mapping[str, type] = {"waivers": Waiver, "mass_rotations": MassRotation}
_INNER_ROWS: Mapping[type, Mapping[str, type]] = {Incident: {"revocations": RevocationRecord}}
"""Which lists hold rows of what, in a document and inside of a row."""


def dump_ledger(ledger: Ledger) -> dict[str, Any]:
    """The ledger as JSON values, of schema 4 unless it holds what only schema 5 can say: a rotator
    that knows no more than schema 4 goes on with every other one, as during an upgrade or after it
    was taken back."""
    data = _packed(_ledgers.dump_python(ledger, mode="json"), _LEDGER_ROWS)
    if ledger.hold is None:
        return {**data, "schema": 4}
    if ledger.hold.until is None:
        return {**data, "hold": {name: value for name, value in data["hold"].items() if name != "until"}, "schema": 4}
    return data


def load_ledger(data: Mapping[str, Any], name: str = "?") -> Ledger:
    """The ledger that these JSON values hold; raises ``LedgerUnreadable`` when they are anything
    but a sound ledger. ``name`` is the application that it was looked up for, for messages."""
    ledger: Ledger = _load(_ledgers, _migrated(data), f"the ledger of {name}", SCHEMA, _LEDGER_ROWS)
    return ledger


def dump_account(document: AccountDocument) -> dict[str, Any]:
    """The document of an account as JSON values."""
    return _packed(_accounts.dump_python(document, mode="json"), _ACCOUNT_ROWS)


def load_account(data: Mapping[str, Any], name: str) -> AccountDocument:
    """The document of an account that these JSON values hold, read as strictly as a ledger."""
    what = f"the document of account {name}"
    document: AccountDocument = _load(_accounts, _account_migrated(data), what, ACCOUNT_SCHEMA, _ACCOUNT_ROWS)
    return document


def _load(adapter: TypeAdapter[Any], data: Mapping[str, Any], what: str, known: int, rows: Mapping[str, type]) -> Any:
    stored = dict(data)
    schema = stored.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < known:
        raise LedgerUnreadable(f"{what} is damaged: it has no schema number; restore an earlier version of it in Vault")
    if schema > known:
        raise LedgerUnreadable(
            f"{what} was written by a newer rotator (schema {min(schema, 10**9)}, this one knows {known}); upgrade "
            "this rotator"
        )
    try:
        value = adapter.validate_python(_unpacked(stored, rows))
    except ValidationError as error:
        # A place consists of fields of the schema and of indexes. A name that is no field is
        # ignored here, and refused below without its text.
        places = {".".join(map(str, problem["loc"])) for problem in error.errors()}
        where = ", ".join(sorted(places)[:MOST_PLACES])
        raise LedgerUnreadable(f"{what} is damaged at {where}; restore an earlier version of it in Vault") from None
    found = list(_times(value))
    if where := ", ".join(name for name, time in found if not _is_bounded(time)):
        raise LedgerUnreadable(
            f"{what} is damaged at {where}: a time outside of the years 1970 to 9000, or a duration that is negative "
            "or above a hundred years; restore an earlier version of it in Vault"
        )
    if not _same(_packed(adapter.dump_python(value, mode="json"), rows), stored) or not all(
        time.utcoffset() == timedelta(0) for _, time in found if isinstance(time, datetime)
    ):
        raise LedgerUnreadable(
            f"{what} is damaged: it says more, or says it otherwise, than schema {known} allows; "
            "restore an earlier version of it in Vault"
        )
    return value


def _migrated(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A ledger of an older schema as this one would have written it. What is damaged stays damaged:
    it is refused afterwards."""
    for schema, migrate in ((1, _from_schema_1), (2, _from_schema_2), (3, _from_schema_3), (4, _from_schema_4)):
        if data.get("schema") == schema and data["schema"] is not True:
            data = {**migrate(data), "schema": schema + 1}
    return data


def _from_schema_1(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Emergencies did not say yet how they ended, nor override a hold."""
    missing: dict[str, dict[str, Any]] = {
        "compromised": {"through_hold": False},
        "incidents": {"mode": "replace_first", "through_hold": False, "deaths": []},
    }
    return {
        name: [_with(entry, missing[name]) for entry in value] if name in missing and isinstance(value, list) else value
        for name, value in data.items()
    }


def _from_schema_2(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Names of fields, of reasons and of one mode changed."""
    renamed = _renamed(
        data, {"trouble": "problem", "prove": "verification", "prove_emergency": "emergency_verification"}
    )
    hold = {"through_hold": "override_hold"}
    changes: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "compromised": lambda mark: _renamed(mark, hold),
        "incidents": lambda incident: _incident_from_schema_2(_renamed(incident, hold)),
    }
    renamed |= {name: _each(renamed[name], change) for name, change in changes.items() if name in renamed}
    intent = renamed.get("intent")
    if isinstance(intent, dict) and intent.get("mode") == "dead":
        renamed["intent"] = {**intent, "mode": "recovery"}
    problem = renamed.get("problem")
    if isinstance(problem, dict) and problem.get("reason") in FORMER_NAMES:
        renamed["problem"] = {**problem, "reason": FORMER_NAMES[problem["reason"]].value}
    return renamed


def _incident_from_schema_2(incident: dict[str, Any]) -> dict[str, Any]:
    renamed = _renamed(incident, {"deaths": "revocations"})
    if "revocations" in renamed:
        renamed["revocations"] = _each(
            renamed["revocations"], lambda record: _renamed(record, {"proof": "verification"})
        )
    return renamed


def _from_schema_3(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """History and incidents become rows; a ledger names those that it has taken over, and the one
    that has taken it over; the current key has a purpose."""
    current = data.get("current")
    known = {**data, "current": {**current, "purpose": ""}} if isinstance(current, dict) else data
    return {"predecessors": [], "successor": "", **_packed(known, _LEDGER_ROWS)}


def _from_schema_4(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A hold may have an end. One that has it already is none of schema 4, and is refused later."""
    hold = data.get("hold")
    if not isinstance(hold, dict):
        return data
    return {**data, "hold": [hold] if "until" in hold else {**hold, "until": None}}


def _account_migrated(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document of an account of an older schema as this one would have written it."""
    for schema, migrate in ((1, _account_from_schema_1), (2, _account_from_schema_2)):
        if data.get("schema") == schema and data["schema"] is not True:
            data = {**migrate(data), "schema": schema + 1}
    return data


def _account_from_schema_1(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A field has another name."""
    return {
        **data,
        "mass_rotations": _each(data.get("mass_rotations"), lambda one: _renamed(one, {"words": "selector"})),
    }


def _account_from_schema_2(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Waivers and mass rotations become rows."""
    return _packed(data, _ACCOUNT_ROWS)


def _packed(data: Mapping[str, Any], rows: Mapping[str, type]) -> dict[str, Any]:
    """The same with the records of these lists as rows. A record that lacks a field, or has another
    one, stays as it is."""

    def pack(record: Any, kind: type) -> Any:
        names = [field.name for field in fields(kind)]
        if not isinstance(record, dict) or set(record) != set(names):
            return record
        whole = _packed(record, _INNER_ROWS.get(kind, {}))
        return [whole[name] for name in names]

    return {
        name: [pack(record, rows[name]) for record in value] if name in rows and isinstance(value, list) else value
        for name, value in data.items()
    }


def _unpacked(data: Mapping[str, Any], rows: Mapping[str, type]) -> dict[str, Any]:
    """The same with the rows of these lists as records. A row of another length stays as it is, and
    is refused afterwards."""

    def unpack(row: Any, kind: type) -> Any:
        names = [field.name for field in fields(kind)]
        if not isinstance(row, list) or len(row) != len(names):
            return row
        return _unpacked({name: row[at] for at, name in enumerate(names)}, _INNER_ROWS.get(kind, {}))

    return {
        name: [unpack(row, rows[name]) for row in value] if name in rows and isinstance(value, list) else value
        for name, value in data.items()
    }


def _renamed(data: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The same values under their new names. A value that stands under both names is kept as found,
    and refused afterwards."""
    return {names[name] if name in names and names[name] not in data else name: value for name, value in data.items()}


def _each(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    return (
        [change(entry) if isinstance(entry, dict) else entry for entry in value] if isinstance(value, list) else value
    )


def _with(entry: Any, missing: dict[str, Any]) -> Any:
    return {**entry, **missing} if isinstance(entry, dict) else entry


def _same(ours: dict[str, Any], stored: dict[str, Any]) -> bool:
    """Equal as JSON, where true is not 1."""
    return json.dumps(ours, sort_keys=True) == json.dumps(stored, sort_keys=True)


def _times(value: object, where: str = "") -> Iterator[tuple[str, datetime | timedelta]]:
    """Every time and duration in the value, with its place."""
    if isinstance(value, datetime | timedelta):
        yield where, value
    elif is_dataclass(value):
        for field in fields(value):
            yield from _times(getattr(value, field.name), f"{where}.{field.name}".removeprefix("."))
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _times(item, f"{where}.{number}")


def _is_bounded(time: datetime | timedelta) -> bool:
    if isinstance(time, timedelta):
        return timedelta(0) <= time <= MAX_DURATION
    return time.tzinfo is None or is_in_range(time)  # one without a zone is refused for that
