"""Admission control for mass rotations: starts a rotation only if the account's quota has room for
its new key."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rotator.operations.mass_rotation.free_quota import free_slots

QUOTA_REFRESH_INTERVAL = 0.5
"""Seconds between two questions to the provider for its free quota; between them only the admitted
rotations are counted."""


class AdmissionController:
    """Counts who is under way and who of them has not made a key yet. Thread-safe.

    ``ask`` tells the room that the provider has now. A provider that has told it once and does not
    answer now has none.
    """

    def __init__(
        self, ask: Callable[[], int | None], at_once: int, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._at_once = at_once
        self._now = now
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._unmade: set[str] = set()
        self._room: int | None = None
        self._counted: set[str] = set()
        self._asked = self._told = False
        self._ask_again = float("-inf")

    def admits(self, application: str, *, needs_room: bool) -> bool:
        """Whether the application may begin now; it is under way from then on. Only one thread
        asks."""
        with self._lock:
            if len(self._under_way) >= self._at_once:
                return False
        if needs_room and not self._has_room():
            return False
        with self._lock:
            self._under_way.add(application)
        if needs_room:
            self.makes_another(application)
        return True

    def made(self, application: str) -> None:
        """The application's new key exists: the provider counts it from now on."""
        with self._lock:
            self._unmade.discard(application)

    def makes_another(self, application: str) -> None:
        """The application's rotation was begun anew: there may be another key."""
        with self._lock:
            if application in self._under_way:
                self._unmade.add(application)
                self._counted.add(application)

    def left(self, application: str) -> None:
        """The application is not under way any more."""
        with self._lock:
            self._under_way.discard(application)
            self._unmade.discard(application)

    def _has_room(self) -> bool:
        if self._asked and self._more() >= 1:
            return True
        if self._under_way and self._now() < self._ask_again:
            return False
        self._measure()
        return self._more() >= 1

    def _more(self) -> int:
        with self._lock:
            if self._room is None and self._told:
                return 0
            return free_slots(self._room, len(self._counted), len(self._under_way))

    def _measure(self) -> None:
        """Who had made no key before the question counts against its answer, for the answer may not
        have their keys in it."""
        with self._lock:
            counted = set(self._unmade)
        room = self._ask()
        with self._lock:
            self._room, self._counted, self._asked = room, counted, True
            self._told = self._told or room is not None
            self._ask_again = self._now() + QUOTA_REFRESH_INTERVAL


@dataclass
class AdmissionRecorder:
    """Reports each claim and each new key to the admission control."""

    admission: AdmissionController

    def saw(self, event: str, fields: Mapping[str, object]) -> None:
        """Report one event."""
        application = str(fields.get("application", ""))
        if event == "rotation.claimed":
            self.admission.makes_another(application)
        elif event == "rotation.created":
            self.admission.made(application)
