"""How long a mass rotation takes, how many calls it needs, and how many rotations run at once.
Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from rotator.domain.spec import VerificationPolicy
from rotator.operations.mass_rotation.free_quota import free_slots

CALLS_BESIDE_PROOFS = 4
"""What a rotation asks of the provider beside its proofs: two lists, the create and the delete."""


ANSWER = timedelta(milliseconds=250)
"""How long the provider takes to answer, about."""


MAX_PARALLEL = 64
"""Applications under way at once, whatever room there is: each has a thread."""


@dataclass(frozen=True)
class Estimate:
    """What a mass rotation will take: so many at once, so many provider calls in all, so long."""

    at_once: int
    calls: int
    duration: timedelta


def max_parallel(rate: float, proof: VerificationPolicy) -> int:
    """How many under way at once make full use of the rate of calls, if there is room for them."""
    return min(MAX_PARALLEL, math.ceil(rate * _seconds(proof) / request_count(proof)) + 1)


def request_count(proof: VerificationPolicy) -> int:
    """About how many calls one rotation asks of the provider when all goes well."""
    return CALLS_BESIDE_PROOFS + 2 * proof.successes


def estimate(count: int, room: int | None, rate: float, proof: VerificationPolicy) -> Estimate:
    """How long so many rotations take, each with this verification, when all goes well."""
    together = max(1, min(max_parallel(rate, proof), free_slots(room, 0, 0)))
    by_rate, by_turns = count * request_count(proof) / rate, math.ceil(count / together) * _seconds(proof)
    return Estimate(together, count * request_count(proof), timedelta(seconds=max(by_rate, by_turns)))


def _seconds(proof: VerificationPolicy) -> float:
    waiting = 2 * (proof.successes - 1) * proof.interval.total_seconds()
    return waiting + request_count(proof) * ANSWER.total_seconds()
