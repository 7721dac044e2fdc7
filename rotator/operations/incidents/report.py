"""The report of one incident: from the mark to the verified revocation, and the calls of the
bearers since the suspected leak. Pure.

It is built from recorded data, so every reader of the ledgers can request it at any time. It lists
its own limits: a report that is trusted too far does more harm than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rotator.domain.account import MassRotation
from rotator.domain.audit import AuditTrail
from rotator.operations.coverage import CoverageReport
from rotator.operations.incidents.audit_calls import trail_as_json
from rotator.util.formatting import format_timestamp, pluralize

LIMITS = (
    "The provider's audit trail names no access key: it shows what an application did, with any of its keys.",
    (
        "It leaves out Object Storage, and mostly records calls that change something: the absence of a call proves "
        "nothing."
    ),
    "The ledger keeps the last twenty incidents and the last fifty events of each application.",
)
"""The limits of every report."""

TRAIL_MISSING = "The audit trail was not read; add --trail."


@dataclass(frozen=True)
class TimelineEntry:
    """One event: ``reported``, ``marked``, ``replaced``, ``revoked`` or ``contained``, with
    details."""

    at: datetime
    what: str
    application: str = ""
    access_key: str = ""
    text: str = ""


@dataclass(frozen=True)
class KeyRevocation:
    """The revocation of one compromised key, how it was verified, and which versions of the
    document with its secret were destroyed."""

    access_key: str
    at: datetime | None
    verification: str = ""
    destroyed: tuple[int, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class ApplicationImpact:
    """The impact of the incident on one application. ``replacement``: the key that consumers read
    instead, if one was needed; ``purpose``: of the key that they read now."""

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
        """Time from the mark to the revocation of the last compromised key."""
        return self.closed_at - self.opened_at if self.closed_at else None


@dataclass(frozen=True)
class IncidentReport:
    """One incident. ``since``: from when the keys are suspected to have leaked."""

    id: str
    as_of: datetime
    since: datetime
    affected: tuple[ApplicationImpact, ...]
    masses: tuple[MassRotation, ...] = ()
    coverage: tuple[CoverageReport, ...] = ()
    trails: Mapping[str, AuditTrail] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Accounts that could not be read, and why; the report lacks what happened there."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Applications whose ledger could not be read, and why; each may be part of the incident."""

    @property
    def mass(self) -> MassRotation | None:
        """The mass rotation of this incident, if it was one. Each account has its own record."""
        return self.masses[0] if self.masses else None

    @property
    def opened_at(self) -> datetime:
        """When it was reported."""
        times = [one.opened_at for one in self.affected] + [mass.begun_at for mass in self.masses]
        return min(times)

    @property
    def closed_at(self) -> datetime | None:
        """When the revocation of the last compromised key was verified; None while that is unknown
        for an application."""
        return None if self._open or self.unavailable or self.unread else max(filter(None, self._ends))

    @property
    def _ends(self) -> list[datetime | None]:
        return [one.closed_at for one in self.affected]

    @property
    def _open(self) -> bool:
        return not self._ends or None in self._ends or any(mass.ended_at is None for mass in self.masses)

    @property
    def state(self) -> str:
        """``contained``, ``open``, or ``unknown`` if all that was read is contained and something
        could not be read."""
        return "open" if self._open else "contained" if self.closed_at else "unknown"

    @property
    def missing(self) -> str:
        """What could not be read, such as ``1 account and 2 ledgers``; empty if everything was
        read."""
        counts = ((len(self.unavailable), "account"), (len(self.unread), "ledger"))
        return " and ".join(pluralize(count, noun) for count, noun in counts if count)

    @property
    def reason(self) -> str:
        """The reason of the request."""
        return self.mass.reason if self.mass else self.affected[0].reason

    @property
    def by(self) -> str:
        """Who requested it."""
        return self.mass.by if self.mass else self.affected[0].by

    @property
    def limits(self) -> tuple[str, ...]:
        """The limits of this report."""
        unavailable = sorted(
            {f"The audit trail of {place}" for trail in self.trails.values() for place in trail.unavailable}
        )
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
        """The timeline, oldest first."""
        found = [TimelineEntry(self.opened_at, "reported", text=f"{self.reason} ({self.by})")]
        for one in self.affected:
            for revocation in one.revocations:
                found.append(
                    TimelineEntry(
                        one.opened_at, "marked", one.application, revocation.access_key, one.mode.replace("_", " ")
                    )
                )
                if revocation.at:
                    destroyed = (
                        f"; destroyed version {', '.join(map(str, revocation.destroyed))}"
                        if revocation.destroyed
                        else ""
                    )
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
        return sorted(
            found, key=lambda moment: (moment.at, order.index(moment.what), moment.application, moment.access_key)
        )

    def as_json(self) -> dict[str, Any]:
        """The report as JSON."""
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
            "trail": {name: trail_as_json(trail) for name, trail in sorted(self.trails.items())},
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


@dataclass(frozen=True)
class IncidentList:
    """Every incident that could be read, oldest first. ``unread`` and ``unavailable``: the
    applications and accounts that could not be read, and why; their incidents are missing."""

    incidents: tuple[IncidentReport, ...]
    unread: Mapping[str, str] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)
