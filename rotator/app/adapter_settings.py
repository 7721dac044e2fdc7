"""Turns the configuration into the settings of the adapters. A secret is never a value: it is
supplied anew on every call."""

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
"""For so many accounts Vault has connections for all workers; with more accounts a call waits until
one of them is free."""

ORDER_CONNECTIONS = 16
"""As many more where the daemon takes orders: each has a thread of its own."""


def connections_for(configuration: Configuration, accounts: int = 1) -> int:
    """Connections to one service: one for each thread that may call it, of workers, urgent workers
    and commands, and some to spare."""
    workers = configuration.daemon.workers
    commands = ORDER_CONNECTIONS if configuration.control or configuration.webhook else 0
    return accounts * (workers + max(1, workers // 4)) + commands + SPARE_CONNECTIONS


def vault_settings(
    configuration: Configuration, sink: EventSink, observe: ResponseObserver, refusals: Refusals
) -> VaultSettings:
    """How Vault is reached and logged in to. ``sink`` receives the events of the login's own
    rotation."""
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
    """How the secret id of the login is rotated, and where that is reported."""
    return OwnSecretIdSettings(own.role, own.file, SecretIdPolicy(own.every, own.grace), sink, mount)


def _auth(auth: config.Auth) -> Auth:
    """How to log in, with suppliers in place of references. The schema made sure that each method
    has what it needs."""
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
    """Reads the secret of a reference anew on every call; ``source`` names the reference in
    messages."""

    reference: Reference
    read: Callable[[str, str], Secret] | None = None

    @property
    def source(self) -> str:
        """The text of the reference."""
        return str(self.reference)

    def __call__(self) -> Secret:
        """The secret as it is now."""
        return self.reference.resolve(self.read)


def required(reference: Reference | None, read: Callable[[str, str], Secret] | None = None) -> Callable[[], Secret]:
    """The supplier of a reference that the schema demands."""
    if reference is None:
        raise AssertionError("the schema lets no configuration through that lacks this reference")
    return ReferenceSupplier(reference, read)


def notification_settings(configuration: Configuration) -> NotificationSettings:
    """Which notifications are sent, and where. A target goes by the text of its reference."""
    heartbeat, found = configuration.heartbeat, configuration.notifications
    ping = (
        HeartbeatSettings(ReferenceSupplier(heartbeat.url), heartbeat.interval, heartbeat.ca_cert, heartbeat.proxy)
        if heartbeat.url
        else None
    )
    targets = {str(reference): ReferenceSupplier(reference) for reference in found.targets}
    return NotificationSettings(found.name, ping, targets, found.min_interval, found.deadline_warning, found.allow_http)
