"""The service as an ASGI application: latency, answers that get lost, and the operator's hand under
``/_sandbox/``.

The server must put the connection's transport into ``scope["sandbox.transport"]``, so that
connections can be broken.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
import struct
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import datetime
from email.utils import formatdate
from typing import Any

from rotator.sandbox.scaleway import responses as answers
from rotator.sandbox.scaleway.control import ControlInterface
from rotator.sandbox.scaleway.faults import Fault
from rotator.sandbox.scaleway.gateway import Gateway
from rotator.sandbox.scaleway.request import ApiRequest
from rotator.sandbox.scaleway.responses import Answer

CONTROL = "/_sandbox/"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_ALWAYS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_VERBS = frozenset(
    name for name in vars(ControlInterface) if not name.startswith("_") and callable(getattr(ControlInterface, name))
) | {
    "faults.add",
    "faults.list",
    "faults.remove",
    "faults.clear",
}
_MOMENTS = ("expires_at",)


class StandInApp:
    """One request in, one answer out, or what a fault makes of it."""

    def __init__(self, control: ControlInterface, gateway: Gateway) -> None:
        self._control = control
        self._gateway = gateway
        self._released = asyncio.Event()
        self._date = (0, "")
        self.hanging = 0

    def release(self) -> None:
        """Let the requests go on that hang now. To be called in the loop."""
        self._released.set()
        self._released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        body = await _body(receive)
        path = scope["path"]
        if path.startswith(CONTROL):
            await self._send(send, self._command(path.removeprefix(CONTROL), body))
            return
        token = agent = ""
        for name, value in scope["headers"]:
            if name == b"x-auth-token":
                token = value.decode("latin-1")
            elif name == b"user-agent":
                agent = value.decode("latin-1")
        ip = scope["client"][0] if scope.get("client") else "127.0.0.1"
        request = ApiRequest(scope["method"], path, scope["query_string"].decode("latin-1"), token, body, agent, ip)
        verdict = self._gateway.admit(request)
        if isinstance(verdict, Fault):
            await _Misbehaviour(self, verdict, request, scope, receive, send).act()
        else:
            await self._send(send, verdict or await self.execute(request), request.gateway)

    async def execute(self, request: ApiRequest) -> Answer:
        """The answer, after the latency of such a request; half of it passes before anything is
        done."""
        latency = self._gateway.latency(request)
        if latency:
            await asyncio.sleep(latency / 2)
        answer = self._gateway.execute(request)
        if latency:
            await asyncio.sleep(latency / 2)
        return answer

    def postpone(self, request: ApiRequest, after: float | None) -> Answer | None:
        """Have the request executed later; an answer when it is refused now."""
        return self._gateway.postpone(request, after)

    async def hang(self) -> None:
        """Wait for the next release."""
        self.hanging += 1
        try:
            await self._released.wait()
        finally:
            self.hanging -= 1

    def headers(self, answer: Answer, gateway: int) -> list[tuple[bytes, bytes]]:
        """The headers of an answer. A 204 has a type and no length; an empty 429 has a length and
        no type."""
        headers = _ALWAYS | {
            "date": self._now(),
            "server": f"Scaleway API Gateway (fr-par-3;edge{gateway + 1:02})",
            "x-request-id": str(uuid.uuid4()),
        }
        if answer.content_type:
            headers["content-type"] = answer.content_type
        if answer.status != 204:
            headers["content-length"] = str(len(answer.body))
        for name, value in answer.headers.items():
            headers[name.lower()] = value
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def _send(self, send: Send, answer: Answer, gateway: int = 0) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": self.headers(answer, gateway)})
        await send({"type": "http.response.body", "body": answer.body})

    def _now(self) -> str:
        state, settings = self._gateway.state, self._control.settings
        second = int(state.tick() + settings.clock_offset + settings.date_skew)
        if second != self._date[0]:
            self._date = (second, formatdate(second, usegmt=True))
        return self._date[1]

    # --- the operator's hand ----------------------------------------------------------------------

    def _command(self, verb: str, body: bytes) -> Answer:
        """Call a method of ``ControlInterface`` with the arguments in the body, and answer its
        result or its complaint."""
        try:
            arguments = json.loads(body or b"{}")
            if verb == "describe":
                return _result(self._describe())
            if verb not in _VERBS:
                return answers.error(400, error="LookupError", message=f"the sandbox has no command {verb}")
            target: Any = self._control
            for name in verb.split("."):
                target = getattr(target, name)
            for name in _MOMENTS:
                if arguments.get(name):
                    arguments[name] = datetime.fromisoformat(arguments[name])
            return _result(target(**arguments))
        except (LookupError, TypeError, ValueError) as error:
            return answers.error(400, error=type(error).__name__, message=str(error.args[0]))

    def _describe(self) -> dict[str, object]:
        names = ("organization_id", "management_application_id", "management_access_key", "management_secret")
        return {"settings": self._control.settings} | {name: getattr(self._control, name) for name in names}


class _Misbehaviour:
    """One fault, acted out on one request."""

    def __init__(
        self, app: StandInApp, fault: Fault, request: ApiRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._app, self._fault, self._request = app, fault, request
        self._transport: asyncio.Transport = scope["sandbox.transport"]
        self._receive, self._send = receive, send

    async def act(self) -> None:
        """Do what the fault says."""
        await getattr(self, f"_{self._fault.action}")()

    async def _status(self) -> None:
        if self._fault.executed:
            await self._app.execute(self._request)
        await self._answer(self._on_command())

    async def _drop(self) -> None:
        if self._fault.executed:
            await self._app.execute(self._request)
        await self._close()

    async def _reset(self) -> None:
        if self._fault.executed:
            await self._app.execute(self._request)
        if not self._transport.is_closing():  # the client may have gone meanwhile
            connection: socket.socket = self._transport.get_extra_info("socket")
            # Closing a socket that lingers for zero seconds resets the connection.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        await self._disconnected()

    async def _truncate(self) -> None:
        answer = await self._app.execute(self._request)
        await self._start(answer)
        await self._send(
            {"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True}
        )
        await self._close()

    async def _delay(self) -> None:
        await asyncio.sleep(self._fault.seconds or 0)
        await self._answer(await self._app.execute(self._request))

    async def _drip(self) -> None:
        answer = await self._app.execute(self._request)
        await self._start(answer)
        for position in range(len(answer.body)):
            await self._send(
                {"type": "http.response.body", "body": answer.body[position : position + 1], "more_body": True}
            )
            await asyncio.sleep(self._fault.seconds or 0)
        await self._send({"type": "http.response.body", "body": b""})

    async def _hang(self) -> None:
        if self._fault.executed:
            answer = await self._app.execute(self._request)
            await self._app.hang()
        else:
            await self._app.hang()
            answer = await self._app.execute(self._request)
        await self._answer(answer)

    async def _late(self) -> None:
        refusal = self._app.postpone(self._request, self._fault.seconds)
        if refusal:
            await self._answer(refusal)
        elif self._fault.status:
            await self._answer(self._on_command())
        else:
            await self._close()

    def _on_command(self) -> Answer:
        fault = self._fault
        answer = answers.by_status(fault.status or 500, self._request.route, self._request.name)
        if fault.body is not None:
            answer = dataclasses.replace(answer, body=fault.body.encode())
        return dataclasses.replace(answer, headers={**answer.headers, **fault.headers})

    async def _start(self, answer: Answer) -> None:
        headers = self._app.headers(answer, self._request.gateway)
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def _answer(self, answer: Answer) -> None:
        await self._start(answer)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def _close(self) -> None:
        self._transport.close()
        await self._disconnected()

    async def _disconnected(self) -> None:
        """Wait until the server knows, for it complains about answers that were not finished."""
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _result(value: object) -> Answer:
    return Answer(200, json.dumps({"result": _plain(value)}).encode())


def _plain(value: Any) -> Any:
    """A result as JSON: dataclasses as objects, counters as lists of key and count, times in ISO
    8601."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return (
            [[*key, count] for key, count in value.items()]
            if isinstance(next(iter(value), ""), tuple)
            else {name: _plain(item) for name, item in value.items()}
        )
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
