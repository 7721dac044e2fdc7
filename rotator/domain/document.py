"""The credential document as consumers read it, one version at a time."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rotator.domain.secret import Secret


class DocumentState(enum.StrEnum):
    """The state of a version. Vault answers 404 for several of them; metadata distinguishes
    them."""

    ABSENT = "absent"
    """No document, and none before: version 0. Of a single version: pruned or never written."""
    LIVE = "live"
    DELETED = "deleted"
    """Soft-deleted or destroyed; the version number is known."""
    UNREADABLE = "unreadable"
    """Vault does not permit to read it, so the published key is unknown."""


@dataclass(frozen=True)
class CredentialDocument:
    """One version of a credential document, usually the current one.

    ``fields`` has all fields except the one at ``secret_field``, whose value is in ``secret``. A
    live document whose ``access_key`` is None has none of the fields of a key.
    """

    version: int
    state: DocumentState
    created_time: datetime | None = None
    access_key: str | None = None
    secret: Secret | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    """When Vault deletes this version because of ``delete_version_after``; None if it does not."""
    expired: bool = False
    """Whether Vault deleted this version because of ``delete_version_after``, and no person did."""

    @property
    def published(self) -> str | None:
        """The access key that consumers read now, if any."""
        return self.access_key if self.state is DocumentState.LIVE else None

    @property
    def can_be_fenced(self) -> bool:
        """Whether a write can add a version without a change for consumers: a sound document is
        rewritten, an absent one is written empty. A damaged or deleted one stays as it is."""
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
"""The fields of a credential document by default: flat strings, empty without a value."""
