"""What the login may do, asked for many paths at a time and remembered for a few minutes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from rotator.vault.connection import VaultConnection
from rotator.vault.mounts import Mounts
from rotator.vault.policy import Right, needed
from rotator.vault.responses import Reply, failure

NEEDED = needed("document", "data")

REMEMBERED = 300.0
"""Seconds for which an answer is good, within one login."""

AT_ONCE = 300
"""Paths in one call; a server takes about a thousand texts in one request."""


class Capabilities:
    """The capabilities that are missing, by path. Thread-safe."""

    def __init__(
        self, connection: VaultConnection, mounts: Mounts, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection
        self._mounts = mounts
        self._clock = clock
        self._lock = threading.Lock()
        self._asking_for_many = threading.Lock()
        self._watched: tuple[str, ...] = ()
        self._granted: dict[str, tuple[int, float, frozenset[str]]] = {}
        self._missing: dict[str, tuple[int, float, tuple[str, ...]]] = {}

    def watch(self, paths: Sequence[str]) -> None:
        """The paths to ask for together with any one of them."""
        with self._lock:
            self._watched = tuple(paths)

    def missing(self, path: str) -> tuple[str, ...]:
        """What is missing of read, create and update on the path."""
        known = self._known(path)
        return self._ask(path) if known is None else known

    def lacking(self, rights: Sequence[Right]) -> tuple[Right, ...]:
        """Those of the rights that are not complete, each with what it lacks. What is not known is
        asked for in one call."""
        granted = self._granted_on([right.path for right in rights])
        found = (
            (right, tuple(one for one in right.capabilities if one not in granted[right.path])) for right in rights
        )
        return tuple(replace(right, capabilities=lacking) for right, lacking in found if lacking)

    def _granted_on(self, paths: Sequence[str]) -> dict[str, frozenset[str]]:
        now = self._clock()
        with self._lock:
            known = {
                path: granted
                for path in paths
                if (entry := self._granted.get(path)) and entry[0] == self._connection.generation and now < entry[1]
                for granted in (entry[2],)
            }
        if unknown := [path for path in dict.fromkeys(paths) if path not in known]:
            fresh = self._asked(unknown)
            with self._lock:
                entry_of = (self._connection.generation, now + REMEMBERED)
                self._granted |= {path: (*entry_of, granted) for path, granted in fresh.items()}
            known |= fresh
        return known

    def _asked(self, paths: Sequence[str]) -> dict[str, frozenset[str]]:
        reply = self._connection.capabilities(list(paths))
        if not reply.ok:
            raise failure(reply, path="sys/capabilities-self", capability="update", writing=False)
        return {path: _granted(reply, path) for path in paths}

    def _known(self, path: str) -> tuple[str, ...] | None:
        with self._lock:
            generation, until, missing = self._missing.get(path, (0, 0.0, ()))
        fresh = generation == self._connection.generation and self._clock() < until
        return missing if fresh else None

    def _ask(self, path: str) -> tuple[str, ...]:
        """Ask for this path; the first caller asks for the others as well, so that not every thread
        asks for all of them."""
        if not self._asking_for_many.acquire(blocking=False):
            return self._asked_for(path, ())
        try:
            return self._asked_for(path, self._watched)
        finally:
            self._asking_for_many.release()

    def _asked_for(self, path: str, others: Sequence[str]) -> tuple[str, ...]:
        asked = {self._data_path(path): path}
        for other in others:
            if len(asked) < AT_ONCE and self._mounts.known(other) and self._known(other) is None:
                asked[self._data_path(other)] = other
        fresh = self._asked(list(asked))
        entry = (self._connection.generation, self._clock() + REMEMBERED)
        with self._lock:
            for data_path, document in asked.items():
                lacking = tuple(need for need in NEEDED if need not in fresh[data_path])
                self._missing[document] = (*entry, lacking)
            return self._missing[path][2]

    def _data_path(self, path: str) -> str:
        mount, inside = self._mounts.split(path)
        return f"{mount}/data/{inside}"


EVERYTHING = frozenset({"create", "read", "update", "patch", "delete", "list"})
"""What a root token may do."""


def _granted(reply: Reply, path: str) -> frozenset[str]:
    said = reply.data.get(path, reply.body.get(path))
    granted = frozenset(map(str, said)) if isinstance(said, list) else frozenset[str]()
    return EVERYTHING if "root" in granted else granted
