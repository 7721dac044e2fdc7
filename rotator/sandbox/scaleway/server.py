"""The stand-in in a thread of this process, on a port of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rotator.sandbox.scaleway.app import Receive, Scope, Send, StandInApp
from rotator.sandbox.scaleway.control import ControlInterface
from rotator.sandbox.scaleway.gateway import Gateway


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with the transport in reach of the application."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        super().connection_made(transport)
        # Head and body are written separately; without this the body waits 40 ms for the client's
        # acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope["sandbox.transport"] = transport
            # A request is cancelled only when the sandbox stops, which is no error for uvicorn to
            # complain about.
            with suppress(asyncio.CancelledError):
                await app(scope, receive, send)

        self.app = with_transport


class ScalewaySandbox(ControlInterface):
    """A stand-in of Scaleway's IAM API, running between ``start`` and ``stop`` or as a context
    manager.

    Beside ``port`` (0 takes a free one) it takes what ``ControlInterface`` takes: ``clock``,
    ``seed`` and any of the settings.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self._address = (host, port)
        self._gateway = Gateway(self._state, self.faults, seed=options.get("seed"))
        self._app = StandInApp(self, self._gateway)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._finish = asyncio.Event()
        self.url = ""

    def start(self) -> Self:
        """Listen; ``url`` is known when this returns."""
        listener = socket.create_server(self._address)
        host, port = listener.getsockname()[:2]
        self.url = f"http://{host}:{port}"
        self._thread = threading.Thread(target=self._run, args=(listener,), name="scaleway-sandbox", daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def stop(self) -> None:
        """Stop listening and break all connections; nothing happens when it does not run."""
        if self._thread and self._loop:
            self._loop.call_soon_threadsafe(self._finish.set)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def release(self) -> int:
        """Let hanging requests go on and land everything that is late, now; how many these were."""
        hanging = self._app.hanging
        if self._loop and hanging:
            self._loop.call_soon_threadsafe(self._app.release)
        return super().release() + hanging

    def waiting(self) -> int:
        """How many requests hang and how many operations are still to land, together."""
        return super().waiting() + self._app.hanging

    def _run(self, listener: socket.socket) -> None:
        asyncio.run(self._serve(listener))

    async def _serve(self, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        config = uvicorn.Config(
            self._app,
            http=_Protocol,
            interface="asgi3",
            ws="none",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            date_header=False,
            access_log=False,
            log_config=None,
            log_level="error",
            timeout_keep_alive=75,
            backlog=2048,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        self._ready.set()
        await self._finish.wait()
        # uvicorn's own shutdown is polite and takes a tenth of a second, which is not needed here.
        for listening in server.servers:
            listening.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
