"""Connects to a service one stage at a time, to name the stage that fails: name, connection, proxy,
TLS."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from rotator.errors import ConfigurationError
from rotator.http.failures import reason_of
from rotator.http.tls import TlsFiles

HANDSHAKE_ROUNDS = 4
"""Turns of each side in a handshake in memory; TLS needs two or three."""


class WayEnds(Exception):
    """A connection fails at a stage; the message is the rest of a sentence."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


def examine(
    address: str, *, ca_cert: Path | None = None, proxy: str | None = None, timeout: float = 5.0
) -> datetime | None:
    """When the certificate of the service ends; None without TLS, and behind a proxy. Raises
    ``WayEnds``."""
    target = urlsplit(address)
    nearest = urlsplit(proxy) if proxy else target
    stages = ("proxy", "proxy") if proxy else ("dns", "connect")
    connection = _connected(nearest, timeout, stages)
    with connection:
        if proxy or target.scheme != "https":
            return None
        return _certificate_end(connection, target.hostname or "", ca_cert)


def own_certificate_end(certificate: Path, key: Path) -> datetime | None:
    """When a client certificate of this machine ends; None if it cannot be used, or has ended.

    Without another library, only a handshake parses a certificate, so both sides of one run here.
    """
    try:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.verify_mode, server.verify_flags = ssl.CERT_REQUIRED, ssl.VERIFY_X509_PARTIAL_CHAIN
        server.load_verify_locations(certificate)
        for context in (client, server):
            context.load_cert_chain(certificate, key, password="")
        here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
        sides = (client.wrap_bio(here, there), server.wrap_bio(there, here, server_side=True))
        for side in sides * HANDSHAKE_ROUNDS:
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
        ends = (sides[1].getpeercert() or {}).get("notAfter")
    except (OSError, ValueError):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC) if ends else None


def _connected(target: SplitResult, timeout: float, stages: tuple[str, str]) -> socket.socket:
    host, port = target.hostname or "", target.port or (443 if target.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise WayEnds(stages[0], f"the name {host} cannot be resolved") from None
    reason = "no address"
    for family, kind, protocol, _, place in found:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout)
        try:
            connection.connect(place)
        except OSError as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else reason_of(error)
            connection.close()
        else:
            return connection
    raise WayEnds(stages[1], f"{host} does not take a connection at port {port} ({reason})")


def _certificate_end(connection: socket.socket, host: str, ca_cert: Path | None) -> datetime | None:
    try:
        with TlsFiles(ca_cert).wrap_socket(connection, server_hostname=host) as secure:
            ends = secure.getpeercert().get("notAfter")
    except ConfigurationError as error:
        raise WayEnds("tls", str(error)) from None
    except OSError as error:
        why = reason_of(error) if isinstance(error, ssl.SSLError) else "the connection was lost"
        raise WayEnds("tls", f"TLS with {host} fails ({why})") from None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC) if ends else None
