"""Repeats a read-modify-write with check-and-set until it wins the race."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from rotator.domain.ports import Clock
from rotator.errors import Conflict, Indeterminate, ServiceError, Unavailable
from rotator.operations.outage_limit import OutageLimit

T = TypeVar("T")

MAX_ATTEMPTS = 20
"""How often a change is repeated after lost races."""


@dataclass(frozen=True)
class CheckAndSet(Generic[T]):
    """One document, with functions that read it with its version, and write it at a version.
    ``what`` names it in messages. ``limit`` bounds how long a service may be unavailable.
    ``failed`` receives each error after which another attempt follows."""

    what: str
    read: Callable[[], tuple[T, int]]
    write: Callable[[T, int], object]
    clock: Clock
    sleep: Callable[[datetime], None]
    limit: timedelta
    retry_delay: timedelta
    failed: Callable[[ServiceError], None] = lambda error: None  # noqa: ARG005 - a default that reports nothing

    def update(self, change: Callable[[T], T]) -> tuple[T, bool]:
        """The document after the change, and whether it was written: a change without effect writes
        nothing.

        ``change`` is called with every document that is read, and may raise ``Refused``. Raises
        ``Indeterminate`` when it is not known whether the change was written, and ``Unavailable``.
        """
        unclear, overtaken, outage = False, 0, OutageLimit(self.clock, self.sleep, self.limit)
        while overtaken < MAX_ATTEMPTS:
            writing = False
            try:
                document, version = self.read()
                after = change(document)
                if after == document:
                    return document, unclear
                writing = True
                self.write(after, version)
            except ServiceError as error:
                unclear = unclear or (writing and isinstance(error, Indeterminate))
                try:
                    if isinstance(error, Conflict):
                        overtaken += 1
                        self.sleep(self.clock.now() + self.retry_delay)
                    elif isinstance(error, Unavailable | Indeterminate):
                        outage.wait_after(error)
                    else:
                        raise
                except ServiceError as final:
                    if unclear:
                        raise Indeterminate(str(final), service=final.service, kind=final.kind) from None
                    raise
                self.failed(error)
            else:
                return after, True
        raise Unavailable(
            f"{self.what} could not be written in {MAX_ATTEMPTS} attempts: other processes wrote it each time; "
            "try again",
            service="vault",
            kind="contended",
        )
