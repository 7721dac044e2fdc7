"""What is due in the next days across all applications, from their ledgers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rotator.domain.due_time import due
from rotator.domain.ledger import Ledger
from rotator.domain.status import ApplicationStatus
from rotator.util.formatting import format_timestamp


@dataclass(frozen=True, order=True)
class AgendaEntry:
    """One thing that is due: ``rotate``, ``revoke``, ``contain``, ``expire`` (the provider stops
    accepting the key) or ``hold_ends``. ``held``: a hold puts it off."""

    at: datetime
    application: str
    action: str
    account: str
    access_key: str = ""
    reason: str = ""
    held: bool = False

    def as_json(self) -> dict[str, Any]:
        """The entry for machines."""
        return {
            "at": format_timestamp(self.at),
            "action": self.action,
            "application": self.application,
            "account": self.account,
            "access_key": self.access_key or None,
            "reason": self.reason,
            "held": self.held,
        }


def agenda(views: Iterable[ApplicationStatus], until: datetime) -> Sequence[AgendaEntry]:
    """Everything that is due by that time, the most overdue first. Of repeated rotations it is the
    next one."""
    return sorted(entry for view in views if view.ledger for entry in _entries(view, view.ledger) if entry.at <= until)


def _entries(view: ApplicationStatus, ledger: Ledger) -> Iterator[AgendaEntry]:
    spec, hold = view.spec, ledger.hold if ledger.held(view.as_of) else None

    def entry(at: datetime, action: str, access_key: str, reason: str, *, overrides: bool = False) -> AgendaEntry:
        held = hold is not None and not overrides and hold.in_force(at)
        return AgendaEntry(at, spec.application, action, spec.account, access_key, reason, held)

    for mark in ledger.compromised:
        yield entry(mark.at, "contain", mark.access_key, f"compromised: {mark.reason}", overrides=mark.override_hold)
    marked = ledger.compromised_keys()
    for old in ledger.retiring:
        if old.access_key not in marked | ledger.published_elsewhere():
            yield entry(old.revoke_after, "revoke", old.access_key, "its grace ends")
    for leaving in ledger.revoking:
        if leaving.access_key not in marked:
            yield entry(leaving.not_before or view.as_of, "revoke", leaving.access_key, leaving.reason)
    if ledger.current:
        name = ledger.current.access_key
        if spec.configured and name not in marked and (planned := due(spec, ledger.current)):
            yield entry(planned.at, "rotate", name, planned.reason)
        if ledger.current.expires_at:
            yield entry(
                ledger.current.expires_at, "expire", name, "the provider stops accepting the key", overrides=True
            )
    if hold and hold.until:
        yield entry(hold.until, "hold_ends", "", f"{hold.reason} ({hold.by})", overrides=True)
