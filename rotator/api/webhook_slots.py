"""Limits reports of the webhook: a rate, a few slots, and one running containment for each
application.

One object serves the whole process, across reloads.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass

from rotator.operations.refusal import OperationError

MAX_REPORTS = 4
"""Maximum of reports at once; the other slots for emergencies stay free for people."""


@dataclass(frozen=True)
class MarkedKeys:
    """The marked keys; none if the reported key is known to be revoked (``state``)."""

    application: str
    access_keys: tuple[str, ...]
    state: str


class ReportSlots:
    """Admits reports. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._admitted_at: deque[float] = deque()
        self._running = 0
        self._named: dict[str, Future[MarkedKeys]] = {}
        self._contained: set[str] = set()

    def admit(self, application: str, per_minute: int) -> tuple[Future[MarkedKeys], bool]:
        """The future of the mark, and whether the caller has to carry out the report.

        A report that names an application whose report still runs is the same incident and gets the
        same future. Raises ``OperationError`` if the rate is exceeded or no slot is free.
        """
        with self._lock:
            now = time.monotonic()
            while self._admitted_at and self._admitted_at[0] <= now - 60:
                self._admitted_at.popleft()
            if len(self._admitted_at) >= per_minute:
                raise OperationError(
                    "busy", f"{per_minute} reports a minute are accepted, and no more; report it again", 3
                )
            self._admitted_at.append(now)
            if application in self._named:
                return self._named[application], False
            if self._running >= MAX_REPORTS:
                raise OperationError(
                    "busy", f"{self._running} reports are running, which is the limit; report it again", 3
                )
            self._running += 1
            marked: Future[MarkedKeys] = Future()
            if application:
                self._named[application] = marked
            return marked, True

    def release(self, application: str) -> None:
        """Releases the slot of an admitted report."""
        with self._lock:
            self._running -= 1
            self._named.pop(application, None)

    @contextmanager
    def containing(self, application: str) -> Iterator[bool]:
        """Whether no other report contains the application; then none does until the end of the
        block.

        A mark is durable and every pass acts on it, so a report that only adds a mark needs no
        containment of its own.
        """
        with self._lock:
            alone = application not in self._contained
            self._contained.add(application)
        try:
            yield alone
        finally:
            if alone:
                with self._lock:
                    self._contained.discard(application)
