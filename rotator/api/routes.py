"""The API behind a door: every verb of the table that may be used there, the stream of events, and the description.

All that comes in is small, whole within a deadline, and checked before anything is done with it. All that goes out passes the
last net against secrets.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, get_origin
from urllib.parse import unquote

from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from rotator.api.errors import error_response
from rotator.api.event_stream import EventStream, Line
from rotator.api.executor import CommandExecutor
from rotator.api.http_server import HttpProtocol
from rotator.api.openapi import LINES, openapi_document
from rotator.domain.ports import EventSink
from rotator.domain.secret import SECRET_KEY, redact
from rotator.errors import RotatorError
from rotator.observability.events import CATALOGUE
from rotator.observability.serialization import to_json_value
from rotator.operations.daemon_handle import DaemonHandle
from rotator.operations.operation import Operation, OperationContext, OperationRequest
from rotator.operations.refusal import OperationError
from rotator.operations.registry import OPERATIONS
from rotator.system import process_identity as owner
from rotator.util.crash import crash_site
from rotator.util.formatting import format_rfc3339

BODY_LIMIT = 256 * 1024
"""Bytes of a body; the names of some thousand applications fit in."""

BODY_DEADLINE = 5.0
"""Seconds within which the body has to be there."""

LISTENERS = 8
"""Who may listen to the events at one door at once."""

LISTEN = 30.0
"""Seconds that a listener has to take one line, and a caller to take the answer."""

NAMES = re.compile(r"[a-z0-9*?\[!][a-z0-9._*?\[\]!-]{0,63}|SCW[A-Z0-9]{17}", re.ASCII)
"""Names of applications and of keys, and patterns of them; what else stands in their place is not repeated."""

ABOUT = ("applications", "application", "access_keys", "access_key", "globs", "accounts", "account")
"""Options that say what an order is about."""

MAX_NAME_LENGTH = 64
"""Letters of a name that somebody gives themselves."""

MAX_QUERIES = 4
"""Questions that are answered at once; further ones wait."""

MAX_QUERIES_WAITING = 16
"""Questions that are under way or wait, at most."""


class ControlApi:
    """What is behind one door. ``orders``: whether it has the verbs that change something, too."""

    def __init__(
        self,
        daemon_handle: DaemonHandle,
        executor: CommandExecutor,
        *,
        orders: bool,
        verbs: Iterable[Operation] = tuple(OPERATIONS.values()),
    ) -> None:
        self._daemon_handle = daemon_handle
        self._executor = executor
        self._verbs = [operation for operation in verbs if orders or not operation.changes]
        self._readers = ThreadPoolExecutor(MAX_QUERIES, thread_name_prefix="reader")
        self._questions = 0
        self._listeners: set[EventStream] = set()
        self._description = json.dumps(openapi_document(self._verbs)).encode()
        self.app = Starlette(
            routes=[
                *(
                    Route(operation.path, self._guarded(self._for(operation)), methods=[operation.method])
                    for operation in self._verbs
                ),
                Route("/v1/events", self._guarded(self._events), methods=["GET"]),
                Route("/openapi.json", self._guarded(self._describe), methods=["GET"]),
            ],
            exception_handlers={HTTPException: _no_page},
        )

    # --- what every request goes through --------------------------------------------------------------------------------------

    def _guarded(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                self._check_configuration(request)
                response: Response = await answer(request)
            except RotatorError as error:
                return _refused(error)
            except Exception as error:  # noqa: BLE001 - its words may hold anything
                kind, where = crash_site(error)
                self._daemon_handle.sink.emit("daemon.crashed", error=kind, where=where)
                return _refused(error)
            finally:
                _conversation(request).allow(LISTEN)
            return response

        return endpoint

    def _check_configuration(self, request: Request) -> None:
        """Whoever says which configuration they mean must not get another installation's answer."""
        wanted = request.headers.get("rotator-config")
        with self._daemon_handle.lease_runtime() as runtime:
            source = runtime.source
        if wanted is not None and os.path.realpath(wanted) != os.path.realpath(source):
            raise OperationError("other_configuration", f"the daemon here works for {source}")

    def _for(self, operation: Operation) -> Callable[[Request], Any]:
        adapter = TypeAdapter(operation.gives)

        async def answer(request: Request) -> Response:
            arguments = _parsed(operation, request, await _body(request) if operation.method == "POST" else b"")
            _conversation(request).allow(None)
            if not operation.streams:
                return _json(adapter.dump_json(await self._asked(operation, arguments, request)))
            feed = EventStream()
            by = _who(request)
            future = self._executor.carry_out(
                lambda: self._run(operation, arguments, by, feed),
                urgent=operation.urgent(arguments),
                alone=operation.alone(arguments),
            )
            future.add_done_callback(lambda _: feed.close())
            if LINES in request.headers.get("accept", ""):
                return StreamingResponse(_streamed(_conversation(request), feed, future, adapter), media_type=LINES)
            return _json(adapter.dump_json(await asyncio.wrap_future(future)))

        return answer

    async def _asked(self, operation: Operation, arguments: OperationRequest, request: Request) -> Any:
        """The answer to a question: of a reader, unless it is at hand."""
        by, caller = _who(request), _conversation(request)
        if operation.at_hand:
            return self._run(operation, arguments, by, None)
        if self._questions >= MAX_QUERIES_WAITING:
            raise OperationError(
                "busy",
                f"{MAX_QUERIES_WAITING} questions are being answered already, and more may not be; ask again in a moment",
                3,
            )

        def answer() -> Any:
            if caller.ended.done():
                raise OperationError("busy", "whoever asked hung up before it was their turn", 3)
            return self._run(operation, arguments, by, None)

        self._questions += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, answer)
        finally:
            self._questions -= 1

    def _run(self, operation: Operation, arguments: OperationRequest, by: str, feed: EventStream | None) -> Any:
        daemon_handle = self._daemon_handle
        if operation.changes:
            reason = getattr(arguments, "reason", "")
            daemon_handle.sink.emit("control.command", operation=operation.name, by=by, about=_about(arguments), reason=reason)
        with daemon_handle.lease_runtime() as runtime:
            call = OperationContext(
                runtime,
                by,
                _TeeSink(daemon_handle.sink, feed) if feed else daemon_handle.sink,
                self._executor.sleep,
                runtime.clock.now,
                owner=owner.fresh(),
                daemon_handle=daemon_handle,
            )
            return operation.run(call, arguments)

    def farewell(self) -> None:
        """The door is shut: nobody hears any more."""
        for feed in list(self._listeners):
            feed.close()

    # --- pages that are no verbs -----------------------------------------------------------------------------------------------

    async def _describe(self, _request: Request) -> Response:
        return _json(self._description)

    async def _events(self, request: Request) -> Response:
        if len(self._listeners) >= LISTENERS:
            raise OperationError("busy", f"{LISTENERS} listen already, and more may not; let one of them hang up", 3)
        _parsed_nothing(request)
        conversation, feed = _conversation(request), EventStream()

        def leave(_: object) -> None:
            self._listeners.discard(feed)
            self._daemon_handle.broadcast.leave(feed)

        # Before the answer begins: whoever sees it begin misses nothing from then on.
        self._listeners.add(feed)
        self._daemon_handle.broadcast.listen(feed)
        conversation.ended.add_done_callback(leave)
        return StreamingResponse(_listened(conversation, feed), media_type=LINES)


