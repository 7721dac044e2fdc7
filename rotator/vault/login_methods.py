"""How one login is made by each method, and what it means when Vault refuses it. Credentials are
read afresh for each login."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import hvac

from rotator.domain.secret import Secret
from rotator.errors import PermissionDenied, RotatorError, ServiceError, Unavailable
from rotator.util.refusals import fingerprint
from rotator.vault.responses import SERVICE, Reply, failure
from rotator.vault.settings import AppRoleAuth, Auth, CertAuth, JwtAuth, Supplier, TokenAuth

LOCKED_PAUSE = 60.0
"""Seconds until a login is tried again that Vault did not look at: such an attempt is not counted
against the role."""

_METHODS = {AppRoleAuth: "AppRole", CertAuth: "certificate", JwtAuth: "JWT", TokenAuth: "token"}


class Certificate(Protocol):
    """The client certificate of the connection."""

    @property
    def source(self) -> str:
        """Where it is kept."""

    def stamp(self) -> str:
        """What tells its versions apart."""


class _NoCertificate:
    source = ""

    def stamp(self) -> str:
        """Always the same."""
        return ""


NO_CERTIFICATE = _NoCertificate()


@dataclass(frozen=True)
class Credentials:
    """What one login sends, as read just now; ``named`` says where it was read, and never what it
    is."""

    named: str
    fingerprint: bytes
    parts: tuple[Secret, ...] = field(repr=False)


def read_credentials(auth: Auth, certificate: Certificate) -> Credentials:
    """The credentials from where they are kept."""
    match auth:
        case TokenAuth():
            sources = {"token": auth.token}
        case AppRoleAuth():
            sources = {"role id": auth.role_id} | ({"secret id": auth.secret_id} if auth.secret_id else {})
        case JwtAuth():
            sources = {"JWT": auth.jwt}
        case CertAuth():
            return Credentials(f"the client certificate {certificate.source}", fingerprint(certificate.stamp()), ())
    parts = tuple(_read(supplier, f"the {what}") for what, supplier in sources.items())
    if isinstance(auth, JwtAuth) and parts[0].reveal().count(".") != 2:
        raise _unreadable(auth.jwt, "the JWT", "it is no JWT, which has three parts joined by dots")
    named = " and ".join(_named(supplier, f"the {what}") for what, supplier in sources.items())
    return Credentials(named, fingerprint(*(part.reveal() for part in parts)), parts)


def send_login(auth: AppRoleAuth | CertAuth | JwtAuth, credentials: Credentials, client: hvac.Client) -> Reply:
    """One login call."""
    reply: Reply
    plain = [part.reveal() for part in credentials.parts]
    if isinstance(auth, AppRoleAuth):
        role_id, secret_id = plain[0], plain[1] if auth.secret_id else None
        reply = client.auth.approle.login(role_id, secret_id, use_token=False, mount_point=auth.mount)
    elif isinstance(auth, JwtAuth):
        reply = client.auth.jwt.jwt_login(auth.role, plain[0], use_token=False, path=auth.mount)
    else:
        # hvac's own verb for this insists on handling the certificate, which belongs to the
        # connection here.
        name = {"name": auth.role} if auth.role else {}
        reply = client.adapter.login(f"/v1/auth/{auth.mount}/login", use_token=False, json=name)
    return reply


def login_key(auth: Auth) -> str:
    """Which login it is, among those of one process at one Vault."""
    return f"{_METHODS[type(auth)]} {'' if isinstance(auth, TokenAuth) else auth.mount}"


def login_failure(auth: AppRoleAuth | CertAuth | JwtAuth, credentials: Credentials, reply: Reply) -> ServiceError:
    """The error for a login that gave no token."""
    path = f"auth/{auth.mount}/login"
    error = failure(reply, path=path, capability="update", writing=False)
    expired = isinstance(auth, CertAuth) and reply.says(
        "verify client's certificate"
    )  # with the status of a failing server
    if not expired and (reply.status not in (400, 403) or isinstance(error, Unavailable)):
        return error
    method = _METHODS[type(auth)]
    if reply.status == 403 and isinstance(auth, AppRoleAuth):
        return refused(
            f"Vault answers the {method} login at {path} without a look at its credentials: after five refused logins "
            "it has locked the role for all who use it, for 15 minutes as a rule, or no AppRole method is at that "
            "path and namespace; an administrator ends a lock-out with `bao write -f "
            "sys/locked-users/ACCESSOR/unlock/ROLE_ID`",
            path,
            "unlock the role and stop the machine whose credentials are wrong, or correct mount of [vault] auth",
        )
    if reply.says("cidr restrictions"):
        return refused(
            f"Vault refuses the {method} login at {path} from the address of this machine, whatever the credentials "
            "are: add the address to secret_id_bound_cidrs of the role",
            path,
            "add the address of this machine to secret_id_bound_cidrs of the role",
        )
    lock_out = "; five refusals lock the role for all who use it, so" if isinstance(auth, AppRoleAuth) else ";"
    return refused(
        f"Vault refuses the {method} login at {path} with {credentials.named}: check that it is right, has not ended, "
        f"is not used up, may be used from this address, and that role and namespace are right{lock_out} unchanged "
        "credentials are tried again after 15 seconds and then ever more rarely, changed ones at once",
        path,
    )


def token_failure(credentials: Credentials) -> PermissionDenied:
    """The error for a configured token that Vault does not know."""
    return refused(
        f"Vault does not know {credentials.named}: the token ended, was revoked or is used up; put a new one there, "
        "it is read again",
        "auth/token/lookup-self",
    )


def fresh_token_failure(auth: AppRoleAuth | CertAuth | JwtAuth) -> PermissionDenied:
    """The error for a token that Vault refuses although it has just given it."""
    path = f"auth/{auth.mount}/login"
    return refused(
        f"Vault refuses the token that the {_METHODS[type(auth)]} login at {path} has just given: check "
        "token_bound_cidrs and token_num_uses of the role, and the namespace",
        path,
        "correct token_bound_cidrs and token_num_uses of the role",
    )


def refused(message: str, path: str, remedy: str = "") -> PermissionDenied:
    """A refusal of the credentials, as opposed to one of a path."""
    return PermissionDenied(message, service=SERVICE, kind="login", path=path, capability="update", remedy=remedy)


def _named(supplier: Supplier, what: str) -> str:
    source = getattr(supplier, "source", "")
    return f"{what} of {source}" if source else what


def _read(supplier: Supplier, what: str) -> Secret:
    """The secret from where it is kept; a fault there is reported without the content."""
    try:
        return supplier()
    except ServiceError:
        raise
    except RotatorError as error:
        reason = str(error)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is empty or not text"
    raise _unreadable(supplier, what, reason)


def _unreadable(supplier: Supplier, what: str, reason: str) -> Unavailable:
    return Unavailable(
        f"{_named(supplier, what)} for the login at Vault cannot be read: {reason}", service=SERVICE, kind="credentials"
    )
