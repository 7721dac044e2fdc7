"""One application in the daemon: its pass, when it goes on, and what the last one found. No secret
but the one in ``local_state``."""

from __future__ import annotations

import enum
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rotator.daemon.daemon_runtime import DaemonRuntime
from rotator.daemon.looks import LOOKS, leaves_only_a_look, must_look_itself, next_pass
from rotator.daemon.snapshot import TaskSnapshot
from rotator.decision.observation import RotationFailure
from rotator.decision.status import overdue_at
from rotator.decision.steps import Wait
from rotator.domain.ledger import Ledger, Problem
from rotator.domain.reasons import Reason, exit_code_of
from rotator.domain.spec import ApplicationSpec
from rotator.domain.status import NextAction
from rotator.errors import Indeterminate, LedgerUnreadable, PermissionDenied, RotatorError, Unavailable
from rotator.reconciler.context import LocalState, PassOutcome, ReconcileContext
from rotator.reconciler.runner import reconcile
from rotator.util.backoff import backoff

LOST_AFTER = timedelta(minutes=10)
"""How long a task without a job may be overdue before it is scheduled anew."""

CRASH_BACKOFF = (timedelta(seconds=5), timedelta(minutes=15))
"""Shortest and longest pause after an error of the program."""


class PassResult(enum.StrEnum):
    """How the last pass of an application ended, in the words of the exit codes."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def exit_code(self) -> int:
        """The exit code that says so."""
        return {PassResult.OK: 0, PassResult.UNREACHABLE: 3, PassResult.REFUSED: 4, PassResult.FAILED: 1}[self]


@dataclass(frozen=True)
class PassSummary:
    """What is remembered of an outcome: enough for the status and for the order of work. Never a
    document."""

    result: PassResult
    next: NextAction
    in_grace: int = 0
    urgent: bool = False
    settled: bool = False
    problem: Problem | None = None
    service_away: bool = False
    unreadable: bool = False
    overdue_at: datetime | None = None
    """From when on something is overdue by the policy, whatever is planned or held; None without a
    duty."""
    on_hold: bool = False

    @property
    def observed(self) -> Problem | None:
        """The problem of the application itself; a service that is away is a problem of the
        service."""
        return None if self.service_away else self.problem


@dataclass
class ApplicationTask:
    """One application's place in the daemon.

    ``ledger`` (without its past) and ``key_count`` (keys that the provider listed) are as last
    seen. ``last_reconciled_at`` is the end of the last pass that got through, and
    ``last_success_at`` of the last one without a problem.

    ``passing`` is a pass that waits in the middle, to be continued; ``due`` is when the task goes
    on. ``parked``: it would be due, but a service that it needs is away. ``expedited``: a change
    was requested, so the next pass must not wait. ``pending_runtime``: the configuration that
    replaces this one as soon as no pass is in the middle.

    ``only_look``: the last pass found the application well and nothing due, so the next one before
    that is only a look. ``left_to``: the daemon that the last look was left to. ``left_at``: when a
    look was last left; None once a pass got through again.
    """

    spec: ApplicationSpec
    runtime: DaemonRuntime
    started: datetime
    due: datetime
    local_state: LocalState = field(default_factory=LocalState)
    passing: Generator[datetime, None, PassOutcome] | None = None
    running: bool = False
    parked: bool = False
    done: bool = False
    expedited: bool = False
    abandoning: bool = False
    crashes: int = 0
    summary: PassSummary | None = None
    ledger: Ledger | None = None
    key_count: int | None = None
    last_reconciled_at: datetime | None = None
    last_success_at: datetime | None = None
    pending_runtime: tuple[ApplicationSpec, DaemonRuntime] | None = None
    only_look: bool = False
    left_to: str = ""
    left_at: datetime | None = None
    _world: ReconcileContext | None = None

    @property
    def name(self) -> str:
        """The application's name."""
        return self.spec.application

    @property
    def holding(self) -> bool:
        """Whether this process holds a new key that must be published or given up before it
        ends."""
        in_flight = self.local_state.in_flight
        return in_flight is not None and in_flight.key is not None

    @property
    def urgent(self) -> bool:
        """Whether it goes before others: consumers are in danger or down."""
        in_flight = self.local_state.in_flight
        return (
            self.expedited
            or bool(in_flight and in_flight.intent.mode.urgent)
            or bool(self.summary and self.summary.urgent)
        )

    @property
    def may_wait(self) -> bool:
        """Whether it need not even try while a service is away: it is between two passes, and
        nothing is under way."""
        return self.passing is None and self.local_state.in_flight is None and not self.urgent

    @property
    def result(self) -> PassResult:
        """How its last pass ended; of one that had none, by the service that it waited for."""
        if self.crashes:
            return PassResult.FAILED
        return self.summary.result if self.summary else PassResult.UNREACHABLE

    def lost(self, now: datetime) -> bool:
        """Whether it waits for a date that is long past."""
        return not (self.running or self.parked or self.done) and self.due < now - LOST_AFTER

    def snapshot(self) -> TaskSnapshot:
        """What readers may know of it. Reads each field once, without a lock."""
        return TaskSnapshot(
            spec=self.spec,
            started=self.started,
            due=self.due,
            running=self.running,
            parked=self.parked,
            holding=self.holding,
            rotating=self.local_state.in_flight is not None,
            crashes=self.crashes,
            summary=self.summary,
            ledger=self.ledger,
            key_count=self.key_count,
            unmanaged_key_count=len(self.local_state.unmanaged_keys),
            last_reconciled_at=self.last_reconciled_at,
            last_success_at=self.last_success_at,
            left_at=self.left_at,
        )

    def advance(self) -> PassOutcome | datetime:
        """Continue the pass: its outcome when it is over, or the time until which it waits in the
        middle."""
        if self.abandoning:
            self._give_up()
        if self.passing is None:
            if self._world is None:
                self._world = self.runtime.context(self.spec)
            self.expedited, self.left_to = False, ""
            self.passing = reconcile(self.spec, self._world, self.local_state)
        try:
            return next(self.passing)
        except StopIteration as end:
            self.passing = None
            outcome: PassOutcome = end.value
            return outcome
        except BaseException:
            self.passing = None
            raise

    def conclude(self, outcome: PassOutcome, now: datetime) -> datetime:
        """Remember what a finished pass found; returns when the next one is due."""
        self.crashes = 0
        self.summary = _summarize(self.spec, outcome)
        self.only_look = self.spec.configured and leaves_only_a_look(outcome)
        if outcome.error is None:
            self.last_reconciled_at, self.left_at = now, None
        if self.summary.result is PassResult.OK:
            self.last_success_at = now
        if outcome.ledger is not None:
            self.ledger = outcome.ledger.without_past()
        if outcome.keys is not None:
            self.key_count = len(outcome.keys)
        return next_pass(self.spec, outcome.wait, now)

    def crashed(self) -> timedelta:
        """Count an error of the program; returns the delay until the next pass."""
        self.crashes += 1
        return backoff(self.crashes, self.name, base=CRASH_BACKOFF[0], cap=CRASH_BACKOFF[1])

    def leave_look(self, to: str, now: datetime) -> datetime | None:
        """Leave the look that is due to another daemon; returns when the next one is. None if this
        pass is more than a look, or this daemon's turn to look itself has come."""
        summary, seen = self.summary, self.last_reconciled_at
        if not (self.only_look and self.may_wait) or self.crashes or summary is None or seen is None:
            return None
        if summary.overdue_at is not None and summary.overdue_at <= now:
            return None  # another daemon may have rotated it, which only a look shows
        if must_look_itself(self.spec, seen, now):
            return None
        following, until = summary.next, now + self.spec.resync_interval
        if following.action in LOOKS:
            following = replace(following, at=until)
        elif now >= following.at:
            return None
        self.summary, self.left_to, self.left_at = replace(summary, next=following), to, now
        wait = Wait(min(until, following.at), following.action, following.reason, next=following)
        return next_pass(self.spec, wait, now)

    def switch_runtime(self) -> bool:
        """Go over to the new configuration, if there is one and no pass is in the middle; whether
        another policy came of it."""
        if self.pending_runtime is None or self.passing is not None or self.running:
            return False
        spec, runtime = self.pending_runtime
        changed = spec != self.spec
        if (spec.account, spec.bearer, spec.path) != (self.spec.account, self.spec.bearer, self.spec.path):
            self.ledger = self.key_count = None
            self.local_state = LocalState(
                reported=self.local_state.reported
            )  # what was seen elsewhere says nothing here; the ledger blocks such a move anyway
        self.spec, self.runtime, self.pending_runtime, self._world = spec, runtime, None, None
        self.only_look = False
        return changed

    def _give_up(self) -> None:
        """There is no time left to prove and publish: let the next steps revoke the new key
        instead. A publish that was sent cannot be taken back, so its pass goes on."""
        self.abandoning = False
        in_flight = self.local_state.in_flight
        if in_flight is None or in_flight.publish_sent or self.passing is None:
            return
        self.passing.close()
        self.passing = None
        failure = RotationFailure(
            Reason.STOPPING, "the daemon was stopped before the new key was verified and published"
        )
        self.local_state.in_flight = replace(in_flight, failure=failure)


