"""Serves HTTP from one thread with one event loop. No connection can block the daemon, and
connections cannot accumulate.

uvicorn implements the protocol. This module adds a maximum of connections for each listener, one
request for each connection, a deadline for all of it (the TLS handshake included), and the user at
the other end of a Unix socket. When a listener is full, the oldest connection without a complete
request is closed, so idle callers block no others.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from rotator import __version__
from rotator.api.access_control import Peer, peer_of

T = TypeVar("T")

REQUEST_TIMEOUT = 10.0
"""Seconds that a caller has to send the request and to read the answer. An operation extends it
while it runs."""

HANDSHAKE_TIMEOUT = 5.0
"""Seconds for the TLS handshake."""

MAX_HEAD = 16 * 1024
"""Bytes of a request before its body."""

SHUTDOWN_TIMEOUT = 3.0
"""Seconds that connections have to end when their listener is closed."""

TICK_INTERVAL = 1.0
"""Seconds between two updates of ``ticked_at`` by the event loop."""

HEADERS = [
    (b"connection", b"close"),  # one request, one connection: then one deadline covers all of it
    (b"cache-control", b"no-store"),
]

VERSION_HEADER = (b"rotator-version", __version__.encode())


class HttpProtocol(H11Protocol):
    """One connection: one request, one answer. The application finds it as
    ``request.state.connection``.

    The application sets ``admitted`` when the request is complete and the caller known. Until then
    the connection may be closed in favour of another.
    """

    peer: Peer | None = None

    def __init__(self, *args: Any, answers_malformed: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        self.answers_malformed = answers_malformed
        self.ended = self.loop.create_future()
        self.admitted = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """Starts the deadline."""
        super().connection_made(transport)
        self.peer = peer_of(transport.get_extra_info("socket"))
        self.app_state = {"connection": self}
        self.allow(REQUEST_TIMEOUT)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the connection."""
        super().connection_lost(exc)
        if not self.ended.done():
            self.ended.set_result(None)
        self.allow(None)

    def allow(self, seconds: float | None) -> None:
        """Aborts the connection after so many seconds from now, or never."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None and not self.ended.done():
            self._timer = self.loop.call_later(seconds, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """Answers malformed HTTP with 400, or closes the connection without an answer."""
        if self.answers_malformed:
            super().send_400_response(msg)
        else:
            self.transport.close()

    def caller_is_gone(self) -> bool:
        """Whether the process at the other end of a Unix socket has closed it, from the kernel.

        The event loop may not have read that yet, for example after the daemon was stopped.
        """
        if self.ended.done():
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), 0)
        return bool(poll.poll(0))


@dataclass(eq=False)
class HttpListener:
    """A listening socket and its application. ``max_connections``: maximum open at once.

    ``tls`` may be replaced; the next connection uses it. ``on_shutdown`` is called in the loop when
    the listener is closed, to end streams. ``headers`` are added to each answer.
    ``answers_malformed``: whether malformed HTTP gets an answer, which would name the library.
    """

    listening: socket.socket
    app: ASGIApp
    tls: ssl.SSLContext | None = None
    max_connections: int = 32
    on_shutdown: Callable[[], None] = lambda: None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    answers_malformed: bool = True
    connections: dict[asyncio.Task[None], HttpProtocol | None] = field(default_factory=dict)
    is_shut: bool = False

    def make_room(self) -> bool:
        """Closes the oldest connection whose request is not admitted yet. False if all are."""
        for task, protocol in self.connections.items():
            if protocol is None or not protocol.admitted:
                del self.connections[task]
                task.cancel()
                return True
        return False


class HttpServer:
    """The thread of the event loop. Its methods are called from other threads and wait for a
    bounded time only."""

    def __init__(self) -> None:
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # malformed requests of unknown clients are not logged
        self.ticked_at = time.monotonic()
        self._loop = asyncio.new_event_loop()
        self._loop.call_soon(self._tick)
        self._thread = threading.Thread(target=self._loop.run_forever, name="control", daemon=True)
        self._thread.start()

    def open(self, listener: HttpListener) -> None:
        """Starts accepting connections."""
        listener.listening.setblocking(False)
        self._do(self._open(listener), REQUEST_TIMEOUT)

    def shut(self, *listeners: HttpListener) -> None:
        """Stops accepting connections. Returns when the open ones have ended, or after
        `SHUTDOWN_TIMEOUT`."""
        with suppress(TimeoutError):  # a blocked loop must not delay the shutdown of the daemon
            self._do(self._shut(listeners), SHUTDOWN_TIMEOUT + 2)

    def close(self) -> None:
        """Ends the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SHUTDOWN_TIMEOUT)
        if not self._thread.is_alive():
            self._loop.close()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _do(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    # --- in the loop ------------------------------------------------------------------------------

    def _tick(self) -> None:
        self.ticked_at = time.monotonic()
        self._loop.call_later(TICK_INTERVAL, self._tick)

    async def _open(self, listener: HttpListener) -> None:
        config = uvicorn.Config(
            listener.app,
            http=HttpProtocol,
            interface="asgi3",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            access_log=False,
            log_config=None,
            h11_max_incomplete_event_size=MAX_HEAD,
        )
        config.load()
        state = ServerState()
        state.default_headers = [*HEADERS, *listener.headers]

        def accept() -> None:
            # Not the loop's own sock_accept: if cancelled at the wrong moment, it loses an accepted
            # connection.
            try:
                connection, _ = listener.listening.accept()
            except BlockingIOError:
                return
            except OSError:
                # No descriptor is free. The caller still waits, and an immediate retry would take
                # all processor time.
                self._loop.remove_reader(listener.listening)
                self._loop.call_later(0.1, self._listen, listener, accept)
                return
            if len(listener.connections) >= listener.max_connections and not listener.make_room():
                connection.close()
                return
            task = self._loop.create_task(self._serve(listener, connection, config, state))
            listener.connections[task] = None
            task.add_done_callback(lambda task: self._release(listener, task, connection))

        self._listen(listener, accept)

    def _release(self, listener: HttpListener, task: asyncio.Task[None], connection: socket.socket) -> None:
        listener.connections.pop(task, None)
        if task.cancelled():  # perhaps before it began, so that nothing else closes the socket
            connection.close()

    def _listen(self, listener: HttpListener, accept: Callable[[], None]) -> None:
        if not listener.is_shut:
            self._loop.add_reader(listener.listening, accept)

    async def _serve(
        self, listener: HttpListener, connection: socket.socket, config: uvicorn.Config, state: ServerState
    ) -> None:
        try:
            transport, protocol = await self._loop.connect_accepted_socket(
                lambda: HttpProtocol(config, state, {}, self._loop, answers_malformed=listener.answers_malformed),
                connection,
                ssl=listener.tls,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT if listener.tls else None,
            )
        except OSError:  # TLS errors and a handshake that takes too long are among these
            connection.close()
            return
        if (task := asyncio.current_task()) in listener.connections and task is not None:
            listener.connections[task] = protocol
        try:
            await protocol.ended
        finally:
            if not protocol.ended.done() or protocol.ended.cancelled():
                transport.abort()

    async def _shut(self, listeners: tuple[HttpListener, ...]) -> None:
        open_connections: set[asyncio.Task[None]] = set()
        for listener in listeners:
            listener.is_shut = True
            self._loop.remove_reader(listener.listening)
            listener.on_shutdown()
            open_connections |= listener.connections.keys()
        if open_connections:
            await asyncio.wait(open_connections, timeout=SHUTDOWN_TIMEOUT)
        for task in open_connections:
            task.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)
        await asyncio.sleep(0.01)  # an aborted transport closes its socket in the next turns of the loop
