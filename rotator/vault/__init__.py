"""HashiCorp Vault and OpenBao behind ``rotator.domain.ports.VaultStore``; the only place that knows
hvac."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from rotator.http import HttpClient
from rotator.system.file_permissions import open_file
from rotator.vault.connection import VaultConnection
from rotator.vault.decoding import VersionInfo
from rotator.vault.kv_store import KvStore
from rotator.vault.responses import SERVICE
from rotator.vault.secret_id_rotation import KeptSecretId, SecretIdRotation
from rotator.vault.secret_ids import SecretIdFile, SecretIdPolicy
from rotator.vault.settings import (
    AppRoleAuth,
    Auth,
    CertAuth,
    JwtAuth,
    OwnSecretIdSettings,
    Supplier,
    TokenAuth,
    VaultSettings,
)

__all__ = [
    "SERVICE",
    "AppRoleAuth",
    "Auth",
    "CertAuth",
    "JwtAuth",
    "KvStore",
    "OwnSecretIdSettings",
    "SecretIdPolicy",
    "Supplier",
    "TokenAuth",
    "VaultSettings",
    "VersionInfo",
    "build",
]


def build(settings: VaultSettings) -> KvStore:
    """The store that these settings describe. Nothing is contacted before the first call.

    Raises ``ConfigurationError`` for a certificate file that cannot be used.
    """
    certificate = (settings.client_cert, settings.client_key) if settings.client_cert and settings.client_key else None
    in_credentials = [path for path in certificate or () if path.parent == settings.credentials]
    http = HttpClient(
        timeout=settings.timeout,
        connections=settings.connections,
        ca_cert=settings.ca_cert,
        client_cert=certificate,
        opener=lambda path: open_file(path, folder=settings.credentials if path in in_credentials else None),
        proxy=settings.proxy,
        observe=settings.observe,
    )
    auth, own = settings.auth, settings.own_secret_id
    if own is None or not isinstance(auth, AppRoleAuth):
        return KvStore(_connection(http, settings, auth), settings.ledger)
    kept = replace(auth, secret_id=KeptSecretId(SecretIdFile(own.file), auth.secret_id))
    connection = _connection(http, settings, kept)
    rotation = SecretIdRotation(own, auth.secret_id, connection, lambda: datetime.now(UTC))
    return KvStore(connection, settings.ledger, secret_ids=rotation)


def _connection(http: HttpClient, settings: VaultSettings, auth: Auth) -> VaultConnection:
    return VaultConnection(http, settings.address, auth, settings.namespace, refusals=settings.refusals)
