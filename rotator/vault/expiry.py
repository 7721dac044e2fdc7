"""Versions that Vault deletes by itself, because the mount or the document sets
``delete_version_after``.

Every answer about such a version has a ``deletion_time`` to come. What rotator writes once, or
seldom, is written again when half of its time has passed. Of a version that cannot be read any
more, the same time after its creation tells an expiry from the deletion by a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.util.durations import parse_duration
from rotator.vault.decoding import parse_time
from rotator.vault.responses import Reply, mapping

TOLERANCE = timedelta(seconds=1)


@dataclass(frozen=True)
class Lifetime:
    """When a version was created, and when Vault deletes it, or did."""

    created: datetime
    ends: datetime

    @property
    def renew_at(self) -> datetime:
        """Half of the time of the version."""
        return self.created + (self.ends - self.created) / 2

    def renewed(self, created: datetime) -> Lifetime:
        """That of the version which was written in its place."""
        return Lifetime(created, created + (self.ends - self.created))

    def due(self, offset: timedelta) -> bool:
        """Whether it is time to write the document again, by Vault's clock."""
        return datetime.now(UTC) + offset >= self.renew_at

    def expired(self, limits: tuple[timedelta, ...]) -> bool:
        """Whether the version ended because it lasted as long as one of these limits, and was not
        deleted by a person."""
        return any(abs(self.ends - self.created - limit) <= TOLERANCE for limit in limits)


def lifetime_of(reply: Reply) -> Lifetime | None:
    """The lifetime of the version that was read; None where it has no end."""
    metadata = mapping(reply.data.get("metadata"))
    created, ends = parse_time(metadata.get("created_time")), parse_time(metadata.get("deletion_time"))
    return Lifetime(created, ends) if created and ends else None


def delete_version_after(settings: Mapping[str, Any]) -> timedelta | None:
    """The setting of a mount or of a document; None where versions do not expire. Vault writes
    durations such as ``2h0m5s``."""
    text = str(settings.get("delete_version_after") or "0s")
    try:
        return parse_duration(text, minimum=timedelta(0)) or None
    except ValueError:
        return None
