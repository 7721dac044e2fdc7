"""A mass rotation: the chosen applications, oldest keys first, as many at once as there is room
for, to the coverage proof.

The time before which keys are replaced is fixed in the account's document before anything else
happens, and every mark names the mass rotation. So the same command goes on after a kill: it looks
again, and what was done meanwhile, by whomever, is no longer old. Marks are written only for
admitted applications. A kill therefore leaves few marks behind, on which daemons act, and the
others wait for the command to be repeated: the quota is shared by all, and a mark without free
quota has no effect.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
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
from rotator.operations.outage_limit import patient_context
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import Sleep
from rotator.util.formatting import format_timestamp

GOES_ON = timedelta(days=7)
"""How long the same words go on with what they began: graces may have to end in between."""

GOES_ON_IN_A_BREACH = timedelta(hours=1)
"""The same in a compromise. Later they mean another one, with a time of its own; to go on all the
same, say the time."""


@dataclass(frozen=True)
class MassRotationResult:
    """What became of a mass rotation of one account. ``rest`` are applications that found no room;
    the first of them can follow at ``room_at``, if a ledger tells."""

    order: MassRotation
    results: tuple[OperationResult, ...]
    coverage: CoverageReport
    seconds: float
    rest: tuple[str, ...] = ()
    room_at: datetime | None = None

    @property
    def broken(self) -> tuple[OperationResult, ...]:
        """The applications that could not be rotated, and why."""
        return tuple(result for result in self.results if result.exit_code)

    @property
    def done(self) -> int:
        """How many applications were rotated."""
        return len(self.results) - len(self.broken)

    @property
    def exit_code(self) -> int:
        """0 only when every application is done and no old key of what was chosen is valid but
        those that a person has waived."""
        return max(int(bool(self.rest)), self.coverage.exit_code, *(result.exit_code for result in self.results), 0)

    def as_json(self) -> dict[str, Any]:
        """The same for machines."""
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
    """What an operator requests. ``said_before`` is the time as it was written, ``created_before``
    what it means now: for a relative time, and for none at all, the first start of the command
    fixes it; ``fixed`` for an absolute time. ``at`` is now."""

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
        """The words by which the same command is known again; in a compromise the reason is one of
        them."""
        said = self.selection.selector(created_before=self.said_before, compromised=self.compromised)
        return f"{said} --reason {self.reason}" if self.compromised else said

    @property
    def since(self) -> datetime:
        """When the same command must have been given to be gone on with: keys that were made since
        then keep what they have, and when it is given for another breach those are the ones that
        leaked. Where the words tell the time, any is the same."""
        if self.fixed:
            return datetime.min.replace(tzinfo=UTC)
        return self.at - (GOES_ON_IN_A_BREACH if self.compromised else GOES_ON)

    def order(self, token: str, now: datetime) -> MassRotation:
        """What it is as something that has begun."""
        return MassRotation(token, self.selector, self.created_before, self.compromised, self.reason, self.by, now)


def begin_mass_rotation(scope: AccountScope, request: MassRotationRequest, sleep: Sleep, token: str) -> MassRotation:
    """The mass rotation that is to be done, durable: one that was begun with the same words and has
    not ended, or else a new one."""
    if not request.said_before:
        with suppress(ServiceError):  # who does not answer rotates nothing either, and says so itself
            scope.provider.headroom(fresh=True)
    fresh = by_its_clock(scope, request).order(token, scope.clock.now())
    document = update_account(
        scope.vault, scope.account, mass_rotation_started(fresh, request.since), clock=scope.clock, sleep=sleep
    )
    return document.unfinished(request.selector, request.since) or fresh


def by_its_clock(scope: AccountScope, request: MassRotationRequest) -> MassRotationRequest:
    """The same; without a time, it is now by the clock that stamps the keys, as far as an answer
    has shown it."""
    if request.said_before:
        return request
    now = scope.clock.now() + scope.provider.clock_offset()
    return replace(request, created_before=now.replace(microsecond=0))


def selected_applications(sight: AccountSnapshot, selection: Selection, order: MassRotation) -> tuple[Candidate, ...]:
    """The applications whose turn will come."""
    specs = [spec for spec in sight.scope.specs.values() if selection.chooses(spec)]
    return candidates(specs, sight.survey, created_before=order.created_before, compromised=order.compromised)


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
    """Rotate what is to be rotated, and prove that nothing was missed. Goes past what is broken;
    ``again`` when an earlier start of the same command is continued. With ``wait`` it does not end
    before every application found room. Raises when the account as a whole cannot be read, and what
    ``go_on`` and ``sleep`` raise at the end of the daemon that executes it: first no more are
    admitted, then those under way are cut short."""
    start = scope.clock.now()
    sight = take_snapshot(scope)
    results = {
        name: failed(name, error) for name, error in sight.survey.unread.items() if selection.chooses(scope.specs[name])
    }
    todo: Sequence[Candidate] = [
        one for one in selected_applications(sight, selection, order) if one.name not in results
    ]
    scope.sink.emit(
        "mass_rotation.started",
        account=scope.account,
        incident=order.id,
        created_before=order.created_before,
        compromised=order.compromised,
        reason=order.reason,
        applications=len(todo),
        begun_at=order.begun_at,
        again=again,
    )
    for result in results.values():
        _tell(scope, order, result)
    while True:
        gate = AdmissionController(
            lambda: scope.provider.headroom(fresh=True), _at_once(scope, todo, compromised=order.compromised)
        )
        turns = _in_waves(
            todo,
            gate,
            lambda one, gate=gate: _one(scope, one, order, gate, sleep),  # type: ignore[misc]  # bound on purpose
            go_on,
        )
        for result in turns:
            if result.reason == "quota":
                continue  # another process took the free quota: the application has not failed, it waits like the rest
            results[result.application] = result
            _tell(scope, order, result)
        sight = take_snapshot(scope)
        todo = [one for one in selected_applications(sight, selection, order) if one.name not in results]
        if not todo or not wait:
            break
        wait_for_quota(sight, order, len(todo), sleep, go_on)
    outcome = MassRotationResult(
        order,
        tuple(results.values()),
        sight.coverage_of(selection, order.created_before),
        (scope.clock.now() - start).total_seconds(),
        rest=tuple(one.name for one in todo),
        room_at=next_room_at(sight) if todo else None,
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


def _tell(scope: AccountScope, order: MassRotation, result: OperationResult) -> None:
    about = {"application": result.application, "account": scope.account, "incident": order.id}
    if result.exit_code:
        scope.sink.emit("mass_rotation.application_failed", reason=result.reason, message=result.message, **about)
    else:
        scope.sink.emit("mass_rotation.application_done", outcome=result.outcome, **about)


def _at_once(scope: AccountScope, todo: Sequence[Candidate], *, compromised: bool) -> int:
    return max((max_parallel(scope.rate_limit, proof_of(one.spec, compromised=compromised)) for one in todo), default=1)


def proof_of(spec: ApplicationSpec, *, compromised: bool) -> VerificationPolicy:
    """How the keys of that application prove themselves in this mass rotation."""
    return spec.emergency_verification if compromised else spec.verification


def _in_waves(
    todo: Sequence[Candidate],
    gate: AdmissionController,
    work: Callable[[Candidate], OperationResult],
    go_on: Callable[[], None],
) -> Iterator[OperationResult]:
    """Work on the applications in their order, each in a thread of its own once the gate lets it
    in; yields what became of each.

    Ends when all are done, or when no rotation is under way and there is no room for the next.
    ``go_on`` raises when no more are to be admitted; that is raised again once those under way have
    ended. The threads are daemons: Ctrl-C ends the command at once, as any kill may.
    """
    waiting, finished, under_way = deque(todo), SimpleQueue[tuple[Candidate, OperationResult | BaseException]](), 0
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
        while waiting and gate.admits(waiting[0].name, needs_room=waiting[0].needs_room):
            threading.Thread(target=in_thread, args=(waiting.popleft(),), daemon=True).start()
            under_way += 1
        if not under_way:
            break
        try:
            one, result = finished.get(timeout=QUOTA_REFRESH_INTERVAL if waiting else None)
        except Empty:
            continue  # others may have made room
        under_way -= 1
        gate.left(one.name)
        if isinstance(result, BaseException) and not isinstance(result, Exception):
            raise result
        yield failed(one.name, result) if isinstance(result, Exception) else result
    if over is not None:
        raise over


def _one(
    scope: AccountScope, one: Candidate, order: MassRotation, gate: AdmissionController, sleep: Sleep
) -> OperationResult:
    context = scope.context(one.spec)
    context = replace(context, sink=TapSink(context.sink, AdmissionRecorder(gate).saw))
    if order.compromised:
        return contain(
            one.spec, context, sleep, CompromiseRequest(order.reason, order.by, incident=order.id), keys=one.keys
        )
    spec = one.spec
    try:
        vault = patient_context(spec, context, sleep).vault
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
