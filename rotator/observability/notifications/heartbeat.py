"""The heartbeat: one request, in a thread of its own, and never two at once."""

from __future__ import annotations

import threading
from datetime import timedelta

from rotator.domain.ports import EventSink
from rotator.errors import RotatorError
from rotator.http import HttpClient, HttpFailure
from rotator.observability.notifications.settings import HeartbeatSettings

TIMEOUT = timedelta(seconds=10)
"""How long one ping may take, all in all."""


class HeartbeatClient:
    """Sends heartbeats. A change is reported: the first that arrives, the first that does not."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._under_way: threading.Thread | None = None
        self._trouble: str | None = "never sent"

    def send(self, ping: HeartbeatSettings) -> None:
        """Begin one ping, unless the last one is still under way. Returns at once."""
        if self._under_way is None or not self._under_way.is_alive():
            self._under_way = threading.Thread(target=self._send, args=(ping,), name="ping", daemon=True)
            self._under_way.start()

    def wait(self) -> None:
        """Return when the ping that is under way has ended, within its bound."""
        if self._under_way is not None:
            self._under_way.join(TIMEOUT.total_seconds() + 1)

    def _send(self, ping: HeartbeatSettings) -> None:
        problem = _try(ping)
        if problem == self._trouble:
            return
        self._trouble = problem
        if problem:
            self._sink.emit("heartbeat.failed", message=problem)
        else:
            self._sink.emit("heartbeat.sent")


def _try(ping: HeartbeatSettings) -> str | None:
    """What went wrong, in words that hold nothing of the address; None when the service accepted
    it."""
    try:
        client = HttpClient(timeout=TIMEOUT, connections=1, ca_cert=ping.ca_cert, proxy=ping.proxy)
        try:
            answer = client.request("GET", ping.address().reveal())
        finally:
            client.close()
    except (HttpFailure, RotatorError) as error:
        return str(error)
    return None if 200 <= answer.status < 300 else f"the switch answered {answer.status}"
