"""Coordinates a mass rotation: the selected applications, oldest keys first, as many at once as the
quota has room for, and the coverage report at the end.

The time before which keys are replaced is fixed in the account's document first, and every mark
names the mass rotation. After a kill the same command therefore resumes: it reads the account
again, and keys that were replaced meanwhile, by any process, are no longer old. Only admitted
applications are marked. A kill therefore leaves few marks, on which daemons act; the others wait
for the command to be repeated. All share the quota, and a mark without free quota has no effect.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from rotator.domain.account import MassRotation
from rotator.domain.ports import TapSink
from rotator.domain.spec import ApplicationSpec, VerificationPolicy
from rotator.errors import RotatorError, ServiceError
from rotator.operations.commands.account_update import mass_rotation_finished, mass_rotation_started, update_account
from rotator.operations.commands.contain import CompromiseRequest, contain
from rotator.operations.commands.rotate import rotate
from rotator.operations.coverage import CoverageReport
from rotator.operations.mass_rotation.account_snapshot import AccountScope, AccountSnapshot, take_snapshot
from rotator.operations.mass_rotation.admission import QUOTA_REFRESH_INTERVAL, AdmissionController, AdmissionRecorder
from rotator.operations.mass_rotation.estimate import max_parallel
from rotator.operations.mass_rotation.quota_wait import next_room_at, wait_for_quota
from rotator.operations.mass_rotation.selection import Candidate, Selection, candidates
from rotator.operations.outage_limit import context_with_retried_reads
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import Sleep
from rotator.util.formatting import format_timestamp

RESUMABLE_FOR = timedelta(days=7)
"""How old an unfinished mass rotation may be for the same command to resume it: graces may end in
between."""

RESUMABLE_FOR_COMPROMISE = timedelta(hours=1)
"""The same for a compromise. A later command is about another leak and fixes a new time; to resume
all the same, name the time."""


@dataclass(frozen=True)
class MassRotationResult:
    """The result of a mass rotation of one account. ``rest``: applications without free quota; the
    first of them can start at ``room_at``, if a ledger shows a grace that ends."""

    order: MassRotation
    results: tuple[OperationResult, ...]
    coverage: CoverageReport
    seconds: float
    rest: tuple[str, ...] = ()
    room_at: datetime | None = None

    @property
    def broken(self) -> tuple[OperationResult, ...]:
        """The results of applications that could not be rotated."""
        return tuple(result for result in self.results if result.exit_code)

    @property
    def done(self) -> int:
        """How many applications were rotated."""
        return len(self.results) - len(self.broken)

    @property
    def exit_code(self) -> int:
        """0 only if every application is done and each old valid key of the selection is waived."""
        return max(int(bool(self.rest)), self.coverage.exit_code, *(result.exit_code for result in self.results), 0)

    def as_json(self) -> dict[str, Any]:
        """The result as JSON."""
        order = self.order
        return {
            "id": order.id,
            "account": self.coverage.account,
            "created_before": format_timestamp(order.created_before),
            "compromised": order.compromised,
            "reason": order.reason,
            "by": order.by,
            "begun_at": format_timestamp(order.begun_at),
            "rotated": self.done,
            "seconds": round(self.seconds, 3),
            "per_second": round(self.done / self.seconds, 3) if self.seconds > 0 else None,
            "applications": [result.as_json() for result in self.results],
            "without_room": list(self.rest),
            "room_at": format_timestamp(self.room_at) if self.room_at else None,
            "coverage": self.coverage.as_json(),
        }


@dataclass(frozen=True)
class MassRotationRequest:
    """What an operator requests. ``said_before`` is the time as written, ``created_before`` what it
    means now. The first start of the command fixes a relative time, or none; an absolute time is
    ``fixed``. ``at`` is now."""

    selection: Selection
    said_before: str
    created_before: datetime
    compromised: bool
    reason: str
    by: str
    at: datetime
    fixed: bool = False

    @property
    def selector(self) -> str:
        """Identifies the same command; for a compromise, together with its reason."""
        selector = self.selection.selector(created_before=self.said_before, compromised=self.compromised)
        return f"{selector} --reason {self.reason}" if self.compromised else selector

    @property
    def since(self) -> datetime:
        """How old an unfinished mass rotation may be for this request to resume it. Keys created
        since its start count as rotated, so the limit is shorter for a compromise: a second leak
        affects those keys too. Unlimited if the request names a fixed time."""
        if self.fixed:
            return datetime.min.replace(tzinfo=UTC)
        return self.at - (RESUMABLE_FOR_COMPROMISE if self.compromised else RESUMABLE_FOR)

    def order(self, token: str, now: datetime) -> MassRotation:
        """The record of this request as a mass rotation that starts now."""
        return MassRotation(token, self.selector, self.created_before, self.compromised, self.reason, self.by, now)


def begin_mass_rotation(scope: AccountScope, request: MassRotationRequest, sleep: Sleep, token: str) -> MassRotation:
    """The mass rotation to run, recorded in Vault: an unfinished one with the same selector, or
    else a new one."""
    if not request.said_before:
        with suppress(ServiceError):  # an unavailable provider rotates nothing either, and reports it itself
            scope.provider.headroom(fresh=True)
    fresh = by_its_clock(scope, request).order(token, scope.clock.now())
    document = update_account(
        scope.vault, scope.account, mass_rotation_started(fresh, request.since), clock=scope.clock, sleep=sleep
    )
    return document.unfinished(request.selector, request.since) or fresh


def by_its_clock(scope: AccountScope, request: MassRotationRequest) -> MassRotationRequest:
    """The same request; without a time, it is now on the provider's clock, as far as an answer has
    shown it."""
    if request.said_before:
        return request
    now = scope.clock.now() + scope.provider.clock_offset()
    return replace(request, created_before=now.replace(microsecond=0))


def selected_applications(
    snapshot: AccountSnapshot, selection: Selection, order: MassRotation
) -> tuple[Candidate, ...]:
    """The applications to rotate, in order."""
    specs = [spec for spec in snapshot.scope.specs.values() if selection.chooses(spec)]
    return candidates(specs, snapshot.survey, created_before=order.created_before, compromised=order.compromised)


def run_mass_rotation(
    scope: AccountScope,
    selection: Selection,
    order: MassRotation,
    sleep: Sleep,
    *,
    go_on: Callable[[], None] = lambda: None,
    again: bool,
    wait: bool,
) -> MassRotationResult:
    """Rotates the selected applications and reports the coverage. Continues past failures.
    ``again``: resumes an earlier start. ``wait``: waits until every application found free quota.
    Raises if the account cannot be read, and what ``go_on`` and ``sleep`` raise when the daemon
    stops: first admission ends, then rotations under way are interrupted."""
    start = scope.clock.now()
    snapshot = take_snapshot(scope)
    results = {
        name: failed(name, error)
        for name, error in snapshot.survey.unread.items()
        if selection.chooses(scope.specs[name])
    }
    pending: Sequence[Candidate] = [
        one for one in selected_applications(snapshot, selection, order) if one.name not in results
    ]
    scope.sink.emit(
        "mass_rotation.started",
        account=scope.account,
        incident=order.id,
        created_before=order.created_before,
        compromised=order.compromised,
        reason=order.reason,
        applications=len(pending),
        begun_at=order.begun_at,
        again=again,
    )
    for result in results.values():
        _emit_result(scope, order, result)
    while True:
        admission = AdmissionController(
            lambda: scope.provider.headroom(fresh=True), _max_parallel(scope, pending, compromised=order.compromised)
        )
        finished_results = _run_admitted(
            pending,
            admission,
            partial(_rotate_candidate, scope, order=order, admission=admission, sleep=sleep),
            go_on,
        )
        for result in finished_results:
            if result.reason == "quota":
                continue  # another process took the free quota: the application waits like the rest
            results[result.application] = result
            _emit_result(scope, order, result)
        snapshot = take_snapshot(scope)
        pending = [one for one in selected_applications(snapshot, selection, order) if one.name not in results]
        if not pending or not wait:
            break
        wait_for_quota(snapshot, order, len(pending), sleep, go_on)
    outcome = MassRotationResult(
        order,
        tuple(results.values()),
        snapshot.coverage_of(selection, order.created_before),
        (scope.clock.now() - start).total_seconds(),
        rest=tuple(one.name for one in pending),
        room_at=next_room_at(snapshot) if pending else None,
    )
    scope.sink.emit(
        "mass_rotation.finished",
        account=scope.account,
        incident=order.id,
        rotated=outcome.done,
        broken=[result.application for result in outcome.broken],
        without_room=list(outcome.rest),
        complete=outcome.coverage.complete,
    )
    if not outcome.broken and not outcome.rest:
        update_account(
            scope.vault, scope.account, mass_rotation_finished(order, scope.clock.now()), clock=scope.clock, sleep=sleep
        )
    return outcome


def _emit_result(scope: AccountScope, order: MassRotation, result: OperationResult) -> None:
    about = {"application": result.application, "account": scope.account, "incident": order.id}
    if result.exit_code:
        scope.sink.emit("mass_rotation.application_failed", reason=result.reason, message=result.message, **about)
    else:
        scope.sink.emit("mass_rotation.application_done", outcome=result.outcome, **about)


def _max_parallel(scope: AccountScope, pending: Sequence[Candidate], *, compromised: bool) -> int:
    return max(
        (max_parallel(scope.rate_limit, proof_of(one.spec, compromised=compromised)) for one in pending), default=1
    )


def proof_of(spec: ApplicationSpec, *, compromised: bool) -> VerificationPolicy:
    """The verification of new keys in this mass rotation."""
    return spec.emergency_verification if compromised else spec.verification


def _run_admitted(
    pending: Sequence[Candidate],
    admission: AdmissionController,
    work: Callable[[Candidate], OperationResult],
    go_on: Callable[[], None],
) -> Iterator[OperationResult]:
    """Runs ``work`` for the candidates in order, each in a thread once it is admitted; yields the
    results.

    Ends when all are done, or when none is under way and none can be admitted. ``go_on`` raises
    when admission is to end; it is raised again once those under way have ended. The threads are
    daemons: Ctrl-C ends the command at once.
    """
    waiting, finished, under_way = deque(pending), SimpleQueue[tuple[Candidate, OperationResult | BaseException]](), 0
    over: RotatorError | None = None

    def in_thread(one: Candidate) -> None:
        try:
            finished.put((one, work(one)))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which must not wait for ever
            finished.put((one, error))

    while waiting or under_way:
        try:
            go_on()
        except RotatorError as error:
            over = error
            waiting.clear()
        while waiting and admission.try_admit(waiting[0].name, needs_room=waiting[0].needs_room):
            threading.Thread(target=in_thread, args=(waiting.popleft(),), daemon=True).start()
            under_way += 1
        if not under_way:
            break
        try:
            one, result = finished.get(timeout=QUOTA_REFRESH_INTERVAL if waiting else None)
        except Empty:
            continue  # other processes may have freed quota
        under_way -= 1
        admission.finished(one.name)
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result
        yield failed(one.name, result) if isinstance(result, Exception) else result
    if over is not None:
        raise over


def _rotate_candidate(
    scope: AccountScope, one: Candidate, order: MassRotation, admission: AdmissionController, sleep: Sleep
) -> OperationResult:
    context = scope.context(one.spec)
    context = replace(context, sink=TapSink(context.sink, AdmissionRecorder(admission).saw))
    if order.compromised:
        return contain(
            one.spec, context, sleep, CompromiseRequest(order.reason, order.by, incident=order.id), keys=one.keys
        )
    spec = one.spec
    try:
        vault = context_with_retried_reads(spec, context, sleep).vault
        published = vault.read_document(*spec.location).published
    except RotatorError as error:
        return failed(one.name, error)
    if published not in one.keys:
        message = (
            f"another process was faster, so nothing was left to do: {published or 'no key'} is published at "
            f"{spec.path}"
        )
        return OperationResult(one.name, "overtaken", 0, message, access_key=published or "")
    return rotate(spec, context, sleep, order.reason, order.by)
