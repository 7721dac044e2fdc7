"""The settings of the Vault adapter: where Vault is, how to log in, and where the ledgers are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from rotator.domain.ports import EventSink, NullEventSink
from rotator.domain.secret import Secret
from rotator.http import ResponseObserver
from rotator.util.refusals import Refusals
from rotator.vault.secret_ids import SecretIdPolicy

Supplier = Callable[[], Secret]
"""Reads a secret from where it is kept, anew for every login, so that a replaced file is enough to
replace it. An attribute ``source``, where there is one, is the reference by which messages name
it."""


@dataclass(frozen=True)
class TokenAuth:
    """A token from the configuration. It is renewed when it can be, and never revoked."""

    token: Supplier


@dataclass(frozen=True)
class AppRoleAuth:
    """The AppRole method; ``secret_id`` may be left out for roles that do not bind one."""

    role_id: Supplier
    secret_id: Supplier | None = None
    mount: str = "approle"


@dataclass(frozen=True)
class CertAuth:
    """The TLS certificate method, with the client certificate of the connection. An empty role lets
    Vault choose."""

    role: str = ""
    mount: str = "cert"


@dataclass(frozen=True)
class JwtAuth:
    """The JWT method, for tokens of Kubernetes, GitLab and the like."""

    role: str
    jwt: Supplier
    mount: str = "jwt"


@dataclass(frozen=True)
class OwnSecretIdSettings:
    """How the secret id of the login is rotated: the role that it belongs to, the file that keeps
    it, and how often."""

    role: str
    file: Path
    policy: SecretIdPolicy
    sink: EventSink = field(default_factory=NullEventSink)
    mount: str = "approle"

    @property
    def role_path(self) -> str:
        """The path of the role in Vault's API."""
        return f"auth/{self.mount}/role/{self.role}"


Auth = TokenAuth | AppRoleAuth | CertAuth | JwtAuth


@dataclass(frozen=True)
class VaultSettings:
    """Everything that ``build`` needs. ``ledger`` is a KV v2 mount and then a prefix, such as
    ``secret/rotator``.

    ``ca_cert`` names a file with the authorities to trust instead of the system's; ``client_cert``
    and ``client_key`` are PEM files; ``credentials`` is the directory of the service's credentials,
    if one of them is there. ``timeout`` bounds one call from start to end; ``connections`` are open
    at most. ``observe`` gets the outcome and the seconds of every call.
    """

    address: str
    auth: Auth
    ledger: str
    namespace: str = ""
    ca_cert: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    credentials: Path | None = None
    timeout: timedelta = timedelta(seconds=15)
    proxy: str | None = None
    connections: int = 8
    observe: ResponseObserver = lambda outcome, seconds: None  # noqa: ARG005 - no observer
    own_secret_id: OwnSecretIdSettings | None = None
    """How the secret id of an AppRole login is rotated, if it is."""
    refusals: Refusals = field(default_factory=Refusals)
    """Which credentials were refused; a configuration that is read again is given what the one
    before it has learnt."""
