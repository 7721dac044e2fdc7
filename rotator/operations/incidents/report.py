"""The report of one incident: from the mark to the proof of death, and what the bearers did since it was suspected. Pure.

It is put together from what is remembered anyway, so that it can be asked for at any time and by anybody who may read ledgers. It says
what it cannot tell beside what it tells: a report that is believed too far does more harm than none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rotator.domain.account import MassRotation
from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.domain.ledger import HistoryEntry, Incident, Ledger
from rotator.operations.coverage import CoverageReport
from rotator.util.formatting import format_timestamp, pluralize

LIMITS = (
    "The provider's audit trail names no access key: it tells what an application did, with whichever of its keys.",
    "It leaves out Object Storage, and mostly tells of calls that change something: that nothing is told proves nothing.",
    "The ledger keeps the last twenty incidents and the last fifty events of each application.",
)
"""What no report of ours can tell."""

TRAIL_MISSING = "The audit trail was not asked for; say --trail."


@dataclass(frozen=True)
class TimelineEntry:
    """One thing that happened: ``reported``, ``marked``, ``replaced``, ``dead`` or ``contained``; and what of it people should know."""

    at: datetime
    what: str
    application: str = ""
    access_key: str = ""
    text: str = ""


@dataclass(frozen=True)
class KeyRevocation:
    """The end of one compromised key, how it was proven, and which versions of the document with its secret were destroyed."""

    access_key: str
    at: datetime | None
    verification: str = ""
    destroyed: tuple[int, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class ApplicationImpact:
    """What the incident did to one application. ``replacement`` is the key that consumers read instead, if any was needed;
    ``purpose`` what the key that they read now is for."""

    application: str
    account: str
    path: str
    bearer: str
    opened_at: datetime
    closed_at: datetime | None
    reason: str
    by: str
    mode: str
    revocations: tuple[KeyRevocation, ...]
    replacement: str = ""
    version: int = 0
    replaced_at: datetime | None = None
    purpose: str = ""

    @property
    def lived_on(self) -> timedelta | None:
        """How long the last of its compromised keys lived after the mark."""
        return self.closed_at - self.opened_at if self.closed_at else None


@dataclass(frozen=True)
class Group:
    """Calls from one address with one client: how many, when, what, and how many of them were refused."""

    source: str
    agent: str
    audit_events: tuple[AuditEvent, ...]

    @property
    def refused(self) -> int:
        """How many of the calls were not carried out."""
        return sum(audit_event.status >= 400 for audit_event in self.audit_events)

    def methods(self, most: int = 5) -> list[str]:
        """What was called most."""
        return [
            name if times == 1 else f"{name} x {times}"
            for name, times in Counter(d.method for d in self.audit_events).most_common(most)
        ]


@dataclass(frozen=True)
class IncidentReport:
    """Everything about one incident. ``since`` is from when the keys are suspected to have been in the wrong hands."""

    id: str
    as_of: datetime
    since: datetime
    affected: tuple[ApplicationImpact, ...]
    masses: tuple[MassRotation, ...] = ()
    coverage: tuple[CoverageReport, ...] = ()
    trails: Mapping[str, AuditTrail] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Accounts that could not be read, and why: what happened there is not in the report."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Applications whose ledger could not be read, and why: each may belong to the incident."""

    @property
    def mass(self) -> MassRotation | None:
        """The mass rotation that it was, if it was one; each account has a record of its own."""
        return self.masses[0] if self.masses else None

    @property
    def opened_at(self) -> datetime:
        """When it was reported to us."""
        times = [one.opened_at for one in self.affected] + [mass.begun_at for mass in self.masses]
        return min(times)

    @property
    def closed_at(self) -> datetime | None:
        """When the revocation of the last compromised key was verified; None while that is not known of each application."""
        return None if self._open or self.unavailable or self.unread else max(filter(None, self._ends))

    @property
    def _ends(self) -> list[datetime | None]:
        return [one.closed_at for one in self.affected]

    @property
    def _open(self) -> bool:
        return not self._ends or None in self._ends or any(mass.ended_at is None for mass in self.masses)

    @property
    def state(self) -> str:
        """``contained``, ``open``, or ``unknown`` where what could be read is contained and something could not be read."""
        return "open" if self._open else "contained" if self.closed_at else "unknown"

    @property
    def missing(self) -> str:
        """How much could not be read, such as ``1 account and 2 ledgers``; empty when everything was."""
        counts = ((len(self.unavailable), "account"), (len(self.unread), "ledger"))
        return " and ".join(pluralize(count, noun) for count, noun in counts if count)

    @property
    def reason(self) -> str:
        """Why, as it was said."""
        return self.mass.reason if self.mass else self.affected[0].reason

    @property
    def by(self) -> str:
        """Who asked for it."""
        return self.mass.by if self.mass else self.affected[0].by

    @property
    def limits(self) -> tuple[str, ...]:
        """What this report cannot tell."""
        unavailable = sorted({f"The audit trail of {place}" for trail in self.trails.values() for place in trail.unavailable})
        truncated = [
            f"The audit trail of {name} has more calls than were read."
            for name, trail in sorted(self.trails.items())
            if trail.truncated
        ]
        away = [f"Account {name} could not be read: {why}" for name, why in sorted(self.unavailable.items())]
        away += [
            f"The ledger of {name} could not be read, so whether it belongs to the incident is not known: {why}"
            for name, why in sorted(self.unread.items())
        ]
        return (*LIMITS, *away, *unavailable, *truncated, *(() if self.trails else (TRAIL_MISSING,)))

    def moments(self) -> list[TimelineEntry]:
        """The time line, oldest first."""
        found = [TimelineEntry(self.opened_at, "reported", text=f"{self.reason} ({self.by})")]
        for one in self.affected:
            for revocation in one.revocations:
                found.append(
                    TimelineEntry(one.opened_at, "marked", one.application, revocation.access_key, one.mode.replace("_", " "))
                )
                if revocation.at:
                    destroyed = f"; destroyed version {', '.join(map(str, revocation.destroyed))}" if revocation.destroyed else ""
                    found.append(
                        TimelineEntry(
                            revocation.at,
                            "revoked",
                            one.application,
                            revocation.access_key,
                            f"{revocation.verification}{destroyed}",
                        )
                    )
            if one.replaced_at:
                text = f"published in version {one.version} of {one.path}"
                found.append(TimelineEntry(one.replaced_at, "replaced", one.application, one.replacement, text))
            if one.closed_at:
                found.append(TimelineEntry(one.closed_at, "contained", one.application))
        order = ("reported", "marked", "replaced", "revoked", "contained")
        return sorted(found, key=lambda moment: (moment.at, order.index(moment.what), moment.application, moment.access_key))

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "id": self.id,
            "as_of": format_timestamp(self.as_of),
            "suspected_since": format_timestamp(self.since),
            "opened_at": format_timestamp(self.opened_at),
            "closed_at": format_timestamp(self.closed_at) if self.closed_at else None,
            "state": self.state,
            "reason": self.reason,
            "by": self.by,
            "mass_rotation": _mass_as_json(self.mass) if self.mass else None,
            "applications": [_affected_as_json(one) for one in self.affected],
            "timeline": [
                {
                    "at": format_timestamp(moment.at),
                    "what": moment.what,
                    "application": moment.application or None,
                    "access_key": moment.access_key or None,
                    "text": moment.text or None,
                }
                for moment in self.moments()
            ],
            "coverage": [verification.as_json() for verification in self.coverage],
            "trail": {name: _trail_as_json(trail) for name, trail in sorted(self.trails.items())},
            "limits": list(self.limits),
        }


