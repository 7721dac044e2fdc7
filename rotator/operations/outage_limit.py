"""How long an operation rides out a service that is away, from its first call on.

One rule for all operations: a call that surely was not executed, or that only reads, is repeated
until the services have been away for the operation's patience. Passes have a patience of their own,
because they hold secrets and must see emergencies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from rotator.domain.ports import Clock, Provider, VaultStore
from rotator.domain.spec import ApplicationSpec
from rotator.errors import Indeterminate, ServiceError, Unavailable
from rotator.operations.runtime import Runtime, Sleep
from rotator.reconciler.context import ReconcileContext

T = TypeVar("T")

COMMAND_PATIENCE = timedelta(minutes=2)
"""The patience of a command that no single application's ``publish_timeout`` bounds."""

QUERY_PATIENCE = timedelta(seconds=3)
"""The patience of a question: a lost answer or a change of the leader, not an outage."""

RETRY_DELAY = timedelta(milliseconds=500)

READS = frozenset(
    {
        "read_ledger",
        "read_document",
        "read_version",
        "read_account",
        "list_ledgers",
        "list_versions",
        "missing_capabilities",
        "require_kv2",
        "installation",
        "document_limits",
        "list_keys",
        "list_all_keys",
        "get_key",
        "bearer_exists",
        "trail",
        "removed_applications",
    }
)
"""Calls that change nothing, or that may be made twice."""


class Patience:
    """One operation's patience. Calls of several threads share it, so that many applications do not
    add up."""

    def __init__(self, clock: Clock, sleep: Sleep, limit: timedelta) -> None:
        self._clock = clock
        self._sleep = sleep
        self._limit = limit
        self._since: datetime | None = None

    def wait_after(self, error: ServiceError) -> None:
        """Wait until the call that failed so may be repeated; raises the error when the services
        have been away for too long."""
        now = self._clock.now()
        self._since = self._since or now
        if now - self._since >= self._limit:
            raise error
        self._sleep(now + RETRY_DELAY)

    def answered(self) -> None:
        """A service answered."""
        self._since = None

    def ask(self, call: Callable[[], T]) -> T:
        """The answer to a call that may be repeated."""
        while True:
            try:
                answer = call()
            except (Unavailable, Indeterminate) as error:
                self.wait_after(error)
            else:
                self.answered()
                return answer


class _Patient:
    """A Vault, a provider or a runtime as it is, but for the reading calls, which ride out an
    absence."""

    def __init__(self, inner: Any, patience: Patience) -> None:
        self._inner = inner
        self._patience = patience

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in READS:
            return lambda *arguments, **options: self._patience.ask(lambda: found(*arguments, **options))
        if name == "vault":
            return _Patient(found, self._patience)
        if name in {"provider", "urgent"}:
            return lambda *arguments: _Patient(found(*arguments), self._patience)
        if name == "context":
            return lambda spec: _patient(found(spec), self._patience)
        return found


def _patient(context: ReconcileContext, patience: Patience) -> ReconcileContext:
    return replace(
        context,
        vault=cast("VaultStore", _Patient(context.vault, patience)),
        provider=cast("Provider", _Patient(context.provider, patience)),
        related=lambda spec: patience.ask(lambda: context.related(spec)),
    )


def patient_context(spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep) -> ReconcileContext:
    """The same for what a command reads before, between and after its passes."""
    return _patient(context, Patience(context.clock, sleep, spec.publish_timeout))


def patient_runtime(runtime: Runtime, sleep: Callable[[Clock, datetime], None], *, changes: bool) -> Runtime:
    """The same for what an operation reads before it knows its applications, and for questions."""
    limit = QUERY_PATIENCE
    if changes:
        limit = max((spec.publish_timeout for spec in runtime.specs.values()), default=COMMAND_PATIENCE)
    patience = Patience(runtime.clock, lambda until: sleep(runtime.clock, until), limit)
    return cast("Runtime", _Patient(runtime, patience))
