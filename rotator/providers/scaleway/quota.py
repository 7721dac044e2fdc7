"""The free key quota of an organisation, from its quota and its count of keys, cached for a minute.

The API reports the limit and not the usage. The quota's name for keys is not documented, so it is
searched for.
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
"""Seconds for which an unavailable account counts as unknown without another request."""


class QuotaHeadroom:
    """The cached free quota, adjusted by the creates and deletes of this process. ``count``
    requests it from the provider.

    One thread requests it, and the others wait for the result. The lock guards the numbers and is
    never held during a request, so a create or a delete never waits for a slow quota.
    """

    def __init__(self, count: Callable[[], int | None], *, now: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._now = now
        self._question = SingleFlight[None](failure_ttl=FAILURE_MEMORY, now=now)
        self._lock = threading.Lock()
        self._free: int | None = None
        self._until = 0.0
        self._created_meanwhile = 0

    def get(self, *, fresh: bool = False) -> int | None:
        """The free quota, at most a minute old; None if unknown. ``fresh``: from a request that
        starts now."""
        now = self._now()
        with self._lock:
            known = not fresh and now < self._until
        if not known:
            try:
                self._question.ask(self._measure, since=now if fresh else None)
            except Unavailable:
                return None
        with self._lock:
            return None if self._free is None else max(0, self._free)

    def change(self, by: int) -> None:
        """Records that keys were created (negative) or deleted."""
        with self._lock:
            self._created_meanwhile += max(0, -by)
            if self._free is not None:
                self._free += by

    def none_left(self) -> None:
        """Records that the provider reported a full quota."""
        with self._lock:
            self._free, self._until = 0, self._now() + MEMORY.total_seconds()

    def _measure(self) -> None:
        with self._lock:
            self._created_meanwhile = 0
        try:
            free = self._count()
        except Unavailable:
            with self._lock:
                self._free, self._until = None, 0.0
            raise
        with self._lock:
            # A key that was created after the request may be missing in the answer; a key that was
            # deleted then frees its place later.
            self._free = None if free is None else free - self._created_meanwhile
            self._until = self._now() + MEMORY.total_seconds()


def limit_on_keys(quota: list[Any]) -> int | None:
    """The limit on API keys among the quotas of an organisation; None if there is none."""
    for entry in quota:
        if isinstance(entry, dict) and isinstance(entry.get("name"), str) and _is_on_keys(entry["name"]):
            return _limit(entry)
    return None


def _is_on_keys(name: str) -> bool:
    """Whether this is the quota on API keys. ``IamSshKeys`` is a recorded name of another quota;
    ``IamApiKeys`` is a guess."""
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
