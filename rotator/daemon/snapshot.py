"""What the daemon knows at one moment, as values that no lock guards: for status, health and
metrics.

A snapshot is made without the lock of the engine, so a reader never waits for the work and the work
never for a reader. Each field is what it was when the snapshot was made; of a pass that ends at
that very moment, some fields may be from before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rotator.daemon.services import ServiceState
from rotator.domain.ledger import Ledger
from rotator.domain.spec import ApplicationSpec

if TYPE_CHECKING:
    from rotator.daemon.application_task import PassSummary


@dataclass(frozen=True)
class TaskSnapshot:
    """One application: its ``ApplicationTask`` without what the work alone needs. No secret."""

    spec: ApplicationSpec
    started: datetime
    due: datetime
    running: bool
    parked: bool
    holding: bool
    """Whether this process holds a new key that must be published or given up before it ends."""
    rotating: bool
    crashes: int
    summary: PassSummary | None
    ledger: Ledger | None
    key_count: int | None
    unmanaged_key_count: int
    last_reconciled_at: datetime | None
    last_success_at: datetime | None
    left_at: datetime | None = None
    """When a look was last left to another daemon, so that all of this may be older than one
    interval; None once a pass got through again."""

    @property
    def name(self) -> str:
        """The application's name."""
        return self.spec.application


@dataclass(frozen=True)
class ServiceSnapshot:
    """One service, as its ``ServiceHealth`` knows it."""

    name: str
    state: ServiceState
    since: datetime | None
    kind: str
    message: str


@dataclass(frozen=True)
class EngineSnapshot:
    """Every application and every service. ``progressed_at`` is a time of the monotonic clock: the
    last end of a pass or of a heartbeat through the workers."""

    tasks: tuple[TaskSnapshot, ...]
    services: tuple[ServiceSnapshot, ...]
    progress: int
    progressed_at: float
