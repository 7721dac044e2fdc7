"""Deterministic fractions and backoff: the same arguments always give the same delay."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def fraction(*parts: str) -> float:
    """A number in [0, 1) that looks random and always is the same for the same parts."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    # 53 bits are what a float holds exactly; more could be rounded up to 1.0.
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def backoff(failures: int, *seed: str, base: timedelta, cap: timedelta) -> timedelta:
    """How long to wait after so many failures in a row: anywhere between ``base`` and a ceiling
    that doubles up to ``cap``.

    Nothing to wait for before the first failure. The same failures and seed give the same wait.
    """
    if failures <= 0:
        return timedelta(0)
    # Twenty doublings are a factor of a million: beyond every sensible cap, and not beyond what a
    # timedelta holds.
    ceiling = max(base, min(cap, base * (1 << min(failures, 20))))
    return base + (ceiling - base) * fraction(*seed, str(failures))
