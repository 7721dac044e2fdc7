"""The calls of KV version 2, one function each, with what every one of them must see to: mounts,
stale nodes, refused check-and-sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from rotator.domain.document import DocumentState
from rotator.errors import (
    Conflict,
    Indeterminate,
    PermissionDenied,
    Rejected,
    ServiceError,
    Unavailable,
)
from rotator.vault.connection import VaultConnection
from rotator.vault.decoding import count_of, parse_time, state_of
from rotator.vault.expiry import delete_version_after, lifetime_of
from rotator.vault.freshness import MinVersions
from rotator.vault.mounts import Mounts
from rotator.vault.responses import SERVICE, Reply, failure

STALE_READ_DELAYS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between the looks at a document that is older than it was, before it is called stale."""


class KvCalls:
    """Reads and writes documents of KV version 2 at MOUNT/PATH. Thread-safe."""

    def __init__(self, connection: VaultConnection, sleep: Callable[[float], None]) -> None:
        self.connection = connection
        self.mounts = Mounts(connection.ask_mount)
        self._sleep = sleep
        self._floors = MinVersions()

    def clock_offset(self) -> timedelta:
        """Vault's clock minus this machine's, from the latest answer; zero before the first."""
        return self.connection.clock_offset()

    def current(self, path: str) -> tuple[Reply, DocumentState, int]:
        """A read of the current version that is at least as new as anything seen of that path
        before (rule 14)."""
        for pause in (*STALE_READ_DELAYS, None):
            reply = self.read(path)
            state, version, _ = state_of(reply)
            if self._floors.reached(path, version):
                return reply, state, version
            if pause is not None:
                self._sleep(pause)
        raise Unavailable(
            f"Vault answers for {path} with a version older than one seen before: a node is behind, or the document "
            "was restored or recreated; check that, then restart rotator",
            service=SERVICE,
            kind="stale",
        )

    def read(self, path: str, version: int | None = None) -> Reply:
        """One version of a document, the newest without ``version``."""
        mount, inside = self.mounts.split(path)
        reply: Reply = self.connection.kv.read_secret_version(inside, version, mount, raise_on_deleted_version=True)
        if reply.ok or reply.nothing_there:
            return reply
        raise self._failed(reply, mount, inside, "read", writing=False)

    def names(self, path: str) -> list[str]:
        """The names directly below a path; empty if there is nothing."""
        mount, inside = self.mounts.split(path)
        reply: Reply = self.connection.kv.list_secrets(inside, mount_point=mount)
        if reply.nothing_there:
            return []
        if not reply.ok:
            raise failure(reply, path=f"{mount}/metadata/{inside}", capability="list", writing=False)
        names = reply.data.get("keys")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise Unavailable(
                f"Vault answered the list of {path} without the names in it: try again later",
                service=SERVICE,
                kind="unreadable",
            )
        return names

    def write(self, path: str, data: Mapping[str, Any], cas: int) -> tuple[int, datetime]:
        """Write the document if its version is still ``cas``; the new version and its created
        time."""
        mount, inside = self.mounts.split(path)
        reply: Reply = self.connection.kv.create_or_update_secret(inside, dict(data), cas, mount)
        if reply.cas_mismatch:
            raise self._judged_mismatch(path, cas)
        if not reply.ok:
            raise self._failed(reply, mount, inside, "update" if cas else "create", writing=True)
        version, created = count_of(reply.data.get("version")), parse_time(reply.data.get("created_time"))
        if reply.status == 204:
            self.mounts.forget(mount)
            raise Rejected(
                f"the Vault mount {mount}/ is not KV version 2 any more",
                service=SERVICE,
                kind="not_kv2",
                argument=mount,
            )
        if not version or created is None:
            raise Indeterminate(
                f"Vault answered the write of {path} without a version: look at it", service=SERVICE, kind="unreadable"
            )
        self._floors.reached(path, version)
        return version, created

    def _judged_mismatch(self, path: str, cas: int) -> ServiceError:
        """A refused check-and-set is a conflict only after a fresh read says so too."""
        for pause in (*STALE_READ_DELAYS, None):
            _, version, _ = state_of(self.read(path))
            if version != cas:
                return Conflict(
                    f"another process or person wrote {path} first: it is at version {version}, not {cas}",
                    service=SERVICE,
                    kind="conflict",
                )
            if pause is not None:
                self._sleep(pause)  # the leader knows of a version that the node that answers may not have yet
        return Unavailable(
            f"Vault refused the write of {path} because of its version and then showed that very version: try again "
            "later",
            service=SERVICE,
            kind="stale",
        )

    def _failed(self, reply: Reply, mount: str, inside: str, capability: str, *, writing: bool) -> ServiceError:
        if reply.status == 404:
            self.mounts.forget(mount)
        return failure(reply, path=f"{mount}/data/{inside}", capability=capability, writing=writing)

    def metadata(self, path: str) -> Mapping[str, Any]:
        """The metadata of a document, empty when there is none."""
        mount, inside = self.mounts.split(path)
        reply: Reply = self.connection.kv.read_secret_metadata(inside, mount_point=mount)
        if not reply.ok and not reply.nothing_there:
            raise failure(reply, path=f"{mount}/metadata/{inside}", capability="read", writing=False)
        return reply.data

    def expired(self, path: str, reply: Reply) -> bool:
        """Whether Vault deleted what it answers with because of ``delete_version_after``."""
        lifetime = lifetime_of(reply)
        return lifetime is not None and lifetime.expired(self.delete_version_after(path))

    def delete_version_after(self, path: str) -> tuple[timedelta, ...]:
        """After how long Vault deletes versions of the document, as its metadata and its mount say;
        empty where it never does, and where the policy does not allow the call."""
        mount, _ = self.mounts.split(path)
        found: list[timedelta | None] = []
        with suppress(PermissionDenied):
            found.append(delete_version_after(self.metadata(path)))
        reply: Reply = self.connection.kv.read_configuration(mount_point=mount)
        if reply.ok:
            found.append(delete_version_after(reply.data))
        return tuple(limit for limit in found if limit)


def name_in_path(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")
