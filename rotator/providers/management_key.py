"""The management key of an account: which one is in use, and its protection from deletion."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from rotator.domain.keys import Key, ProbeResult, management_key_message, own_key_message
from rotator.domain.ports import Provider
from rotator.domain.secret import Secret
from rotator.errors import Rejected, ServiceError, Unavailable

Authenticate = Callable[[str, Secret], ProbeResult]


class ManagementKeyName(Protocol):
    """The management key in use."""

    @property
    def in_use(self) -> str:
        """The access key; empty while unknown."""

    @property
    def rotated(self) -> bool:
        """Whether the daemon rotates it."""

    def refresh(self, authenticate: Authenticate) -> str:
        """Changes over to a newer key, if there is one. Returns the access key that should log in,
        which does so once it authenticates."""


@dataclass(frozen=True)
class FixedKeyName:
    """A key that is named in the configuration and replaced there by an operator."""

    in_use: str
    rotated = False

    def refresh(self, authenticate: Authenticate) -> str:  # noqa: ARG002 - a reload brings another name
        """The access key in the configuration."""
        return self.in_use


@dataclass(frozen=True)
class KeyPair:
    """An access key with its secret."""

    access_key: str
    secret: Secret


class OwnKey:
    """The management key of an account that is rotated like the key of an application.

    It is read from the document that the rotation publishes. A new key in the document is used
    after it authenticates. Until then, and while the document cannot be read, the previous key
    stays in use. ``initial`` supplies the key of the first login, which an operator created; it is
    also tried when the published key is rejected. Thread-safe; no lock is held during a call.
    """

    rotated = True

    def __init__(
        self,
        read: Callable[[], KeyPair | None],
        *,
        initial: Callable[[], Secret] | None = None,
        initial_name: str = "",
    ) -> None:
        self._read = read
        self._initial = initial
        self._initial_name = initial_name
        self._pair: KeyPair | None = None

    @property
    def in_use(self) -> str:
        """The access key that logs in; empty before the first login."""
        return self._pair.access_key if self._pair else ""

    def current(self) -> Secret | None:
        """The secret that logs in; None before the first login."""
        return self._pair.secret if self._pair else None

    def __call__(self) -> Secret:
        """Another secret to log in with, if there is one.

        Called for the first login, and when the provider rejects the ``current`` one.

        Raises ``ServiceError`` if the document cannot be read, and ``ConfigurationError`` if the
        initial key cannot.
        """
        pair = self._pair = self._published_or_initial()
        return pair.secret

    def refresh(self, authenticate: Authenticate) -> str:
        """Changes over to the published key if it is another one and authenticates. Returns the
        published access key.

        Raises ``ServiceError`` if the document cannot be read.
        """
        published = self._read()
        if published is None:
            return self.in_use
        if published != self._pair and authenticate(published.access_key, published.secret) is ProbeResult.VALID:
            self._pair = published
        return published.access_key

    def _published_or_initial(self) -> KeyPair:
        published, used = self._read(), self._pair
        if published is not None and (published != used or self._initial is None):
            return published
        if self._initial is not None:
            return KeyPair(self._initial_name, self._initial())
        raise Rejected(
            "the document of own_key holds no key yet, and secret_key is not set: write the management key there, or "
            "set secret_key",
            service="the management key",
            kind="no_key",
        )


class ManagementKeyGuard:
    """A provider that never deletes its management key, and marks it in lists.

    A key that the daemon rotates is not marked in its application's list: the account changes over
    to the published key before the deletion, and the deletion is not sent until then.
    """

    def __init__(self, provider: Provider, key: ManagementKeyName) -> None:
        self.name = provider.name
        self._provider = provider
        self._key = key
        self.create_key = provider.create_key
        self.authenticate = provider.authenticate
        self.missing_right = provider.missing_right
        self.bearer_exists = provider.bearer_exists
        self.headroom = provider.headroom
        self.trail = provider.trail
        self.clock_offset = provider.clock_offset

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        """The keys of the bearer."""
        keys = self._provider.list_keys(bearer)
        return keys if self._key.rotated else tuple(map(self._known, keys))

    def list_all_keys(self) -> tuple[Key, ...]:
        """The keys of the account."""
        return tuple(map(self._known, self._provider.list_all_keys()))

    def get_key(self, access_key: str) -> Key | None:
        """The key of that name."""
        key = self._provider.get_key(access_key)
        return self._known(key) if key else None

    def delete_key(self, access_key: str) -> bool:
        """Deletes the key, unless the account logs in with it.

        Raises ``Rejected`` if no other key is to log in, and ``Unavailable`` while the other one
        does not authenticate.
        """
        if access_key == self._key.in_use:
            wanted = ""
            with suppress(ServiceError):  # the key in use stays in use
                wanted = self._key.refresh(self.authenticate)
            if access_key == self._key.in_use:
                raise self._still_in_use(access_key, replaced=wanted != access_key)
        return self._provider.delete_key(access_key)

    def urgent(self) -> ManagementKeyGuard:
        """The same account for an emergency."""
        return ManagementKeyGuard(self._provider.urgent(), self._key)

    def close(self) -> None:
        """Closes the provider's connections."""
        if callable(close := getattr(self._provider, "close", None)):
            close()

    def _still_in_use(self, access_key: str, *, replaced: bool) -> Rejected | Unavailable:
        message = (own_key_message if self._key.rotated else management_key_message)(access_key, self.name)
        if replaced:
            return Unavailable(message, service=self.name, kind="management_key")
        return Rejected(message, service=self.name, kind="management_key", argument="access_key")

    def _known(self, key: Key) -> Key:
        return replace(key, manages_account=True) if key.access_key == self._key.in_use else key
