"""The presences of daemons, below ``ledger_path``: one small document for each place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rotator.domain.document import DocumentState
from rotator.domain.presence import MAX_DAEMONS, StoredPresence
from rotator.vault.decoding import state_of
from rotator.vault.kv_calls import KvCalls
from rotator.vault.responses import mapping


class PresenceDocuments:
    """Reads and writes them. Nothing depends on how new an answer is: a presence that is read late
    only counts as older than it is. Thread-safe."""

    def __init__(self, kv: KvCalls, prefix: str) -> None:
        self._kv = kv
        self._path = f"{prefix}/daemons"

    def read_presences(self) -> tuple[StoredPresence, ...]:
        """What is stored at each place that was ever used. Other names below the path are
        ignored."""
        listed = self._kv.names(self._path)
        places = [place for place in range(1, MAX_DAEMONS + 1) if str(place) in listed]
        return tuple(found for place in places if (found := self._read(place)) is not None)

    def write_presence(self, place: int, content: Mapping[str, Any], *, cas: int) -> None:
        """Write it if the version at that place is still ``cas`` (0: none)."""
        self._kv.write(f"{self._path}/{place}", content, cas)

    def _read(self, place: int) -> StoredPresence | None:
        reply = self._kv.read(f"{self._path}/{place}")
        state, version, created = state_of(reply)
        if state is DocumentState.ABSENT:
            return None
        content = mapping(reply.data.get("data")) if state is DocumentState.LIVE else {}
        return StoredPresence(place, version, created, content)
