"""A small HTTP server for metrics and health checks. It can neither block nor stop the daemon.

It adds to the standard library's server and parser: a bounded number of connections, one deadline
for a whole connection (not for each byte), and Unix sockets. Every connection has one request and
one response in its own thread; connections beyond the limit are closed at once. An error of the
program becomes a 500 without details.
"""

from __future__ import annotations

import io
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rotator.system.sockets import remove_stale, require_safe_directory, restrict

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from rotator.config import Listener

PLACES = 8
"""Connections at once."""

DEADLINE = 10.0
"""Seconds that one connection may take in all. Prometheus times out after 10 by default."""


@dataclass(frozen=True)
class MetricsResponse:
    """A response: status, text and content type."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


Pages = Callable[[str, str], "MetricsResponse | None"]
"""From a path and an ``Accept`` header to the response; None if there is no such page. May
raise."""


class MetricsServer:
    """Listens from ``open`` to ``close``."""

    def __init__(self, at: Listener, pages: Pages) -> None:
        self.at = at
        self._pages = pages
        self._server: _Tcp | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> Self:
        """Starts listening. Raises ``OSError`` if that fails."""
        at = self.at
        self._server = (
            _Unix(at.path, self._pages) if at.path else _Tcp(_family(at.host), (at.host, at.port), self._pages)
        )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True)
        self._thread.start()
        return self

    @property
    def listening(self) -> bool:
        """Whether requests are answered."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Stops listening. Open connections end by their deadline, or with the process."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = self._thread = None


class _Conversation(BaseHTTPRequestHandler):
    server: _Tcp
    protocol_version = "HTTP/1.0"  # one request, one answer
    server_version, sys_version = "rotator", ""
    error_message_format = "%(code)d\n"
    error_content_type = "text/plain; charset=utf-8"

    def setup(self) -> None:
        super().setup()
        self._end = time.monotonic() + DEADLINE
        self.rfile.close()
        self.rfile = io.BufferedReader(_UntilDeadline(self.connection, self._end))

    def do_GET(self) -> None:
        reply = self.server.answer(self.path.partition("?")[0], self.headers.get("Accept", ""))
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.connection.settimeout(_left(self._end))
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_HEAD = do_GET  # noqa: N815 - the library's way to name them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's signature
        """Scrapes are not logged."""

    def address_string(self) -> str:
        return ""


class _UntilDeadline(io.RawIOBase):
    """Reads from a socket until the deadline, however slowly it sends."""

    def __init__(self, connection: socket.socket, end: float) -> None:
        self._connection = connection
        self._end = end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._connection.settimeout(_left(self._end))
        return self._connection.recv_into(buffer)


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Tcp(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, family: socket.AddressFamily, address: Any, pages: Pages) -> None:
        self.address_family = family
        self._pages = pages
        self._places = threading.BoundedSemaphore(PLACES)
        super().__init__(address, _Conversation)

    def answer(self, path: str, accept: str) -> MetricsResponse:
        """The response to one request. Never raises."""
        try:
            return self._pages(path, accept) or MetricsResponse(404, b"404: there are /metrics, /healthz and /readyz\n")
        except Exception:  # noqa: BLE001 - its words may hold anything, and no caller needs them
            return MetricsResponse(500, b"500: an error of the program\n")

    def get_request(self) -> Any:
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.1)  # no file descriptor is free, and a retry at once would take all processor time
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except Exception:  # noqa: BLE001 - such as that no thread is to be had; the next asker may have more luck
            self._places.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Faulty, slow and incomplete requests are not logged."""


class _Unix(_Tcp):
    def __init__(self, path: Path, pages: Pages) -> None:
        self._path = path
        self._bound = False
        require_safe_directory(path.parent)
        remove_stale(path)
        super().__init__(socket.AF_UNIX, str(path), pages)
        try:
            restrict(path)
        except OSError:
            self.server_close()
            raise

    def server_bind(self) -> None:
        super().server_bind()
        self._bound = True

    def server_close(self) -> None:
        super().server_close()
        if self._bound:  # otherwise the file belongs to another process
            with suppress(OSError):
                self._path.unlink()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
