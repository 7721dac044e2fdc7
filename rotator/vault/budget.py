"""What a stored document may take, and how a ledger and an account document are brought below it.

OpenBao counts the strings of a request's JSON, names and values alike, and refuses more than 1,000
(``max_request_json_strings``). Numbers, booleans, nulls and empty containers do not count;
``options``, ``cas`` and ``data`` around the document do. Vault and the storage behind it bound
bytes: 1 MiB in integrated storage, 512 KiB in Consul.

What may be dropped is the past, oldest first: history entries, then closed incidents, then the
latest history. A mark, an open incident and every key that is still to be revoked are never
dropped: whether they fit is for the server to say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from rotator.domain.account import AccountDocument
from rotator.domain.ledger import Ledger
from rotator.errors import Rejected
from rotator.vault.codec import dump_account, dump_ledger

MAX_STRINGS = 900
"""Strings of a document, of the 997 that a default OpenBao has room for."""

MAX_BYTES = 256 * 1024
"""Bytes of a document as JSON: half of what the smallest usual storage takes."""

LATEST_HISTORY = 10
"""History entries that stay as long as a closed incident can be dropped: they say how the latest
revocations were verified."""

REDUCTIONS = (1.0, 0.5, 0.25, 0.0)
"""The shares of the budget that are tried in turn on a server that takes less than its defaults."""

Version = TypeVar("Version")


def count_strings(value: Any) -> int:
    """The strings in a JSON value as OpenBao counts them: names of fields and texts."""
    if isinstance(value, str):
        return 1
    if isinstance(value, dict):
        return len(value) + sum(map(count_strings, value.values()))
    return sum(map(count_strings, value)) if isinstance(value, list | tuple) else 0


def reduced_ledgers(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """The ledger as it is stored, within the budget; then ever smaller, as long as there is
    something to drop."""
    history = [("history", number) for number in range(len(ledger.history))]
    closed = [("incidents", number) for number, incident in enumerate(ledger.incidents) if incident.closed_at]
    return _reductions(dump_ledger(ledger), [*history[:-LATEST_HISTORY], *closed, *history[-LATEST_HISTORY:]])


def reduced_accounts(document: AccountDocument) -> Iterator[dict[str, Any]]:
    """The account document as it is stored, within the budget; then ever smaller, as long as there
    is something to drop."""
    earlier = document.mass_rotations[:-1]
    ended = [("mass_rotations", number) for number, one in enumerate(earlier) if one.ended_at]
    unfinished = [("mass_rotations", number) for number, one in enumerate(earlier) if not one.ended_at]
    return _reductions(dump_account(document), [*ended, *unfinished])


def write_first_accepted(offers: Iterable[Mapping[str, Any]], write: Callable[[Mapping[str, Any]], Version]) -> Version:
    """Write the first of these that is not refused as too large. Raises the last refusal when every
    one is."""
    refusal: Rejected | None = None
    for data in offers:
        try:
            return write(data)
        except Rejected as error:
            if error.kind != "too_large":
                raise
            refusal = error
    raise refusal or AssertionError("there is always one offer")


def _reductions(stored: dict[str, Any], past: Sequence[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """The document without so many of the rows of its ``past``, which come in the order in which
    they are dropped, that it fits each share of the budget."""
    strings, size, dropped, offered = count_strings(stored), _size(stored), 0, -1
    for share in REDUCTIONS:
        while dropped < len(past) and (strings > share * MAX_STRINGS or size > share * MAX_BYTES):
            name, number = past[dropped]
            strings, size, dropped = (
                strings - count_strings(stored[name][number]),
                size - _size(stored[name][number]),
                dropped + 1,
            )
        if dropped != offered:
            yield _without(stored, set(past[:dropped]))
        offered = dropped


def _without(stored: Mapping[str, Any], dropped: set[tuple[str, int]]) -> dict[str, Any]:
    lists = {name for name, _ in dropped}
    return {
        name: [row for number, row in enumerate(value) if (name, number) not in dropped] if name in lists else value
        for name, value in stored.items()
    }


def _size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())
