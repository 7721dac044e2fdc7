"""How many keys an organisation still has room for, from its quota and its count of keys,
remembered for a minute.

The API reports the limit and not what is used of it; the quota's name for keys is not documented,
so it is looked for.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from rotator.errors import Unavailable
from rotator.providers.scaleway.responses import is_count
from rotator.util.single_flight import SingleFlight

MEMORY = timedelta(seconds=60)

FAILURE_MEMORY = 15.0
"""Seconds for which an account that does not answer counts as unknown without being asked again."""


class QuotaHeadroom:
    """A remembered number, kept up with the creates and deletes of this process. ``count`` asks the
    provider.

    One thread asks and the others wait for its answer. The lock guards the numbers and is never
    held over the question, so a create or a delete that has ended never waits for a quota that
    hangs.
    """

    def __init__(self, count: Callable[[], int | None], *, now: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._now = now
        self._question = SingleFlight[None](failure_ttl=FAILURE_MEMORY, now=now)
        self._lock = threading.Lock()
        self._room: int | None = None
        self._until = 0.0
        self._made_meanwhile = 0

    def get(self, *, fresh: bool = False) -> int | None:
        """The number, at most a minute old; None when it is unknown. ``fresh``: from a question
        that begins now."""
        now = self._now()
        with self._lock:
            known = not fresh and now < self._until
        if not known:
            try:
                self._question.ask(self._measure, since=now if fresh else None)
            except Unavailable:
                return None
        with self._lock:
            return None if self._room is None else max(0, self._room)

    def change(self, by: int) -> None:
        """Note that keys were made or deleted."""
        with self._lock:
            self._made_meanwhile += max(0, -by)
            if self._room is not None:
                self._room += by

    def none_left(self) -> None:
        """Note that the provider has just said so."""
        with self._lock:
            self._room, self._until = 0, self._now() + MEMORY.total_seconds()

    def _measure(self) -> None:
        with self._lock:
            self._made_meanwhile = 0
        try:
            room = self._count()
        except Unavailable:
            with self._lock:
                self._room, self._until = None, 0.0
            raise
        with self._lock:
            # A key that was made after the question may not be in its answer; one that was deleted
            # then frees its room later.
            self._room = None if room is None else room - self._made_meanwhile
            self._until = self._now() + MEMORY.total_seconds()


def limit_on_keys(quota: list[Any]) -> int | None:
    """The limit on API keys among the quota of an organisation; None when there is none, or no such
    quota."""
    for entry in quota:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and _is_on_keys(entry["name"]):
            return _limit(entry)
    return None


def _is_on_keys(name: str) -> bool:
    """Whether this is the quota on API keys. ``IamSshKeys`` is a recorded name of another one;
    ``IamApiKeys`` is the guess."""
    return re.fullmatch(r"(iam)?api_?keys?", name.replace("-", "_").lower().replace("iam_", "iam")) is not None


def _limit(entry: Mapping[str, Any]) -> int | None:
    limits = entry.get("limits")
    for holder in (*(limits if isinstance(limits, list) else ()), entry):
        if isinstance(holder, dict):
            if holder.get("unlimited") is True:
                return None
            limit = holder.get("limit")
            if is_count(limit):
                return limit
    return None