def used_runtimes(tasks: Iterable[ApplicationTask]) -> Iterator[DaemonRuntime]:
    """The runtimes of these tasks. The pending one is read first, so a task that switches meanwhile
    yields it once or twice."""
    for task in tasks:
        if (pending := task.pending_runtime) is not None:
            yield pending[1]
        yield task.runtime


def _summarize(spec: ApplicationSpec, outcome: PassOutcome) -> PassSummary:
    ledger, wait = outcome.ledger, outcome.wait
    following = wait.next or NextAction(wait.until, wait.reason, wait.message)
    away = isinstance(outcome.error, Unavailable | Indeterminate)
    unreadable = isinstance(outcome.error, LedgerUnreadable)
    if ledger is None:
        return PassSummary(_result(outcome), following, problem=wait.problem, service_away=away, unreadable=unreadable)
    urgent_intent = ledger.intent is not None and ledger.intent.mode.urgent
    return PassSummary(
        result=_result(outcome),
        next=following,
        in_grace=len(ledger.retiring),
        urgent=bool(ledger.compromised) or urgent_intent,
        settled=outcome.error is None
        and not (ledger.retiring or ledger.revoking or ledger.compromised or ledger.intent),
        problem=wait.problem,
        service_away=away,
        unreadable=unreadable,
        overdue_at=overdue_at(spec, ledger),
        on_hold=ledger.hold is not None,
    )


def _result(outcome: PassOutcome) -> PassResult:
    if outcome.error is not None:
        return result_of(outcome.error)
    if outcome.wait.problem is None:
        return PassResult.OK
    codes = {result.exit_code: result for result in PassResult}
    return codes[exit_code_of(outcome.wait.problem.reason)]


def result_of(error: RotatorError) -> PassResult:
    """The result that an error stands for."""
    if isinstance(error, Unavailable | Indeterminate):
        return PassResult.UNREACHABLE
    if isinstance(error, PermissionDenied):
        return PassResult.FAILED
    return PassResult.REFUSED if error.exit_code == PassResult.REFUSED.exit_code else PassResult.FAILED
