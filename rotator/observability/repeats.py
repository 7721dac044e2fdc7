"""The log says an error once and then counts it: a problem that lasts is not a line a minute, and
one that two hundred applications share is not two hundred lines.

Only the log is spared. Counters, notifications and the stream of events receive every event.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rotator.domain.ports import EventSink
from rotator.util.shared_messages import without_name

REPEATED = frozenset({"pass.failed", "daemon.removed_application_stuck"})
"""Events that say the same with every look, for as long as their cause lasts."""

SETTLE = 20.0
"""Seconds after the first line until one tells which other applications have the same error."""

REMIND = 3600.0
"""Seconds between two lines about an error that lasts."""

MAX_GROUPS = 200
"""Kinds of errors that are counted at once; the one that was seen longest ago makes room."""

MOST_NAMED = 20
"""Applications that a line names; of more, the number."""


@dataclass
class _Group:
    """One error: who has it now, and what was counted since the last line about it."""

    event: str
    reason: str
    message: str
    told_at: float
    members: set[str] = field(default_factory=set)
    untold: set[str] = field(default_factory=set)
    times: int = 0


class RepeatFilter:
    """Passes events on to ``sink``, but for those of ``REPEATED`` that say the same again.
    Thread-safe."""

    def __init__(self, sink: EventSink, now: Callable[[], float] = time.monotonic) -> None:
        self._sink = sink
        self._now = now
        self._lock = threading.Lock()
        self.groups: dict[tuple[str, str, str], _Group] = {}

    def emit(self, event: str, **fields: object) -> None:
        """Log the event, or count it."""
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
        """Log what was counted and not told yet."""
        with self._lock:
            summaries = [self._told(group) for group in self.groups.values() if group.times]
        for summary in summaries:
            self._sink.emit("logs.repeated", **summary)

    def _count(self, event: str, name: str, fields: dict[str, object]) -> bool:
        """Whether this or another application has the same error already."""
        reason, message = str(fields.get("reason", "")), without_name(str(fields.get("message", "")), name)
        known = self.groups.pop((event, reason, message), None)
        group = known or _Group(event, reason, message, self._now())
        self.groups[event, reason, message] = group  # the latest stands last
        if known is not None:
            group.times += 1
            group.untold |= {name} - group.members
        group.members.add(name)
        while len(self.groups) > MAX_GROUPS:
            del self.groups[next(iter(self.groups))]
        return known is not None

    def _due(self) -> Iterator[dict[str, object]]:
        now = self._now()
        for group in self.groups.values():
            if group.times and now - group.told_at >= (SETTLE if group.untold else REMIND):
                yield self._told(group)

    def _cleared(self, name: str) -> list[dict[str, object]]:
        """A pass of that application got through: what it had is over, and news when it comes
        again."""
        summaries = []
        for key, group in list(self.groups.items()):
            if name in group.members and group.event != "daemon.removed_application_stuck":
                if group.members == {name} and group.times:
                    summaries.append(self._told(group))
                group.members.discard(name)
                group.untold.discard(name)
                if not group.members:
                    del self.groups[key]
        return summaries

    def _told(self, group: _Group) -> dict[str, object]:
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
        group.times, group.told_at = 0, self._now()
        group.untold.clear()
        return summary
