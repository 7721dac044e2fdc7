"""Rotates at an operator's request: runs passes until a new key is published and read back.

Nothing here decides about keys. It passes a ``RotationRequest`` to the passes and judges their
outcome: done, refused, failed, or a service unavailable for longer than ``publish_timeout``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rotator.decision.observation import RotationRequest
from rotator.domain.ports import TapSink
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Refused, RotatorError
from rotator.operations.commands.convergence import Deadline, blocking_reason, wait_for_next_pass
from rotator.operations.outage_limit import context_with_retried_reads
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import Sleep
from rotator.reconciler.context import LocalState, PassOutcome, ReconcileContext
from rotator.reconciler.runner import drive, reconcile
from rotator.util.formatting import format_span, format_time


@dataclass
class RotationRecorder:
    """Records which rotations this process claimed."""

    claimed: set[object] = field(default_factory=set)

    def saw(self, event: str, fields: Mapping[str, object]) -> None:
        """Records a claim."""
        if event == "rotation.claimed":
            self.claimed.add(fields.get("rotation_id"))


def rotate(spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, reason: str, by: str) -> OperationResult:
    """Rotates until another key is published and is the ledger's current one. The ledger records
    the reason and who requested it. Errors become results."""
    if not spec.configured:
        return failed(
            spec.application, Refused(f"{spec.application} left the configuration: put it back to have it rotated")
        )
    recorder = RotationRecorder()
    try:
        tapped = replace(context, sink=TapSink(context.sink, recorder.saw))
        return _rotate(spec, tapped, sleep, f"{reason}, by {by}", recorder)
    except RotatorError as error:
        return failed(spec.application, error)


def _rotate(
    spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep, reason: str, recorder: RotationRecorder
) -> OperationResult:
    vault = context_with_retried_reads(spec, context, sleep).vault
    replaces = vault.read_document(*spec.location).published
    request, local_state, deadline = RotationRequest(reason, replaces), LocalState(), Deadline(spec, context)
    ledger, _ = vault.read_ledger(spec.application)
    failures = ledger.failures if ledger else 0
    while True:
        outcome = drive(reconcile(spec, context, local_state, request), sleep)
        if done := _fulfilled(spec, outcome, replaces, recorder):
            return done
        obstacle = blocking_reason(spec, outcome, failures, context.clock.now())
        failures = outcome.ledger.failures if outcome.ledger else failures
        if obstacle and obstacle.exit_code != 3:
            return obstacle
        if over := deadline.over(obstacle, outcome.ledger):
            return over
        wait_for_next_pass(context, sleep, outcome)


def _fulfilled(
    spec: ApplicationSpec, outcome: PassOutcome, replaces: str | None, recorder: RotationRecorder
) -> OperationResult | None:
    """The result, if the ledger and document that the pass read show the rotation."""
    ledger, document = outcome.ledger, outcome.document
    if outcome.error or ledger is None or ledger.current is None or document is None:
        return None
    current = ledger.current
    if document.published in {None, replaces} or current.access_key != document.published:
        return None
    rotation_id = next(
        (entry.rotation_id for entry in reversed(ledger.history) if entry.access_key == current.access_key), ""
    )
    by_this_process = rotation_id in recorder.claimed
    old = next((entry for entry in ledger.retiring if entry.access_key == replaces), None)
    published = f"{current.access_key} is published in version {document.version} of {spec.path} and read back"
    rest = (
        f"; {replaces} stays valid until {format_time(old.revoke_after)} ({format_span(spec.grace)} of grace)"
        if old
        else ""
    )
    return OperationResult(
        spec.application,
        "rotated" if by_this_process else "overtaken",
        0,
        f"rotated: {published}{rest}"
        if by_this_process
        else f"another process was faster, so nothing was left to do: {published}{rest}",
        access_key=current.access_key,
        version=document.version,
        replaced=replaces or "",
        revoke_after=old.revoke_after if old else None,
        rotation_id=rotation_id,
    )