def _mass_as_json(mass: MassRotation) -> dict[str, Any]:
    return {
        "selector": mass.selector,
        "created_before": format_timestamp(mass.created_before),
        "begun_at": format_timestamp(mass.begun_at),
        "ended_at": format_timestamp(mass.ended_at) if mass.ended_at else None,
    }


def _affected_as_json(one: ApplicationImpact) -> dict[str, Any]:
    return {
        "name": one.application,
        "account": one.account,
        "purpose": one.purpose or None,
        "path": one.path,
        "opened_at": format_timestamp(one.opened_at),
        "closed_at": format_timestamp(one.closed_at) if one.closed_at else None,
        "reason": one.reason,
        "by": one.by,
        "mode": one.mode,
        "replacement": one.replacement or None,
        "version": one.version or None,
        "replaced_at": format_timestamp(one.replaced_at) if one.replaced_at else None,
        "keys": [
            {
                "access_key": revocation.access_key,
                "dead_at": format_timestamp(revocation.at) if revocation.at else None,
                "verification": revocation.verification or None,
                "destroyed_versions": list(revocation.destroyed),
                "remark": revocation.remark or None,
            }
            for revocation in one.revocations
        ],
    }


def _trail_as_json(trail: AuditTrail) -> dict[str, Any]:
    """An audit trail for machines. What no region told is null; ``complete`` is false where there may be more calls."""
    return {
        "asked": list(trail.asked),
        "silent": list(trail.unavailable),
        "cut": trail.truncated,
        "complete": trail.complete,
        "calls": len(trail.audit_events) if trail.asked else None,
        "sources": [
            {
                "address": group.source,
                "user_agent": group.agent,
                "calls": len(group.audit_events),
                "refused": group.refused,
                "first": format_timestamp(group.audit_events[0].at),
                "last": format_timestamp(group.audit_events[-1].at),
                "methods": group.methods(20),
            }
            for group in groups(trail)
        ]
        if trail.asked
        else None,
    }


