"""Remembers credentials that a service rejected, so that they are not sent over and over.

A service may lock an account after a few failed logins, for all its users. So a rejection is
remembered until the credentials change; unchanged ones are tried again after increasing delays.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from rotator.errors import ServiceError

PAUSES = (15.0, 60.0, 300.0, 1200.0)
"""Seconds until unchanged credentials are tried again, after the first rejection, the second, …;
the last one repeats.

Vault and OpenBao lock a role for 15 minutes after five failed logins, and reset the count after 15
minutes without one. Four attempts fall into the first 15 minutes, and the fifth comes 20 minutes
later.
"""

_KEY = secrets.token_bytes(16)


def fingerprint(*parts: str) -> bytes:
    """A digest that changes with the credentials and reveals nothing about them outside of this
    process."""
    digest = hmac.new(_KEY, digestmod="sha256")
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.digest()


@dataclass(frozen=True)
class _Refusal:
    credentials: bytes
    count: int
    until: float
    error: ServiceError


class Refusals:
    """The latest rejection of each login. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._refused: dict[str, _Refusal] = {}

    def standing(self, login: str, credentials: bytes) -> ServiceError | None:
        """Why these credentials are not sent now; None if they may be."""
        with self._lock:
            refusal = self._refused.get(login)
        if refusal is None or refusal.credentials != credentials or self._clock() >= refusal.until:
            return None
        return refusal.error

    def note(self, login: str, credentials: bytes, error: ServiceError, *, longest: float = PAUSES[-1]) -> None:
        """Records that the service rejected these credentials. ``longest`` bounds the delay if an
        attempt costs nothing."""
        with self._lock:
            known = self._refused.get(login)
            count = known.count + 1 if known is not None and known.credentials == credentials else 1
            pause = min(longest, PAUSES[min(count, len(PAUSES)) - 1])
            self._refused[login] = _Refusal(credentials, count, self._clock() + pause, error)

    def clear(self, login: str) -> None:
        """Records that the service accepted the credentials."""
        with self._lock:
            self._refused.pop(login, None)
