"""What the configuration wants of the alarm. Addresses are secrets, so they are suppliers that read
them when they are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from rotator.domain.secret import Secret


@dataclass(frozen=True)
class HeartbeatSettings:
    """The heartbeat: its address, its interval, and how to get there."""

    address: Callable[[], Secret]
    every: timedelta = timedelta(minutes=1)
    ca_cert: Path | None = None
    proxy: str | None = None


@dataclass(frozen=True)
class NotificationSettings:
    """Whom to tell. ``targets`` are the addresses of services by a name that may be shown;
    ``notify_every`` is the least time between two messages, ``deadline_notice`` how long before its
    deadline a key is worth one."""

    name: str = "rotator"
    ping: HeartbeatSettings | None = None
    targets: Mapping[str, Callable[[], Secret]] = field(default_factory=dict)
    notify_every: timedelta = timedelta(minutes=5)
    deadline_notice: timedelta = timedelta(days=3)
    allow_http: bool = False


SILENT = NotificationSettings()
"""No targets."""
