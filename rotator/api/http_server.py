"""Serving HTTP from one thread with one event loop: conversations that can neither hang the daemon nor pile up.

uvicorn speaks the protocol. Around it stands what it leaves to others: a bounded number of conversations at each door, one
request for each, a deadline over all of it (the TLS handshake included), and who is at the other end of a Unix socket.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from rotator import __version__
from rotator.system.users import NOBODY, user_name

T = TypeVar("T")

DEADLINE = 10.0
"""Seconds that somebody may take to say what they want, and to take the answer. Who works for them asks for more."""

HANDSHAKE = 5.0
"""Seconds for the TLS handshake."""

HEAD_LIMIT = 16 * 1024
"""Bytes of a request before its body."""

SHUTDOWN_TIMEOUT = 3.0
"""Seconds that conversations have to end when their door is shut."""

HEADERS = [
    (b"connection", b"close"),  # one request, one conversation: then one deadline is over all of it
    (b"cache-control", b"no-store"),
    (b"rotator-version", __version__.encode()),
]


@dataclass(frozen=True)
class Peer:
    """The process at the other end of a Unix socket, as the kernel vouches for it."""

    uid: int

    @property
    def user(self) -> str | None:
        """The user's name; None when the kernel hides it from us, as it does in a user namespace of our own."""
        return None if self.uid == NOBODY else user_name(self.uid)


class HttpProtocol(H11Protocol):
    """One connection: one request, one answer. The application finds it as ``request.state.conversation``."""

    peer: Peer | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ended = self.loop.create_future()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """Somebody is there: the time begins."""
        super().connection_made(transport)
        self.peer = _peer(transport.get_extra_info("socket"))
        self.app_state = {"conversation": self}
        self.allow(DEADLINE)

    def connection_lost(self, exc: Exception | None) -> None:
        """Somebody left."""
        super().connection_lost(exc)
        self.allow(None)
        if not self.ended.done():
            self.ended.set_result(None)

    def allow(self, seconds: float | None) -> None:
        """From now on the rest may take so long, or as long as it wants."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self.transport.abort) if seconds is not None else None


def _peer(connection: socket.socket) -> Peer | None:
    if connection.family != socket.AF_UNIX:
        return None
    credentials = struct.Struct("3i")
    _, uid, _ = credentials.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    return Peer(uid)


@dataclass(eq=False)
class HttpListener:
    """A listening socket and what is behind it. ``places`` is how many may be inside at once; others are hung up on. ``farewell`` is
    called in the loop when the door is shut: answers that have no end of their own end then."""

    listening: socket.socket
    app: ASGIApp
    tls: ssl.SSLContext | None = None
    places: int = 32
    farewell: Callable[[], None] = lambda: None
    conversations: set[asyncio.Task[None]] = field(default_factory=set)
    is_shut: bool = False


class HttpServer:
    """The thread at the doors. Methods are called from other threads; nothing here waits for a conversation longer than said."""

    def __init__(self) -> None:
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)  # what strangers send badly is no news
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="control", daemon=True)
        self._thread.start()

    def open(self, listener: HttpListener) -> None:
        """Let people in."""
        listener.listening.setblocking(False)
        self._do(self._open(listener), DEADLINE)

    def shut(self, *listeners: HttpListener) -> None:
        """Let nobody in any more. Who is inside may finish; returns when they have or when their time is over."""
        with suppress(TimeoutError):  # a thread of ours that hangs must not keep the daemon from its end
            self._do(self._shut(listeners), SHUTDOWN_TIMEOUT + 2)

    def close(self) -> None:
        """The end of the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SHUTDOWN_TIMEOUT)
        if not self._thread.is_alive():
            self._loop.close()

    @property
    def alive(self) -> bool:
        """Whether somebody still stands at the doors."""
        return self._thread.is_alive()

    def _do(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    # --- in the loop --------------------------------------------------------------------------------------------------------

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
            h11_max_incomplete_event_size=HEAD_LIMIT,
        )
        config.load()
        state = ServerState()
        state.default_headers = HEADERS

        def accept() -> None:
            # Not the loop's own sock_accept: cancelled at the wrong moment, that loses a connection that it has accepted.
            try:
                connection, _ = listener.listening.accept()
            except BlockingIOError:
                return
            except OSError:
                # No file is to be had: whoever waits is still there, and asking at once again would take all time.
                self._loop.remove_reader(listener.listening)
                self._loop.call_later(0.1, self._listen, listener, accept)
                return
            if len(listener.conversations) >= listener.places:
                connection.close()
                return
            task = self._loop.create_task(self._converse(listener, connection, config, state))
            listener.conversations.add(task)
            task.add_done_callback(listener.conversations.discard)

        self._listen(listener, accept)

    def _listen(self, listener: HttpListener, accept: Callable[[], None]) -> None:
        if not listener.is_shut:
            self._loop.add_reader(listener.listening, accept)

    async def _converse(
        self, listener: HttpListener, connection: socket.socket, config: uvicorn.Config, state: ServerState
    ) -> None:
        try:
            transport, conversation = await self._loop.connect_accepted_socket(
                lambda: HttpProtocol(config, state, {}, self._loop),
                connection,
                ssl=listener.tls,
                ssl_handshake_timeout=HANDSHAKE if listener.tls else None,
            )
        except OSError:  # TLS errors and a handshake that takes too long are among these
            connection.close()
            return
        try:
            await conversation.ended
        finally:
            transport.abort()

    async def _shut(self, listeners: tuple[HttpListener, ...]) -> None:
        inside: set[asyncio.Task[None]] = set()
        for listener in listeners:
            listener.is_shut = True
            self._loop.remove_reader(listener.listening)
            listener.farewell()
            inside |= listener.conversations
        if inside:
            await asyncio.wait(inside, timeout=SHUTDOWN_TIMEOUT)
        for task in inside:
            task.cancel()
        await asyncio.gather(*inside, return_exceptions=True)
        await asyncio.sleep(0.01)  # what was aborted closes its socket in the next turns of the loop
