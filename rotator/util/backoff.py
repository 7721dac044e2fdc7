"""Deterministic fractions and backoff: the same arguments always give the same delay."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def fraction(*parts: str) -> float:
    """A pseudo-random number in [0, 1), always the same for the same parts."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    # A float represents 53 bits exactly; more could round up to 1.0.
    return (int.from_bytes(digest[:8]) >> 11) / 2**53


def backoff(failures: int, *seed: str, base: timedelta, cap: timedelta) -> timedelta:
    """The delay after so many consecutive failures: between ``base`` and a ceiling that doubles up
    to ``cap``.

    Zero before the first failure. The same failures and seed give the same delay.
    """
    if failures <= 0:
        return timedelta(0)
    # Twenty doublings are a factor of a million: beyond every sensible cap, and within the range of
    # timedelta.
    ceiling = max(base, min(cap, base * (1 << min(failures, 20))))
    return base + (ceiling - base) * fraction(*seed, str(failures))
