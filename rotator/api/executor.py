"""Runs commands from the control API and the webhook, each in its own thread.

At most `MAX_COMMANDS` run at once; `RESERVED_FOR_URGENT` of these slots are available to
emergencies only. A command continues when its caller disconnects. On shutdown, commands are
interrupted at their next wait; their progress is in the ledger.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from typing import TypeVar

from rotator.domain.ports import Clock
from rotator.operations.refusal import OperationError

T = TypeVar("T")

MAX_COMMANDS = 16
"""Maximum of commands at once."""

RESERVED_FOR_URGENT = 8
"""Slots of these that are reserved for emergencies."""


class CommandExecutor:
    """Runs commands until the shutdown. ``stopping`` is set when the shutdown begins."""

    def __init__(
        self, stopping: threading.Event, *, slots: int = MAX_COMMANDS, reserved: int = RESERVED_FOR_URGENT
    ) -> None:
        self._stopping = stopping
        self._slots = slots
        self._reserved = reserved
        self._busy = 0
        self._exclusive: set[str] = set()
        self._lock = threading.Lock()
        self._interrupted = threading.Event()

    def carry_out(self, command: Callable[[], T], *, urgent: bool = False, exclusive_key: str = "") -> Future[T]:
        """Starts the command in its own thread.

        Raises ``OperationError`` if no slot is free, if a command with the same key runs, or during
        the shutdown.
        """
        with self._lock:
            if self._stopping.is_set():
                raise OperationError(
                    "stopping", "the daemon is stopping and accepts no commands; try again after its restart", 3
                )
            if self._busy >= self._slots - (0 if urgent else self._reserved):
                raise OperationError(
                    "busy", f"{self._busy} commands are running, which is the limit; try again in a moment", 3
                )
            if exclusive_key in self._exclusive:
                raise OperationError(
                    "under_way", f"this command is already running ({exclusive_key}); watch it with rotator status", 3
                )
            self._busy += 1
            if exclusive_key:
                self._exclusive.add(exclusive_key)
        future: Future[T] = Future()
        try:
            threading.Thread(
                target=self._work, args=(command, future, exclusive_key), name="command", daemon=True
            ).start()
        except RuntimeError:
            self._release(exclusive_key)
            raise OperationError(
                "busy", "the machine lets the daemon start no more threads; try again in a moment", 3
            ) from None
        return future

    def _work(self, command: Callable[[], T], future: Future[T], exclusive_key: str) -> None:
        try:
            result = command()
        except BaseException as error:  # noqa: BLE001 - the future carries it to the caller
            self._release(exclusive_key)
            future.set_exception(error)
        else:
            self._release(exclusive_key)
            future.set_result(result)

    def _release(self, exclusive_key: str) -> None:
        with self._lock:
            self._busy -= 1
            self._exclusive.discard(exclusive_key)

    def sleep(self, clock: Clock, until: datetime) -> None:
        """Sleeps until the clock shows that time. Raises ``OperationError`` when the shutdown
        interrupts it."""
        seconds = (until - clock.now()).total_seconds()
        if self._interrupted.wait(max(0.0, seconds)):
            raise OperationError(
                "stopping",
                "the daemon was stopped meanwhile; what was begun is in the ledger and continues after its restart",
                3,
            )

    @property
    def busy(self) -> int:
        """The number of running commands."""
        return self._busy

    def give_up(self) -> None:
        """Interrupts running commands at their next wait."""
        self._interrupted.set()
