"""Requests to read the configuration again, from SIGHUP and from the control API, in one queue that
the main loop empties."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue

from rotator.errors import Unavailable
from rotator.operations.daemon_handle import ReloadResult

ReloadRequest = Future[ReloadResult]
"""One request; it holds the result of the reload that answers it, or the error."""


class ReloadRequests:
    """The queue. ``wake`` makes the main loop look at it. Thread-safe; waits for nothing."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.stopping = threading.Event()
        self._wake = wake
        self._queue: SimpleQueue[ReloadRequest] = SimpleQueue()

    def put(self) -> ReloadRequest:
        """Request a reload. One reload answers every request that was put before it began to read
        the file."""
        request: ReloadRequest = Future()
        self._queue.put(request)
        if self.stopping.is_set():
            self._refuse()
        self._wake()
        return request

    def waiting(self) -> bool:
        """Whether a reload is requested that has not begun."""
        return not self._queue.empty()

    def take(self) -> list[ReloadRequest]:
        """The requests that the reload which begins now answers, except those that their callers
        have cancelled."""
        taken = []
        while True:
            try:
                taken.append(self._queue.get_nowait())
            except Empty:
                # A future that runs can no longer be cancelled by a caller, so its result can
                # always be set.
                return [request for request in taken if request.set_running_or_notify_cancel()]

    def stop(self) -> None:
        """Refuse every request from now on, and those that no reload has answered."""
        self.stopping.set()
        self._refuse()

    def _refuse(self) -> None:
        for request in self.take():
            request.set_exception(
                Unavailable(
                    "the daemon is stopping: the new configuration is read at its next start",
                    service="daemon",
                    kind="stopping",
                )
            )
