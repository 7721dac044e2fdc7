"""Defines ``Operation``, its request (``OperationRequest``) and what it runs with
(``OperationContext``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema

from rotator.domain.ports import Clock, EventSink
from rotator.domain.spec import ApplicationSpec
from rotator.operations.daemon_handle import DaemonHandle
from rotator.operations.outage_limit import runtime_with_retried_reads
from rotator.operations.refusal import OperationError
from rotator.operations.result import OperationResult, failed
from rotator.operations.runtime import Runtime, Sleep
from rotator.operations.signatures import Signature
from rotator.reconciler.context import ReconcileContext
from rotator.util.concurrency import run_concurrently
from rotator.util.formatting import strip_control_characters
from rotator.util.instants import clamp

Name = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[
    str,
    AfterValidator(strip_control_characters),
    Field(max_length=1000, description="Why; recorded in the ledger and the logs."),
]
Names = Annotated[list[Name], Field(max_length=10_000, description="The applications.")]

Maybe = Annotated[Names, Field(default_factory=list)]
"""Names that may be left out."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier than any key."""


def _usual(moment: datetime) -> datetime:
    """The time in UTC, not before ``EPOCH``: no key is older."""
    return max(clamp(moment), EPOCH)


Moment = Annotated[AwareDatetime, AfterValidator(_usual)]
"""A time with its time zone."""

Perhaps = Moment | SkipJsonSchema[None]
"""The same, or left out."""


class OperationRequest(BaseModel):
    """The arguments of an operation. Unknown fields are rejected, and values are not converted."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NoArguments(OperationRequest):
    """No arguments."""


@dataclass(frozen=True)
class OperationContext:
    """What one query or command runs with: the runtime, its caller, its event sink, and time.

    ``owner`` signs claims; if it is empty, the process does. ``daemon_handle`` is set inside a
    daemon only.
    """

    runtime: Runtime
    by: str
    sink: EventSink
    sleep: Callable[[Clock, datetime], None]
    now: Callable[[], datetime]
    owner: str = ""
    daemon_handle: DaemonHandle | None = None
    passes: Runtime | None = None
    """The runtime for passes, where ``runtime`` repeats calls that passes must see fail."""

    def context(self, spec: ApplicationSpec) -> ReconcileContext:
        """The context of a pass for this application."""
        found = replace((self.passes or self.runtime).context(spec), sink=self.sink)
        return replace(found, owner=self.owner) if self.owner else found

    def execution(self, spec: ApplicationSpec) -> tuple[ReconcileContext, Sleep]:
        """The context of a pass for this application, and a sleep on its clock."""
        context = self.context(spec)
        return context, lambda until: self.sleep(context.clock, until)

    @property
    def daemon(self) -> DaemonHandle:
        """The daemon, for operations that exist only inside one."""
        if self.daemon_handle is None:
            raise AssertionError("the operation needs a daemon")
        return self.daemon_handle


@dataclass(frozen=True)
class Operation:
    """One query or command.

    ``signature`` is what callers see. ``run`` receives the context and the request, and returns a
    value of the type ``gives``, or a future of one. A command (``changes``) is offered on the
    control socket only and takes a slot of the executor; a query takes a reader. An ``immediate``
    operation reads memory only, takes no lock and calls no service. ``per_application``: it needs
    no other application than the named ones, so it runs even if the configuration of another is
    broken. ``exclusive_key``: requests with the same key run one at a time. ``refuses``: error
    statuses beyond those of every operation.
    """

    signature: Signature
    summary: str
    takes: type[OperationRequest]
    run: Callable[[OperationContext, Any], Any]
    per_application: bool = False
    exclusive_key: Callable[[Any], str] = lambda _: ""
    refuses: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name."""
        return self.signature.name

    @property
    def method(self) -> str:
        """The HTTP method: GET for a query, POST for a command."""
        return self.signature.method

    @property
    def path(self) -> str:
        """The path in the API."""
        return self.signature.path

    @property
    def gives(self) -> Any:
        """The type of the result."""
        return self.signature.gives

    @property
    def changes(self) -> bool:
        """Whether it is a command."""
        return self.signature.changes

    @property
    def immediate(self) -> bool:
        """Whether the event loop answers it."""
        return self.signature.immediate

    def urgent(self, request: OperationRequest) -> bool:
        """Whether the request may use slots reserved for emergencies."""
        return self.signature.urgent(dict(request))

    def execute(self, call: OperationContext, request: Any) -> Any:
        """Runs the operation. Its reads outside of passes are repeated while a service is
        unavailable."""
        return self.run(
            replace(
                call,
                runtime=runtime_with_retried_reads(call.runtime, call.sleep, changes=self.changes),
                passes=call.runtime,
            ),
            request,
        )

    def request(self, given: Mapping[str, Any] | bytes) -> OperationRequest:
        """The validated request. Raises ``OperationError``, which repeats none of the input: it may
        be a secret in the wrong field."""
        try:
            return (
                self.takes.model_validate_json(given) if isinstance(given, bytes) else self.takes.model_validate(given)
            )
        except ValidationError as error:
            raise OperationError("usage", "; ".join(_complaints(error))) from None


def _complaints(error: ValidationError) -> list[str]:
    """One complaint for each place. Of several ways to read a value, the first one counts."""
    found: dict[str, str] = {}
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(part) for part in one["loc"] if not _is_internal(part)) or "the body"
        if one["type"] == "extra_forbidden":
            found.setdefault("", "unknown field; see /openapi.json")
        else:
            found.setdefault(where, f"{where}: {one['msg'][:1].lower()}{one['msg'][1:]}")
    return list(found.values())[:10]


def _is_internal(part: str | int) -> bool:
    """Whether a part of a place is the name that pydantic gives one way to read a value."""
    return isinstance(part, str) and (part == "none" or "[" in part or "-" in part)


def each(
    call: OperationContext, specs: list[ApplicationSpec], work: Callable[[ApplicationSpec], OperationResult]
) -> tuple[OperationResult, ...]:
    """Runs ``work`` for each application and returns the results; the daemon, if any, reconciles
    them afterwards."""
    try:
        found = run_concurrently(work, specs, lane=lambda spec: spec.account)
    finally:
        reconcile_now(call, specs)
    return tuple(
        result if isinstance(result, OperationResult) else failed(spec.application, result)
        for spec, result in zip(specs, found, strict=True)
    )


def reconcile_now(call: OperationContext, specs: Iterable[ApplicationSpec]) -> None:
    """Wakes the daemon's tasks of these applications, if there is a daemon."""
    if call.daemon_handle is not None:
        call.daemon_handle.reconcile_now([spec.application for spec in specs])
