"""Calls the API for one account: management key, rate limit, and one deadline for a call with its
retries."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from rotator.domain.ports import Clock
from rotator.domain.secret import Secret
from rotator.errors import RotatorError, ServiceError, Unavailable
from rotator.http import HttpClient, HttpFailure, HttpResponse
from rotator.providers import AccountSettings
from rotator.providers.rate_limiter import RateLimiter
from rotator.providers.scaleway.errors import ApiCall, error_of, unauthenticated
from rotator.system.file_permissions import open_file
from rotator.util.single_flight import SingleFlight

ATTEMPTS = 4
"""Attempts of a repeatable call."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds. The delay before a retry is random, from zero to a limit that doubles from the first to
the last."""
PASSING = frozenset({"rate_limited", "transient", "server_error", "lost", "protocol", "refused", "connect"})
"""Kinds of ``Unavailable`` after which a retry may succeed. A timeout is not one: it used up the
time."""


class ScalewayClient:
    """HTTP calls to one organisation's API. Thread-safe."""

    def __init__(
        self,
        account: AccountSettings,
        *,
        clock: Clock,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.http = HttpClient(
            timeout=account.timeout,
            connections=account.connections,
            ca_cert=account.ca_cert,
            opener=open_file,
            proxy=account.proxy,
            now=clock.now,
            observe=account.observe,
        )
        self._root = account.api_url.rstrip("/")
        self._timeout = account.timeout
        self._management = ManagementKey(account.secret_key, account.current_secret)
        self._limiter = RateLimiter(account.rate_limit, sleep=sleep)
        self._chance = chance
        self._sleep = sleep

    def call(
        self,
        call: ApiCall,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        once: bool = False,
        urgent: bool = False,
        end: float | None = None,
        accept: Callable[[HttpResponse], bool],
    ) -> HttpResponse:
        """Calls with the management key until the answer is acceptable; raises the error of the
        last attempt.

        Repeats only what raised ``Unavailable``: a read, or a write that was certainly not
        executed. With ``once``, nothing is sent a second time. ``end``: a time of the monotonic
        clock at which the call stops before its timeout.
        """
        timeout = time.monotonic() + self._timeout.total_seconds()
        end = timeout if end is None else min(timeout, end)
        number = 0
        while True:
            number += 1
            try:
                answer = self._authenticated(
                    call, method, path, params=params, json=json, once=once, urgent=urgent, end=end
                )
                error = None if accept(answer) else error_of(answer, call)
            except Unavailable as failure:
                error = failure
            if error is None:
                return answer
            pause = self._chance() * min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (number - 1))
            passing = isinstance(error, Unavailable) and error.kind in PASSING
            if once or not passing or number == ATTEMPTS or time.monotonic() + pause >= end:
                raise error
            self._sleep(pause)

    def try_secret(
        self,
        call: ApiCall,
        secret: Secret,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        urgent: bool = False,
        end: float | None = None,
    ) -> HttpResponse:
        """One GET with a secret other than the management key's. ``end`` as for ``call``."""
        timeout = time.monotonic() + self._timeout.total_seconds()
        end = timeout if end is None else min(timeout, end)
        return self._send(call, secret, "GET", path, params=params, urgent=urgent, end=end)

    def _authenticated(self, call: ApiCall, method: str, path: str, *, once: bool, **request: Any) -> HttpResponse:
        """One attempt, and one more if the management key was rejected and has been replaced in its
        store."""
        secret = self._management.current(call)
        answer = self._send(call, secret, method, path, **request)
        if not unauthenticated(answer):
            return answer
        other = self._management.instead_of(secret, call)
        if other is None:
            return answer
        if once:
            raise call.not_done("the management key has been replaced and is read again", kind="key_replaced")
        return self._send(call, other, method, path, **request)

    def _send(
        self,
        call: ApiCall,
        secret: Secret,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        urgent: bool,
        end: float,
    ) -> HttpResponse:
        if not self._limiter.wait(until=end, urgent=urgent):
            raise call.not_done(
                "the configured rate_limit leaves no turn within the account's timeout", kind="own_rate_limit"
            )
        deadline = timedelta(seconds=max(0.0, end - time.monotonic()))
        try:
            answer = self.http.request(
                method,
                self._address(path),
                headers={"x-auth-token": secret.reveal()},
                params=params,
                json=json,
                deadline=deadline,
            )
        except HttpFailure as failure:
            error = call.failed(failure)
        else:
            if answer.status == 429:
                self._limiter.no_burst()
            return answer
        raise error

    def _address(self, path: str) -> str:
        """The URL of a path of the IAM API, or of an absolute path."""
        return self._root + (path if path.startswith("/") else f"/iam/v1alpha1/{path}")


class ManagementKey:
    """The secret of the management key: read on first use, and again when it is rejected.
    ``newest`` returns one that came into use since.

    It may be stored in Vault, so reading it may block: one thread reads, and the others wait for
    the result.
    """

    def __init__(self, read: Callable[[], Secret], newest: Callable[[], Secret | None] = lambda: None) -> None:
        self._read = read
        self._newest = newest
        self._reading = SingleFlight[Secret]()
        self._secret: Secret | None = None

    def current(self, call: ApiCall) -> Secret:
        """The secret to use now."""
        return self._known() or self._fresh(call)

    def instead_of(self, refused: Secret, call: ApiCall) -> Secret | None:
        """Another secret than the rejected one, if there is one."""
        known, asked = self._known(), time.monotonic()
        if known is None or known == refused:
            known = self._fresh(call, since=asked)
        return None if known == refused else known

    def _known(self) -> Secret | None:
        return self._newest() or self._secret

    def _fresh(self, call: ApiCall, *, since: float | None = None) -> Secret:
        try:
            return self._reading.ask(self._read_again, since=since)
        except ServiceError:
            raise
        except RotatorError as error:
            why = str(error)
        except (OSError, ValueError):
            why = "it cannot be read"
        raise call.denied(
            f"the management key cannot be used: {why}; correct the account's secret_key", kind="secret_key"
        )

    def _read_again(self) -> Secret:
        self._secret = self._read()
        return self._secret
