"""The routes of the control API: every operation that the listener offers, the event stream, and
the OpenAPI document.

Requests are small, complete within a deadline, and validated first. The event loop does nothing of
unbounded length and takes no lock: it reads requests, passes them to threads, and sends finished
bytes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from rotator.api.access_control import caller_name, offered_operations
from rotator.api.errors import error_response
from rotator.api.event_stream import EventStream, Line
from rotator.api.executor import CommandExecutor
from rotator.api.http_server import HttpProtocol
from rotator.api.openapi import openapi_document
from rotator.api.request_parsing import arguments_of, connection_of, read_body, refuse_query, subjects_of
from rotator.api.socket_names import LINES
from rotator.domain.ports import TapSink
from rotator.domain.secret import json_may_contain_secret
from rotator.errors import RotatorError
from rotator.observability.events import CATALOGUE
from rotator.observability.serialization import to_json_value
from rotator.operations.daemon_handle import DaemonHandle, RuntimeWithSource
from rotator.operations.operation import Operation, OperationContext, OperationRequest
from rotator.operations.refusal import OperationError
from rotator.operations.registry import OPERATIONS
from rotator.system import process_identity
from rotator.util.crash import crash_site
from rotator.util.formatting import format_rfc3339

MAX_SUBSCRIBERS = 8
"""Maximum of event subscribers of each listener."""

WRITE_TIMEOUT = 30.0
"""Seconds that a caller has to read one line, or the whole answer."""

RELOAD_TIMEOUT = 120.0
"""Seconds to wait for a result of the main loop."""

MAX_QUERIES = 4
"""Queries of each listener that run at once; further ones wait."""

MAX_QUERIES_WAITING = 16
"""Maximum of running and waiting queries of each listener."""


class ControlApi:
    """The application of one listener. ``commands``: whether it also offers the operations that
    change something."""

    def __init__(
        self,
        daemon_handle: DaemonHandle,
        executor: CommandExecutor,
        *,
        commands: bool,
        operations: Iterable[Operation] = tuple(OPERATIONS.values()),
    ) -> None:
        self._daemon_handle = daemon_handle
        self._executor = executor
        self._operations = offered_operations(operations, commands=commands)
        self._readers = ThreadPoolExecutor(MAX_QUERIES, thread_name_prefix="reader")
        self._queries = 0
        self._subscribers: set[EventStream] = set()
        self._openapi = json.dumps(openapi_document(self._operations)).encode()
        self.app = Starlette(
            routes=[
                *(
                    Route(operation.path, self._guarded(self._endpoint(operation)), methods=[operation.method])
                    for operation in self._operations
                ),
                Route("/v1/events", self._guarded(self._events), methods=["GET"]),
                Route("/openapi.json", self._guarded(self._describe), methods=["GET"]),
            ],
            exception_handlers={HTTPException: _no_page},
        )

    # --- every request ----------------------------------------------------------------------------

    def _guarded(self, answer: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            try:
                self._check_configuration(request)
                response: Response = await answer(request)
            except RotatorError as error:
                return _error(error)
            except Exception as error:  # noqa: BLE001 - its text may hold anything
                kind, where = crash_site(error)
                self._daemon_handle.sink.emit("daemon.crashed", error=kind, where=where)
                return _error(error)
            finally:
                connection_of(request).allow(WRITE_TIMEOUT)
            return response

        return endpoint

    def _check_configuration(self, request: Request) -> None:
        """Rejects a request that names another configuration.

        Names are compared and links are not resolved, which could block on the caller's path. The
        client does that.
        """
        wanted = request.headers.get("rotator-config")
        source = str(Path(self._daemon_handle.runtime.source).absolute())
        if wanted is not None and unquote(wanted) != source:
            raise OperationError("other_configuration", f"the daemon here works for {source}", config=source)

    def _endpoint(self, operation: Operation) -> Callable[[Request], Any]:
        adapter = TypeAdapter(operation.gives)

        async def answer(request: Request) -> Response:
            connection = connection_of(request)
            arguments = arguments_of(
                operation, request, await read_body(request) if operation.method == "POST" else b""
            )
            connection.admitted = True
            connection.allow(None)
            if operation.immediate:
                result = operation.run(self._context(self._daemon_handle.runtime), arguments)
                return _json(_result_content(adapter, result))
            feed = EventStream()
            follow = LINES in request.headers.get("accept", "")
            future = self._start(
                operation, adapter, arguments, connection, request.headers.get("rotator-user", ""), feed
            )
            future.add_done_callback(lambda _: feed.close())
            if follow:
                return StreamingResponse(_followed(connection, feed, future, adapter), media_type=LINES)
            return Response(await _result(future, adapter), media_type="application/json")

        return answer

    def _start(
        self,
        operation: Operation,
        adapter: TypeAdapter[Any],
        arguments: OperationRequest,
        connection: HttpProtocol,
        stated_user: str,
        feed: EventStream,
    ) -> Future[Any]:
        """Starts the operation in a thread: a command in a slot of the executor, a query in a
        reader."""

        def run() -> bytes | Future[Any]:
            if operation.changes:
                return self._run(operation, adapter, arguments, caller_name(connection.peer, stated_user), feed)
            if connection.ended.done():
                raise OperationError("busy", "the caller was gone before the query was begun", 3)
            return self._run(operation, adapter, arguments, "", None)

        if not operation.changes:
            return self._start_query(run)
        if connection.caller_is_gone():
            # The caller may have acted in another way since, so a late start could do harm.
            raise OperationError("abandoned", "the caller was gone before the command was begun", 3)
        return self._executor.carry_out(
            run, urgent=operation.urgent(arguments), exclusive_key=operation.exclusive_key(arguments)
        )

    def _start_query(self, run: Callable[[], Any]) -> Future[Any]:
        if self._queries >= MAX_QUERIES_WAITING:
            raise OperationError(
                "busy", f"{MAX_QUERIES_WAITING} queries are running, which is the limit; ask again in a moment", 3
            )
        loop = asyncio.get_running_loop()
        try:
            future = self._readers.submit(run)
        except RuntimeError:
            raise OperationError(
                "busy", "the machine lets the daemon start no more threads; ask again in a moment", 3
            ) from None
        self._queries += 1

        def answered(_: object) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._answered)

        future.add_done_callback(answered)
        return future

    def _answered(self) -> None:
        self._queries -= 1

    def _run(
        self,
        operation: Operation,
        adapter: TypeAdapter[Any],
        arguments: OperationRequest,
        by: str,
        feed: EventStream | None,
    ) -> bytes | Future[Any]:
        """Runs the operation. Returns its result as JSON without secrets, or the future of the
        result."""
        with self._daemon_handle.lease_runtime() as runtime:
            context = self._context(runtime, by, feed)
            if operation.changes:
                reason = getattr(arguments, "reason", "")
                context.sink.emit(
                    "control.command", operation=operation.name, by=by, about=subjects_of(arguments), reason=reason
                )
            result = operation.execute(context, arguments)
        return result if isinstance(result, Future) else _result_content(adapter, result)

    def _context(self, runtime: RuntimeWithSource, by: str = "", feed: EventStream | None = None) -> OperationContext:
        sink = self._daemon_handle.sink
        return OperationContext(
            runtime,
            by,
            TapSink(sink, lambda event, fields: feed.put({"event": event, **fields})) if feed else sink,
            self._executor.sleep,
            runtime.clock.now,
            owner=process_identity.fresh(),
            daemon_handle=self._daemon_handle,
        )

    def close_streams(self) -> None:
        """Ends the event streams, because the listener is closed."""
        for feed in list(self._subscribers):
            feed.close()

    # --- pages that are no operations -------------------------------------------------------------

    async def _describe(self, request: Request) -> Response:
        connection_of(request).admitted = True
        return _json(self._openapi)

    async def _events(self, request: Request) -> Response:
        if len(self._subscribers) >= MAX_SUBSCRIBERS:
            raise OperationError(
                "busy", f"{MAX_SUBSCRIBERS} callers follow the events, which is the limit; try again later", 3
            )
        refuse_query(request)
        connection, feed = connection_of(request), EventStream()
        connection.admitted = True

        def leave(_: object) -> None:
            self._subscribers.discard(feed)
            self._daemon_handle.broadcast.leave(feed)

        # Before the answer starts, so that the caller misses no event after its start.
        self._subscribers.add(feed)
        self._daemon_handle.broadcast.listen(feed)
        connection.ended.add_done_callback(leave)
        return StreamingResponse(_lines(connection, feed), media_type=LINES)


async def _lines(connection: HttpProtocol, feed: EventStream) -> AsyncIterator[bytes]:
    connection.allow(None)
    async for line in feed.lines():
        connection.allow(WRITE_TIMEOUT)
        yield _line(line)
        connection.allow(None)


async def _followed(
    connection: HttpProtocol, feed: EventStream, future: Future[Any], adapter: TypeAdapter[Any]
) -> AsyncIterator[bytes]:
    """The events of an operation, then its result."""
    yield b"\n"  # the first byte shows the caller that the operation is accepted
    async for line in _lines(connection, feed):
        yield line
    try:
        last = b'{"result": ' + await _result(future, adapter) + b"}"
    except Exception as error:  # noqa: BLE001 - reported by its kind, as everywhere
        last = _content(error_response(error).body)
    connection.allow(WRITE_TIMEOUT)
    yield last + b"\n"


async def _result(future: Future[Any], adapter: TypeAdapter[Any]) -> bytes:
    """The result of an operation as JSON. Waiting for a result that is a future blocks no
    thread."""
    result = await asyncio.wrap_future(future)
    if not isinstance(result, Future):
        return bytes(result)
    try:
        # The future may be shared with other callers, so a timeout must not cancel it.
        value = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(result)), RELOAD_TIMEOUT)
    except TimeoutError:
        message = (
            f"the main loop of the daemon did not answer within {RELOAD_TIMEOUT:g} seconds; look at /healthz, or "
            "restart it"
        )
        raise OperationError("hung", message, 3) from None
    return _result_content(adapter, value)


# --- answers --------------------------------------------------------------------------------------


def _line(line: Line) -> bytes:
    """An event as in the log; an empty line if there was none."""
    if not line:
        return b"\n"
    kind = CATALOGUE.get(str(line.get("event")))
    stamped = {"timestamp": format_rfc3339(datetime.now(UTC)), "level": kind.level if kind else "warning", **line}
    return _content(stamped) + b"\n"


def _content(value: object) -> bytes:
    """The value as JSON, with secrets masked in its values."""
    return json.dumps(to_json_value(value)).encode()


def _result_content(adapter: TypeAdapter[Any], result: object) -> bytes:
    """The result as JSON in ASCII, with secrets masked in its values. Nearly every result contains
    none: it is searched as a whole, and value by value only if there may be one."""
    with suppress(PydanticSerializationError):  # a text that UTF-8 cannot write
        content = adapter.dump_json(result)
        if content.isascii() and not json_may_contain_secret(content.decode("ascii")):
            return content
    return _content(adapter.dump_python(result, mode="json"))


def _json(content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(content, status, headers, "application/json")


def _error(error: Exception) -> Response:
    found = error_response(error)
    return _json(_content(found.body), found.status)


async def _no_page(_request: Request, error: Exception) -> Response:
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, HTTPException) and error.status_code == 405:
        found = error_response(OperationError("method", "the page has another method; see /openapi.json"))
    else:
        found = error_response(OperationError("not_found", "there is no such page; see /openapi.json"))
    return _json(_content(found.body), found.status, headers)
