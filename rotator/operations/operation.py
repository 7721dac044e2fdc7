"""What verbs are made of: what comes in (a ``OperationRequest``), on what it is carried out (a
``OperationContext``), and what a ``Operation`` is."""

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
from rotator.operations.outage_limit import patient_runtime
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
    Field(max_length=1000, description="Why, for the ledger, the logs and the auditor."),
]
Names = Annotated[list[Name], Field(max_length=10_000, description="The applications.")]

Maybe = Annotated[Names, Field(default_factory=list)]
"""Names that may be left out."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any key."""


def _usual(moment: datetime) -> datetime:
    """The same time in UTC; one that no key is older than, or every key is, is as good as any such
    time."""
    return max(clamp(moment), EPOCH)


Moment = Annotated[AwareDatetime, AfterValidator(_usual)]
"""A time with its zone."""

Perhaps = Moment | SkipJsonSchema[None]
"""The same, or left out."""


class OperationRequest(BaseModel):
    """What comes in: nothing but what is listed, and nothing converted silently."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NoArguments(OperationRequest):
    """No options."""


@dataclass(frozen=True)
class OperationContext:
    """One query or command on its way: what it is executed with, its caller, where its events go,
    and time.

    ``owner`` signs what is claimed; the process signs when it is empty. ``daemon_handle`` is the
    daemon, in which one is.
    """

    runtime: Runtime
    by: str
    sink: EventSink
    sleep: Callable[[Clock, datetime], None]
    now: Callable[[], datetime]
    owner: str = ""
    daemon_handle: DaemonHandle | None = None
    passes: Runtime | None = None
    """What passes act through, where ``runtime`` rides out what passes must see."""

    def context(self, spec: ApplicationSpec) -> ReconcileContext:
        """What a pass for this application acts through."""
        found = replace((self.passes or self.runtime).context(spec), sink=self.sink)
        return replace(found, owner=self.owner) if self.owner else found

    def execution(self, spec: ApplicationSpec) -> tuple[ReconcileContext, Sleep]:
        """What an actor on this application needs: the context, and a way to sleep."""
        context = self.context(spec)
        return context, lambda until: self.sleep(context.clock, until)

    @property
    def daemon(self) -> DaemonHandle:
        """The daemon; only for what makes no sense without one."""
        if self.daemon_handle is None:
            raise AssertionError("a verb of the daemon was asked of no daemon")
        return self.daemon_handle


@dataclass(frozen=True)
class Operation:
    """One query or command.

    ``signature`` is what a caller sees. ``run`` gets the context and the request, and returns a
    value of the type ``gives``, or a future of one. A command (``changes``) is offered on the
    control socket only and takes a slot of the executor; a query takes a reader. An ``immediate``
    operation reads memory only, takes no lock and calls no service. ``per_application``: what it
    does for a named application needs to know of no other, so that it can run where another one's
    configuration is broken. ``exclusive_key``: requests with the same key run one at a time.
    ``refuses``: error statuses beyond those of every operation.
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
        """The name of the operation."""
        return self.signature.name

    @property
    def method(self) -> str:
        """The method of HTTP: GET for a query, POST for a command."""
        return self.signature.method

    @property
    def path(self) -> str:
        """The path of its page."""
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
        """Whether it is answered in the event loop."""
        return self.signature.immediate

    def urgent(self, request: OperationRequest) -> bool:
        """Whether the request may use slots reserved for emergencies."""
        return self.signature.urgent(dict(request))

    def execute(self, call: OperationContext, request: Any) -> Any:
        """What comes of it. What it reads by itself, outside of passes, rides out a service that is
        away, from the first call on."""
        return self.run(
            replace(call, runtime=patient_runtime(call.runtime, call.sleep, changes=self.changes), passes=call.runtime),
            request,
        )

    def request(self, given: Mapping[str, Any] | bytes) -> OperationRequest:
        """What was given, if it makes sense; raises ``OperationError`` without repeating any of it:
        it may be a secret in the wrong place."""
        try:
            return (
                self.takes.model_validate_json(given) if isinstance(given, bytes) else self.takes.model_validate(given)
            )
        except ValidationError as error:
            raise OperationError("usage", "; ".join(_complaints(error))) from None


def _complaints(error: ValidationError) -> list[str]:
    found = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        if one["type"] == "extra_forbidden":
            found.append("something is not an option here; see /openapi.json")
        else:
            where = ".".join(map(str, one["loc"]))
            found.append(f"{where or 'the body'}: {one['msg'][:1].lower()}{one['msg'][1:]}")
    return list(dict.fromkeys(found))[:10]


def each(
    call: OperationContext, specs: list[ApplicationSpec], work: Callable[[ApplicationSpec], OperationResult]
) -> tuple[OperationResult, ...]:
    """What became of each application; afterwards the daemon, if there is one, looks at them
    too."""
    try:
        found = run_concurrently(work, specs, lane=lambda spec: spec.account)
    finally:
        reconcile_now(call, specs)
    return tuple(
        result if isinstance(result, OperationResult) else failed(spec.application, result)
        for spec, result in zip(specs, found, strict=True)
    )


def reconcile_now(call: OperationContext, specs: Iterable[ApplicationSpec]) -> None:
    """Have the daemon, if one there is, look at these applications at once."""
    if call.daemon_handle is not None:
        call.daemon_handle.reconcile_now([spec.application for spec in specs])
