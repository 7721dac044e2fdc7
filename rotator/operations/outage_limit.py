"""How long an operation waits for a service that is unavailable, counted from its first failed
call.

A call that was not executed for sure, or that only reads, is repeated until the services have been
unavailable for the limit of the operation. Passes have limits of their own, because they hold
secrets and must see emergencies.
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

COMMAND_LIMIT = timedelta(minutes=2)
"""Limit of a command that no application's ``publish_timeout`` bounds."""

QUERY_LIMIT = timedelta(seconds=3)
"""Limit of a query: enough for a lost answer or a change of the leader, not for an outage."""

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
"""Calls that change nothing, or that can be repeated."""


class OutageLimit:
    """How long one operation retries while a service is unavailable. Its threads share it, so the
    waits of many applications do not add up."""

    def __init__(self, clock: Clock, sleep: Sleep, limit: timedelta) -> None:
        self._clock = clock
        self._sleep = sleep
        self._limit = limit
        self._since: datetime | None = None

    def wait_after(self, error: ServiceError) -> None:
        """Waits until the failed call can be repeated. Raises ``error`` when the limit is
        reached."""
        now = self._clock.now()
        self._since = self._since or now
        if now - self._since >= self._limit:
            raise error
        self._sleep(now + RETRY_DELAY)

    def answered(self) -> None:
        """Resets the waiting time, because a service answered."""
        self._since = None

    def ask(self, call: Callable[[], T]) -> T:
        """The answer to a call that can be repeated."""
        while True:
            try:
                answer = call()
            except (Unavailable, Indeterminate) as error:
                self.wait_after(error)
            else:
                self.answered()
                return answer


class _RetriedReads:
    """Wraps a Vault, a provider or a runtime and retries its reads while a service is
    unavailable."""

    def __init__(self, inner: Any, outage: OutageLimit) -> None:
        self._inner = inner
        self._outage = outage

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in READS:
            return lambda *arguments, **options: self._outage.ask(lambda: found(*arguments, **options))
        if name == "vault":
            return _RetriedReads(found, self._outage)
        if name in {"provider", "urgent"}:
            return lambda *arguments: _RetriedReads(found(*arguments), self._outage)
        if name == "context":
            return lambda spec: _with_retried_reads(found(spec), self._outage)
        return found


def _with_retried_reads(context: ReconcileContext, outage: OutageLimit) -> ReconcileContext:
    return replace(
        context,
        vault=cast("VaultStore", _RetriedReads(context.vault, outage)),
        provider=cast("Provider", _RetriedReads(context.provider, outage)),
        related=lambda spec: outage.ask(lambda: context.related(spec)),
    )


def context_with_retried_reads(spec: ApplicationSpec, context: ReconcileContext, sleep: Sleep) -> ReconcileContext:
    """The context of a command with reads that are repeated for at most ``publish_timeout``; for
    what it reads outside of its passes."""
    return _with_retried_reads(context, OutageLimit(context.clock, sleep, spec.publish_timeout))


def runtime_with_retried_reads(runtime: Runtime, sleep: Callable[[Clock, datetime], None], *, changes: bool) -> Runtime:
    """The runtime with reads that are repeated: for a command as long as the longest
    ``publish_timeout``, for a query 3 seconds."""
    limit = QUERY_LIMIT
    if changes:
        limit = max((spec.publish_timeout for spec in runtime.specs.values()), default=COMMAND_LIMIT)
    outage = OutageLimit(runtime.clock, lambda until: sleep(runtime.clock, until), limit)
    return cast("Runtime", _RetriedReads(runtime, outage))