def count_calls(trail: AuditTrail) -> str:
    """How many calls the trail names, or that this is not known. A number is a number only where every region answered."""
    silent = "; ".join(trail.unavailable) or "no region answered"
    if not trail.asked:
        return f"calls unknown: the audit trail could not be read ({silent})"
    calls = pluralize(len(trail.audit_events), "call")
    found = f"{calls if trail.complete else f'at least {calls}'} on the audit trail of {', '.join(trail.asked)}"
    if trail.unavailable:
        found += f"; the rest could not be read ({silent})"
    return f"{found}; it has more calls than were read" if trail.truncated else found


def groups(trail: AuditTrail) -> list[Group]:
    """The calls by source address and client, those that appeared last at the top: what is new is what one looks for."""
    found: dict[tuple[str, str], list[AuditEvent]] = {}
    for audit_event in trail.audit_events:
        found.setdefault((audit_event.source, audit_event.agent), []).append(audit_event)
    made = [Group(source, agent, tuple(audit_events)) for (source, agent), audit_events in found.items()]
    return sorted(made, key=lambda group: group.audit_events[0].at, reverse=True)


# --- from what is remembered ----------------------------------------------------------------------------------------------


def impact_of(incident: Incident, ledger: Ledger) -> ApplicationImpact:
    """What one incident did to one application, from its ledger."""
    replaced = _replacement(incident, ledger.history)
    return ApplicationImpact(
        application=ledger.application,
        account=ledger.account,
        path=ledger.path,
        bearer=ledger.bearer,
        opened_at=incident.opened_at,
        closed_at=incident.closed_at,
        reason=incident.reason,
        by=incident.by,
        mode=incident.mode,
        revocations=tuple(_revocation(key, incident, ledger.history) for key in incident.access_keys),
        replacement=replaced.access_key if replaced else "",
        version=replaced.version if replaced else 0,
        replaced_at=replaced.at if replaced else None,
        purpose=ledger.current.purpose if ledger.current else "",
    )


def _replacement(incident: Incident, history: Sequence[HistoryEntry]) -> HistoryEntry | None:
    """The first key that was published after the mark and before the end; none where no consumer read a compromised one."""
    end = incident.closed_at
    return next(
        (
            entry
            for entry in history
            if entry.event in ("rotated", "followed")
            and entry.at >= incident.opened_at
            and entry.access_key not in incident.access_keys
            and (end is None or entry.at <= end)
        ),
        None,
    )


def _revocation(access_key: str, incident: Incident, history: Sequence[HistoryEntry]) -> KeyRevocation:
    told = next((revocation for revocation in incident.revocations if revocation.access_key == access_key), None)
    if told is not None:
        return KeyRevocation(access_key, told.at, told.verification, told.destroyed, told.remark)
    entry = next(
        (
            entry
            for entry in history
            if entry.event == "revoked" and entry.access_key == access_key and entry.at >= incident.opened_at
        ),
        None,
    )
    return KeyRevocation(access_key, entry.at, entry.reason.partition("; ")[2]) if entry else KeyRevocation(access_key, None)


def all_incidents(ledgers: Mapping[str, Ledger], masses: Sequence[MassRotation]) -> dict[str, list[ApplicationImpact]]:
    """Every incident that is remembered, by its id, with the applications that it is about; a mass rotation that was no compromise
    is none."""
    found: dict[str, list[ApplicationImpact]] = {mass.id: [] for mass in masses if mass.compromised}
    for _, ledger in sorted(ledgers.items()):
        for incident in ledger.incidents:
            found.setdefault(incident.id, []).append(impact_of(incident, ledger))
    return found


@dataclass(frozen=True)
class IncidentList:
    """Every incident that could be read, oldest first. ``unread`` and ``unavailable`` are the applications and accounts that could
    not be read, and why: their incidents are not in the list."""

    incidents: tuple[IncidentReport, ...]
    unread: Mapping[str, str] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
