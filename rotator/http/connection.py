"""Connections that know the deadline of the request they serve, and whether a byte of it was sent.

httpcore takes its connections from a *network backend*, which is a public interface; httpx does not pass one on, hence the
small transport at the end.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

WRITE_PIECE = 16 * 1024
"""Bytes handed to a socket at once; the deadline is looked at between pieces."""


class Exchange:
    """One request on its way: when it must be over, and whether any byte of it was handed to a socket."""

    def __init__(self, limit: timedelta) -> None:
        self.limit = limit
        self._end = time.monotonic() + limit.total_seconds()
        self.wrote = False

    def left(self, overdue: type[Exception]) -> float:
        """Seconds that are left; raises ``overdue`` when there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise overdue("deadline")
        return left


class RequestContext(threading.local):
    """The exchange that the current thread is busy with.

    A connection serves one exchange at a time, in the thread that asked for it; so this is how a stream that outlives many
    requests learns the deadline of the present one.
    """

    current: Exchange | None = None

    @contextmanager
    def exchange(self, limit: timedelta) -> Iterator[Exchange]:
        """A new exchange, until the block ends."""
        self.current = exchange = Exchange(limit)
        try:
            yield exchange
        finally:
            self.current = None

    def left(self, overdue: type[Exception], limit: float | None = None) -> float:
        """Seconds left for the current exchange, at most ``limit``."""
        if self.current is None:
            raise RuntimeError("the connection is used outside of a request")
        left = self.current.left(overdue)
        return left if limit is None else min(left, limit)

    def note(self, *, wrote: bool) -> None:
        """Remember whether bytes of the request itself may have left."""
        if self.current is not None:
            self.current.wrote = wrote


class NetworkBackend(httpcore.NetworkBackend):
    """Plain connections, whose every operation is bounded by what is left of the current exchange."""

    def __init__(self, wire: RequestContext) -> None:
        self._wire = wire
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Try the host's addresses one after the other; each gets its share of the time, so that one that swallows
        packets does not hide the next."""
        addresses = look_up(host, port, self._wire.left(httpcore.ConnectTimeout, timeout))
        failure: Exception = httpcore.ConnectError("no address")
        for position, address in enumerate(addresses):
            share = self._wire.left(httpcore.ConnectTimeout, timeout) / (len(addresses) - position)
            try:
                return NetworkStream(self._plain.connect_tcp(address, port, share, local_address, socket_options), self._wire)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


class NetworkStream(httpcore.NetworkStream):
    """A connection, plain or TLS, that minds the deadline of the exchange using it."""

    def __init__(self, inner: httpcore.NetworkStream, wire: RequestContext) -> None:
        self._inner = inner
        self._wire = wire

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Whatever comes, before the deadline."""
        return self._inner.read(max_bytes, self._wire.left(httpcore.ReadTimeout, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send everything, before the deadline."""
        for start in range(0, len(buffer), WRITE_PIECE):
            left = self._wire.left(httpcore.WriteTimeout, timeout)
            self._wire.note(wrote=True)
            self._inner.write(buffer[start : start + WRITE_PIECE], left)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The connection under TLS. What was written before was for a proxy (CONNECT), not the request."""
        self._wire.note(wrote=False)
        left = self._wire.left(httpcore.ConnectTimeout, timeout)
        return NetworkStream(self._inner.start_tls(ssl_context, server_hostname, left), self._wire)

    def get_extra_info(self, info: str) -> Any:
        """What the connection knows of itself."""
        return self._inner.get_extra_info(info)


def look_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host, looked up in a thread of its own because the resolver knows no deadline."""
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
        except OSError as error:
            found.put(error)
        except UnicodeError:  # a label that is too long, for one
            found.put(socket.gaierror(socket.EAI_NONAME, "not a host name"))

    threading.Thread(target=ask, name="rotator-resolver", daemon=True).start()
    try:
        result = found.get(timeout=seconds)
    except queue.Empty:
        raise httpcore.ConnectTimeout("name look-up") from None
    if isinstance(result, OSError):
        raise httpcore.ConnectError(result)
    return result


class Lane(httpcore.ConnectionPool):
    """At most one connection. ``generation`` is of the certificates that it was opened with."""

    generation = 0


class ConnectionPool:
    """Connections to one service, each lent to one request at a time, the last used first.

    A lane is a pool of httpcore with one connection, which so still closes what is idle for too long or was ended by the other
    side. One large pool would look at every idle connection, under one lock, at every request: with 64 threads that was seen to
    cost nine tenths of the time.
    """

    def __init__(self, make: Callable[[], Lane], limit: int, generation: Callable[[], int]) -> None:
        self._make = make
        self._generation = generation
        self._to_make = limit
        self._lock = threading.Lock()
        self._waiting = 0
        self._handed: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        self.idle: deque[Lane] = deque()

    def take(self, seconds: float) -> Lane:
        """A lane of one's own, within so many seconds. A connection that was opened with earlier certificates is closed first."""
        lane, generation = self._take(seconds), self._generation()
        if lane.generation != generation:
            lane.close()
            lane.generation = generation
        return lane

    def _take(self, seconds: float) -> Lane:
        with self._lock:
            if self.idle:
                return self.idle.pop()
            if self._to_make:
                self._to_make -= 1
                return self._make()
            self._waiting += 1
        try:
            return self._handed.get(timeout=seconds)
        except queue.Empty:
            pass
        with self._lock:
            try:
                return self._handed.get_nowait()  # handed over in the last moment
            except queue.Empty:
                self._waiting -= 1
        raise httpcore.PoolTimeout("every connection is in use")

    def give_back(self, lane: Lane) -> None:
        """The request on it is over: the next who waits gets it."""
        with self._lock:
            if self._waiting:
                self._waiting -= 1
                self._handed.put(lane)
            else:
                self.idle.append(lane)

    def close(self) -> None:
        """Close every idle connection."""
        while self.idle:
            self.idle.pop().close()


class Transport(httpx.BaseTransport):
    """httpx on lanes of ours. Exceptions of httpcore pass through httpx unchanged; the table in ``failures`` has both."""

    def __init__(self, lanes: ConnectionPool, wire: RequestContext) -> None:
        self.lanes = lanes
        self._wire = wire

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its answer, of which the body is still to come."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        ours = httpcore.Request(
            request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        lane = self.lanes.take(self._wire.left(httpcore.PoolTimeout))
        try:
            answer = lane.handle_request(ours)
        except BaseException:
            self.lanes.give_back(lane)
            raise
        body = _Body(answer, lambda: self.lanes.give_back(lane))
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    def close(self) -> None:
        """Close every connection."""
        self.lanes.close()


class _Body(httpx.SyncByteStream):
    """The body of an answer; the lane is free again when it is closed."""

    def __init__(self, answer: httpcore.Response, over: Callable[[], None]) -> None:
        self._answer = answer
        self._over = over

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        try:
            self._answer.close()
        finally:
            self._over()
