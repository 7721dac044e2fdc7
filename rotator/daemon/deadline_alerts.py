"""Deadlines that come near while nothing can be done about them."""

from __future__ import annotations

from datetime import datetime, timedelta

from rotator.domain.policy import ApplicationSpec
from rotator.domain.ports import EventSink
from rotator.domain.schedule import due
from rotator.reconciler.context import PassOutcome


class DeadlineAlerts:
    """Tells once, for each key, that its hard deadline (``max_age``, or its expiry less the grace) is near or missed, when its
    application is held or in trouble. Where all is well a deadline is only a date, on which the key is replaced."""

    def __init__(self, journal: EventSink) -> None:
        self._journal = journal
        self._told: dict[str, tuple[str, bool]] = {}

    def look(self, policy: ApplicationSpec, outcome: PassOutcome, notice: timedelta, now: datetime) -> None:
        """Look at what a pass found."""
        ledger = outcome.ledger
        if ledger is None or ledger.current is None or not policy.configured:
            return
        if not (ledger.hold or outcome.error or outcome.wait.trouble):
            return
        found = due(policy, ledger.current)
        deadline = found.deadline if found else None
        if deadline is None or now < deadline - notice:
            return
        access_key, missed = ledger.current.access_key, now >= deadline
        if self._told.get(policy.application) == (access_key, missed):
            return
        self._told[policy.application] = (access_key, missed)
        self._journal.emit(
            "deadline.missed" if missed else "deadline.near",
            application=policy.application,
            account=policy.account,
            access_key=access_key,
            deadline=deadline,
        )
