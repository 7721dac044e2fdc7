"""The provider for Scaleway's IAM API, which is called directly.

The official SDK is not used: it has no timeout, cannot parse an empty 429 or a page of HTML, shows
secrets in its debug log and in ``repr``, and escapes no path.
"""

from __future__ import annotations

from rotator.domain.ports import Clock
from rotator.providers import AccountSettings
from rotator.providers.scaleway.client import ScalewayClient
from rotator.providers.scaleway.provider import ScalewayProvider


def build(account: AccountSettings, *, clock: Clock) -> ScalewayProvider:
    """The provider for one organisation. Contacts nothing. Raises ``ConfigurationError`` for
    settings it cannot use."""
    return ScalewayProvider(account.name, account.organization_id, ScalewayClient(account, clock=clock))


__all__ = ["ScalewayProvider", "build"]
