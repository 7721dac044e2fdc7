"""A valid configuration as frozen values. References are resolved when the secret is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from rotator.config.secret_reference import Reference
    from rotator.domain.spec import ApplicationSpec
    from rotator.errors import ConfigurationProblem


@dataclass(frozen=True)
class OwnSecretId:
    """How the secret id of the login is rotated: its role in Vault, interval, grace, and file."""

    role: str
    every: timedelta
    grace: timedelta
    file: Path


@dataclass(frozen=True)
class Auth:
    """The login to Vault. ``method`` is ``approle`` (role_id, optional secret_id), ``cert``
    (certificate, key, optional role), ``jwt`` (role, jwt) or ``token`` (token). ``mount``: where
    the method is mounted, empty for a token."""

    method: str
    mount: str = ""
    role: str = ""
    role_id: Reference | None = None
    secret_id: Reference | None = None
    certificate: Reference | None = None
    key: Reference | None = None
    jwt: Reference | None = None
    token: Reference | None = None
    own_secret_id: OwnSecretId | None = None


@dataclass(frozen=True)
class Vault:
    """Vault or OpenBao: address, login, and ledgers. ``ledger_path``: a KV v2 mount, then a
    prefix."""

    address: str
    auth: Auth
    ledger_path: str
    namespace: str
    ca_cert: Path | None
    timeout: timedelta
    proxy: str | None


@dataclass(frozen=True)
class Account:
    """An organisation at a provider, and the reference to its management key, whose access key is
    ``access_key``. ``own_key``: the application that rotates that key, empty where an operator
    replaces it; ``secret_key`` is then the key of the first login, if any. ``rate_limit``: calls
    per second."""

    name: str
    provider: str
    organization_id: str
    secret_key: Reference | None
    access_key: str | None
    own_key: str
    api_url: str
    ca_cert: Path | None
    timeout: timedelta
    rate_limit: float
    proxy: str | None


@dataclass(frozen=True)
class Daemon:
    """The settings of the process."""

    workers: int
    shutdown_timeout: timedelta
    max_clock_skew: timedelta
    startup_spread: timedelta
    share_looks: bool


@dataclass(frozen=True)
class Listener:
    """Where the daemon listens: a host (an IP address) and a port, or the ``path`` of a Unix
    socket."""

    host: str = ""
    port: int = 0
    path: Path | None = None

    def __str__(self) -> str:
        return (
            f"unix:{self.path}"
            if self.path
            else f"[{self.host}]:{self.port}"
            if ":" in self.host
            else f"{self.host}:{self.port}"
        )


@dataclass(frozen=True)
class Control:
    """The control sockets. A group is empty if only the daemon's own may use the socket."""

    directory: Path
    read_group: str = ""
    control_group: str = ""


@dataclass(frozen=True)
class Webhook:
    """Where external systems report keys, and how they authenticate: a token, a certificate of
    ``client_ca``, or both, and always a signature. Without certificate and key there is no TLS,
    which is permitted on this machine only."""

    at: Listener
    signing_key: Reference
    token: Reference | None = None
    client_ca: Path | None = None
    certificate: Reference | None = None
    key: Reference | None = None
    rate_limit: int = 6


@dataclass(frozen=True)
class Heartbeat:
    """`[heartbeat]`. ``url`` refers to an address that is a secret: it permits to report this
    installation as healthy."""

    url: Reference | None
    interval: timedelta
    ca_cert: Path | None
    proxy: str | None


@dataclass(frozen=True)
class Notifications:
    """`[notifications]`. ``targets`` refer to addresses that are secrets: each permits to send
    messages to it."""

    name: str
    targets: tuple[Reference, ...]
    allow_http: bool
    min_interval: timedelta
    deadline_warning: timedelta


@dataclass(frozen=True)
class Configuration:
    """A valid configuration and its file. Keys are names of accounts and applications."""

    path: Path
    vault: Vault
    accounts: Mapping[str, Account]
    specs: Mapping[str, ApplicationSpec]
    daemon: Daemon
    heartbeat: Heartbeat
    notifications: Notifications
    listen: Listener | None = None
    control: Control | None = None
    webhook: Webhook | None = None
    warnings: tuple[ConfigurationProblem, ...] = ()
    set_aside: tuple[ConfigurationProblem, ...] = ()
    """Problems of tables that were not needed, if only some applications were loaded."""
    left_out: frozenset[str] = frozenset()
    """The applications that have no spec because of such a problem."""
    """Options that are set by their former names."""
