# ruff: noqa: INP001  # an example to be copied, not part of a package
"""How a Python application reads its Scaleway key from Vault: now and then, and at once when the key is refused.

To be copied and adapted. It needs ``hvac``, the address in ``VAULT_ADDR``, and a Vault token in a file, for example from the
agent's sink.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import hvac
import requests

AWAY = (hvac.exceptions.VaultError, requests.RequestException)
"""What reading Vault raises when it is sealed, away or not willing."""


class Key(NamedTuple):
    """A pair, both of the same version of the document."""

    access_key: str
    secret_key: str


class ScalewayKey:
    """The current key of one application, for one thread. ``refresh`` is in seconds; say the same, or more, to rotator."""

    def __init__(self, mount: str, path: str, *, token_file: Path, refresh: float = 300.0) -> None:
        self._mount, self._path = mount, path
        self._token_file = token_file
        self._refresh = refresh
        self._key: Key | None = None
        self._read_at = 0.0

    def current(self) -> Key:
        """The key to use now. While Vault is away that is the one that was read last, which works until its grace ends."""
        if self._key and time.monotonic() - self._read_at < self._refresh:
            return self._key
        try:
            return self._read()
        except AWAY:
            if self._key is None:
                raise
            return self._key

    def instead_of(self, refused: Key) -> Key | None:
        """What to try after a 401: the key that is in Vault now, or None when it is the one that was refused."""
        key = self._read()
        return None if key == refused else key

    def _read(self) -> Key:
        vault = hvac.Client(token=self._token_file.read_text().strip())  # read anew: the agent replaces it
        answer = vault.secrets.kv.v2.read_secret_version(
            self._path, mount_point=self._mount, raise_on_deleted_version=True
        )
        fields = answer["data"]["data"]
        self._key = Key(fields["access_key"], fields["secret_key"])
        self._read_at = time.monotonic()
        return self._key


def call(keys: ScalewayKey, request: Callable[[Key], int]) -> int:
    """One request to Scaleway (it takes the key and returns the status), and another after a 401 if Vault has a newer key."""
    key = keys.current()
    status = request(key)
    if status == 401:
        newer = keys.instead_of(key)
        if newer:
            status = request(newer)
    return status
