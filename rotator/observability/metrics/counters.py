"""An event sink that counts events under fixed names, without their texts."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rotator.domain.ledger import RotationMode
from rotator.observability.events import CATALOGUE

if TYPE_CHECKING:
    from rotator.domain.ports import EventSink

_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
OTHER = "other"
MODES = (*(mode.value for mode in RotationMode), OTHER)
"""The mode of a completed rotation; ``other`` if another process started it."""

MOST_CAUSES = 40
"""Maximum of distinct causes for one application; more occur only in ledgers edited by hand."""

About = tuple[str, str]
"""Account and application."""


def word(text: object) -> str:
    """The text if it has the form of an identifier, else ``other``, so no sentence becomes a
    label."""
    return text if isinstance(text, str) and _WORD.fullmatch(text) else OTHER


@dataclass(frozen=True)
class CounterValues:
    """The counts at one moment: events by name, and per application what happened how often."""

    events: Mapping[str, int]
    rotations: Mapping[About, Mapping[str, int]]
    given_up: Mapping[About, Mapping[str, int]]
    failed: Mapping[About, Mapping[str, int]]
    revoked: Mapping[About, int]


class EventCounters:
    """Counts events and forwards them to ``sink``. Thread-safe; never raises."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._modes: dict[About, tuple[str, str]] = {}
        # The events of the logs about themselves do not pass through here.
        self._events: Counter[str] = Counter(
            dict.fromkeys(CATALOGUE.keys() - {"logs.dropped", "logs.journal_unavailable"}, 0)
        )
        self._rotations: dict[About, Counter[str]] = {}
        self._given_up: dict[About, Counter[str]] = {}
        self._failed: dict[About, Counter[str]] = {}
        self._revoked: Counter[About] = Counter()

    def emit(self, event: str, **fields: object) -> None:
        """Counts one event and forwards it."""
        with self._lock:
            if event in self._events:
                self._events[event] += 1
            about = str(fields.get("account", "")), str(fields.get("application", ""))
            if all(about):
                self._count(event, about, fields)
        self._sink.emit(event, **fields)

    def _count(self, event: str, about: About, fields: dict[str, object]) -> None:
        match event:
            case "rotation.claimed":
                self._modes[about] = str(fields.get("rotation_id")), str(fields.get("mode"))
            case "rotation.committed":
                rotation, mode = self._modes.get(about, ("", ""))
                known = rotation == fields.get("rotation_id") and mode in MODES
                self._rotations.setdefault(about, Counter())[mode if known else OTHER] += 1
            case "rotation.abandoned":
                _add(self._given_up, about, fields.get("reason"))
            case "pass.failed":
                _add(self._failed, about, fields.get("reason"))
            case "pass.crashed":
                _add(self._failed, about, "crashed")
            case "key.revoked":
                self._revoked[about] += 1

    def counts(self) -> CounterValues:
        """The counts at this moment."""
        with self._lock:
            return CounterValues(
                dict(self._events),
                _copied(self._rotations),
                _copied(self._given_up),
                _copied(self._failed),
                dict(self._revoked),
            )


def _add(where: dict[About, Counter[str]], about: About, cause: object) -> None:
    counts = where.setdefault(about, Counter())
    name = word(cause)
    counts[name if name in counts or len(counts) < MOST_CAUSES else OTHER] += 1


def _copied(counts: Mapping[About, Counter[str]]) -> dict[About, dict[str, int]]:
    return {about: dict(found) for about, found in counts.items()}
