"""A Scaleway provider for tests: no pause longer than it must be, and a clock of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rotator.domain.secret import Secret
from rotator.providers import AccountSettings
from rotator.providers.scaleway import ScalewayProvider
from rotator.providers.scaleway.client import ScalewayClient

ORGANIZATION = "11111111-1111-1111-1111-111111111111"
MANAGEMENT = "5ec0e7f1-0000-4000-8000-0000000000a1"


AUTHORITY = Path(__file__).with_name("authority.pem")
"""Vouches for nobody. Reading all the system's authorities takes 25 ms each time, and nothing here speaks TLS."""


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def token(self) -> str:
        return "0123456789abcdef"


def settings(url: str, **changes: Any) -> AccountSettings:
    values: dict[str, Any] = {
        "name": "acme",
        "provider": "scaleway",
        "organization_id": ORGANIZATION,
        "secret_key": lambda: Secret(MANAGEMENT),
        "api_url": url,
        "ca_cert": AUTHORITY,
        "timeout": timedelta(seconds=20),
        "rate_limit": 10_000.0,
    }
    return AccountSettings(**(values | changes))


@contextmanager
def provider_at(
    url: str,
    *,
    chance: Callable[[], float] = lambda: 0.0,
    sleep: Callable[[float], None] = lambda _: None,
    **changes: Any,
) -> Iterator[ScalewayProvider]:
    """A provider that repeats without waiting; ``sleep`` hears of every wait."""
    account = settings(url, **changes)
    provider = ScalewayProvider(
        account.name, account.organization_id, ScalewayClient(account, clock=WallClock(), chance=chance, sleep=sleep)
    )
    try:
        yield provider
    finally:
        provider.close()
