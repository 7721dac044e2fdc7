"""Why a pass did not complete a request, and how long to retry."""

from __future__ import annotations

from datetime import datetime, timedelta

from rotator.domain.ledger import Ledger
from rotator.domain.reasons import exit_code_of
from rotator.domain.spec import ApplicationSpec
from rotator.operations.result import OperationResult, failed, short_of
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import PassOutcome, ReconcileContext
from rotator.util.formatting import format_time

AGAIN = (timedelta(milliseconds=200), timedelta(seconds=1))
"""Shortest and longest pause between two passes: the work of another process is polled."""


class Deadline:
    """Limits how long a service may be unavailable, or attempts may fail: ``publish_timeout`` of
    the application."""

    def __init__(self, spec: ApplicationSpec, context: ReconcileContext) -> None:
        self._limit = spec.publish_timeout
        self._context = context
        self._since: datetime | None = None
        self._last: OperationResult | None = None

    def over(self, obstacle: OperationResult | None, ledger: Ledger | None) -> OperationResult | None:
        """The obstacle, once it has lasted for the limit.

        The pause between two failed attempts does not reset the time. An attempt in progress may
        finish.
        """
        failing = ledger is not None and ledger.failures > 0
        if obstacle is None and not failing:
            self._since = self._last = None
        self._last = obstacle or self._last
        if self._last is None:
            return None
        now = self._context.clock.now()
        self._since = self._since or now
        under_way = obstacle is None and ledger is not None and ledger.intent is not None
        return self._last if now - self._since >= self._limit and not under_way else None


def blocking_reason(
    spec: ApplicationSpec, outcome: PassOutcome, failures: int, now: datetime
) -> OperationResult | None:
    """Why the pass could not complete the request; None if it only has to wait for another
    process."""
    name, ledger, wait = spec.application, outcome.ledger, outcome.wait
    if outcome.error is not None:
        return failed(name, outcome.error)
    hold = ledger.hold if ledger and not any(mark.override_hold for mark in ledger.compromised) else None
    if hold is not None and hold.in_force(now):
        until = format_time(hold.until) if hold.until else "it is resumed"
        message = f"{name} is held by {hold.by} ({hold.reason}): nothing is claimed or revoked until {until}"
        return short_of(name, 4, message, "held")
    problem = wait.problem
    if problem is None:
        return None
    blocked = wait.reason == problem.reason
    attempt_failed = ledger is not None and ledger.failures > failures
    if blocked or attempt_failed:
        return short_of(name, exit_code_of(problem.reason), problem.message, problem.reason)
    return None


def wait_for_next_pass(context: ReconcileContext, sleep: Sleep, outcome: PassOutcome) -> None:
    """Sleeps until the next pass is useful."""
    now = context.clock.now()
    shortest, longest = AGAIN
    sleep(min(max(outcome.wait.until, now + shortest), now + longest))
