"""Who may ring at the webhook: a bearer token, and a signature over time and body that is good for minutes and only once. Pure but for
what it remembers.

::

    Rotator-Signature: HMAC-SHA256(key, timestamp + "." + body), in hexadecimal
    Rotator-Timestamp: seconds since 1970
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict

from rotator.domain.secret import Secret

TOLERANCE = 300
"""Seconds by which the clock of a caller may differ, and for which a signature is remembered."""

MOST_REMEMBERED = 10_000
"""Signatures that are remembered at once. Only those that were good are, so strangers cannot push any out."""


def signature(key: Secret, timestamp: str, body: bytes) -> str:
    """The signature of a body at a time."""
    return hmac.new(key.reveal().encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def is_authentic(authorization: str, token: Secret) -> bool:
    """Whether the header holds that token."""
    return hmac.compare_digest(authorization.encode(), b"Bearer " + token.reveal().encode())


class ReplayGuard:
    """Those that were taken. What was signed before ``since`` is never taken: an earlier process may have taken it already."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._taken: OrderedDict[str, float] = OrderedDict()

    def refuse(self, key: Secret, timestamp: str, given: str, body: bytes, now: float) -> str:
        """Why this one is not good, or nothing, and then it is taken: ``signature``, ``timestamp``, ``replayed`` or ``too_many``."""
        if not hmac.compare_digest(given.encode(), signature(key, timestamp, body).encode()):
            return "signature"
        at = float(timestamp) if timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12 else 0.0
        if abs(now - at) > TOLERANCE or at < self._since:
            return "timestamp"
        while self._taken and next(iter(self._taken.values())) < now - 2 * TOLERANCE:
            self._taken.popitem(last=False)
        if given in self._taken:
            return "replayed"
        if len(self._taken) >= MOST_REMEMBERED:
            return "too_many"
        self._taken[given] = now
        return ""
