"""What a provider's audit trail records about a bearer. No known trail names the access key
used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class AuditEvent:
    """One call of the bearer: time, address, client, method and status. Refused calls are
    included."""

    at: datetime
    source: str
    agent: str
    service: str
    method: str
    status: int
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditTrail:
    """The calls of a bearer, oldest first. ``asked``: regions whose trail was read;
    ``unavailable``: regions without an answer, and why; ``truncated``: there are more calls than
    were read."""

    audit_events: tuple[AuditEvent, ...] = ()
    asked: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()
    truncated: bool = False

    @property
    def complete(self) -> bool:
        """Whether every region answered and every call was read."""
        return bool(self.asked) and not self.unavailable and not self.truncated
