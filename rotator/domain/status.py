"""The state of one application, as ``status`` shows it.

The phase is the first of these that is true::

    unreadable   the ledger cannot be read; nothing is done for the application
    compromised  a key is marked compromised and not yet verified as revoked
    held         on hold: an operator paused it
    rotating     a rotation is claimed and under way
    failing      the last attempt failed; it is tried again at the time shown
    blocked      nothing can be done until a person, or time, removes the problem
    overdue      something should have been done long ago (no daemon, or it cannot)
    revoking     a key is scheduled for revocation
    grace        an old key stays valid until its deadline
    new          there is no key yet, as far as the ledger knows
    idle         nothing to do until the next rotation
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rotator.domain.ledger import Ledger, Problem
from rotator.domain.spec import ApplicationSpec
from rotator.util.formatting import format_timestamp

PHASES = (
    "unreadable",
    "compromised",
    "held",
    "rotating",
    "failing",
    "blocked",
    "overdue",
    "revoking",
    "grace",
    "new",
    "idle",
)
"""Every phase, most urgent first."""

WORST_FIRST = (
    "compromised",
    "unreadable",
    "overdue",
    "blocked",
    "failing",
    "held",
    "rotating",
    "revoking",
    "new",
    "grace",
    "idle",
)
"""The same phases, what a person should look at first: what nothing is done about, then what waits
for an order."""

FORGOTTEN_HOLD = timedelta(days=7)
"""A hold without an end that is older is shown as possibly forgotten."""

FROM_LEDGER = ("current", "retiring", "revoking", "compromised", "hold", "overdue_seconds")
"""The fields that only the ledger provides."""


@dataclass(frozen=True, order=True)
class NextAction:
    """The next action for an application, when and why. A time in the past means that it is
    overdue."""

    at: datetime
    action: str
    reason: str


@dataclass(frozen=True)
class ApplicationStatus:
    """One application according to its ledger at ``as_of``. ``late``: how long an action has been
    due."""

    spec: ApplicationSpec
    ledger: Ledger | None
    as_of: datetime
    phase: str
    next: NextAction
    late: timedelta = timedelta(0)
    problem: Problem | None = None

    @property
    def overdue(self) -> bool:
        """Whether an action is late by more than the time that a rotation takes to verify its
        key."""
        return is_overdue(self.spec, self.late)

    @property
    def hold_forgotten(self) -> bool:
        """Whether a hold without an end is so old that it may have been forgotten."""
        hold = self.ledger.hold if self.ledger else None
        return hold is not None and hold.until is None and self.as_of - hold.at >= FORGOTTEN_HOLD

    @property
    def known(self) -> bool:
        """Whether the ledger could be read, so that what it does not name does not exist."""
        return self.ledger is not None or self.phase != "unreadable"

    @property
    def name(self) -> str:
        """The application."""
        return self.spec.application

    def as_json(self) -> dict[str, Any]:
        """The entry of ``status --json``. The fields of a ledger that cannot be read are null."""
        ledger = self.ledger
        hold = ledger.hold if ledger else None
        fields = {
            "name": self.name,
            "account": self.spec.account,
            "path": self.spec.path,
            "configured": self.spec.configured,
            "as_of": format_timestamp(self.as_of),
            "phase": self.phase,
            "current": self._current(),
            "retiring": [
                _stamped(access_key=entry.access_key, revoke_after=entry.revoke_after, reason=entry.reason)
                for entry in (ledger.retiring if ledger else ())
            ],
            "revoking": [
                _stamped(access_key=entry.access_key, reason=entry.reason, not_before=entry.not_before)
                for entry in (ledger.revoking if ledger else ())
            ],
            "compromised": [
                _stamped(access_key=mark.access_key, reason=mark.reason, by=mark.by, at=mark.at, incident=mark.incident)
                for mark in (ledger.compromised if ledger else ())
            ],
            "hold": _stamped(reason=hold.reason, by=hold.by, at=hold.at, until=hold.until) if hold else None,
            "next": _stamped(action=self.next.action, at=self.next.at, reason=self.next.reason),
            "overdue_seconds": int(self.late.total_seconds()),
            "problem": _stamped(reason=self.problem.reason, message=self.problem.message, since=self.problem.since)
            if self.problem
            else None,
        }
        return fields if self.known else {**fields, **dict.fromkeys(FROM_LEDGER)}

    def _current(self) -> dict[str, Any] | None:
        current = self.ledger.current if self.ledger else None
        if current is None:
            return None
        return _stamped(
            access_key=current.access_key,
            since=current.since,
            version=current.version,
            created_at=current.created_at,
            expires_at=current.expires_at,
            purpose=current.purpose or None,
            age_seconds=int((self.as_of - (current.created_at or current.since)).total_seconds()),
        )


@dataclass(frozen=True)
class StatusReport:
    """The applications in order, remarks, and the exit code for ledgers that could not be read."""

    views: tuple[ApplicationStatus, ...]
    remarks: tuple[str, ...]
    exit_code: int
    as_of: datetime
    observed_since: datetime | None = None
    """Where ledgers are shown as the daemon last saw them: when it saw the oldest. None when all
    were read for this report."""


def _stamped(**values: object) -> dict[str, Any]:
    return {name: format_timestamp(value) if isinstance(value, datetime) else value for name, value in values.items()}


def is_overdue(spec: ApplicationSpec, late: timedelta) -> bool:
    """Whether something that is so late is not just on its way."""
    return late > spec.verification.timeout
