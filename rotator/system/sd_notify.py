"""Reports the state of the daemon to systemd. Does nothing without systemd."""

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
"""Seconds that a message waits for a supervisor that does not read; then it is dropped. (The socket
buffers about ten.)"""


class ServiceManager:
    """Speaks the protocol of sd_notify(3) to ``$NOTIFY_SOCKET``. No method raises: a supervisor
    that does not read must not disturb the work."""

    def __init__(self) -> None:
        # Without ``$NOTIFY_SOCKET`` the library leaves an open socket behind; it also drops one
        # that it cannot connect.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self._notifier = sdnotify.SystemdNotifier() if os.environ.get("NOTIFY_SOCKET") else None
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.settimeout(TIMEOUT)
        self._status = ""

    @property
    def watchdog_interval(self) -> timedelta | None:
        """The longest interval between watchdog messages; None if the supervisor wants none of this
        process."""
        wanted, of_whom = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
        if self._notifier is None or not _MICROSECONDS.fullmatch(wanted) or of_whom not in ("", str(os.getpid())):
            return None
        return timedelta(microseconds=int(wanted)) or None

    def ready(self) -> None:
        """Reports that the start or a reload is complete."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Reports that a reload starts. systemd needs the time in the same message, to distinguish
        it from an earlier one."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Reports that the shutdown starts."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Sends a watchdog message. Callers send it only if work was done since the last one."""
        self._send("WATCHDOG=1")

    def status(self, sentence: str) -> None:
        """Sets the text of ``systemctl status``; sent only when it changes."""
        line = " ".join(sentence.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def close(self) -> None:
        """Stops reporting."""
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()
            self._notifier = None

    def _send(self, message: str) -> None:
        if self._notifier is not None:
            # The library encodes as Latin-1 what systemd reads as UTF-8.
            self._notifier.notify(message.encode().decode("latin-1"))
