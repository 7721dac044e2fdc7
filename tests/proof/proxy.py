"""A proxy in front of one service, which leaves every request to a director: to pass on, to answer, or to leave in the lurch."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from rotator.sandbox.process import free_port

_END_OF_HEAD = b"\r\n\r\n"


class _Left(Exception):
    """The client closed the connection."""


@dataclass
class Visit:
    """One request that has arrived, and what can be done with it. Whoever serves it answers or hangs up."""

    service: str
    method: str
    target: str
    """Path and query."""
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    _client: socket.socket = field(repr=False)
    _server: http.client.HTTPConnection = field(repr=False)

    def executed(self, *, last: bool = False) -> bytes:
        """Let the server do it; its whole answer, in bytes. ``last``: the answer asks the client for a new connection."""
        headers = {
            name: value for name, value in self.headers.items() if name not in ("connection", "content-length", "host")
        }
        self._server.request(self.method, self.target, self.body or None, headers)
        answer = self._server.getresponse()
        content = answer.read()
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
        dropped = ("connection", "content-length", "transfer-encoding")
        lines += [f"{name}: {value}" for name, value in answer.getheaders() if name.lower() not in dropped]
        if answer.status not in (204, 304):
            lines.append(f"Content-Length: {len(content)}")
        if last:
            lines.append("Connection: close")
        return "\r\n".join(lines).encode() + _END_OF_HEAD + content

    def executed_late(self) -> None:
        """Let the server do it long after the client has gone, over a connection of its own."""
        try:
            self.executed()
        finally:
            self._server.close()

    def say(self, data: bytes) -> None:
        """Send these bytes to the client, who may have gone."""
        with contextlib.suppress(OSError):
            self._client.sendall(data)

    def hang_up(self) -> None:
        """End the connection without another word."""
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)

    def wait_until_the_client_gave_up(self) -> None:
        """Say nothing until the client closes the connection."""
        with contextlib.suppress(OSError):
            while self._client.recv(65536):
                pass


class Proxy:
    """Listens between ``start`` and ``stop``; in between it may ``refuse`` connections and ``listen`` again on the same port."""

    def __init__(self, service: str, upstream: str, serve: Callable[[Visit], None]) -> None:
        self.service = service
        self._upstream = urlsplit(upstream).netloc
        self._serve = serve
        self._turning, self._lock = threading.Lock(), threading.Lock()
        self._open: set[socket.socket] = set()
        self._thread: threading.Thread | None = None
        self._listener = _listener()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """New connections are refused from now on. The port stays ours: the socket is bound and does not listen."""
        with self._turning:
            if self._thread is not None:
                self._listener.shutdown(socket.SHUT_RDWR)
                self._thread.join()
                self._thread = None

    def listen(self) -> None:
        """New connections are taken, from now on or again."""
        with self._turning:
            if self._thread is None:
                self._listener.listen(128)
                self._thread = threading.Thread(target=self._accept, daemon=True)
                self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        server = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            while True:
                self._serve(_visit(self.service, connection, server))
        except (_Left, OSError):
            pass
        finally:
            server.close()
            with self._lock:
                self._open.discard(connection)
            connection.close()


def _listener() -> socket.socket:
    """A socket that has a port of its own for as long as it lives, whether it listens or not."""
    while True:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # By its number: a port that the kernel chose is lost when the socket stops listening.
            listener.bind(("127.0.0.1", free_port()))
        except OSError:  # somebody was faster
            listener.close()
            continue
        return listener


def _visit(service: str, connection: socket.socket, server: http.client.HTTPConnection) -> Visit:
    """The next request on the connection, read to its end."""
    data = b""
    while _END_OF_HEAD not in data:
        data += _some(connection)
    head, _, body = data.partition(_END_OF_HEAD)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        body += _some(connection)
    return Visit(service, method, target, headers, body, connection, server)


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise _Left
    return data
