"""The credential document as consumers read it: flat, text values, other people's fields kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rotator.domain.document import CredentialDocument
from rotator.domain.keys import Key
from rotator.domain.ledger import Ledger
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec
from rotator.util.formatting import format_timestamp


def document_fields(
    spec: ApplicationSpec, document: CredentialDocument, key: Key, secret: Secret, rotation_id: str
) -> dict[str, Any]:
    """The next version of the document: the present fields, with those of the new key set."""
    values: Mapping[str, str] = {
        "access_key": key.access_key,
        "application_id": spec.bearer,
        "default_project_id": key.default_project_id or "",
        "organization_id": spec.organization_id,
        "created_at": format_timestamp(key.created_at),
        "expires_at": format_timestamp(key.expires_at) if key.expires_at else "",
        "rotation_id": rotation_id,
    }
    ours = {
        name: secret if name == spec.secret_field else template.format(**values)
        for name, template in spec.fields.items()
    }
    return {**document.fields, **ours}


def notes(ledger: Ledger) -> dict[str, str]:
    """What people see in the document's custom metadata; nothing reads it back. Vault takes no
    empty values."""
    current = ledger.current
    if current is None:
        return {}
    last = next((entry for entry in reversed(ledger.history) if entry.access_key == current.access_key), None)
    return {
        "rotator_access_key": current.access_key,
        "rotator_rotation_id": (last.rotation_id if last else "") or "none",
        "rotator_published_at": format_timestamp(current.since),
        "rotator_created_at": format_timestamp(current.created_at) if current.created_at else "unknown",
        "rotator_expires_at": format_timestamp(current.expires_at) if current.expires_at else "never",
    }
