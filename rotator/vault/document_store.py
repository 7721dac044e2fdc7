"""The credential documents, wherever their consumers read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.secret import Secret
from rotator.errors import (
    NotFound,
)
from rotator.vault.decoding import VersionInfo, count_of, document_of, versions_of
from rotator.vault.kv_calls import KvCalls
from rotator.vault.responses import SERVICE, Reply, failure, mapping

USUAL_MAX_VERSIONS = 10
"""What KV version 2 keeps when neither the document nor the mount says a number."""

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


class DocumentStore:
    """Credential documents by path. Thread-safe."""

    def __init__(self, kv: KvCalls) -> None:
        self._kv = kv

    def read_document(self, path: str, access_field: str, secret_field: str) -> CredentialDocument:
        """The current version of a credential document, or its absence, or that it was deleted
        (with its version)."""
        reply, state, _ = self._kv.current(path)
        document = document_of(reply, access_field, secret_field)
        if state is DocumentState.DELETED:
            return replace(document, expired=self._kv.expired(path, reply))
        return document

    def read_version(self, path: str, version: int, access_field: str, secret_field: str) -> CredentialDocument:
        """One version; ABSENT with the version asked for when it was pruned or never was."""
        document = document_of(self._kv.read(path, version), access_field, secret_field)
        return CredentialDocument(version, DocumentState.ABSENT) if document.state is DocumentState.ABSENT else document

    def write_document(self, path: str, fields: Mapping[str, Any], *, cas: int) -> tuple[int, datetime]:
        """Write the credential document if its version is still ``cas``; the new version and its
        created time."""
        plain = {name: value.reveal() if isinstance(value, Secret) else value for name, value in fields.items()}
        return self._kv.write(path, plain, cas)

    def read_field(self, path: str, field: str) -> Secret:
        """One field of a document, for a reference such as ``vault:MOUNT/PATH#FIELD``."""
        reply, state, _ = self._kv.current(path)
        value = mapping(reply.data.get("data")).get(field) if state is DocumentState.LIVE else None
        if not isinstance(value, str) or not value:
            raise NotFound(
                f"there is no text at {path}#{field} in Vault: check the reference", service=SERVICE, kind="no_field"
            )
        return Secret(value)

    def annotate(self, path: str, values: Mapping[str, str]) -> None:
        """Merge into the document's custom metadata, for people who look. A caller may ignore
        that it failed."""
        mount, inside = self._kv.mounts.split(path)
        reply = self._kv.connection.patch(
            f"/v1/{mount}/metadata/{inside}", {"custom_metadata": dict(values)}, MERGE_PATCH
        )
        if not reply.ok:
            raise failure(reply, path=f"{mount}/metadata/{inside}", capability="patch", writing=True)

    def list_versions(self, path: str) -> tuple[VersionInfo, ...]:
        """The versions of a document that Vault still knows, oldest first."""
        return versions_of(self._kv.metadata(path))

    def destroy_versions(self, path: str, versions: Sequence[int]) -> None:
        """Destroy the data of these versions for good."""
        mount, inside = self._kv.mounts.split(path)
        reply: Reply = self._kv.connection.kv.destroy_secret_versions(inside, list(versions), mount_point=mount)
        if not reply.ok:
            raise failure(reply, path=f"{mount}/destroy/{inside}", capability="update", writing=True)

    def requires_check_and_set(self, path: str) -> bool:
        """Whether Vault refuses a write without check-and-set: the document's setting or its
        mount's."""
        if self._kv.metadata(path).get("cas_required"):
            return True
        mount, _ = self._kv.mounts.split(path)
        reply: Reply = self._kv.connection.kv.read_configuration(mount_point=mount)
        return bool(reply.ok and reply.data.get("cas_required"))

    def document_limits(self, path: str) -> int:
        """How many versions of a document Vault keeps: its own number, else its mount's, else the
        usual one."""
        own = count_of(self._kv.metadata(path).get("max_versions"))
        if own:
            return own
        mount, _ = self._kv.mounts.split(path)
        reply: Reply = self._kv.connection.kv.read_configuration(mount_point=mount)
        if not reply.ok:
            raise failure(reply, path=f"{mount}/config", capability="read", writing=False)
        return count_of(reply.data.get("max_versions")) or USUAL_MAX_VERSIONS
