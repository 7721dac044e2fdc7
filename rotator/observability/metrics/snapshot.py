"""The state of the daemon at one moment, as plain values: the source of every gauge. Building one
contacts no service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.domain.ledger import Ledger, Problem
from rotator.domain.spec import ApplicationSpec


@dataclass(frozen=True)
class ApplicationSample:
    """One application as last observed. ``since``: when the daemon started to reconcile it.
    ``last_reconciled_at`` and ``last_success_at``: when a pass last completed, and last completed
    without a problem. ``keys`` and ``unmanaged_keys``: counts of the provider's list."""

    spec: ApplicationSpec
    since: datetime
    ledger: Ledger | None = None
    keys: int | None = None
    unmanaged_keys: int = 0
    last_reconciled_at: datetime | None = None
    last_success_at: datetime | None = None
    problem: str = ""
    observed: Problem | None = None
    """The problem that the last pass saw."""
    unreadable: bool = False
    rotating: bool = False


@dataclass(frozen=True)
class ServiceSample:
    """Vault, or the provider of an account. ``up`` is None before the first answer, ``headroom`` if
    it is unknown."""

    name: str
    up: bool | None
    clock_difference: timedelta = timedelta(0)
    headroom: int | None = None


@dataclass(frozen=True)
class MetricsSnapshot:
    """The daemon at one moment. ``login``: how long the Vault login is still valid, and for how
    long it was granted; ``login_failing``: it can be neither renewed nor repeated; ``idle``: time
    since the workers last ran a task."""

    now: datetime
    alive: bool
    idle: timedelta
    configured_at: datetime
    reload_refused: bool
    applications: tuple[ApplicationSample, ...] = ()
    services: tuple[ServiceSample, ...] = ()
    login: tuple[timedelta, timedelta] | None = None
    login_failing: bool = False
    daemons: int | None = None
    """How many daemons share their looks; None without the option."""
    looks_left: int = 0
