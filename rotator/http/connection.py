"""One connection to a service. It carries one request at a time, and records whether any byte of it
was sent.

httpcore connects (addresses, proxies, TLS), and the messages are those of h11. What httpcore and
httpx do in between (cookies, redirects, authentication, tracing, one lock for each connection, a
timeout set before each read and write) is not needed here and takes most of the time of a call.
"""

from __future__ import annotations

import time
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11
import httpcore
import httpx

from rotator.http.resolver import look_up
from rotator.http.stream import NonBlockingStream

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from datetime import timedelta

WRITE_PIECE = 16 * 1024
"""Bytes written to a socket at once. The deadline is checked between pieces."""

READ_PIECE = 64 * 1024
"""Bytes received at once."""

MAX_HEAD = 100 * 1024
"""Bytes of a status line and headers."""

Headers = list[tuple[bytes, bytes]]


class Exchange:
    """One request in progress: its deadline, and whether any byte of it was written to a socket."""

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit
        self._end = time.monotonic() + limit.total_seconds()
        self.wrote = False

    def left(self, overdue: type[Exception]) -> float:
        """Seconds left; raises ``overdue`` if there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise overdue("deadline")
        return left


@dataclass(frozen=True)
class Origin:
    """The service that a connection leads to."""

    secure: bool
    host: str
    port: int

    def authority(self, *, always_with_port: bool = False) -> str:
        """The host in the syntax of HTTP, with the port if it is not the default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.secure else 80)
        return host if usual and not always_with_port else f"{host}:{self.port}"


