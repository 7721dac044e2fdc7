"""TLS with files that may change: a renewed certificate or a replaced authority needs no
restart."""

from __future__ import annotations

import errno
import os
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import certifi  # comes with httpx

from rotator.errors import ConfigurationError, ConfigurationProblem
from rotator.http.failures import reason_of

Opener = Callable[[Path], int]
"""Opens a file for reading."""


def open_plainly(path: Path) -> int:
    """The descriptor of a plain file of any owner. OpenSSL would wait for the writer of a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "is not a plain file")
    return descriptor


class TlsFiles(ssl.SSLContext):
    """A client context that verifies names and certificates, and is rebuilt when one of its files
    changes.

    ``ca_cert`` replaces the system's certificate authorities. ``client_cert``: the files of a
    certificate and of its key. The files' inode, time and size are compared before each connection
    and after each failed handshake. If files cannot be used (half written, or not readable), the
    previous context stays in use, and ``problem`` says so. ``opener`` opens them, and raises
    ``OSError`` for one that is not to be trusted. Raises ``ConfigurationError`` if there is no
    context yet. Thread-safe.
    """

    def __new__(cls, *_: object, **__: object) -> Self:
        """Sets the protocol of the base class, whose own settings are never used."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(
        self,
        ca_cert: Path | None = None,
        client_cert: tuple[Path, Path] | None = None,
        opener: Opener = open_plainly,
    ) -> None:
        self._ca_cert = ca_cert
        self._client_cert = client_cert
        self._opener = opener
        self._files = tuple(file for file in (ca_cert, *(client_cert or ())) if file is not None)
        self._changing = threading.Lock()
        self._seen = self._stamps()
        self._context = _context(ca_cert, client_cert, opener)
        self.problem = ""
        """Why the present files are not in use; empty if they are."""
        self.generation = 1
        """A number that changes with the context: connections of an earlier one use an earlier
        certificate."""

    def refresh(self, *, again: bool = False) -> int:
        """Reads the files if they have changed, or ``again`` in any case. Returns the generation of
        the context in use."""
        if not self._files:
            return self.generation
        stamps = self._stamps()
        with self._changing:
            if stamps != self._seen or again:
                self._seen = stamps
                try:
                    self._context = _context(self._ca_cert, self._client_cert, self._opener)
                except ConfigurationError as error:
                    self.problem = f"{error}; the files read before are in use"
                else:
                    self.problem = ""
                    self.generation += 1
            return self.generation

    def explain(self, error: ssl.SSLError) -> str:
        """The file that a failed handshake concerns, as the end of a sentence; empty if none."""
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"; the authorities that are trusted are in {self._ca_cert}" if self._ca_cert else ""
        if self._client_cert and "alert" in (error.reason or "").lower():
            return f"; the client certificate is {self._client_cert[0]}"
        return ""

    def stamp(self) -> str:
        """A text that changes with the files."""
        return repr(self._stamps())

    @property
    def source(self) -> str:
        """The file of the client certificate."""
        return str(self._client_cert[0]) if self._client_cert else ""

    def wrap_socket(self, sock: Any, *args: Any, **options: Any) -> Any:
        """Wraps with the context for the present files."""
        return self._wrapped("wrap_socket", sock, *args, **options)

    def wrap_bio(self, incoming: Any, outgoing: Any, *args: Any, **options: Any) -> Any:
        """The same for TLS within TLS."""
        return self._wrapped("wrap_bio", incoming, outgoing, *args, **options)

    def _wrapped(self, how: str, *args: Any, **options: Any) -> Any:
        self.refresh()
        context = self._context
        context.set_alpn_protocols(["http/1.1"])
        try:
            return getattr(context, how)(*args, **options)
        except ssl.SSLError as error:
            error.add_note(self.explain(error))
            self.refresh(again=True)
            raise

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(_stamp(file) for file in self._files)


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0, 0
    return status.st_ino, status.st_mtime_ns, status.st_size


def _system_authorities() -> list[dict[str, str]]:
    """The paths that OpenSSL was built with, whatever the environment; if they are empty, the
    authorities of certifi."""
    built_in = ssl.get_default_verify_paths()
    places = {"cafile": built_in.openssl_cafile, "capath": built_in.openssl_capath}
    return [{kind: place} for kind, place in places.items() if Path(place).exists()] or [{"cafile": certifi.where()}]


@contextmanager
def opened_files(opener: Opener, *paths: Path) -> Iterator[list[str]]:
    """The files under names that lead to what was opened, whatever is put at their paths
    meanwhile."""
    with ExitStack() as stack:
        names = []
        for path in paths:
            descriptor = opener(path)
            stack.callback(os.close, descriptor)
            names.append(f"/proc/self/fd/{descriptor}")
        yield names


def _context(ca_cert: Path | None, client_cert: tuple[Path, Path] | None, opener: Opener) -> ssl.SSLContext:
    """A context with ``ca_cert``, else the system's authorities, else those of certifi. The
    environment is ignored: it may name other authorities, and a file for TLS keys (which
    ``ssl.create_default_context`` uses)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
    if ca_cert is None:
        for location in _system_authorities():
            context.load_verify_locations(**location)
    else:
        try:
            with opened_files(opener, ca_cert) as (file,):
                context.load_verify_locations(cafile=file)
        except OSError as error:
            message = f"cannot be used as a CA certificate ({reason_of(error)}); name a readable PEM file"
            raise ConfigurationError([ConfigurationProblem(str(ca_cert), "", message)]) from None
    if client_cert is not None:
        certificate, key = client_cert
        try:
            with opened_files(opener, certificate, key) as (file, key_file):
                # Without a password OpenSSL would prompt for one on the terminal and wait.
                context.load_cert_chain(file, key_file, password="")
        except OSError as error:
            message = (
                f"cannot be used as a client certificate with the key {key} ({reason_of(error)}); name readable PEM "
                "files"
            )
            raise ConfigurationError([ConfigurationProblem(str(certificate), "", message)]) from None
    return context
