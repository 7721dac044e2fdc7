"""A histogram of the duration of calls to services, by service and outcome."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
"""Upper bounds in seconds; the last is the default ``timeout`` of a call."""

Labels = tuple[str, str]
"""Service and outcome."""


class CallDurations:
    """The histogram. Depends on no library. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Labels, list[int]] = {}
        self._seconds: dict[Labels, float] = {}

    def observe(self, service: str, outcome: str, seconds: float) -> None:
        """Counts one call."""
        labels = (service, outcome)
        with self._lock:
            self._counts.setdefault(labels, [0] * (len(BUCKETS) + 1))[bisect_left(BUCKETS, seconds)] += 1
            self._seconds[labels] = self._seconds.get(labels, 0.0) + seconds

    def values(self) -> Mapping[Labels, tuple[list[int], float]]:
        """For each service and outcome: the calls in each bucket (the last without a bound), and
        the sum of their seconds."""
        with self._lock:
            return {labels: (list(counts), self._seconds[labels]) for labels, counts in self._counts.items()}
