"""HashiCorp Vault and OpenBao behind ``rotator.domain.ports.VaultStore``; the only place that knows hvac."""

from __future__ import annotations

from rotator.http import HttpClient
from rotator.vault.connection import VaultConnection
from rotator.vault.decoding import VersionInfo
from rotator.vault.responses import SERVICE
from rotator.vault.settings import AppRoleAuth, Auth, CertAuth, JwtAuth, Supplier, TokenAuth, VaultSettings
from rotator.vault.store import KvStore

__all__ = [
    "SERVICE",
    "AppRoleAuth",
    "Auth",
    "CertAuth",
    "JwtAuth",
    "KvStore",
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
    http = HttpClient(
        timeout=settings.timeout,
        connections=settings.connections,
        ca_cert=settings.ca_cert,
        client_cert=certificate,
        proxy=settings.proxy,
        observe=settings.observe,
    )
    connection = VaultConnection(http, settings.address, settings.auth, settings.namespace, refusals=settings.refusals)
    return KvStore(connection, settings.ledger)
