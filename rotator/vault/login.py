"""The login at Vault: made when it is first needed, renewed at half of its lifetime, made anew when
it is no longer valid.

Vault answers 403 to a token that is no longer valid and to a call that the policy denies. So a
refused token is asked about itself: only when Vault does not know it, a new login is made and the
call is made once more. All threads share one attempt and its outcome; no lock is held over a call.
Refused credentials are remembered (``rotator.util.refusals``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import hvac

from rotator.domain.login import LoginProblem
from rotator.domain.secret import Secret
from rotator.errors import PermissionDenied, ServiceError
from rotator.util.durations import MAX_DURATION
from rotator.util.refusals import PAUSES, Refusals
from rotator.vault.login_methods import (
    LOCKED_PAUSE,
    NO_CERTIFICATE,
    Certificate,
    Credentials,
    fresh_token_failure,
    login_failure,
    login_key,
    read_credentials,
    send_login,
    token_failure,
)
from rotator.vault.responses import Reply, failure, mapping
from rotator.vault.settings import Auth, TokenAuth

RETRY = 15.0
"""Seconds until a renewal that failed is tried again."""

CAPPED = 0.9
"""A renewal that grants less than this share of the first grant is near the maximum life of the
token."""

LAST_SHARE = 0.1
"""A configured token that cannot be renewed is a problem when this share of its life is left."""

REPORTED = frozenset({"login", "credentials"})
"""Kinds of failure of the credentials. An unreachable Vault is reported elsewhere."""


@dataclass(frozen=True)
class Login:
    """A token and what is known of its life, in seconds of the monotonic clock. ``ours`` is one
    that is revoked at the end."""

    token: Secret
    generation: int
    granted: float
    lifetime: float
    renewed: float
    renewable: bool
    ours: bool

    @property
    def due(self) -> float:
        """When it should be renewed; never for a token without an end."""
        return self.renewed + self.lifetime / 2 if self.lifetime else float("inf")

    @property
    def end(self) -> float:
        """When it stops being good, if it is not renewed."""
        return self.renewed + self.lifetime if self.lifetime else float("inf")


class TokenSession:
    """The one login that all threads share. ``client`` makes an hvac client that sends the given
    token, or none; ``certificate`` is the client certificate of the connection."""

    def __init__(
        self,
        auth: Auth,
        client: Callable[[Secret | None], hvac.Client],
        *,
        clock: Callable[[], float] = time.monotonic,
        refusals: Refusals | None = None,
        certificate: Certificate = NO_CERTIFICATE,
    ) -> None:
        self._auth = auth
        self._client = client
        self._clock = clock
        self._refusals = refusals or Refusals()
        self._certificate = certificate
        self._lock = threading.Lock()
        self._upkeep = threading.Lock()
        self._login: Login | None = None
        self._attempt: Future[Login] | None = None
        self._stood = (0, 0.0)
        self._failed: tuple[float, ServiceError] | None = None
        self._accepted = 0
        self._not_before = 0.0
        self._complaint = ""

    @property
    def generation(self) -> int:
        """A number that changes with every new login; 0 before the first."""
        return self._login.generation if self._login else 0

    @property
    def life(self) -> tuple[timedelta, timedelta] | None:
        """How long the login is still good, and for how long it was last granted; None before the
        first, and without an end."""
        login = self._login
        if login is None or not login.lifetime:
            return None
        return timedelta(seconds=max(0.0, login.end - self._clock())), timedelta(seconds=login.lifetime)

    @property
    def problem(self) -> LoginProblem | None:
        """What will stop the work when the present token ends; None when nothing is known to be
        wrong."""
        login, complaint = self._login, self._complaint
        if login is None or not complaint:
            return None
        return LoginProblem(complaint, timedelta(seconds=max(0.0, login.end - self._clock())))

    def token(self) -> Secret:
        """The token to send now."""
        login, now = self._login, self._clock()
        if login is not None and now < login.due:
            return login.token
        if login is not None and now < login.end:
            self.maintain()
            return (self._login or login).token
        return self._obtain(login, now).token

    def accepted(self, token: Secret) -> None:
        """Vault has carried out a call with this token."""
        login = self._login
        if login is not None and login.token is token:
            self._accepted = login.generation

    def instead_of(self, refused: Secret) -> Secret | None:
        """A valid token in place of one that was answered 403; None when Vault knows that one, so
        that the policy denied the call."""
        login, now = self._login, self._clock()
        if login is None or login.token is not refused:
            return self.token()
        fresh = self._obtain(login, now, suspected=True)
        return None if fresh is login else fresh.token

    def maintain(self) -> None:
        """Renew the login if half of its lifetime is over, or replace it when it cannot be renewed.
        Never raises for what Vault answers: until its end the present token is good."""
        # No thread waits for this lock: one thread is enough, and the others have a token that is
        # good.
        if not self._upkeep.acquire(blocking=False):
            return
        try:
            login, now = self._login, self._clock()
            if login is None or now < login.due or now < self._not_before:
                return
            try:
                self._prolong(login, now)
            except ServiceError as error:
                self._not_before = now + min(RETRY, login.lifetime / 8)
                if error.kind in REPORTED:
                    self._complaint = str(error)
        finally:
            self._upkeep.release()

    def close(self) -> None:
        """Revoke the login if this process made it, best effort."""
        with self._lock:
            login, self._login = self._login, None
        if login is None or not login.ours:
            return
        try:
            self._call(login.token, lambda client: client.auth.token.revoke_self())
        except ServiceError:
            return

    # --- one attempt for all who wait -------------------------------------------------------------

    def _obtain(self, old: Login | None, asked: float, *, suspected: bool = False) -> Login:
        """A login in place of ``old``, or ``old`` itself when it was only ``suspected`` and Vault
        knows it.

        Who comes while one thread is at it shares the outcome; so does who asked before that
        outcome was known.
        """
        with self._lock:
            if self._login is not old and self._login is not None:
                return self._login
            if old is not None and suspected and self._stood[0] == old.generation and self._stood[1] >= asked:
                return old
            if self._failed is not None and self._failed[0] >= asked:
                raise self._failed[1].with_traceback(None)
            attempt, mine = self._attempt, self._attempt is None
            if attempt is None:
                attempt = self._attempt = Future()
        if not mine:
            return attempt.result()
        return self._carry_out(attempt, old, suspected=suspected)

    def _carry_out(self, attempt: Future[Login], old: Login | None, *, suspected: bool) -> Login:
        try:
            login = (
                old if old is not None and suspected and self._known(old) else self._log_in(old if suspected else None)
            )
        except BaseException as error:
            with self._lock:
                self._attempt = None
                if isinstance(error, ServiceError):
                    self._failed = (self._clock(), error)
            attempt.set_exception(error)
            raise
        with self._lock:
            self._attempt = None
            if login is old:
                self._accepted, self._stood = login.generation, (login.generation, self._clock())
            else:
                self._login, self._complaint = login, ""
        attempt.set_result(login)
        return login

    def _known(self, login: Login) -> bool:
        """Whether Vault knows the token. One that may not look at itself is known: the policy of a
        token was judged."""
        reply = self._call(login.token, lambda client: client.auth.token.lookup_self())
        if not reply.ok and reply.status != 403:
            raise failure(reply, path="auth/token/lookup-self", capability="read", writing=False)
        return not reply.token_unknown

    def _log_in(self, refused: Login | None = None) -> Login:
        """A new login. ``refused`` is one whose token Vault does not know."""
        credentials = read_credentials(self._auth, self._certificate)
        if standing := self._refusals.standing(login_key(self._auth), credentials.fingerprint):
            raise standing.with_traceback(None)
        if isinstance(self._auth, TokenAuth):
            return self._given(credentials)
        if refused is not None and refused.generation > self._accepted:
            raise self._refused(credentials, fresh_token_failure(self._auth))
        reply = send_login(self._auth, credentials, self._client(None))
        granted = mapping(reply.body.get("auth"))
        if not reply.ok or not granted.get("client_token"):
            error = login_failure(self._auth, credentials, reply)
            raise self._refused(credentials, error, longest=LOCKED_PAUSE if reply.status == 403 else PAUSES[-1])
        self._refusals.clear(login_key(self._auth))
        return self._new(
            Secret(str(granted["client_token"])), granted.get("lease_duration"), granted.get("renewable"), ours=True
        )

    def _refused(self, credentials: Credentials, error: ServiceError, *, longest: float = PAUSES[-1]) -> ServiceError:
        if isinstance(error, PermissionDenied):
            self._refusals.note(login_key(self._auth), credentials.fingerprint, error, longest=longest)
        return error

    def _given(self, credentials: Credentials) -> Login:
        """A login by a configured token, which is asked for its lifetime and need not be allowed to
        tell it."""
        [token] = credentials.parts
        reply = self._call(token, lambda client: client.auth.token.lookup_self())
        if reply.token_unknown:
            raise self._refused(credentials, token_failure(credentials), longest=LOCKED_PAUSE)
        if not reply.ok and reply.status != 403:
            raise failure(reply, path="auth/token/lookup-self", capability="read", writing=False)
        self._refusals.clear(login_key(self._auth))
        return self._new(token, reply.data.get("ttl"), reply.data.get("renewable"), ours=False)

    def _new(self, token: Secret, lifetime: Any, renewable: Any, *, ours: bool) -> Login:
        granted = _seconds(lifetime)
        return Login(token, self.generation + 1, granted, granted, self._clock(), bool(renewable), ours)

    # --- while the token is good ------------------------------------------------------------------

    def _prolong(self, login: Login, now: float) -> None:
        renewed = self._renewed(login, now)
        if renewed is None and isinstance(self._auth, TokenAuth):
            credentials = read_credentials(self._auth, self._certificate)
            if credentials.parts[0] == login.token:
                self._not_before = now + min(RETRY, login.lifetime / 8)
                if login.end - now <= LAST_SHARE * login.granted:
                    self._complaint = (
                        f"{credentials.named} cannot be renewed any more; put a new token there, it is read again"
                    )
                return
        if renewed is None:
            self._obtain(login, now)
            return
        with self._lock:
            if self._login is login:
                self._login, self._complaint = renewed, ""

    def _renewed(self, login: Login, now: float) -> Login | None:
        """The login with a new lease of life; None when it cannot be renewed, or nears its maximum
        life."""
        if not login.renewable:
            return None
        reply = self._call(login.token, lambda client: client.auth.token.renew_self())
        if reply.status in (400, 403):
            return None
        if not reply.ok:
            raise failure(reply, path="auth/token/renew-self", capability="update", writing=False)
        lifetime = _seconds(mapping(reply.body.get("auth")).get("lease_duration"))
        if lifetime < CAPPED * login.granted:
            return None
        return replace(login, lifetime=lifetime, renewed=now)

    def _call(self, token: Secret, ask: Callable[[hvac.Client], Any]) -> Reply:
        reply: Reply = ask(self._client(token))
        return reply


def _seconds(value: object) -> float:
    """A number of seconds from an answer, at most a hundred years; 0 for anything else."""
    return float(min(max(value, 0), MAX_DURATION.total_seconds())) if isinstance(value, int | float) else 0.0
