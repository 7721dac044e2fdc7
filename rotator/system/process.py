"""The signals of the process, which only set flags."""

from __future__ import annotations

import select
import signal
import socket
from contextlib import suppress
from types import FrameType
from typing import Self


class Signals:
    """SIGTERM and SIGINT request the end, SIGHUP a reload. The main loop reads the flags, and waits
    here.

    Handlers only set a flag: they may run at any point, also in code that holds a lock.
    """

    def __init__(self) -> None:
        self.stop = ""
        self.reload = False
        self._read, self._write = socket.socketpair()
        for end in (self._read, self._write):
            end.setblocking(False)

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        # Set before the handlers, so that a signal that comes now wakes the loop.
        self._fd_before = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._read.close()
        self._write.close()

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        self.stop = self.stop or signal.Signals(number).name

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reload = True

    def wake(self) -> None:
        """Ends the wait of the main loop; from any thread."""
        with suppress(OSError):  # full: it wakes up anyway; closed: no thread waits
            self._write.send(b"\0")

    def wait(self, seconds: float) -> None:
        """Sleeps until a signal, ``wake``, or the time."""
        select.select([self._read], [], [], max(0.0, seconds))
        with suppress(BlockingIOError):
            while self._read.recv(4096):
                pass
