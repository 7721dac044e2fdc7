"""Those who use keys: an application for each document, which works all the time, and the finder of
a leaked key.

An application reads Vault as real ones do, now and then and not before each call. It reads again at
once when it is refused, and the refusal counts all the same, unless the key was marked compromised:
that one is meant to be refused, grace or no grace.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from rotator.domain.secret import Secret

REFRESH = 0.9
"""Seconds between two looks at Vault; the daemon's configuration promises ``consumer_refresh =
"1s"``."""

PAUSE = (0.02, 0.1)
"""Seconds between two calls of the API: from, to."""

CERTAIN = 10
"""Refusals in a row after which a leaked key counts as revoked."""


class ConsumerProcess:
    """A connection to one server that is kept open. ``get`` answers status 0 when there is no
    answer."""

    def __init__(self, address: str) -> None:
        host, _, port = urlsplit(address).netloc.partition(":")
        self._connection = http.client.HTTPConnection(host, int(port), timeout=10)

    def get(self, path: str, header: str, secret: Secret) -> tuple[int, Any]:
        """One GET with one secret in a header; the status, and what the body says."""
        try:
            self._connection.request("GET", path, headers={header: secret.reveal()})
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            return 0, None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Api:
    """The provider's API as the bearer of one key sees it: without rights, so that 403 means that
    the key authenticated."""

    def __init__(self, address: str) -> None:
        self._caller = ConsumerProcess(address)

    def try_key(self, access_key: str, secret: Secret) -> bool | None:
        """Whether the secret is accepted; None when the answer says nothing."""
        status, _ = self._caller.get(f"/iam/v1alpha1/api-keys/{access_key}", "X-Auth-Token", secret)
        return {200: True, 403: True, 401: False}.get(status)

    def close(self) -> None:
        """Close the connection."""
        self._caller.close()


class Consumer:
    """One application at work. ``served`` counts the calls that each key was good for,
    ``turned_away`` those that it was not. ``compromised`` are the keys that the ledger marked, as
    the observer saw it."""

    def __init__(self, application: str, vault: str, document: str, token: Secret, api: str) -> None:
        self.application = application
        self.served: Counter[str] = Counter()
        self.turned_away: Counter[str] = Counter()
        self.compromised: set[str] = set()
        self.unanswered = 0
        self.cut_off_at = self.back_at = 0.0
        self._vault = ConsumerProcess(vault)
        self._document = document
        self._token = token
        self._api = Api(api)
        self._pair: tuple[str, Secret] | None = None
        self._read_at = 0.0

    @property
    def calls(self) -> int:
        """All calls that were answered."""
        return self.served.total() + self.turned_away.total()

    @property
    def refused(self) -> Counter[str]:
        """The refusals that should not have been, by key."""
        return Counter({key: count for key, count in self.turned_away.items() if key not in self.compromised})

    def work(self, stop: threading.Event) -> None:
        """Work until asked to stop."""
        while not stop.wait(random.uniform(*PAUSE)):  # noqa: S311 - only so that they do not march in step
            self.step()

    def close(self) -> None:
        """Close the connections."""
        self._vault.close()
        self._api.close()

    def step(self) -> None:
        """One call, if there is a key yet."""
        if self._pair is None or time.monotonic() - self._read_at >= REFRESH:
            self.read()
        if self._pair is None:
            return
        access_key, secret = self._pair
        accepted = self._api.try_key(access_key, secret)
        if accepted is None:
            self.unanswered += 1
        elif accepted:
            self.served[access_key] += 1
            if self.cut_off_at and not self.back_at:
                self.back_at = time.time()
        else:
            self.turned_away[access_key] += 1
            if access_key in self.compromised:
                self.cut_off_at = self.cut_off_at or time.time()
            self.read()

    def read(self) -> None:
        """Read the key from Vault. What was read last stays in use while Vault does not answer."""
        status, body = self._vault.get(f"/v1/{self._document}", "X-Vault-Token", self._token)
        if status == 200:
            fields = body["data"]["data"]
            self._pair = (fields["access_key"], Secret(fields["secret_key"]))
            self._read_at = time.monotonic()


class Finder:
    """The finder of a leaked key, who tries it again and again. ``dead_at`` is when it began to be
    refused for good."""

    def __init__(self, api: str, access_key: str, secret: Secret) -> None:
        self.accepted = 0
        self.dead_at: float | None = None
        self._api = Api(api)
        self._pair = (access_key, secret)

    def work(self, stop: threading.Event, clock: Callable[[], float]) -> None:
        """Try until it was refused many times in a row, or asked to stop."""
        in_a_row, since = 0, 0.0
        while in_a_row < CERTAIN and not stop.is_set():
            accepted = self._api.try_key(*self._pair)
            if accepted:
                self.accepted += 1
                in_a_row = 0
            elif accepted is False:
                since = since if in_a_row else clock()
                in_a_row += 1
        if in_a_row >= CERTAIN:
            self.dead_at = since
        self._api.close()
