"""Sends the heartbeat: one request at a time, in its own thread."""

from __future__ import annotations

import threading
from datetime import timedelta

from rotator.domain.ports import EventSink
from rotator.errors import RotatorError
from rotator.http import HttpClient, HttpFailure
from rotator.observability.notifications.settings import HeartbeatSettings
from rotator.system.file_permissions import open_file

TIMEOUT = timedelta(seconds=10)
"""Time limit of one heartbeat."""


class HeartbeatClient:
    """Sends heartbeats. Reports changes: the first that arrives, the first that does not."""

    def __init__(self, sink: EventSink) -> None:
        self._sink = sink
        self._under_way: threading.Thread | None = None
        self._problem: str | None = "never sent"

    def send(self, settings: HeartbeatSettings) -> None:
        """Starts one heartbeat, unless the last one is still running. Returns at once."""
        if self._under_way is None or not self._under_way.is_alive():
            self._under_way = threading.Thread(target=self._send, args=(settings,), name="ping", daemon=True)
            self._under_way.start()

    def wait(self) -> None:
        """Waits for the running heartbeat, at most its time limit."""
        if self._under_way is not None:
            self._under_way.join(TIMEOUT.total_seconds() + 1)

    def _send(self, settings: HeartbeatSettings) -> None:
        problem = _request(settings)
        if problem == self._problem:
            return
        self._problem = problem
        if problem:
            self._sink.emit("heartbeat.failed", message=problem)
        else:
            self._sink.emit("heartbeat.sent")


def _request(settings: HeartbeatSettings) -> str | None:
    """The problem, without parts of the address; None if the service accepted the heartbeat."""
    try:
        client = HttpClient(
            timeout=TIMEOUT, connections=1, ca_cert=settings.ca_cert, opener=open_file, proxy=settings.proxy
        )
        try:
            answer = client.request("GET", settings.address().reveal())
        finally:
            client.close()
    except (HttpFailure, RotatorError) as error:
        return str(error)
    return None if 200 <= answer.status < 300 else f"the service answered {answer.status}"
