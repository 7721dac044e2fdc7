"""What stands between processes: gates that pass bytes on, can be shut, and can swallow answers.

A gate stands before Vault for each client, and one before each node for the other nodes, so that a node can be cut off from
its cluster while clients still reach it. All gates live in one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self


class Mood(enum.Enum):
    """What a gate does with the bytes."""

    OPEN = "open"
    SHUT = "shut"
    """Connections are reset, old ones and new ones."""
    DEAF = "deaf"
    """What a client sends arrives; the answer does not, and the connection is reset."""


class Gate:
    """One listening port, and where it leads."""

    def __init__(self, network: Network, forbidden: Callable[[int], bool]) -> None:
        self.address = ""
        """Host and port to go to instead of the server itself."""
        self.target = ""
        self.mood = Mood.OPEN
        self._network = network
        self._forbidden = forbidden
        self._open: dict[asyncio.StreamWriter, int] = {}

    async def listen(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"
        self._server = server

    def close(self) -> None:
        self._server.close()

    def lead(self, target: str) -> None:
        """Lead to this host and port from now on; what came in before is reset, as by a load balancer that moves on."""
        self.target = target
        self._network.soon(self._reset)

    def become(self, mood: Mood) -> None:
        """Behave like this from now on."""
        self.mood = mood
        if mood is not Mood.OPEN:
            self._network.soon(self._reset)

    def review(self) -> None:
        """Reset the connections from where none may come any more."""
        self._network.soon(lambda: self._reset(self._forbidden))

    def _reset(self, which: Callable[[int], bool] = lambda _: True) -> None:
        for writer, port in list(self._open.items()):
            if which(port):
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = int(writer.get_extra_info("peername")[1])
        if self.mood is Mood.SHUT or self._forbidden(port):
            writer.transport.abort()
            return
        host, _, to = self.target.partition(":")
        self._open[writer] = port
        try:
            back, onward = await asyncio.open_connection(host, int(to))
        except OSError:
            writer.transport.abort()
            del self._open[writer]
            return
        try:
            there, here = (
                asyncio.ensure_future(self._pass(reader, onward)),
                asyncio.ensure_future(self._return(back, writer)),
            )
            _, pending = await asyncio.wait({there, here}, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
        except asyncio.CancelledError:
            return  # the end of the network: Python 3.11 reports a handler that was cancelled as an error
        finally:
            del self._open[writer]
            for end in (writer, onward):
                end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while some := await reader.read(65536):
                writer.write(some)
                await writer.drain()

    async def _return(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while (some := await reader.read(65536)) and self.mood is not Mood.DEAF:
                writer.write(some)
                await writer.drain()


class Network:
    """All the gates, in a thread of their own. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._gates: list[Gate] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def gate(self, target: str, forbidden: Callable[[int], bool] = lambda _: False) -> Gate:
        """A new gate before a host and port. ``forbidden`` says of a client's port whether it may not come in now."""
        gate = Gate(self, forbidden)
        gate.target = target
        self._gates.append(gate)
        self._call(gate.listen())
        return gate

    def soon(self, what: Callable[[], None]) -> None:
        """Do something in the thread of the gates, and wait until it is done."""

        async def doing() -> None:
            what()

        self._call(doing())

    def _call(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _end(self) -> None:
        for gate in self._gates:
            gate.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def holds_port(pid: int | None, port: int) -> bool:
    """Whether the process has a TCP socket on 127.0.0.1 with this local port (as Linux tells it)."""
    local = f"0100007F:{port:04X}"
    inodes = {
        fields[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if (fields := line.split())[1] == local
    }
    if pid is None or not inodes:
        return False
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(entry.readlink()).removeprefix("socket:[").removesuffix("]") in inodes:
                    return True
    return False
