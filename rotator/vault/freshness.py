"""Rule 14: reads may be stale, because standby nodes answer from behind the leader.

Two nets. The server's own: the highest ``X-Vault-Index`` seen is sent back, and a node that has not
caught up with it passes the request on to the active one (a lone server and older ones send no
index, and need none). And that of this module: a version below one that this process has read or
written is no observation.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading

INDEX = "X-Vault-Index"


class Freshness:
    """The highest index seen, to be sent with every request. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._index = ""

    def headers(self) -> dict[str, str]:
        """What to send so that the answer is at least as new as all before."""
        return {INDEX: self._index, "X-Vault-Inconsistent": "forward-active-node"} if self._index else {}

    def saw(self, index: str | None) -> None:
        """Remember an index that came with an answer, unless it is behind the one that is
        remembered."""
        if not index:
            return
        with self._lock:
            if not _behind(index, self._index):
                self._index = index


def _behind(new: str, old: str) -> bool:
    """Whether both speak of the same cluster and ``new`` is the older one. What cannot be compared
    is not behind."""
    (new_cluster, new_position), (old_cluster, old_position) = _parse(new), _parse(old)
    return new_cluster == old_cluster and new_position < old_position


def _parse(index: str) -> tuple[str, tuple[int, ...]]:
    """The cluster and the position in its log: OpenBao sends JSON, Vault
    ``v1:CLUSTER:LOCAL:REPLICATED:…``, both in Base64."""
    try:
        text = base64.b64decode(index, validate=True).decode()
        if text.startswith("{"):
            said = json.loads(text)
            return str(said["cluster"]), (int(said["value"]),)
        _, cluster, local, replicated, *_ = text.split(":")
        return cluster, (int(local), int(replicated))
    except (binascii.Error, UnicodeDecodeError, ValueError, KeyError, TypeError):
        return "", ()


class MinVersions:
    """The highest version seen of each document, by path. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._floors: dict[str, int] = {}

    def reached(self, path: str, version: int) -> bool:
        """Whether this version is no older than any seen before; if so it is the new floor."""
        with self._lock:
            if version < self._floors.get(path, 0):
                return False
            self._floors[path] = version
            return True