async def _listened(conversation: HttpProtocol, feed: EventStream) -> AsyncIterator[bytes]:
    conversation.allow(None)
    async for line in feed.lines():
        conversation.allow(LISTEN)
        yield _line(line)
        conversation.allow(None)


class _TeeSink:
    """A journal for two: the daemon's own, and the one who gave the order."""

    def __init__(self, sink: EventSink, feed: EventStream) -> None:
        self._sink = sink
        self._feed = feed

    def emit(self, event: str, **fields: object) -> None:
        """Record one event."""
        self._sink.emit(event, **fields)
        self._feed.put({"event": event, **fields})


async def _streamed(
    conversation: HttpProtocol, feed: EventStream, future: Future[Any], adapter: TypeAdapter[Any]
) -> AsyncIterator[bytes]:
    """The events of an order, then its result."""
    conversation.allow(None)
    async for line in feed.lines():
        conversation.allow(LISTEN)
        yield _line(line)
        conversation.allow(None)
    try:
        last = b'{"result": ' + adapter.dump_json(await asyncio.wrap_future(future)) + b"}"
    except Exception as error:  # noqa: BLE001 - told by its kind, as everywhere
        last = json.dumps(error_response(error).body).encode()
    conversation.allow(LISTEN)
    yield redact(last.decode()).encode() + b"\n"


