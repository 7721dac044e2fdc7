"""Authenticates callers of the webhook: a bearer token, and a signature over time and body that is
good once.

::

    Rotator-Signature: HMAC-SHA256(key, timestamp + "." + body), in hexadecimal
    Rotator-Timestamp: seconds since 1970
"""

from __future__ import annotations

import hashlib
import hmac

from rotator.domain.secret import Secret

TOLERANCE = 300
"""Seconds by which a timestamp may lie in the past."""

MAX_AHEAD = 30
"""Seconds by which a timestamp may lie in the future. For as long after a start no report is
accepted, see ``ReplayGuard``."""

MAX_REMEMBERED = 10_000
"""Signatures that are remembered at once. Only accepted ones are, so unauthenticated requests
cannot push any out."""


def signature(key: Secret, timestamp: str, body: bytes) -> str:
    """The signature of a body at a time."""
    return hmac.new(key.reveal().encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_authentic(authorization: str, token: Secret) -> bool:
    """Whether the header holds that token."""
    return hmac.compare_digest(authorization.encode(), b"Bearer " + token.reveal().encode())


class ReplayGuard:
    """Accepts each signature once. One guard serves the whole process, whatever a reload changes.

    ``floor`` is the time up to which no timestamp is accepted any more. It begins `MAX_AHEAD` after
    the start, because an earlier process accepted none later than that. It rises when a signature
    is forgotten, so that a clock that goes back makes no forgotten signature good again.
    """

    def __init__(self, started: float) -> None:
        self.floor = started + MAX_AHEAD
        self._accepted: dict[str, float] = {}

    def refuse(self, key: Secret, timestamp: str, given: str, body: bytes, now: float) -> str:
        """Why the signature is not accepted, or nothing, and then it is remembered.

        The reasons are ``signature``, ``timestamp``, ``starting`` (sign again after ``floor``),
        ``replayed`` and ``too_many``.
        """
        if not hmac.compare_digest(given.encode(), signature(key, timestamp, body).encode()):
            return "signature"
        at = float(timestamp) if timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12 else 0.0
        if not now - TOLERANCE <= at <= now + MAX_AHEAD:
            return "timestamp"
        self._forget(now - TOLERANCE)
        if given in self._accepted:
            return "replayed"
        if at <= self.floor:
            return "starting" if now <= self.floor else "timestamp"
        if len(self._accepted) >= MAX_REMEMBERED:
            return "too_many"
        self._accepted[given] = at
        return ""

    def _forget(self, before: float) -> None:
        old = [given for given, at in self._accepted.items() if at < before]
        for given in old:
            self.floor = max(self.floor, self._accepted.pop(given))