@dataclass(frozen=True)
class Proxy:
    """A proxy: its address, and the header with its credentials."""

    origin: Origin
    tls: ssl.SSLContext | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @staticmethod
    def credentials(user: bytes, password: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """The header for a user and a password."""
        return ((b"Proxy-Authorization", b"Basic " + b64encode(user + b":" + password)),)


@dataclass(frozen=True)
class Request:
    """A request, ready to be sent. ``repr`` shows nothing of it, since it contains the token."""

    method: bytes
    target: bytes
    headers: Headers
    body: bytes

    def __repr__(self) -> str:
        return "Request(...)"


class Connection:
    """A connection that is opened with its first request and kept until it expires, fails, or the
    service closes it."""

    def __init__(self, origin: Origin, tls: ssl.SSLContext, proxy: Proxy | None, keep_alive: float) -> None:
        self._origin = origin
        self._tls = tls
        self._proxy = proxy
        self._keep_alive = keep_alive
        self._stream: httpcore.NetworkStream | None = None
        self._messages = _messages()
        self._expires = 0.0

    @property
    def expired(self) -> bool:
        """Whether it has been idle for too long, or is closed."""
        return self._stream is None or time.monotonic() >= self._expires

    @property
    def usable(self) -> bool:
        """Whether the next request may use this connection."""
        if self._stream is None or self.expired:
            return False
        # An idle connection receives nothing: readable means its end, or an answer without a
        # request.
        return not self._stream.get_extra_info("is_readable")

    def close(self) -> None:
        """Closes it; the next request opens another."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def send(self, request: Request, exchange: Exchange) -> tuple[int, Headers]:
        """Sends the request and returns the status and the headers of the answer; its ``body`` must
        be read next."""
        if not self.usable:
            self.close()
            self._stream = self._open(exchange)
            self._messages = _messages()
        messages = self._messages
        target, headers = request.target, request.headers
        if self._proxy is not None and not self._origin.secure:
            target = b"http://" + self._origin.authority().encode("ascii") + target
            headers = [*headers, *self._proxy.headers]
        data = messages.send(h11.Request(method=request.method, target=target, headers=headers)) or b""
        if request.body:
            data += messages.send(h11.Data(data=request.body)) or b""
        data += messages.send(h11.EndOfMessage()) or b""
        try:
            for start in range(0, len(data), WRITE_PIECE):
                left = exchange.left(httpcore.WriteTimeout)
                exchange.wrote = True
                self._stream_of().write(data[start : start + WRITE_PIECE], left)
        except httpcore.WriteError:
            pass  # a service may reject a request before it has read all of it, and then its answer can be read
        while True:
            event = self._next_event(exchange)
            if isinstance(event, h11.Response):
                return event.status_code, list(event.headers)
            if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
                raise httpx.RemoteProtocolError("no answer")

    def body(self, exchange: Exchange) -> Iterator[bytes]:
        """The pieces of the body. Once all are read, the connection can be reused."""
        while True:
            event = self._next_event(exchange)
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
        if (
            self._messages.our_state is h11.DONE
            and self._messages.their_state is h11.DONE
            and not self._messages.trailing_data[0]
        ):
            self._messages.start_next_cycle()
            self._expires = time.monotonic() + self._keep_alive
        else:
            self.close()

    def _next_event(self, exchange: Exchange) -> object:
        while True:
            event = self._messages.next_event()
            if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                raise httpx.RemoteProtocolError("no answer")
            if event is not h11.NEED_DATA:
                return event
            self._messages.receive_data(self._stream_of().read(READ_PIECE, exchange.left(httpcore.ReadTimeout)))

    def _stream_of(self) -> httpcore.NetworkStream:
        if self._stream is None:
            raise httpcore.ReadError("the connection is closed")
        return self._stream

    # --- opening ----------------------------------------------------------------------------------

    def _open(self, exchange: Exchange) -> httpcore.NetworkStream:
        origin, proxy = self._origin, self._proxy
        stream = _connect(proxy.origin if proxy else origin, exchange)
        try:
            if proxy is not None and proxy.tls is not None:
                stream = self._secured(stream, proxy.tls, proxy.origin, exchange)
            if proxy is not None and origin.secure:
                _open_tunnel(stream, origin, proxy, exchange)
            stream = self._secured(stream, self._tls, origin, exchange)
            if proxy is not None and proxy.tls is not None and origin.secure:
                return stream  # TLS within TLS is no socket
            return NonBlockingStream(stream.get_extra_info("socket"))
        except BaseException:
            stream.close()
            raise

    def _secured(
        self, stream: httpcore.NetworkStream, tls: ssl.SSLContext, origin: Origin, exchange: Exchange
    ) -> httpcore.NetworkStream:
        if not origin.secure:
            return stream
        return stream.start_tls(tls, origin.host, exchange.left(httpcore.ConnectTimeout))


def _messages() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)


def _connect(origin: Origin, exchange: Exchange) -> httpcore.NetworkStream:
    """Tries the host's addresses in turn. Each gets its share of the time, so that one that drops
    packets does not block the next."""
    backend = httpcore.SyncBackend()
    addresses = look_up(origin.host, origin.port, exchange.left(httpcore.ConnectTimeout))
    failure: Exception = httpcore.ConnectError("no address")
    for position, address in enumerate(addresses):
        share = exchange.left(httpcore.ConnectTimeout) / (len(addresses) - position)
        try:
            return backend.connect_tcp(address, origin.port, share)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            failure = error
    raise failure


def _open_tunnel(stream: httpcore.NetworkStream, origin: Origin, proxy: Proxy, exchange: Exchange) -> None:
    """Makes the proxy connect to the service. It receives nothing of the request."""
    authority = origin.authority(always_with_port=True).encode("ascii")
    messages = _messages()
    asked = h11.Request(method=b"CONNECT", target=authority, headers=[(b"Host", authority), *proxy.headers])
    stream.write(messages.send(asked) or b"", exchange.left(httpcore.ConnectTimeout))
    while True:
        event = messages.next_event()
        if event is h11.NEED_DATA:
            messages.receive_data(stream.read(READ_PIECE, exchange.left(httpcore.ConnectTimeout)))
        elif isinstance(event, h11.Response):
            if 200 <= event.status_code < 300:
                return
            raise httpx.ProxyError("refused")
        elif not isinstance(event, h11.InformationalResponse):
            raise httpx.RemoteProtocolError("no answer")
