"""Admission control for mass rotations: starts a rotation only if the account's key quota has room
for its new key.

The provider's answer is at most ``QUOTA_REFRESH_INTERVAL`` old. Rotations without a key when it was
requested may not be included in it, so they are subtracted. If the provider once reported a quota
and now does not, nothing is admitted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rotator.operations.mass_rotation.free_quota import free_slots

QUOTA_REFRESH_INTERVAL = 0.5
"""Seconds between two requests for the free quota; in between, admitted rotations are counted."""


class AdmissionController:
    """Counts rotations under way, and those of them whose key does not exist yet. Thread-safe.

    ``free_quota`` returns the free quota of the provider, None if unknown.
    """

    def __init__(
        self, free_quota: Callable[[], int | None], max_parallel: int, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._request_quota = free_quota
        self._max_parallel = max_parallel
        self._now = now
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._without_key: set[str] = set()
        self._free_quota: int | None = None
        self._counted: set[str] = set()
        self._requested = self._reported = False
        self._next_request = float("-inf")

    def try_admit(self, application: str, *, needs_room: bool) -> bool:
        """Whether the application may start now; from then on it is under way. Call from one thread
        only."""
        with self._lock:
            if len(self._under_way) >= self._max_parallel:
                return False
        if needs_room and not self._has_quota():
            return False
        with self._lock:
            self._under_way.add(application)
        if needs_room:
            self.key_pending(application)
        return True

    def key_created(self, application: str) -> None:
        """The application's new key exists, so the provider counts it."""
        with self._lock:
            self._without_key.discard(application)

    def key_pending(self, application: str) -> None:
        """The application's rotation started again, so it may create another key."""
        with self._lock:
            if application in self._under_way:
                self._without_key.add(application)
                self._counted.add(application)

    def finished(self, application: str) -> None:
        """The application is no longer under way."""
        with self._lock:
            self._under_way.discard(application)
            self._without_key.discard(application)

    def _has_quota(self) -> bool:
        if self._requested and self._free_slots() >= 1:
            return True
        if self._under_way and self._now() < self._next_request:
            return False
        self._measure()
        return self._free_slots() >= 1

    def _free_slots(self) -> int:
        with self._lock:
            if self._free_quota is None and self._reported:
                return 0
            return free_slots(self._free_quota, len(self._counted), len(self._under_way))

    def _measure(self) -> None:
        """Requests the free quota. Rotations without a key before the request are subtracted,
        because the answer may not include their keys."""
        with self._lock:
            counted = set(self._without_key)
        quota = self._request_quota()
        with self._lock:
            self._free_quota, self._counted, self._requested = quota, counted, True
            self._reported = self._reported or quota is not None
            self._next_request = self._now() + QUOTA_REFRESH_INTERVAL


@dataclass
class AdmissionRecorder:
    """Reports each claim and each new key to the admission controller."""

    admission: AdmissionController

    def saw(self, event: str, fields: Mapping[str, object]) -> None:
        """Reports one event."""
        application = str(fields.get("application", ""))
        if event == "rotation.claimed":
            self.admission.key_pending(application)
        elif event == "rotation.created":
            self.admission.key_created(application)
