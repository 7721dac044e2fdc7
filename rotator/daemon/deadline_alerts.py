"""Deadlines that come near while nothing can be done about them."""

from __future__ import annotations

from datetime import datetime, timedelta

from rotator.domain.due_time import due
from rotator.domain.ports import EventSink
from rotator.domain.spec import ApplicationSpec
from rotator.reconciler.context import PassOutcome


class DeadlineAlerts:
    """Reports once, for each key, that its hard deadline (``max_age``, or its expiry less the
    grace) is near or missed, when its application is on hold or has a problem. Where all is well a
    deadline is only a date, on which the key is replaced."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._told: dict[str, tuple[str, bool]] = {}

    def look(self, spec: ApplicationSpec, outcome: PassOutcome, notice: timedelta, now: datetime) -> None:
        """Look at what a pass found."""
        ledger = outcome.ledger
        if ledger is None or ledger.current is None or not spec.configured:
            return
        if not (ledger.held(now) or outcome.error or outcome.wait.problem):
            return
        found = due(spec, ledger.current)
        deadline = found.deadline if found else None
        if deadline is None or now < deadline - notice:
            return
        access_key, missed = ledger.current.access_key, now >= deadline
        if self._told.get(spec.application) == (access_key, missed):
            return
        self._told[spec.application] = (access_key, missed)
        self._sink.emit(
            "deadline.missed" if missed else "deadline.approaching",
            application=spec.application,
            account=spec.account,
            access_key=access_key,
            deadline=deadline,
        )
