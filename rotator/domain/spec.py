"""The configuration of one application: its key, path, schedule and verification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class VerificationPolicy:
    """How a key is verified as valid or revoked: consecutive answers, their interval, and a
    timeout."""

    successes: int
    interval: timedelta
    timeout: timedelta


@dataclass(frozen=True)
class MaintenanceWindow:
    """When scheduled rotations may start: days (0 is Monday) and minutes of the day, local time.

    ``start`` and ``end`` are minutes since midnight; an ``end`` not above ``start`` is on the next
    day.
    """

    days: frozenset[int]
    start: int
    end: int


@dataclass(frozen=True)
class ApplicationSpec:
    """The configuration of one application. ``configured`` is False for a removed application.
    ``owner`` is then the configured application that has its bearer or its document; nothing is
    done to either under the old name."""

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
        """The path of the credential document, and the names of its fields with the access key and
        the secret."""
        return self.path, self.access_field, self.secret_field

    @property
    def access_field(self) -> str:
        """The field of the credential document with the access key."""
        return next(name for name, template in self.fields.items() if template == "{access_key}")

    @property
    def secret_field(self) -> str:
        """The field of the credential document with the secret key."""
        return next(name for name, template in self.fields.items() if template == "{secret_key}")
