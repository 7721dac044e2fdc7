"""Whether a daemon grows: what is sampled, and what counts as growth. Pure.

The first third of a run is the warm-up. What is used in the last third may not be above what was used in the second, beyond what
an allocator and a moment with more work explain. Threads and descriptors rise and fall with the work, so their lowest number counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median

MIB = 2**20


@dataclass(frozen=True)
class Sample:
    """One look at the daemon. Times are seconds since the start; ``rotations`` and ``log_bytes`` count from the start."""

    at: float
    memory: int
    threads: int
    descriptors: int
    rotations: int
    log_bytes: int
    ledger_bytes: int
    """Bytes of the largest ledger."""
    versions: int
    """Versions that Vault keeps of a ledger, at most."""


TOLERANCE: Mapping[str, tuple[float, float]] = {
    "memory": (0.03, 3 * MIB),
    "threads": (0, 2),
    "descriptors": (0, 3),
    "log_bytes_per_rotation": (0.15, 200),
    "ledger_bytes": (0.02, 256),
    "versions": (0, 0),
}
"""For each measure the share and the amount that it may be higher by in the last third; the larger of the two counts."""


LOWEST = ("threads", "descriptors")


def growth(samples: Sequence[Sample]) -> list[str]:
    """What grew, as sentences; empty where nothing did. A run without rotations shows nothing, which is said too."""
    if len(samples) < 9:
        return [f"only {len(samples)} samples were taken, and 9 are needed: let it run longer"]
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]
    if not all(_rotations(part) for part in (middle, last)):
        return ["nothing was rotated in one of the last two thirds, so nothing was shown"]
    before, after = _measures(middle), _measures(last)
    found = []
    for name, (share, amount) in TOLERANCE.items():
        allowed = before[name] + max(share * before[name], amount)
        if after[name] > allowed:
            found.append(
                f"{name.replace('_', ' ')} grew from {before[name]:.0f} to {after[name]:.0f}; {allowed:.0f} is allowed"
            )
    return found


def _measures(samples: Sequence[Sample]) -> dict[str, float]:
    measured = {
        field.name: float((min if field.name in LOWEST else median)(getattr(sample, field.name) for sample in samples))
        for field in fields(Sample)
        if field.name in TOLERANCE
    }
    return {**measured, "log_bytes_per_rotation": (samples[-1].log_bytes - samples[0].log_bytes) / _rotations(samples)}


def _rotations(samples: Sequence[Sample]) -> int:
    return samples[-1].rotations - samples[0].rotations
