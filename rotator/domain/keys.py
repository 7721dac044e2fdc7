"""The values that everything else speaks about: what was seen, what is remembered, what is wanted.

All of them are immutable, all times are aware and in UTC, all durations are ``timedelta``. Nothing here performs input or
output. The words are those of the documentation: application, account, key, credential document, ledger, claim, publish,
grace, revoke, leftover, stranger.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Key:
    """A key as the provider describes it; never its secret."""

    access_key: str
    bearer: str
    description: str
    created_at: datetime
    expires_at: datetime | None = None
    default_project_id: str | None = None
    deletable: bool = True
    provider_managed: bool = False

    def expired(self, now: datetime) -> bool:
        """Whether the provider stopped accepting the key before ``now``. Expired keys stay listed and count in quotas."""
        return self.expires_at is not None and self.expires_at <= now

    @property
    def revocable(self) -> bool:
        """A managed or not deletable key is never ours, whatever its description says."""
        return self.deletable and not self.provider_managed


class ProbeResult(enum.StrEnum):
    """What a provider says of a secret that was tried."""

    ALIVE = "alive"
    REFUSED = "refused"
    UNCLEAR = "unclear"
