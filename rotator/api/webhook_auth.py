"""Authenticates callers of the webhook: a bearer token, and a signature over time and body that is
accepted once.

::

    Rotator-Signature: HMAC-SHA256(key, timestamp + "." + body), in hexadecimal
    Rotator-Timestamp: seconds since 1970
"""

from __future__ import annotations

import hashlib
import hmac

from rotator.domain.secret import Secret

TOLERANCE = 300
"""How many seconds a timestamp may be in the past."""

MAX_AHEAD = 30
"""How many seconds a timestamp may be in the future. For this long after a start no report is
accepted, see ``ReplayGuard``."""

MAX_REMEMBERED = 10_000
"""Maximum of remembered signatures. Only accepted ones are remembered, so unauthenticated requests
cannot displace any."""


def signature(key: Secret, timestamp: str, body: bytes) -> str:
    """The signature of a body at a time."""
    return hmac.new(key.reveal().encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_authentic(authorization: str, token: Secret) -> bool:
    """Whether the header contains that token."""
    return hmac.compare_digest(authorization.encode(), b"Bearer " + token.reveal().encode())


class ReplayGuard:
    """Accepts each signature once. One guard serves the whole process, across reloads.

    ``floor``: timestamps up to this time are not accepted. It starts `MAX_AHEAD` after the start,
    because an earlier process accepted none later than that. It rises when a signature is
    forgotten, so that a clock that goes back makes no forgotten signature valid again.
    """

    def __init__(self, started: float) -> None:
        self.floor = started + MAX_AHEAD
        self._accepted: dict[str, float] = {}

    def refuse(self, key: Secret, timestamp: str, given: str, body: bytes, now: float) -> str:
        """Why the signature is rejected; empty if it is accepted, and then it is remembered.

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
