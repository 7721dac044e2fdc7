"""Abandons a rotation, and computes the backoff before the next."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rotator.domain.ledger import (
    HistoryEntry,
    Ledger,
    Problem,
)
from rotator.domain.spec import ApplicationSpec
from rotator.util.backoff import backoff

BACKOFF = (timedelta(seconds=30), timedelta(hours=1))
"""Shortest and longest backoff after failed attempts of an ordinary rotation."""


URGENT_BACKOFF = (timedelta(seconds=1), timedelta(seconds=30))
"""The same while consumers are at risk."""


def abandon_rotation(
    ledger: Ledger, spec: ApplicationSpec, now: datetime, *, failed: bool, problem: Problem | None
) -> Ledger:
    """The ledger without its intent. A failure is counted and starts a backoff that grows with each
    one. Its random part is derived from the rotation's id."""
    intent = ledger.intent
    if not failed or intent is None:
        return replace(ledger, intent=None)
    shortest, longest = URGENT_BACKOFF if intent.mode.urgent else BACKOFF
    if spec.every is not None:
        shortest = min(shortest, max(spec.every / 10, timedelta(seconds=1)))
    failures = ledger.failures + 1
    pause = backoff(failures, spec.application, intent.id, base=shortest, cap=longest)
    after = replace(ledger, intent=None, failures=failures, not_before=now + pause, problem=problem)
    reason = problem.reason if problem else ""
    return after.with_history(HistoryEntry(now, "abandoned", "", intent.base, intent.id, reason))
