"""What a provider's audit trail records of a bearer. No known trail names the access key that was
used, so none is here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class AuditEvent:
    """One call that the bearer made: when, from where, with which client, and what. Refused ones
    are among them (``status``)."""

    at: datetime
    source: str
    agent: str
    service: str
    method: str
    status: int
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditTrail:
    """The bearer's calls, oldest first. ``asked`` are the regions whose trail was read,
    ``unavailable`` those without an answer and why; ``truncated`` when there are more calls than
    were read."""

    audit_events: tuple[AuditEvent, ...] = ()
    asked: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()
    truncated: bool = False

    @property
    def complete(self) -> bool:
        """Whether every region answered and every call was read."""
        return bool(self.asked) and not self.unavailable and not self.truncated
