"""The marker: our tag in the description of a key at the provider, by which a key is known to be ours.

It names the installation, the application, the rotation, the *base* (the version of the credential document that the rotation
was claimed on) and the *incarnation* (a digest that tells this document from another one that once stood at the same path).
A person may read it; whoever edits it makes the key a stranger, unless the ledger or the document names it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

LIMIT = 200
"""Characters that a description may have at Scaleway (SCALEWAY.md, 1.1)."""

_PATTERN = re.compile(
    r"rotator v1 installation=(?P<installation>[0-9a-f]{16}) application=(?P<application>[a-z0-9][a-z0-9._-]{0,63})"
    r" rotation=(?P<rotation>[0-9a-f]{16}) base=(?P<base>0|[1-9][0-9]{0,8}) incarnation=(?P<incarnation>[0-9a-f]{16}|-)"
)

NO_INCARNATION = "-"
"""Of a rotation that was claimed before the document existed: there is nothing by which to know the document again."""


@dataclass(frozen=True)
class Marker:
    """What the description of one of our keys says."""

    installation: str
    application: str
    rotation: str
    base: int
    incarnation: str

    def render(self) -> str:
        """The description, at most 200 characters."""
        return (
            f"rotator v1 installation={self.installation} application={self.application} rotation={self.rotation}"
            f" base={self.base} incarnation={self.incarnation}"
        )


def parse_marker(description: str) -> Marker | None:
    """The marker in a description, or None: anything but our exact form belongs to somebody else."""
    found = _PATTERN.fullmatch(description)
    if found is None:
        return None
    return Marker(
        installation=found["installation"],
        application=found["application"],
        rotation=found["rotation"],
        base=int(found["base"]),
        incarnation=found["incarnation"],
    )


def incarnation_of(path: str, created_time: datetime | None) -> str:
    """The digest of a document's path (mount and path) and of the time at which its version ``base`` was created."""
    if created_time is None:
        return NO_INCARNATION
    stamp = created_time.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.sha256(f"{path}\n{stamp}".encode()).hexdigest()[:16]
