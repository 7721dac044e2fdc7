"""Those who carry out orders: a thread for each, a bounded number of them, and a share that is kept for emergencies.

Whoever gave an order may hang up: it goes on. Only the end of the daemon cuts it short, between two steps, which is no harm to
anybody: what it began is in the ledger.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from typing import TypeVar

from rotator.domain.ports import Clock
from rotator.operations.refusal import OperationError

T = TypeVar("T")

MAX_COMMANDS = 16
"""Orders under way at once."""

RESERVED_FOR_URGENT = 8
"""Of these, how many only an emergency gets."""


class CommandExecutor:
    """Carries out orders until it is told to end. ``stopping`` is set when the daemon's end has begun."""

    def __init__(self, stopping: threading.Event, *, places: int = MAX_COMMANDS, reserved: int = RESERVED_FOR_URGENT) -> None:
        self._stopping = stopping
        self._places = places
        self._reserved = reserved
        self._busy = 0
        self._alone: set[str] = set()
        self._changed = threading.Condition()
        self._given_up = threading.Event()

    def carry_out(self, order: Callable[[], T], *, urgent: bool = False, alone: str = "") -> Future[T]:
        """Begin, in a thread of its own; raises ``OperationError`` when there are too many already, when the one that has the same ``alone``
        is under way still, or at the end."""
        with self._changed:
            if self._stopping.is_set():
                raise OperationError(
                    "stopping", "the daemon is stopping and takes no orders any more; try again when it is back", 3
                )
            if self._busy >= self._places - (0 if urgent else self._reserved):
                raise OperationError(
                    "busy", f"{self._busy} orders are under way already, and more may not be; try again in a moment", 3
                )
            if alone in self._alone:
                raise OperationError(
                    "under_way", f"the daemon is at it already ({alone}) and goes on by itself; look with rotator status", 3
                )
            self._busy += 1
            if alone:
                self._alone.add(alone)
        future: Future[T] = Future()
        try:
            threading.Thread(target=self._work, args=(order, future, alone), name="order", daemon=True).start()
        except RuntimeError:
            self._leave(alone)
            raise OperationError("busy", "this machine lets the daemon start no more threads; try again in a moment", 3) from None
        return future

    def _work(self, order: Callable[[], T], future: Future[T], alone: str) -> None:
        try:
            future.set_result(order())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
            future.set_exception(error)
        finally:
            self._leave(alone)

    def _leave(self, alone: str) -> None:
        with self._changed:
            self._busy -= 1
            self._alone.discard(alone)
            self._changed.notify_all()

    def sleep(self, clock: Clock, until: datetime) -> None:
        """Sleep until the clock shows that time; raises ``OperationError`` when the daemon ends meanwhile."""
        seconds = (until - clock.now()).total_seconds()
        if self._given_up.wait(max(0.0, seconds)):
            raise OperationError(
                "stopping", "the daemon was stopped meanwhile; what was begun is in the ledger and goes on when it is back", 3
            )

    @property
    def busy(self) -> int:
        """How many orders are under way."""
        return self._busy

    def give_up(self) -> None:
        """Cut short what is under way, as soon as it sleeps."""
        self._given_up.set()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is under way any more; whether that came to be."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._busy and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._busy
