"""Converts the configuration into the settings of the adapters. Secrets are functions that read
them on every call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rotator import config
from rotator.config import Configuration, Reference
from rotator.domain.ports import EventSink
from rotator.domain.secret import Secret
from rotator.http import ResponseObserver
from rotator.observability.notifications import HeartbeatSettings, NotificationSettings
from rotator.util.refusals import Refusals
from rotator.vault import (
    AppRoleAuth,
    Auth,
    CertAuth,
    JwtAuth,
    OwnSecretIdSettings,
    SecretIdPolicy,
    TokenAuth,
    VaultSettings,
)

SPARE_CONNECTIONS = 4
"""Connections to a service beyond one for each worker: for probes and for the login."""


VAULT_ACCOUNTS = 4
"""Up to this number of accounts, Vault has connections for all workers; beyond it, calls may wait
for a connection."""

ORDER_CONNECTIONS = 16
"""More connections if the daemon accepts commands: each has its own thread."""


def connections_for(configuration: Configuration, accounts: int = 1) -> int:
    """Connections to one service: one for each thread of workers, urgent workers and commands that
    may call it, and ``SPARE_CONNECTIONS``."""
    workers = configuration.daemon.workers
    commands = ORDER_CONNECTIONS if configuration.control or configuration.webhook else 0
    return accounts * (workers + max(1, workers // 4)) + commands + SPARE_CONNECTIONS


def vault_settings(
    configuration: Configuration, sink: EventSink, observe: ResponseObserver, refusals: Refusals
) -> VaultSettings:
    """The settings of the Vault adapter. ``sink`` receives the events of the rotation of its
    login."""
    found = configuration.vault
    certificate, key = found.auth.certificate, found.auth.key
    return VaultSettings(
        address=found.address,
        auth=_auth(found.auth),
        ledger=found.ledger_path,
        namespace=found.namespace,
        ca_cert=found.ca_cert,
        client_cert=certificate.file() if certificate else None,
        client_key=key.file() if key else None,
        credentials=next((one.folder() for one in (certificate, key) if one and one.folder()), None),
        timeout=found.timeout,
        proxy=found.proxy,
        connections=connections_for(configuration, min(len(configuration.accounts) or 1, VAULT_ACCOUNTS)),
        observe=observe,
        own_secret_id=_own_secret_id(found.auth.own_secret_id, found.auth.mount, sink)
        if found.auth.own_secret_id
        else None,
        refusals=refusals,
    )


def _own_secret_id(own: config.OwnSecretId, mount: str, sink: EventSink) -> OwnSecretIdSettings:
    """The settings of the rotation of the login's secret id."""
    return OwnSecretIdSettings(own.role, own.file, SecretIdPolicy(own.every, own.grace), sink, mount)


def _auth(auth: config.Auth) -> Auth:
    """The settings of the login, with functions for references. The schema ensures that each method
    has its options."""
    if auth.method == "approle":
        return AppRoleAuth(
            required(auth.role_id), ReferenceSupplier(auth.secret_id) if auth.secret_id else None, auth.mount
        )
    if auth.method == "cert":
        return CertAuth(auth.role, auth.mount)
    if auth.method == "jwt":
        return JwtAuth(auth.role, required(auth.jwt), auth.mount)
    return TokenAuth(required(auth.token))


@dataclass(frozen=True)
class ReferenceSupplier:
    """Reads the secret of a reference on every call. ``source`` names the reference in messages."""

    reference: Reference
    read: Callable[[str, str], Secret] | None = None

    @property
    def source(self) -> str:
        """The text of the reference."""
        return str(self.reference)

    def __call__(self) -> Secret:
        """The current secret."""
        return self.reference.resolve(self.read)


def required(reference: Reference | None, read: Callable[[str, str], Secret] | None = None) -> Callable[[], Secret]:
    """The function that reads a reference which the schema requires."""
    if reference is None:
        raise AssertionError("the schema lets no configuration through that lacks this reference")
    return ReferenceSupplier(reference, read)


def notification_settings(configuration: Configuration) -> NotificationSettings:
    """The settings of notifications. A target is named by the text of its reference."""
    heartbeat, found = configuration.heartbeat, configuration.notifications
    ping = (
        HeartbeatSettings(ReferenceSupplier(heartbeat.url), heartbeat.interval, heartbeat.ca_cert, heartbeat.proxy)
        if heartbeat.url
        else None
    )
    targets = {str(reference): ReferenceSupplier(reference) for reference in found.targets}
    return NotificationSettings(found.name, ping, targets, found.min_interval, found.deadline_warning, found.allow_http)
