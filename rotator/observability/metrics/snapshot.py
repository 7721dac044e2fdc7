"""What the daemon knew at one moment, as plain values: the source of every gauge. Building one
contacts no service."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.domain.ledger import Ledger, Problem
from rotator.domain.spec import ApplicationSpec


@dataclass(frozen=True)
class ApplicationSample:
    """One application as last seen. ``since`` is when the daemon began to look after it;
    ``last_reconciled_at`` and ``last_success_at`` are when a pass last got through, and last had
    nothing to complain of. ``keys`` and ``unmanaged_keys`` count what the provider listed.
    """

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
    """Vault, or the provider behind an account. ``up`` is None before the first answer,
    ``headroom`` where it is not known."""

    name: str
    up: bool | None
    clock_difference: timedelta = timedelta(0)
    headroom: int | None = None


@dataclass(frozen=True)
class MetricsSnapshot:
    """Everything at one moment. ``login`` is how long the login at Vault is still valid and for how
    long it was granted, ``login_failing`` whether it can be neither renewed nor made anew, ``idle``
    how long ago the last work went through the workers."""

    now: datetime
    alive: bool
    idle: timedelta
    configured_at: datetime
    reload_refused: bool
    applications: tuple[ApplicationSample, ...] = ()
    services: tuple[ServiceSample, ...] = ()
    login: tuple[timedelta, timedelta] | None = None
    login_failing: bool = False
