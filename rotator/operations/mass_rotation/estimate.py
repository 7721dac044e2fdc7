"""Estimates a mass rotation: duration, calls, and parallel rotations. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from rotator.domain.spec import VerificationPolicy
from rotator.operations.mass_rotation.free_quota import free_slots

CALLS_BESIDE_PROOFS = 4
"""Calls of a rotation apart from its verifications: two lists, one create, one delete."""


ANSWER = timedelta(milliseconds=250)
"""Assumed response time of the provider."""


MAX_PARALLEL = 64
"""Maximum of applications under way at once, since each has a thread."""


@dataclass(frozen=True)
class Estimate:
    """The parallel rotations, all provider calls, and the duration of a mass rotation."""

    at_once: int
    calls: int
    duration: timedelta


def max_parallel(rate: float, proof: VerificationPolicy) -> int:
    """How many rotations at once use the rate limit fully, if the quota has room for them."""
    return min(MAX_PARALLEL, math.ceil(rate * _seconds(proof) / request_count(proof)) + 1)


def request_count(proof: VerificationPolicy) -> int:
    """Provider calls of one rotation without failures."""
    return CALLS_BESIDE_PROOFS + 2 * proof.successes


def estimate(count: int, room: int | None, rate: float, proof: VerificationPolicy) -> Estimate:
    """The estimate for ``count`` rotations with this verification and without failures."""
    together = max(1, min(max_parallel(rate, proof), free_slots(room, 0, 0)))
    by_rate, by_turns = count * request_count(proof) / rate, math.ceil(count / together) * _seconds(proof)
    return Estimate(together, count * request_count(proof), timedelta(seconds=max(by_rate, by_turns)))


def _seconds(proof: VerificationPolicy) -> float:
    waiting = 2 * (proof.successes - 1) * proof.interval.total_seconds()
    return waiting + request_count(proof) * ANSWER.total_seconds()
