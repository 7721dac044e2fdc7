"""The settings of notifications and heartbeat. Addresses are secrets, so they are functions that
read them on use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from rotator.domain.secret import Secret


@dataclass(frozen=True)
class HeartbeatSettings:
    """The heartbeat: address, interval, and connection."""

    address: Callable[[], Secret]
    every: timedelta = timedelta(minutes=1)
    ca_cert: Path | None = None
    proxy: str | None = None


@dataclass(frozen=True)
class NotificationSettings:
    """Where notifications go. ``targets``: addresses of services by displayable name;
    ``notify_every``: shortest time between two messages; ``deadline_notice``: how long before its
    deadline a key is reported."""

    name: str = "rotator"
    ping: HeartbeatSettings | None = None
    targets: Mapping[str, Callable[[], Secret]] = field(default_factory=dict)
    notify_every: timedelta = timedelta(minutes=5)
    deadline_notice: timedelta = timedelta(days=3)
    allow_http: bool = False


SILENT = NotificationSettings()
"""No targets."""
