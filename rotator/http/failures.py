"""Maps the libraries' exceptions for a missing or unusable answer to one exception."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Literal

import h11
import httpcore
import httpx

if TYPE_CHECKING:
    from rotator.http.connection import Exchange

Sent = Literal["no", "unknown"]


class HttpFailure(Exception):
    """No usable answer was received.

    ``sent`` is "no" if certainly nothing of the request left this machine, so that it was not
    executed, and "unknown" otherwise. ``kind`` is a short identifier: timeout, refused, dns, tls,
    connect, proxy, lost, protocol, too_large, encoding, request or closed. The message is half a
    sentence without any part of the request or the answer.
    """

    def __init__(self, message: str, *, kind: str, sent: Sent) -> None:
        super().__init__(message)
        self.kind = kind
        self.sent = sent


# The kind and the text of each exception of the libraries. The first class that matches counts.
# Whether the request may have been executed is read from the connection and not from the exception,
# except for a proxy that rejects: it received no request.
FAILURES: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
    ((httpx.PoolTimeout, httpcore.PoolTimeout), "timeout", "no free connection within {limit}"),
    ((httpx.ConnectTimeout, httpcore.ConnectTimeout), "timeout", "no connection within {limit}"),
    ((httpx.TimeoutException, httpcore.TimeoutException), "timeout", "no complete answer within {limit}"),
    ((httpx.ConnectError, httpcore.ConnectError), "connect", "the connection could not be made"),
    ((httpx.NetworkError, httpcore.NetworkError), "lost", "the connection was lost"),
    ((httpx.ProxyError, httpcore.ProxyError), "proxy", "the proxy refused the connection"),
    (
        (httpx.RemoteProtocolError, httpcore.RemoteProtocolError, h11.RemoteProtocolError),
        "protocol",
        "the answer was cut off or is not HTTP",
    ),
    (
        (httpx.LocalProtocolError, httpcore.LocalProtocolError, h11.LocalProtocolError),
        "request",
        "the request cannot be expressed in HTTP",
    ),
    (
        (httpx.UnsupportedProtocol, httpcore.UnsupportedProtocol),
        "request",
        "the address is neither http:// nor https://",
    ),
    ((httpx.ProtocolError, httpcore.ProtocolError, h11.ProtocolError), "protocol", "the answer is not HTTP"),
    ((httpx.DecodingError,), "encoding", "the answer could not be decoded"),
    ((httpx.InvalidURL,), "request", "the address is not valid"),
    # Raised by uses of httpx that do not occur here (redirects, statuses, cookies, streams);
    # nothing is known then.
    ((httpx.HTTPError, httpx.CookieConflict, httpx.StreamError), "protocol", "the answer could not be read"),
    ((httpcore.ConnectionNotAvailable,), "lost", "the connection was lost"),
    ((OSError,), "lost", "the connection was lost"),
    # For example a header that cannot be encoded. The exception quotes it, so it must not leave.
    ((ValueError,), "request", "the request cannot be expressed in HTTP"),
)

COVERED = tuple(cls for classes, _, _ in FAILURES for cls in classes)


def failure_of(error: Exception, exchange: Exchange) -> HttpFailure:
    """The failure for a library's exception, given what was written to the connection."""
    kind, words = next((kind, words) for classes, kind, words in FAILURES if isinstance(error, classes))
    sent: Sent = "unknown" if exchange.wrote and kind != "proxy" else "no"
    if kind == "connect":
        kind, words = _connect_failure(error, words)
    return HttpFailure(words.format(limit=f"{exchange.limit.total_seconds():g} s"), kind=kind, sent=sent)


def _connect_failure(error: Exception, words: str) -> tuple[str, str]:
    cause = error.args[0] if error.args else None  # httpcore passes the operating system's exception as the argument
    if isinstance(cause, socket.gaierror):
        return "dns", "the host name could not be resolved"
    if isinstance(cause, ssl.SSLError):
        return "tls", f"TLS failed ({reason_of(cause)}){''.join(getattr(cause, '__notes__', ()))}"
    if isinstance(cause, ConnectionRefusedError):
        return "refused", "the connection was refused"
    if isinstance(cause, OSError) and cause.strerror:
        return "connect", f"{words} ({reason_of(cause)})"
    return "connect", words


def reason_of(error: OSError) -> str:
    """The reason from the operating system or OpenSSL, in words without any part of the request."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (error.reason or "TLS error").replace("_", " ").lower()
    return (error.strerror or "input or output error").lower()
