"""Whether all is well, as the heartbeat reports it: a pure judgement, and the rounds in which it is
asked for.

A ping says: this daemon has looked at every application in time, or left the look to another
daemon, and knows of none that is overdue or has a problem. So it stops when Vault or a provider is
away, when one application hangs in a call, when nothing goes through the workers, and, because it
is the main loop that asks, when that one hangs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rotator.daemon.application_task import PassResult, PassSummary
from rotator.daemon.engine import Engine
from rotator.daemon.services import VAULT, ServiceState
from rotator.daemon.snapshot import ServiceSnapshot, TaskSnapshot
from rotator.domain.login import LoginProblem
from rotator.domain.ports import EventSink
from rotator.observability.notifications import Notifier

IDLE = 60.0
"""Seconds without anything going through the workers, heartbeats included, after which they count
as hung."""


@dataclass(frozen=True)
class UnhealthyReason:
    """Why a round is not sound: ``login_failing``, ``service_away``, ``not_looked_at``,
    ``crashed``, ``stuck``, ``overdue``, ``problem`` or ``idle``; and which service or application
    it is."""

    reason: str
    subject: str = ""


def unhealthy_reason(
    tasks: Iterable[TaskSnapshot],
    services: Iterable[ServiceSnapshot],
    now: datetime,
    *,
    login: LoginProblem | None = None,
) -> UnhealthyReason | None:
    """The first reason not to call it well, or None when every application and every service is."""
    if login is not None:
        return UnhealthyReason("login_failing", VAULT)
    for service in services:
        if service.state is not ServiceState.UP:
            return UnhealthyReason("service_away", service.name)
    for task in tasks:
        if reason := _unhealthy_reason(task, now):
            return UnhealthyReason(reason, task.name)
    return None


def _unhealthy_reason(task: TaskSnapshot, now: datetime) -> str:
    # A working pass is never in one call, nor a rotation under way, for as long as its takeover
    # takes: the schema sees to that.
    tolerance = task.spec.stale_claim_timeout
    if now - tolerance > task.due:
        return "stuck"  # it waits for a worker, or a worker has had it since
    if task.crashes:
        return "crashed"
    if task.summary is None:
        return "not_looked_at"
    if now - tolerance > task.summary.next.at or _is_overdue(task.summary, now, tolerance):
        return "overdue"
    return "" if task.summary.result is PassResult.OK else "problem"


def _is_overdue(summary: PassSummary, now: datetime, tolerance: timedelta) -> bool:
    """The policy judges, not the plan: a plan that is put off again and again would never be
    late."""
    at = summary.overdue_at
    # Under a hold nothing is on its way, so there is nothing to be patient for.
    return at is not None and at < (now if summary.on_hold else now - tolerance)


class HealthCheck:
    """Goes over all applications every so often, pings after a sound round, and reports when
    soundness changes."""

    def __init__(self, engine: Engine, sink: EventSink, alarm: Notifier, *, idle: float = IDLE) -> None:
        self._engine = engine
        self._sink = sink
        self._alarm = alarm
        self._idle = idle
        self._at = time.monotonic()
        self._moved = (0, self._at)
        self._reported: UnhealthyReason | None = None

    def look(self) -> None:
        """Make a round, if it is time; only from the main loop. Waits for nothing."""
        ping, now = self._alarm.settings.ping, time.monotonic()
        every = ping.every if ping else self._alarm.settings.notify_every
        if now - self._at < every.total_seconds():
            return
        self._at = now
        seen, progress = self._engine.snapshot(), self._engine.progress
        found = unhealthy_reason(
            seen.tasks, seen.services, datetime.now(UTC), login=self._engine.runtime.login_problem()
        )
        if progress != self._moved[0]:
            self._moved = (progress, now)
        if found is None and now - self._moved[1] > self._idle:
            found = UnhealthyReason("idle")
        if found is None:
            self._alarm.ping()
        self._report(found)

    def _report(self, found: UnhealthyReason | None) -> None:
        if found == self._reported:
            return
        self._reported = found
        if found is None:
            self._sink.emit("heartbeat.healthy")
        else:
            self._sink.emit("heartbeat.unhealthy", reason=found.reason, subject=found.subject)
