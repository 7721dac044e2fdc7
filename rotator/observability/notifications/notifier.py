"""An event sink that forwards every event, and sends messages and heartbeats in its own threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from rotator.domain.ports import EventSink
from rotator.domain.secret import Secret
from rotator.errors import RotatorError
from rotator.observability.notifications import transport as services
from rotator.observability.notifications.digest import Digest, Message, sample_message
from rotator.observability.notifications.heartbeat import HeartbeatClient
from rotator.observability.notifications.settings import SILENT, NotificationSettings

RETRY_DELAYS = (0.0, 10.0, 40.0)
"""Seconds before each attempt to send a message; then it is dropped."""

SHUTDOWN_TIMEOUT = 5.0
"""Seconds that the shutdown waits for the last message."""

Send = Callable[[Callable[[], Secret], Message], None]


class Notifier:
    """Forwards every event to ``sink``, turns some into messages, and sends heartbeats. ``send``
    delivers one message to one service."""

    def __init__(self, sink: EventSink, settings: NotificationSettings = SILENT, *, send: Send | None = None) -> None:
        self._sink = sink
        self._send = send or self._send_by_settings
        self._settings = settings
        self._digest = Digest(settings.name, settings.notify_every.total_seconds())
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost: dict[str, int] = {}
        self._heartbeat_client = HeartbeatClient(sink)

    @property
    def settings(self) -> NotificationSettings:
        """The settings in force."""
        return self._settings

    def apply_runtime(self, settings: NotificationSettings) -> None:
        """Applies new settings. Reported items are not reported again."""
        with self._changed:
            self._settings = settings
            self._digest.name, self._digest.every = settings.name, settings.notify_every.total_seconds()

    def emit(self, event: str, **fields: object) -> None:
        """Forwards one event, and adds it to the next message if it is worth one. Never raises,
        never blocks."""
        self._sink.emit(event, **fields)
        if self._settings.targets:
            self._note(event, fields)

    def _note(self, event: str, fields: Mapping[str, object]) -> None:
        with self._changed:
            self._digest.note(event, fields, time.monotonic())
            if self._digest.ready_at() is None or self._closing.is_set():
                return
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="alarm", daemon=True)
                self._thread.start()
            self._changed.notify()

    def ping(self, *, wait: bool = False) -> None:
        """Sends the heartbeat, if one is configured. Returns at once; with ``wait``, when it was
        sent or failed."""
        if self._settings.ping is not None:
            self._heartbeat_client.send(self._settings.ping)
            if wait:
                self._heartbeat_client.wait()

    def close(self) -> None:
        """Sends the pending message once and ends, within a few seconds."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(SHUTDOWN_TIMEOUT)

    # --- the thread -------------------------------------------------------------------------------

    def _run(self) -> None:
        while (message := self._next()) is not None:
            self._deliver(message)

    def _next(self) -> Message | None:
        """The next message when it is due; at the end the last one, then None."""
        with self._changed:
            while not self._closing.is_set():
                at = self._digest.ready_at()
                if at is not None and at <= time.monotonic():
                    break
                self._changed.wait(None if at is None else at - time.monotonic())
            return self._digest.take(time.monotonic())

    def _deliver(self, message: Message) -> None:
        targets, problems = dict(self._settings.targets), dict[str, str]()
        for attempt, pause in enumerate(RETRY_DELAYS, 1):
            if attempt > 1 and self._closing.wait(pause):
                break
            problems = self._attempt(message, {name: targets[name] for name in (problems or targets)})
            if not problems:
                return
        for name, problem in problems.items():
            self._lost[name] = self._lost.get(name, 0) + 1
            self._sink.emit("notification.failed", target=name, message=problem)

    def _send_by_settings(self, address: Callable[[], Secret], message: Message) -> None:
        services.send(address, message, allow_http=self._settings.allow_http)

    def _attempt(self, message: Message, targets: Mapping[str, Callable[[], Secret]]) -> dict[str, str]:
        """The targets that did not accept the message, and why."""
        problems = {}
        for name, address in targets.items():
            try:
                self._send(address, message.after_lost(self._lost.get(name, 0)))
            except RotatorError as error:
                problems[name] = str(error)
            else:
                self._lost.pop(name, None)
        return problems


def send_test(settings: NotificationSettings, target: str) -> None:
    """Sends a test message to one target, once. Raises ``RotatorError`` if it is not accepted."""
    services.send(settings.targets[target], sample_message(settings.name), allow_http=settings.allow_http)
