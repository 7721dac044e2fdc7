"""How bad it is in one history."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass
class Weather:
    """How bad it is in one history: chances per effect, and which accidents happen at all."""

    kill: float
    lose: float
    late: float
    fail: float
    switch: float
    meddle: float
    flapping: timedelta
    list_lag: timedelta
    skews: bool
    accidents: frozenset[str]
    stale: float = 0
    """How often a read is answered by a standby, which may be behind."""
    troubles: frozenset[str] = frozenset()
    """What else happens to Vault; a matter of the other dice, as is ``stale``."""

    def with_fog(self, fog: random.Random, troubles: Iterable[str]) -> Weather:
        stale = fog.choice([0, 0, 0.2, 0.8])
        return replace(self, stale=stale, troubles=frozenset(name for name in troubles if fog.random() < 0.25))

    @classmethod
    def of(cls, dice: random.Random, accidents: Iterable[str] = ()) -> Weather:
        def chance(*values: float) -> float:
            return dice.choice(values)

        chosen = frozenset(name for name in accidents if dice.random() < 0.4)
        return cls(
            kill=chance(0, 0.005, 0.02),
            lose=chance(0, 0.01, 0.05),
            late=chance(0, 0.01, 0.05),
            fail=chance(0, 0.01, 0.05),
            switch=chance(0.05, 0.3, 0.6),
            meddle=chance(0, 0.05, 0.2),
            flapping=chance(0, 0, 1) * dice.randint(1, 200) * SECOND,
            list_lag=chance(0, 0, 1) * dice.randint(1, 300) * SECOND,
            skews=dice.random() < 0.3,
            accidents=chosen,
        )
