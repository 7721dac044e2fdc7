"""The applications of the listeners without a listener: one request goes in as ASGI has it, one whole answer comes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect

from rotator.api.access_control import Peer

App = Callable[[Any, Any, Any], Awaitable[None]]


class Connection:
    """The connection of a request, as far as an application knows one: what it was allowed, in order."""

    def __init__(self, peer: Peer | None = None, *, gone: bool = False) -> None:
        self.peer = peer
        self.gone = gone
        self.admitted = False
        self.allowed: list[float | None] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if gone:
            self.ended.set_result(None)

    def allow(self, seconds: float | None) -> None:
        self.allowed.append(seconds)

    def caller_is_gone(self) -> bool:
        return self.gone


@dataclass
class Answer:
    """A whole answer, and what the application did with the connection."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    allowed: list[float | None] = field(default_factory=list)
    admitted: bool = False

    def json(self) -> Any:
        return json.loads(self.body)

    def lines(self) -> list[Any]:
        return [json.loads(line) if line else "" for line in self.body.split(b"\n")[:-1]]

    @property
    def error(self) -> tuple[int, Any]:
        """The status and the error, of an answer that is one."""
        return self.status, self.json()["error"]


async def _ask(
    app: App,
    method: str,
    path: str,
    headers: Mapping[str, str],
    pieces: list[Any],
    peer: Peer | None,
    *,
    gone: bool,
    until: Callable[[Answer], bool],
) -> Answer:
    connection, answer = Connection(peer, gone=gone), Answer()
    where, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": where,
        "raw_path": where.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.7", 5),
        "server": ("rotator", 80),
        "state": {"connection": connection},
    }

    async def receive() -> Any:
        if not pieces:
            await asyncio.Event().wait()  # the caller stays
        piece = pieces.pop(0)
        if isinstance(piece, bytes):
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}
        if piece == "disconnect":
            return {"type": "http.disconnect"}
        await asyncio.sleep(piece)
        return await receive()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")
        if until(answer):
            if not connection.ended.done():
                connection.ended.set_result(None)
            raise _EnoughError

    try:
        async with asyncio.timeout(60):
            await app(scope, receive, send)
    except (_EnoughError, ClientDisconnect):  # starlette makes the second of the first
        assert until(answer)
    answer.allowed, answer.admitted = connection.allowed, connection.admitted
    return answer


class _EnoughError(OSError):
    """The caller hangs up."""


def ask(
    app: App,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    json_body: Any = None,
    headers: Mapping[str, str] | None = None,
    pieces: list[Any] | None = None,
    peer: Peer | None = None,
    gone: bool = False,
    until: Callable[[Answer], bool] = lambda answer: False,
) -> Answer:
    """One request and its answer. ``pieces`` are parts of a body, pauses in seconds and ``disconnect``; ``until`` is
    when the caller has had enough."""
    given = dict(headers or {})
    if json_body is not None:
        body = json.dumps(json_body).encode()
        given.setdefault("content-type", "application/json")
    return asyncio.run(
        _ask(app, method, path, given, [body or b""] if pieces is None else pieces, peer, gone=gone, until=until)
    )
