"""The runtime in force, and those before it: each is closed when no pass and no request uses it any
more."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rotator.daemon.daemon_runtime import DaemonRuntime

LOGOUT_TIMEOUT = 3.0
"""Seconds that the end of the daemon waits for each login to be given back."""


class RuntimeLeases:
    """Lends the runtime in force. ``used`` yields the runtimes that passes use, also those that
    they will use next.

    Its lock guards the leases alone and is held for no call, so a request never waits for a pass, a
    reload or a logout.
    """

    def __init__(self, runtime: DaemonRuntime, used: Callable[[], Iterator[DaemonRuntime]]) -> None:
        self.current = runtime
        self._used = used
        self._old: list[DaemonRuntime] = []
        self._leases: Counter[int] = Counter()
        self._lock = threading.Lock()

    def replace(self, runtime: DaemonRuntime) -> None:
        """Lend this one from now on."""
        with self._lock:
            self._old.append(self.current)
            self.current = runtime

    @contextmanager
    def lease(self) -> Iterator[DaemonRuntime]:
        """The runtime in force, which is not closed before it is given back, whatever a reload
        brings meanwhile."""
        with self._lock:
            runtime = self.current
            self._leases[id(runtime)] += 1
        try:
            yield runtime
        finally:
            with self._lock:
                self._leases[id(runtime)] -= 1
            self.close_unused()

    def close_unused(self) -> None:
        """Close the runtimes before the current one that nothing uses any more."""
        if not self._old:
            return
        used = {id(runtime) for runtime in self._used()}
        with self._lock:
            unused = [one for one in self._old if id(one) not in used and not self._leases[id(one)]]
            self._old = [one for one in self._old if all(one is not other for other in unused)]
        for runtime in unused:
            _log_out(runtime)

    def close(self) -> None:
        """Close all of them; waits a moment for each."""
        for thread in [_log_out(runtime) for runtime in (*self._old, self.current)]:
            thread.join(LOGOUT_TIMEOUT)


def _log_out(runtime: DaemonRuntime) -> threading.Thread:
    """Closing asks Vault to revoke the login, which may take as long as any call; no worker waits
    for it."""
    thread = threading.Thread(target=runtime.close, name="logout", daemon=True)
    thread.start()
    return thread
