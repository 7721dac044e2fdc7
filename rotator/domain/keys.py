"""Keys as a provider lists them, and the result of a probe."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Key:
    """A key as the provider describes it, without its secret. ``manages_account``: its account logs
    in with it."""

    access_key: str
    bearer: str
    description: str
    created_at: datetime
    expires_at: datetime | None = None
    default_project_id: str | None = None
    deletable: bool = True
    provider_managed: bool = False
    manages_account: bool = False

    def expired(self, now: datetime) -> bool:
        """Whether the provider stopped accepting the key before ``now``. Expired keys stay listed
        and count in quotas. A date before the creation of the key, such as zero, is ignored: the
        key is valid until its secret is rejected."""
        return self.expires_at is not None and self.created_at < self.expires_at <= now

    @property
    def revocable(self) -> bool:
        """Whether the key may be revoked: not if the provider manages it or forbids its deletion,
        nor if its account logs in with it, whatever its description."""
        return self.deletable and not self.provider_managed and not self.manages_account


@dataclass(frozen=True)
class Bearer:
    """A principal that can have keys, as the provider names it."""

    id: str
    name: str


def management_key_message(access_key: str, account: str) -> str:
    """Why the management key of an account is not revoked, and what to do."""
    return (
        f"{access_key} is the key that account {account} logs in with, so it is not revoked: put another key into "
        f"secret_key and access_key of [accounts.{account}] and reload; the old one can be revoked then"
    )


def own_key_message(access_key: str, account: str) -> str:
    """Why a management key that the daemon rotates is not deleted yet."""
    return (
        f"{access_key} is the key that account {account} logs in with, and no other published key authenticates yet: "
        "it is deleted once one does"
    )


class ProbeResult(enum.StrEnum):
    """The result of one authentication with a secret."""

    VALID = "valid"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"
