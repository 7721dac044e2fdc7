"""What the configuration wants for one application: its key, path, schedule and verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class VerificationPolicy:
    """How a key is verified as valid or revoked: so many answers in a row, so far apart, within so
    long."""

    successes: int
    interval: timedelta
    timeout: timedelta


@dataclass(frozen=True)
class MaintenanceWindow:
    """When scheduled rotations may begin: on these days (0 is Monday), between these minutes of the
    day, local time.

    ``start`` and ``end`` are minutes since midnight; an ``end`` that is not above ``start`` means
    the next day.
    """

    days: frozenset[int]
    start: int
    end: int


@dataclass(frozen=True)
class ApplicationSpec:
    """What the configuration wants for one application. ``configured`` is False for one that left
    the configuration; ``owner`` is then the configured application that has its bearer or its
    document, which makes it act on neither."""

    application: str
    account: str
    bearer: str
    path: str
    fields: Mapping[str, str]
    grace: timedelta
    verification: VerificationPolicy
    emergency_verification: VerificationPolicy
    every: timedelta | None = None
    cron: str | None = None
    timezone: str = "UTC"
    window: MaintenanceWindow | None = None
    jitter: timedelta = timedelta(0)
    max_age: timedelta | None = None
    lifetime: timedelta | None = None
    default_project_id: str | None = None
    purpose: str | None = None
    organization_id: str = ""
    resync_interval: timedelta = timedelta(minutes=15)
    publish_timeout: timedelta = timedelta(minutes=2)
    stale_claim_timeout: timedelta = timedelta(minutes=10)
    max_live_keys: int = 5
    max_clock_skew: timedelta = timedelta(seconds=30)
    startup_spread: timedelta = timedelta(0)
    configured: bool = True
    owner: str = ""

    @property
    def location(self) -> tuple[str, str, str]:
        """Where the credential document is: its path, and the names of the fields with the access
        key and the secret."""
        return self.path, self.access_field, self.secret_field

    @property
    def access_field(self) -> str:
        """The field of the credential document that holds the access key."""
        return next(name for name, template in self.fields.items() if template == "{access_key}")

    @property
    def secret_field(self) -> str:
        """The field of the credential document that holds the secret key."""
        return next(name for name, template in self.fields.items() if template == "{secret_key}")
