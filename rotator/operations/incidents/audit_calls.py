"""Groups the calls of an audit trail by source."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.util.formatting import format_timestamp, pluralize


@dataclass(frozen=True)
class Group:
    """The calls from one address with one client."""

    source: str
    agent: str
    audit_events: tuple[AuditEvent, ...]

    @property
    def refused(self) -> int:
        """How many of the calls were refused."""
        return sum(audit_event.status >= 400 for audit_event in self.audit_events)

    def methods(self, most: int = 5) -> list[str]:
        """The most frequent methods."""
        return [
            name if times == 1 else f"{name} x {times}"
            for name, times in Counter(d.method for d in self.audit_events).most_common(most)
        ]


def groups(trail: AuditTrail) -> list[Group]:
    """The calls by source address and client. The source that first appeared last comes first."""
    found: dict[tuple[str, str], list[AuditEvent]] = {}
    for audit_event in trail.audit_events:
        found.setdefault((audit_event.source, audit_event.agent), []).append(audit_event)
    made = [Group(source, agent, tuple(audit_events)) for (source, agent), audit_events in found.items()]
    return sorted(made, key=lambda group: group.audit_events[0].at, reverse=True)


def count_calls(trail: AuditTrail) -> str:
    """The number of calls in the trail, a lower bound, or "unknown", depending on which regions
    answered."""
    reasons = "; ".join(trail.unavailable) or "no region answered"
    if not trail.asked:
        return f"calls unknown: the audit trail could not be read ({reasons})"
    calls = pluralize(len(trail.audit_events), "call")
    found = f"{calls if trail.complete else f'at least {calls}'} on the audit trail of {', '.join(trail.asked)}"
    if trail.unavailable:
        found += f"; the rest could not be read ({reasons})"
    return f"{found}; it has more calls than were read" if trail.truncated else found


def trail_as_json(trail: AuditTrail) -> dict[str, Any]:
    """An audit trail as JSON. The calls are null if no region answered; ``complete`` is false if
    there may be more calls."""
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
