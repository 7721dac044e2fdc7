"""How many keys an organisation still has room for, from its quota and its count of keys, remembered for a minute.

The API tells the limit and not what is used of it; the quota's name for keys is not documented, so it is looked for.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

MEMORY = timedelta(seconds=60)


@dataclass(frozen=True)
class QuotaReading:
    """What the provider said; ``keep`` when it would say the same a moment later."""

    room: int | None
    keep: bool


class QuotaHeadroom:
    """A remembered number, kept up with our own creates and deletes. ``count`` asks the provider."""

    def __init__(self, count: Callable[[], QuotaReading], *, now: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._now = now
        self._lock = threading.Lock()
        self._room: int | None = None
        self._until = 0.0

    def get(self, *, fresh: bool = False) -> int | None:
        """The number, at most a minute old. One thread asks, the others wait for what it learns."""
        with self._lock:
            if fresh or self._now() >= self._until:
                reading = self._count()
                self._room = reading.room
                self._until = self._now() + MEMORY.total_seconds() if reading.keep else 0.0
            return None if self._room is None else max(0, self._room)

    def change(self, by: int) -> None:
        """Note that we made or deleted keys."""
        with self._lock:
            if self._room is not None:
                self._room += by

    def none_left(self) -> None:
        """Note that the provider has just said so."""
        with self._lock:
            self._room, self._until = 0, self._now() + MEMORY.total_seconds()


def limit_on_keys(quota: list[Any]) -> int | None:
    """The limit on API keys among the quota of an organisation; None when there is none, or no such quota."""
    for entry in quota:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and _is_on_keys(entry["name"]):
            return _limit(entry)
    return None


def _is_on_keys(name: str) -> bool:
    """Whether this is the quota on API keys. ``IamSshKeys`` is a recorded name of another one; ``IamApiKeys`` is the guess."""
    return re.fullmatch(r"(iam)?api_?keys?", name.replace("-", "_").lower().replace("iam_", "iam")) is not None


def _limit(entry: Mapping[str, Any]) -> int | None:
    limits = entry.get("limits")
    for holder in (*(limits if isinstance(limits, list) else ()), entry):
        if isinstance(holder, dict):
            if holder.get("unlimited") is True:
                return None
            limit = holder.get("limit")
            if isinstance(limit, int) and not isinstance(limit, bool):
                return limit
    return None
