"""The credential document as consumers read it, one version at a time."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rotator.domain.secret import Secret


class DocumentState(enum.StrEnum):
    """Whether a version of a document can be read. Vault answers the same 404 for several of these;
    metadata tells them apart."""

    ABSENT = "absent"
    """There is nothing, and as far as Vault says there never was: version 0. Of a single version:
    pruned or never written."""
    LIVE = "live"
    DELETED = "deleted"
    """Soft-deleted or destroyed; the version number is known."""
    UNREADABLE = "unreadable"
    """Vault does not give it out: what consumers read is unknown."""


@dataclass(frozen=True)
class CredentialDocument:
    """One version of a credential document (usually the current one).

    ``fields`` are all fields as they stand, with the value at ``secret_field`` taken out and kept
    in ``secret``. A live document whose ``access_key`` is None has none of the fields of a key.
    """

    version: int
    state: DocumentState
    created_time: datetime | None = None
    access_key: str | None = None
    secret: Secret | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    """When Vault deletes this version by itself, because ``delete_version_after`` is set; None
    where it never does."""
    expired: bool = False
    """Whether a deleted version ended so, and not by the decision of a person."""

    @property
    def published(self) -> str | None:
        """The access key that consumers read now, if any."""
        return self.access_key if self.state is DocumentState.LIVE else None

    @property
    def can_be_fenced(self) -> bool:
        """Whether the document can be moved on by one version without a change to what consumers
        read: a sound one is written once more, one that never was is written empty. A damaged or
        deleted one stays as a person left it."""
        if self.state is DocumentState.ABSENT:
            return self.version == 0
        return self.state is DocumentState.LIVE and (self.access_key is None) == (self.secret is None)


ABSENT = CredentialDocument(version=0, state=DocumentState.ABSENT)
UNREADABLE = CredentialDocument(version=0, state=DocumentState.UNREADABLE)


DEFAULT_FIELDS: Mapping[str, str] = {
    name: "{" + name + "}"
    for name in (
        "access_key",
        "secret_key",
        "application_id",
        "default_project_id",
        "organization_id",
        "created_at",
        "expires_at",
        "rotation_id",
    )
}
"""The fields of a credential document unless the configuration says otherwise: flat strings, empty
when there is no value."""