# --- in ---------------------------------------------------------------------------------------------------------------------


def _conversation(request: Request) -> HttpProtocol:
    conversation: HttpProtocol = request.state.conversation
    return conversation


def _who(request: Request) -> str:
    """Who orders, by the kernel's word. Where it tells us of no users, by their own, and that is said; they are of our group all the same."""
    peer = _conversation(request).peer
    told_by_kernel = peer.user if peer else None
    own_word = "".join(filter(str.isprintable, unquote(request.headers.get("rotator-user", ""))))[:MAX_NAME_LENGTH]
    name = told_by_kernel or (f"{own_word} (so they say)" if own_word else "somebody")
    return f"{name} via control socket@{socket.gethostname()}"


def _about(arguments: OperationRequest) -> list[str]:
    """What the order is about, in the words of whoever gave it."""
    given = [getattr(arguments, option, []) for option in ABOUT]
    words = [word for words in given for word in ([words] if isinstance(words, str) else words) if word]
    return [word if NAMES.fullmatch(word) and not SECRET_KEY.fullmatch(word) else "?" for word in words]


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise OperationError("too_large", f"a body of more than {BODY_LIMIT} bytes is not read; ask for less at once")
    except (TimeoutError, ClientDisconnect):
        raise OperationError("too_slow", f"the body was not there within {BODY_DEADLINE:g} seconds") from None
    if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise OperationError("not_json", "a body has to be application/json, and say so in its content-type")
    return body


def _parsed(operation: Operation, request: Request, body: bytes) -> OperationRequest:
    if operation.method == "POST":
        _parsed_nothing(request)
        return operation.request(body or b"{}")
    query = request.query_params
    lists = {name for name, field in operation.takes.model_fields.items() if get_origin(field.annotation) is list}
    return operation.request({name: query.getlist(name) if name in lists else query[name] for name in query})


def _parsed_nothing(request: Request) -> None:
    if request.query_params:
        raise OperationError("usage", f"{min(request.query_params)}: is not an option here")


# --- out --------------------------------------------------------------------------------------------------------------------


def _line(line: Line) -> bytes:
    """An event as the log would have it."""
    kind = CATALOGUE.get(str(line.get("event")))
    stamped = {"timestamp": format_rfc3339(datetime.now(UTC)), "level": kind.level if kind else "warning", **line}
    return redact(json.dumps(to_json_value(stamped))).encode() + b"\n"


def _json(content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(redact(content.decode()).encode(), status, headers, "application/json")


def _refused(error: Exception) -> Response:
    found = error_response(error)
    return _json(json.dumps(found.body).encode(), found.status)


async def _no_page(_request: Request, error: Exception) -> Response:
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, HTTPException) and error.status_code == 405:
        found = error_response(OperationError("method", "the page has another method; see /openapi.json"))
    else:
        found = error_response(OperationError("not_found", "there is no such page; see /openapi.json"))
    return _json(json.dumps(found.body).encode(), found.status, headers)
