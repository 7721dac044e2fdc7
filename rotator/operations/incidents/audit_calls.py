"""The calls of an audit trail, grouped by where they came from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rotator.domain.audit import AuditEvent, AuditTrail
from rotator.util.formatting import format_timestamp, pluralize


@dataclass(frozen=True)
class Group:
    """Calls from one address with one client: how many, when, what, and how many of them were
    refused."""

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


def groups(trail: AuditTrail) -> list[Group]:
    """The calls by source address and client, those that appeared last at the top: what is new is
    what one looks for."""
    found: dict[tuple[str, str], list[AuditEvent]] = {}
    for audit_event in trail.audit_events:
        found.setdefault((audit_event.source, audit_event.agent), []).append(audit_event)
    made = [Group(source, agent, tuple(audit_events)) for (source, agent), audit_events in found.items()]
    return sorted(made, key=lambda group: group.audit_events[0].at, reverse=True)


def count_calls(trail: AuditTrail) -> str:
    """How many calls the trail names, or that this is not known. A number is a number only where
    every region answered."""
    silent = "; ".join(trail.unavailable) or "no region answered"
    if not trail.asked:
        return f"calls unknown: the audit trail could not be read ({silent})"
    calls = pluralize(len(trail.audit_events), "call")
    found = f"{calls if trail.complete else f'at least {calls}'} on the audit trail of {', '.join(trail.asked)}"
    if trail.unavailable:
        found += f"; the rest could not be read ({silent})"
    return f"{found}; it has more calls than were read" if trail.truncated else found


def trail_as_json(trail: AuditTrail) -> dict[str, Any]:
    """An audit trail for machines. What no region told is null; ``complete`` is false where there
    may be more calls."""
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
