"""Our login at Vault: made when it is first needed, renewed at half of its lifetime, made anew when it is refused.

A 403 means either that the token is no longer good or that the policy does not allow the call, and Vault does not say which.
So a refused token is replaced by one new login and the call is made once more; a second 403 is policy. A login that was made
moments ago is asked about itself first, so that a policy that denies does not cause a login for every call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import hvac

from rotator.domain.secret import Secret
from rotator.errors import PermissionDenied, RotatorError, ServiceError, Unavailable
from rotator.vault.responses import SERVICE, Reply, failure, mapping
from rotator.vault.settings import AppRoleAuth, Auth, CertAuth, JwtAuth, Supplier, TokenAuth

YOUNG = 10.0
"""Seconds in which a login is asked about itself before it is replaced."""

RETRY = 15.0
"""Seconds until a renewal that failed is tried again."""


@dataclass(frozen=True)
class Login:
    """A token and what is known of its life, in seconds of the monotonic clock. ``ours`` is one that we shall revoke."""

    token: Secret
    generation: int
    made: float
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
    """The one login that all threads share. ``client`` makes an hvac client that sends the given token, or none."""

    def __init__(
        self, auth: Auth, client: Callable[[Secret | None], hvac.Client], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._auth = auth
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._login: Login | None = None
        self._not_before = 0.0
        self._failed: tuple[float, ServiceError] | None = None

    @property
    def generation(self) -> int:
        """A number that changes with every new login; 0 before the first."""
        return self._login.generation if self._login else 0

    @property
    def life(self) -> tuple[timedelta, timedelta] | None:
        """How long the login is still good, and for how long it was last granted; None before the first, and without an end."""
        login = self._login
        if login is None or not login.lifetime:
            return None
        return timedelta(seconds=max(0.0, login.end - self._clock())), timedelta(seconds=login.lifetime)

    def token(self) -> Secret:
        """The token to send now."""
        login = self._login
        if login is not None and self._clock() < login.due:
            return login.token
        if login is not None and self._clock() < login.end:
            self.maintain()
            return (self._login or login).token
        asked = self._clock()
        with self._lock:
            if self._login is None or self._clock() >= self._login.end:
                self._login = self._log_in_for(asked)
            return self._login.token

    def instead_of(self, refused: Secret) -> Secret | None:
        """A token that may do better than one that was answered 403; None when this can only be policy."""
        asked = self._clock()
        with self._lock:
            login = self._login
            if login is not None and login.token is not refused:
                return login.token
            if login is not None and self._clock() - login.made < YOUNG and self._known(login):
                return None
            fresh = self._log_in_for(asked)
            self._login = fresh
        if login is None or fresh.token == refused:
            return None
        self._revoke(login)
        return fresh.token

    def maintain(self) -> None:
        """Renew the login if half of its lifetime is over, or replace it when it cannot be renewed. Never raises for what
        Vault answers: until its end the login that we have is good."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            login, now = self._login, self._clock()
            if login is None or now < login.due or now < self._not_before:
                return
            try:
                self._login = self._renewed(login) or self._replaced(login)
            except ServiceError:
                self._not_before = now + min(RETRY, login.lifetime / 8)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Revoke the login if it was ours, best effort."""
        with self._lock:
            login, self._login = self._login, None
        if login:
            self._revoke(login)

    # --- with the lock held -----------------------------------------------------------------------------------------

    def _log_in_for(self, asked: float) -> Login:
        """A login for a caller that has waited since ``asked``. Whoever waited while one failed shares its failure, so that
        a line of threads does not wait for one time-out after the other."""
        if self._failed is not None and self._failed[0] >= asked:
            raise self._failed[1].with_traceback(None)
        try:
            return self._log_in()
        except ServiceError as error:
            self._failed = (self._clock(), error)
            raise

    def _log_in(self) -> Login:
        if isinstance(self._auth, TokenAuth):
            return self._given(_read(self._auth.token, "the token"))
        reply = _login(self._auth, self._client(None))
        granted = mapping(reply.body.get("auth"))
        if not reply.ok or not granted.get("client_token"):
            raise _refused(self._auth, reply)
        return self._new(Secret(str(granted["client_token"])), granted.get("lease_duration"), granted.get("renewable"), ours=True)

    def _given(self, token: Secret) -> Login:
        """A login by a token of somebody else, which is asked for its lifetime and need not be allowed to tell it."""
        reply = self._call(token, lambda client: client.auth.token.lookup_self())
        if not reply.ok and reply.status != 403:
            raise failure(reply, path="auth/token/lookup-self", capability="read", writing=False)
        return self._new(token, reply.data.get("ttl"), reply.data.get("renewable"), ours=False)

    def _new(self, token: Secret, lifetime: Any, renewable: Any, *, ours: bool) -> Login:
        now = self._clock()
        return Login(token, self.generation + 1, now, float(lifetime or 0), now, bool(renewable), ours)

    def _known(self, login: Login) -> bool:
        """Whether Vault knows the token; one that may not look at itself counts as unknown."""
        return self._call(login.token, lambda client: client.auth.token.lookup_self()).ok

    def _renewed(self, login: Login) -> Login | None:
        """The login with a new lease of life; None when its best days are over."""
        if not login.renewable:
            return None
        now = self._clock()
        reply = self._call(login.token, lambda client: client.auth.token.renew_self())
        if reply.status in (400, 403):
            return None
        if not reply.ok:
            raise failure(reply, path="auth/token/renew-self", capability="update", writing=False)
        lifetime = float(mapping(reply.body.get("auth")).get("lease_duration") or 0)
        if login.ours and lifetime < login.lifetime / 2:
            return None
        return Login(login.token, login.generation, login.made, lifetime, now, login.renewable, login.ours)

    def _replaced(self, login: Login) -> Login:
        """A new login. The old one is left to its end, because other threads may be in the middle of using it."""
        if isinstance(self._auth, TokenAuth) and _read(self._auth.token, "the token") == login.token:
            self._not_before = self._clock() + RETRY
            return login
        return self._log_in()

    def _call(self, token: Secret, ask: Callable[[hvac.Client], Any]) -> Reply:
        reply: Reply = ask(self._client(token))
        return reply

    def _revoke(self, login: Login) -> None:
        if not login.ours:
            return
        try:
            self._call(login.token, lambda client: client.auth.token.revoke_self())
        except ServiceError:
            return


def _login(auth: AppRoleAuth | CertAuth | JwtAuth, client: hvac.Client) -> Reply:
    reply: Reply
    if isinstance(auth, AppRoleAuth):
        role_id = _read(auth.role_id, "the role id").reveal()
        secret_id = _read(auth.secret_id, "the secret id").reveal() if auth.secret_id else None
        reply = client.auth.approle.login(role_id, secret_id, use_token=False, mount_point=auth.mount)
    elif isinstance(auth, JwtAuth):
        jwt = _read(auth.jwt, "the JWT").reveal()
        reply = client.auth.jwt.jwt_login(auth.role, jwt, use_token=False, path=auth.mount)
    else:
        # hvac's own verb for this insists on handling the certificate, which belongs to the connection here.
        name = {"name": auth.role} if auth.role else {}
        reply = client.adapter.login(f"/v1/auth/{auth.mount}/login", use_token=False, json=name)
    return reply


def _read(supplier: Supplier, what: str) -> Secret:
    """The secret from where it is kept; what is wrong there is told without what is in it."""
    try:
        return supplier()
    except ServiceError:
        raise
    except RotatorError as error:
        raise Unavailable(f"{what} for the login at Vault cannot be read: {error}", service=SERVICE, kind="credentials") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is empty or not text"
        raise Unavailable(
            f"{what} for the login at Vault cannot be read: {reason}", service=SERVICE, kind="credentials"
        ) from None


def _refused(auth: AppRoleAuth | CertAuth | JwtAuth, reply: Reply) -> ServiceError:
    path = f"auth/{auth.mount}/login"
    if reply.status not in (200, 400, 403):
        return failure(reply, path=path, capability="update", writing=False)
    error = failure(reply, path=path, capability="update", writing=False)
    if isinstance(error, Unavailable):
        return error
    method = {AppRoleAuth: "AppRole", CertAuth: "certificate", JwtAuth: "JWT"}[type(auth)]
    return PermissionDenied(
        f"Vault refuses our {method} login at {path}: check its credentials, its role and the namespace",
        service=SERVICE,
        kind="login",
        path=path,
        capability="update",
    )
