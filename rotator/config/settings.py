"""A valid configuration as plain frozen values. References stay references until the secret is
needed."""

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
    """How the secret id of the login is rotated: its role at Vault, how often, with which grace,
    and the file that keeps it."""

    role: str
    every: timedelta
    grace: timedelta
    file: Path


@dataclass(frozen=True)
class Auth:
    """How to log in to Vault. ``method`` is ``approle`` (role_id, perhaps secret_id), ``cert``
    (certificate, key, perhaps role), ``jwt`` (role, jwt) or ``token`` (token); ``mount`` is where
    the method is mounted, empty for a token.
    """

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
    """Where Vault (or OpenBao) is, how to log in, and where the ledgers are: ``ledger`` is a KV v2
    mount, then a prefix."""

    address: str
    auth: Auth
    ledger_path: str
    namespace: str
    ca_cert: Path | None
    timeout: timedelta
    proxy: str | None


@dataclass(frozen=True)
class Account:
    """An organisation at a provider, and the reference to the key that manages its keys, whose
    public name is ``access_key``. ``own_key`` is the application that rotates that key, empty where
    an operator replaces it; ``secret_key`` is then the key of the first login, if there is one.
    ``rate_limit`` is calls a second."""

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
    """What concerns the process and not a single application."""

    workers: int
    shutdown_timeout: timedelta
    max_clock_skew: timedelta
    startup_spread: timedelta


@dataclass(frozen=True)
class Listener:
    """Where the daemon answers: a host (an IP address) and a port, or the ``path`` of a Unix
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
    """Where the sockets are on which the daemon is asked and ordered. A group is empty where only
    the daemon's own may use one."""

    directory: Path
    read_group: str = ""
    control_group: str = ""


@dataclass(frozen=True)
class Webhook:
    """Where machines outside report keys, and how they prove who they are: a token, a certificate
    of ``client_ca``, or both, and always a signature. Without certificate and key it speaks no TLS,
    which only this machine may hear."""

    at: Listener
    signing_key: Reference
    token: Reference | None = None
    client_ca: Path | None = None
    certificate: Reference | None = None
    key: Reference | None = None
    rate_limit: int = 6


@dataclass(frozen=True)
class Heartbeat:
    """`[heartbeat]`. ``url`` refers to an address that is a secret: who knows it can report this
    installation as healthy."""

    url: Reference | None
    interval: timedelta
    ca_cert: Path | None
    proxy: str | None


@dataclass(frozen=True)
class Notifications:
    """`[notifications]`. ``targets`` refer to addresses that are secrets: who knows one can send
    messages to it."""

    name: str
    targets: tuple[Reference, ...]
    allow_http: bool
    min_interval: timedelta
    deadline_warning: timedelta


@dataclass(frozen=True)
class Configuration:
    """A whole configuration that is sound, and the file that it was read from. The keys are names
    of accounts and applications."""

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
    """Problems of tables that were not needed, where the configuration was read for some
    applications only."""
    left_out: frozenset[str] = frozenset()
    """The applications that have no spec because of such a problem."""
    """Options that are set by their former names."""
