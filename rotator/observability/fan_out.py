"""An event sink with subscribers. Emitting never blocks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Protocol

from rotator.domain.ports import EventSink


class Subscriber(Protocol):
    """A receiver of every event."""

    def put(self, line: Mapping[str, Any]) -> None:
        """Takes one event. Never blocks, never raises."""


class FanOutSink:
    """An event sink that forwards every event to ``sink`` and to all subscribers."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._listeners: tuple[Subscriber, ...] = ()
        self._lock = threading.Lock()

    def emit(self, event: str, **fields: object) -> None:
        """Forwards one event."""
        self._sink.emit(event, **fields)
        for listener in self._listeners:
            listener.put({"event": event, **fields})

    def listen(self, listener: Subscriber) -> None:
        """Adds a subscriber."""
        with self._lock:
            self._listeners = (*self._listeners, listener)

    def leave(self, listener: Subscriber) -> None:
        """Removes a subscriber."""
        with self._lock:
            self._listeners = tuple(other for other in self._listeners if other is not listener)
