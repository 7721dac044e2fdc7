"""Keeps the key that an account logs in with from being revoked, whoever asks for it and whatever a ledger says."""

from __future__ import annotations

from dataclasses import replace

from rotator.domain.keys import Key, management_key_message
from rotator.domain.ports import Provider
from rotator.errors import Rejected


class ManagementKeyGuard:
    """A provider whose management key is marked as such wherever it is listed, and whose deletion is refused before it is sent."""

    def __init__(self, provider: Provider, management_key: str) -> None:
        self.name = provider.name
        self._provider = provider
        self._management_key = management_key
        self.create_key = provider.create_key
        self.authenticate = provider.authenticate
        self.bearer_exists = provider.bearer_exists
        self.headroom = provider.headroom
        self.trail = provider.trail
        self.clock_offset = provider.clock_offset

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        """The keys of the bearer."""
        return tuple(map(self._known, self._provider.list_keys(bearer)))

    def list_all_keys(self) -> tuple[Key, ...]:
        """The keys of the account."""
        return tuple(map(self._known, self._provider.list_all_keys()))

    def get_key(self, access_key: str) -> Key | None:
        """The key of that name."""
        key = self._provider.get_key(access_key)
        return self._known(key) if key else None

    def delete_key(self, access_key: str) -> bool:
        """Delete the key, unless it is the one that the account logs in with."""
        if access_key == self._management_key:
            raise Rejected(
                management_key_message(access_key, self.name), service=self.name, kind="management_key", argument="access_key"
            )
        return self._provider.delete_key(access_key)

    def urgent(self) -> ManagementKeyGuard:
        """The same account for an emergency."""
        return ManagementKeyGuard(self._provider.urgent(), self._management_key)

    def close(self) -> None:
        """Close what the provider holds open."""
        if callable(close := getattr(self._provider, "close", None)):
            close()

    def _known(self, key: Key) -> Key:
        return replace(key, manages_account=True) if key.access_key == self._management_key else key
