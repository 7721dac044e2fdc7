"""What the environment would change about connections, and must not: authorities, proxies, a file
for the keys of TLS."""

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
    """Remove these variables, in both spellings, before a library reads them: the configuration
    alone says whom to trust.

    ``HTTPS_PROXY`` stays for the messages of Apprise: a proxy for TLS passes on what it cannot
    read. Nothing else of rotator uses it.
    """
    for name in _NAMES:
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
