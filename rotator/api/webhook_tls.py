"""TLS of the webhook: the context, and the state of its files."""

from __future__ import annotations

import ssl
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from rotator.config import Reference, Webhook
from rotator.http.tls import opened_files
from rotator.system.file_permissions import open_file

FileStates = tuple[tuple[int, int, int], ...]


class UnusableKey(OSError):
    """The private key cannot be used; ``strerror`` says why and what to do."""


def tls_context(settings: Webhook) -> ssl.SSLContext | None:
    """The context, or None without a certificate. With ``client_ca``, callers need a certificate of
    that authority."""
    if settings.certificate is None or settings.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # the default context writes keys to the file in the environment
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with _opened(settings.certificate) as (certificate,), _opened(settings.key) as (key,):
        context.load_cert_chain(certificate, key, password=_no_pass_phrase)
    if settings.client_ca is not None:
        with opened_files(open_file, settings.client_ca) as (authority,):
            context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _opened(reference: Reference) -> AbstractContextManager[list[str]]:
    return opened_files(partial(open_file, folder=reference.folder()), reference.file())


def file_states(settings: Webhook) -> FileStates:
    """Changes when a file is renewed. A missing file has no state."""
    references = (settings.certificate, settings.key)
    paths = [
        *(reference.file() for reference in references if reference),
        *([settings.client_ca] if settings.client_ca else []),
    ]
    return tuple(map(_state, paths))


def _state(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_ino, found.st_size


def _no_pass_phrase() -> str:
    # Without this, OpenSSL would prompt for the phrase on the terminal and wait.
    raise UnusableKey(
        0,
        "the key has a pass phrase, which a service cannot type in; store it without one: openssl pkey -in KEY -out "
        "NEW",
    )
