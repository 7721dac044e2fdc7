"""What KV version 2 answers to a read, as a ``CredentialDocument``; and a few facts from a
document's metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeGuard

from rotator.domain.document import ABSENT, CredentialDocument, DocumentState
from rotator.domain.secret import Secret
from rotator.domain.secret_form import SECRET_OF_A_KEY
from rotator.errors import Rejected
from rotator.util.instants import clamp
from rotator.vault.responses import SERVICE, Reply, mapping

LAST_VERSION = 2**53 - 1
"""The largest number that every reader of JSON holds exactly."""


@dataclass(frozen=True)
class VersionInfo:
    """One version of a document, from its metadata."""

    version: int
    created_time: datetime
    deleted: bool
    destroyed: bool = False


def parse_time(text: Any) -> datetime | None:
    """A time of Vault's, which has nanoseconds, in UTC and within bounds; None for anything
    else."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return clamp(time) if time.tzinfo else None


def _is_version(value: Any) -> TypeGuard[int]:
    """Whether the value is the number of a version that Vault can have counted to."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LAST_VERSION


def count_of(value: Any) -> int:
    """A number of a version, or of versions, as Vault says it; zero for what is none."""
    return value if _is_version(value) else 0


def state_of(reply: Reply) -> tuple[DocumentState, int, datetime | None]:
    """Whether a read found something, with the version and its time.

    The same 404 answers for nothing (no data) and for a deleted version (data with metadata); the
    caller has looked at all other statuses.
    """
    metadata = mapping(reply.data.get("metadata"))
    version = metadata.get("version")
    if not _is_version(version):
        if reply.nothing_there:
            return DocumentState.ABSENT, 0, None
        raise Rejected(
            "Vault answered a read without the version that KV version 2 gives: check the mount and the address",
            service=SERVICE,
            kind="not_kv2",
        )
    state = DocumentState.LIVE if reply.ok else DocumentState.DELETED
    return state, version, parse_time(metadata.get("created_time"))


def document_of(reply: Reply, access_field: str, secret_field: str) -> CredentialDocument:
    """The credential document in a reply, with its secret apart."""
    state, version, created = state_of(reply)
    if state is DocumentState.ABSENT:
        return ABSENT
    if state is DocumentState.DELETED:
        return CredentialDocument(version=version, state=state, created_time=created)
    document = credential_document(version, created, mapping(reply.data.get("data")), access_field, secret_field)
    return replace(document, expires_at=parse_time(mapping(reply.data.get("metadata")).get("deletion_time")))


def credential_document(
    version: int, created: datetime | None, data: Mapping[str, Any], access_field: str, secret_field: str
) -> CredentialDocument:
    """A live credential document that holds these fields, with its secret apart.

    A document that has one of the two fields and not the other, or holds something else than text
    in them, or a text that cannot be a key's secret, is damaged: it keeps an access key (perhaps an
    empty one) and has no secret. It is never taken for one without a key, and what it holds
    as a secret is never masked in the texts of others.
    """
    fields = dict(data)
    secret = fields.pop(secret_field, None)
    access_key = fields.get(access_field)
    if access_key in (None, "") and secret in (None, ""):
        return CredentialDocument(version, DocumentState.LIVE, created, None, None, fields)
    readable = (
        isinstance(access_key, str) and access_key and isinstance(secret, str) and SECRET_OF_A_KEY.fullmatch(secret)
    )
    name = access_key if isinstance(access_key, str) else ""
    return CredentialDocument(version, DocumentState.LIVE, created, name, Secret(secret) if readable else None, fields)


def versions_of(metadata: Mapping[str, Any]) -> tuple[VersionInfo, ...]:
    """The versions that a document's metadata lists, oldest first."""
    found = []
    for number, said in mapping(metadata.get("versions")).items():
        summary = mapping(said)
        created = parse_time(summary.get("created_time"))
        deletion = parse_time(summary.get("deletion_time"))
        destroyed = bool(summary.get("destroyed"))
        deleted = destroyed or (deletion is not None and deletion <= datetime.now(UTC))
        counted = int(number) if re.fullmatch("[1-9][0-9]{0,14}", number) else 0
        if created is not None and counted:
            found.append(VersionInfo(counted, created, deleted, destroyed))
    return tuple(sorted(found, key=lambda version: version.version))
