"""A consumer that reads its key from Vault now and then, and calls the provider with it."""

from __future__ import annotations

import threading

from rotator.domain.secret import Secret
from rotator.sandbox.demo.consumer import Api, ConsumerProcess

REFRESH_INTERVAL = 5.0
"""Seconds between two reads of Vault: the ``consumer_refresh`` of the configuration."""

CALL_INTERVAL = 0.5


class PractisingConsumer:
    """One application at work. ``frozen``: it reads no new key, like a process without a reload."""

    def __init__(self, vault: str, document: str, token: Secret, api: str) -> None:
        self.calls = self.refused = 0
        self.frozen = False
        self.access_key = ""
        self._vault, self._api = ConsumerProcess(vault), Api(api)
        self._document, self._token = document, token
        self._secret: Secret | None = None

    def work(self, stop: threading.Event) -> None:
        """Work until asked to stop."""
        waited = REFRESH_INTERVAL
        while not stop.wait(CALL_INTERVAL):
            waited += CALL_INTERVAL
            if self._secret is None or (waited >= REFRESH_INTERVAL and not self.frozen):
                self._read()
                waited = 0.0
            if self._secret is not None and (accepted := self._api.try_key(self.access_key, self._secret)) is not None:
                self.calls += 1
                self.refused += not accepted
        self._vault.close()
        self._api.close()

    def freeze(self) -> None:
        """Read the document once more, and never again."""
        self.access_key, self._secret, self.frozen = "", None, True

    def restart(self) -> None:
        """Forget the key, and read the document at the next call."""
        self.frozen, self._secret = False, None

    def _read(self) -> None:
        status, body = self._vault.get(f"/v1/{self._document}", "X-Vault-Token", self._token)
        if status == 200:
            fields = body["data"]["data"]
            self.access_key, self._secret = fields["access_key"], Secret(fields["secret_key"])
