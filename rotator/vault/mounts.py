"""Which mount a path belongs to, with the proof that it is KV version 2.

A KV version 1 mount takes the calls of version 2 for ordinary paths, ignores check-and-set and
answers 204, so nothing is read or written before Vault itself has said what the mount is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rotator.errors import PermissionDenied, Rejected, Unavailable
from rotator.util.formatting import identifier
from rotator.vault.policy import first_segment, policy_line
from rotator.vault.responses import SERVICE, Reply, failure, mapping

PROOF_LASTS = 300.0
"""Seconds for which a proof is good. Mounts do not change their version from one minute to the
next."""


class Mounts:
    """The mounts that were proven, asked for with ``ask(path)`` when they are needed.
    Thread-safe."""

    def __init__(self, ask: Callable[[str], Reply], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._proven: dict[str, float] = {}

    def split(self, path: str) -> tuple[str, str]:
        """The mount and the path inside it. A mount may have slashes in its name, so only Vault can
        tell."""
        found = self._known(path)
        if found is None:
            found = self._verify(path)
        return found, path[len(found) + 1 :]

    def known(self, path: str) -> bool:
        """Whether the path is in a mount that is proven now."""
        return self._known(path) is not None

    def forget(self, mount: str) -> None:
        """Do not trust the proof any more: the mount answered as no KV version 2 would."""
        with self._lock:
            self._proven.pop(mount, None)

    def _known(self, path: str) -> str | None:
        now = self._clock()
        parts = path.split("/")
        with self._lock:
            for length in range(1, len(parts)):
                mount = "/".join(parts[:length])
                if self._proven.get(mount, 0.0) > now:
                    return mount
        return None

    def _verify(self, path: str) -> str:
        reply = self._ask(path)
        if not reply.ok:
            raise _unproven(reply, path)
        mount = str(reply.data.get("path", "")).strip("/")
        if not mount or not path.startswith(f"{mount}/"):
            raise Unavailable(
                f"Vault did not say which mount holds {path}: try again later", service=SERVICE, kind="server_error"
            )
        kind, version = reply.data.get("type"), mapping(reply.data.get("options")).get("version", "1")
        if kind != "kv" or str(version) != "2":
            raise _not_kv2(mount, identifier(kind), identifier(version))
        with self._lock:
            self._proven[mount] = self._clock() + PROOF_LASTS
        return mount


def _unproven(reply: Reply, path: str) -> Exception:
    error = failure(reply, path=path, capability="read", writing=False)
    if not isinstance(error, PermissionDenied):
        return error
    mount, inside = first_segment(path)
    needed = f"{mount}/data/{inside}"
    return PermissionDenied(
        f"Vault has no mount for {path}, or the policy of the login gives nothing on it: check the name of the mount "
        f"and the namespace, or add {policy_line(needed, ('read',))}",
        service=SERVICE,
        kind="policy",
        path=needed,
        capability="read",
    )


def _not_kv2(mount: str, kind: str, version: str) -> Rejected:
    what = f"is KV version {version}, which ignores check-and-set" if kind == "kv" else f"is of type {kind}"
    remedy = (
        f"upgrade it with `bao kv enable-versioning {mount}`, or name another mount"
        if kind == "kv"
        else "name a KV version 2 mount"
    )
    return Rejected(f"the Vault mount {mount}/ {what}: {remedy}", service=SERVICE, kind="not_kv2", argument=mount)
