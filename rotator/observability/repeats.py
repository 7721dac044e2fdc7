"""Logs an error once and then counts it, so that a lasting problem, or one of 200 applications,
takes few lines.

This filters only the log. Counters, notifications and the event stream receive every event.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rotator.domain.ports import EventSink
from rotator.util.shared_messages import without_name

REPEATED = frozenset({"pass.failed", "daemon.removed_application_stuck"})
"""Events that repeat with every pass while their cause lasts."""

SETTLE = 20.0
"""Seconds after the first line until a line names the other applications with the same error."""

REMIND = 3600.0
"""Seconds between two lines about a lasting error."""

MAX_GROUPS = 200
"""Maximum of errors that are counted at once; beyond it, the least recent is dropped."""

MOST_NAMED = 20
"""Applications that a line names; above it, their number."""


@dataclass
class _Group:
    """One error: the applications that have it, and the counts since the last line about it."""

    event: str
    reason: str
    message: str
    logged_at: float
    members: set[str] = field(default_factory=set)
    unlogged: set[str] = field(default_factory=set)
    times: int = 0


class RepeatFilter:
    """Forwards events to ``sink``, except repetitions of those in ``REPEATED``. Thread-safe."""

    def __init__(self, sink: EventSink, now: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._now = now
        self._lock = threading.Lock()
        self.groups: dict[tuple[str, str, str], _Group] = {}

    def emit(self, event: str, **fields: object) -> None:
        """Logs the event, or counts it."""
        if not self.groups and event not in REPEATED:
            self._sink.emit(event, **fields)  # without errors, threads do not queue at the lock
            return
        name = str(fields.get("application", ""))
        with self._lock:
            summaries = list(self._due())
            if event == "pass.decided":
                summaries += self._cleared(name)
            counted = event in REPEATED and self._count(event, name, fields)
        for summary in summaries:
            self._sink.emit("logs.repeated", **summary)
        if not counted:
            self._sink.emit(event, **fields)

    def close(self) -> None:
        """Logs the counts that are not logged yet."""
        with self._lock:
            summaries = [self._summary(group) for group in self.groups.values() if group.times]
        for summary in summaries:
            self._sink.emit("logs.repeated", **summary)

    def _count(self, event: str, name: str, fields: dict[str, object]) -> bool:
        """Whether this or another application has the same error already."""
        reason, message = str(fields.get("reason", "")), without_name(str(fields.get("message", "")), name)
        known = self.groups.pop((event, reason, message), None)
        group = known or _Group(event, reason, message, self._now())
        self.groups[event, reason, message] = group  # most recent last
        if known is not None:
            group.times += 1
            group.unlogged |= {name} - group.members
        group.members.add(name)
        while len(self.groups) > MAX_GROUPS:
            del self.groups[next(iter(self.groups))]
        return known is not None

    def _due(self) -> Iterator[dict[str, object]]:
        now = self._now()
        for group in self.groups.values():
            if group.times and now - group.logged_at >= (SETTLE if group.unlogged else REMIND):
                yield self._summary(group)

    def _cleared(self, name: str) -> list[dict[str, object]]:
        """A pass of the application succeeded, so its errors have ended; a new occurrence is logged
        again."""
        summaries = []
        for key, group in list(self.groups.items()):
            if name in group.members and group.event != "daemon.removed_application_stuck":
                if group.members == {name} and group.times:
                    summaries.append(self._summary(group))
                group.members.discard(name)
                group.unlogged.discard(name)
                if not group.members:
                    del self.groups[key]
        return summaries

    def _summary(self, group: _Group) -> dict[str, object]:
        names = sorted(group.members)
        summary: dict[str, object] = {
            "repeated": group.event,
            "reason": group.reason,
            "message": group.message,
            "applications": names[:MOST_NAMED],
            "times": group.times,
        }
        if len(names) > MOST_NAMED:
            summary["more"] = len(names) - MOST_NAMED
        group.times, group.logged_at = 0, self._now()
        group.unlogged.clear()
        return summary
