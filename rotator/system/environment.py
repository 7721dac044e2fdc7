"""Removes environment variables that would change connections: authorities, proxies, a file for TLS
keys."""

from __future__ import annotations

import os

_NAMES = (
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "NETRC",
    "OPENSSL_CONF",
    "REQUESTS_CA_BUNDLE",
    "SSLKEYLOGFILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)


def ignore_connection_settings() -> None:
    """Removes these variables, in both spellings, before a library reads them: only the
    configuration selects authorities and proxies.

    ``HTTPS_PROXY`` remains for Apprise: a proxy for TLS cannot read what it forwards. Nothing else
    in rotator uses it.
    """
    for name in _NAMES:
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
