"""Runs a reconciliation pass: observe, decide, carry out one step, observe again, until the step is
to wait.

`reconcile` is a generator. It yields the time until which there is nothing to do but wait, so that
a worker thread can run another pass meanwhile, and returns a `PassOutcome`. A pass can be killed at
any point: what it must not lose is in the ledger, except the secret of an unpublished key, which
exists only in `LocalState`.

Concurrent passes of one application are safe: every write is a check-and-set, and the pass that
loses observes again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import datetime

from rotator.decision.decide import decide
from rotator.decision.next_action import next_action
from rotator.decision.observation import InFlightRotation, Observation, Preconditions, RotationFailure, RotationRequest
from rotator.decision.state import RETRY_INTERVAL, ApplicationState
from rotator.decision.steps import (
    Act,
    CheckPreconditions,
    CreateKey,
    DeleteKey,
    DestroyVersions,
    DiscardInFlight,
    FenceDocument,
    ProbePublished,
    PublishKey,
    ReadVersions,
    SupersedeLedger,
    VerifyKey,
    Wait,
    WriteLedger,
)
from rotator.domain.ledger import Problem
from rotator.domain.reasons import Reason
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Conflict, Indeterminate, RotatorError, ServiceError
from rotator.reconciler.context import LocalState, PassOutcome, ReconcileContext
from rotator.reconciler.issuance import RETRY_DELAY, Issuer
from rotator.reconciler.observer import Observer
from rotator.reconciler.pass_state import ObservationStale, PassState, Waits, require
from rotator.reconciler.probe import PublishedKeyProbe
from rotator.reconciler.rendering import notes
from rotator.reconciler.revocation import Revoker

MAX_STEPS = 100
"""Steps that one pass may take before it stops and looks at the calendar again; a sound one needs
about a dozen."""

MAX_OBSERVATIONS = 10
"""Observations that one pass may begin, because others were faster each time, before it leaves the
field to them."""


def reconcile(
    spec: ApplicationSpec, context: ReconcileContext, local_state: LocalState, request: RotationRequest | None = None
) -> Generator[datetime, None, PassOutcome]:
    """Run one pass for one application. Never raises a ``RotatorError``: the error that ended the
    pass is in the outcome."""
    current = PassRunner(spec, context, local_state, request)
    try:
        return (yield from current.run())
    except RotatorError as error:
        return current.cut_short(error)


class PassRunner:
    """Runs one pass: observes, decides, and hands each step to the collaborator that carries it
    out."""

    def __init__(
        self,
        spec: ApplicationSpec,
        context: ReconcileContext,
        local_state: LocalState,
        request: RotationRequest | None = None,
    ) -> None:
        self._pass = current = PassState(spec, context, local_state, request)
        self._observer = Observer(current)
        self._probe = PublishedKeyProbe(current)
        self._issuer = Issuer(current)
        self._revoker = Revoker(current)
        self._note_due = False
        """Whether another key became current in this pass, which the custom metadata of the
        document does not say yet."""

    def run(self) -> Generator[datetime, None, PassOutcome]:
        """Run the pass to its end. Raises the ``RotatorError`` that ends it early."""
        return self._outcome((yield from self._steps()))

    def _steps(self) -> Generator[datetime, None, Wait]:
        for _ in range(MAX_OBSERVATIONS):
            self._pass.observation, self._probe.found_invalid = self._observer.observe(), ""
            for _ in range(MAX_STEPS):
                self._pass.observation = replace(
                    self._pass.observation, clocks=self._pass.context.clocks(), in_flight=self._pass.in_flight
                )
                step = decide(self._pass.configured, self._pass.observation)
                if isinstance(step, Wait):
                    if self._pass.unreadable is not None:
                        raise self._pass.unreadable
                    self._raise_refused_fence(self._pass.observation)
                    step = self._observer.report_problem(step, self._pass.observation)
                    self._probe.report_invalid()
                    self._annotate()
                    self._pass.emit("pass.decided", reason=step.reason, message=step.message, until=step.until)
                    return step
                try:
                    yield from self._execute(step, self._pass.observation)
                except ObservationStale:
                    break
                except (Conflict, Indeterminate) as error:
                    # A refused check-and-set, or an answer that got lost: what is true now has to
                    # be looked at.
                    self._pass.emit("pass.interrupted", kind=error.kind, message=str(error))
                    yield self._pass.now() + RETRY_DELAY / 4
                    break
        return Wait(self._pass.now() + RETRY_DELAY, Reason.CONTENDED, "others were faster each time")

    def _raise_refused_fence(self, observation: Observation) -> None:
        """Raise why the fence was refused if something waits for it."""
        if self._pass.refused_fence is not None:
            wanted = decide(self._pass.configured, replace(observation, fence_refused=False))
            if isinstance(wanted, FenceDocument):
                raise self._pass.refused_fence

    def cut_short(self, error: RotatorError) -> PassOutcome:
        """The outcome of a pass that the error ended."""
        if not (isinstance(error, ServiceError) and error.service == "vault"):
            self._annotate()
        now = self._pass.now()
        reason = error.kind if isinstance(error, ServiceError) else Reason.LEDGER_UNREADABLE
        self._pass.emit("pass.failed", reason=reason, message=str(error))
        delay = RETRY_INTERVAL if isinstance(error, ServiceError) else 2 * RETRY_INTERVAL
        in_flight = self._pass.in_flight
        if in_flight is not None:
            delay = RETRY_DELAY
            if self._issuer.too_late(in_flight):
                failure = in_flight.failure or RotationFailure(
                    Reason.DEPENDENCIES_UNAVAILABLE, "Vault or the provider did not come back in time to publish"
                )
                self._pass.in_flight = replace(in_flight, secret=None, failure=failure)
        wait = Wait(
            now + min(delay, self._pass.spec.resync_interval), reason, str(error), Problem(reason, str(error), now)
        )
        return self._outcome(wait, error)

    def _outcome(self, wait: Wait, error: RotatorError | None = None) -> PassOutcome:
        observation = self._pass.observation
        if observation is None:
            return PassOutcome(wait, error=error)
        if wait.next is None and observation.ledger is not None:
            wait = replace(wait, next=next_action(ApplicationState(self._pass.configured, observation)))
        return PassOutcome(wait, observation.ledger, observation.document, error, observation.keys)

    def _execute(self, step: Act, observation: Observation) -> Waits:
        match step:
            case WriteLedger():
                self._record(step, observation)
            case SupersedeLedger():
                self._pass.vault.write_ledger(step.ledger, cas=step.version)
                raise ObservationStale
            case ProbePublished():
                yield from self._probe.run(observation)
            case ReadVersions():
                read = {version: self._pass.read_version(version) for version in sorted(step.versions)}
                self._pass.observation = replace(observation, versions={**observation.versions, **read})
            case CheckPreconditions():
                lacking = tuple(self._pass.vault.missing_capabilities(self._pass.spec.path))
                self._pass.observation = replace(
                    observation,
                    preconditions=Preconditions(
                        lacking,
                        None if lacking or step.urgent else self._pass.provider.headroom(),
                        bearer_missing=step.revoke_first
                        and not self._pass.provider.bearer_exists(self._pass.spec.bearer),
                    ),
                )
            case CreateKey():
                self._issuer.create(step, observation)
            case VerifyKey():
                yield from self._issuer.verify()
            case PublishKey():
                yield from self._issuer.publish(observation)
            case FenceDocument():
                self._issuer.fence(observation)
            case DeleteKey():
                self._revoker.delete(step, observation)
            case DestroyVersions():
                self._revoker.destroy(step, observation)
            case DiscardInFlight():
                self._pass.in_flight = None
            case _:
                yield from self._revoker.verify_revocation(step, observation)

    def _record(self, step: WriteLedger, observation: Observation) -> None:
        before, intent = observation.ledger, step.ledger.intent
        claimed = intent is not None and intent.id == observation.next_rotation_id
        if claimed and intent is not None:
            # Held from before the write: if its answer is lost and the next observation finds the
            # claim, it is known as this actor's, and that nothing was posted for it.
            self._pass.in_flight = InFlightRotation(intent)
        version = self._pass.vault.write_ledger(step.ledger, cas=observation.ledger_version)
        self._probe.report_invalid()
        in_flight = self._pass.in_flight
        if in_flight and in_flight.key and step.ledger.is_revoking(in_flight.key.access_key):
            self._pass.in_flight = None  # the secret is dropped before its key is deleted
        for event in step.events:
            self._pass.emit(event.name, **event.fields)
        if step.ledger.failures > (before.failures if before else 0):
            self._pass.request = None  # a request is one attempt: its failure is reported and not repeated at once
        self._pass.observation = replace(
            observation,
            ledger=step.ledger,
            ledger_version=version,
            request=self._pass.request,
            next_rotation_id=self._pass.context.clock.token() if claimed else observation.next_rotation_id,
            preconditions=None,
        )
        if step.ledger.current and (before is None or before.current != step.ledger.current):
            self._note_due = True

    def _annotate(self) -> None:
        """Say in the custom metadata of the document which key is current now, for people. Nothing
        waits for it: in an emergency the compromised keys are revoked first."""
        ledger = self._pass.observation.ledger if self._pass.observation else None
        if not self._note_due or ledger is None:
            return
        self._note_due = False
        try:
            self._pass.vault.annotate(self._pass.spec.path, notes(ledger))
        except ServiceError as error:
            self._pass.emit("document.annotate_failed", message=str(error))

    def observe(self) -> Generator[datetime, None, Observation]:
        """Observe, and carry out the steps that only read."""
        self._pass.observation = observation = self._observer.observe()
        while isinstance(
            step := decide(self._pass.configured, observation), ProbePublished | CheckPreconditions | ReadVersions
        ):
            try:
                yield from self._execute(step, observation)
            except ObservationStale:
                self._pass.observation = self._observer.observe()
            observation = require(self._pass.observation)
        if self._pass.unreadable is not None:
            raise self._pass.unreadable
        return observation


def drive(passing: Generator[datetime, None, PassOutcome], sleep_until: Callable[[datetime], None]) -> PassOutcome:
    """Run a pass to its end on the calling thread, sleeping where it has to wait."""
    while True:
        try:
            sleep_until(next(passing))
        except StopIteration as end:
            outcome: PassOutcome = end.value
            return outcome


def observe(
    spec: ApplicationSpec, context: ReconcileContext, local_state: LocalState, request: RotationRequest | None = None
) -> Generator[datetime, None, Observation]:
    """Observe one application and carry out the steps that only read, so that ``decide`` returns
    what a pass would do next.

    Changes nothing. Yields like ``reconcile``; raises ``RotatorError`` where a pass would be cut
    short.
    """
    return (yield from PassRunner(spec, context, local_state, request).observe())
