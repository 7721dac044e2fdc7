"""Credentials that a service refused, so that the same ones are not sent again and again.

A service may lock an account after a few refused logins, for all its users. So a refusal is
remembered until the credentials change; unchanged ones are tried again after pauses that grow.
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
"""Seconds until unchanged credentials are tried again, after the first refusal, the second, …; the
last one repeats.

Vault and OpenBao lock a role for 15 minutes after five refused logins, and count anew when 15
minutes passed without one. Four attempts fall into the first 15 minutes, and the fifth comes 20
minutes later.
"""

_KEY = secrets.token_bytes(16)


def fingerprint(*parts: str) -> bytes:
    """What tells whether credentials changed, and nothing about them outside of this process."""
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
    """The latest refusal of each login. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._refused: dict[str, _Refusal] = {}

    def standing(self, login: str, credentials: bytes) -> ServiceError | None:
        """Why these credentials are not sent now; None when they may be."""
        with self._lock:
            refusal = self._refused.get(login)
        if refusal is None or refusal.credentials != credentials or self._clock() >= refusal.until:
            return None
        return refusal.error

    def note(self, login: str, credentials: bytes, error: ServiceError, *, longest: float = PAUSES[-1]) -> None:
        """The service refused these credentials; ``longest`` bounds the pause where an attempt
        costs nothing."""
        with self._lock:
            known = self._refused.get(login)
            count = known.count + 1 if known is not None and known.credentials == credentials else 1
            pause = min(longest, PAUSES[min(count, len(PAUSES)) - 1])
            self._refused[login] = _Refusal(credentials, count, self._clock() + pause, error)

    def clear(self, login: str) -> None:
        """The service took the credentials."""
        with self._lock:
            self._refused.pop(login, None)
