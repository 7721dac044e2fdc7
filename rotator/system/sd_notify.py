"""Reports the state of the daemon to systemd. Everything here does nothing where there is none."""

from __future__ import annotations

import os
import re
import time
import warnings
from datetime import timedelta

import sdnotify

_MICROSECONDS = re.compile("[0-9]{1,18}")
"""A number that fits into a duration."""

TIMEOUT = 1.0
"""Seconds that a message waits for a supervisor which does not listen; then it is lost. (The socket
takes about ten.)"""


class ServiceManager:
    """Speaks the protocol of sd_notify(3) to ``$NOTIFY_SOCKET``. No method raises: a supervisor
    that does not listen must not disturb the work."""

    def __init__(self) -> None:
        # Without the socket the library would leave an open one of its own behind; it also drops
        # one that it cannot connect.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self._notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.settimeout(TIMEOUT)
        self._status = ""

    @property
    def watchdog_interval(self) -> timedelta | None:
        """How often the supervisor wants a sign of life at the least; None when it wants none (of
        this process)."""
        wanted, of_whom = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
        if self._notifier is None or not _MICROSECONDS.fullmatch(wanted) or of_whom not in ("", str(os.getpid())):
            return None
        return timedelta(microseconds=int(wanted)) or None

    def ready(self) -> None:
        """The start, or a reload, is complete."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """A reload begins. systemd wants the time in the same message, to tell it from an earlier
        one."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end begins."""
        self._tell("STOPPING=1")

    def watchdog(self) -> None:
        """A sign of life; for the caller to send only when something was really done since the last
        one."""
        self._tell("WATCHDOG=1")

    def status(self, sentence: str) -> None:
        """What ``systemctl status`` shows; sent only when it changed."""
        line = " ".join(sentence.split())
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}")

    def close(self) -> None:
        """Report nothing more."""
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()
            self._notifier = None

    def _tell(self, message: str) -> None:
        if self._notifier is not None:
            # The library encodes as Latin-1 what systemd reads as UTF-8.
            self._notifier.notify(message.encode().decode("latin-1"))
