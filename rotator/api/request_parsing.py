"""Parses requests of the control API: connection, body, arguments."""

from __future__ import annotations

import asyncio
import re
from typing import get_origin

from starlette.requests import ClientDisconnect, Request

from rotator.api.http_server import HttpProtocol
from rotator.domain.secret import SECRET_KEY
from rotator.operations.operation import Operation, OperationRequest
from rotator.operations.refusal import OperationError

MAX_BODY = 256 * 1024
"""Maximum bytes of a body; the names of some thousand applications fit."""

BODY_TIMEOUT = 5.0
"""Seconds to receive the body."""

NAMES = re.compile(r"[a-z0-9*?\[!][a-z0-9._*?\[\]!-]{0,63}|SCW[A-Z0-9]{17}", re.ASCII)
"""Names of applications and of keys, and patterns of them; other text is not repeated."""

ABOUT = ("applications", "application", "access_keys", "access_key", "globs", "accounts", "account")
"""Options that name the subjects of a command."""


def connection_of(request: Request) -> HttpProtocol:
    """The connection of the request."""
    connection: HttpProtocol = request.state.connection
    return connection


def subjects_of(arguments: OperationRequest) -> list[str]:
    """The subjects of the command, as the caller named them."""
    given = [getattr(arguments, option, []) for option in ABOUT]
    words = [word for words in given for word in ([words] if isinstance(words, str) else words) if word]
    return [word if NAMES.fullmatch(word) and not SECRET_KEY.fullmatch(word) else "?" for word in words]


async def read_body(request: Request) -> bytes:
    """The body, within its limits of size and time. Raises `OperationError`."""
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise OperationError(
                        "too_large", f"a body of more than {MAX_BODY} bytes is not read; name fewer at once"
                    )
    except (TimeoutError, ClientDisconnect):
        raise OperationError("too_slow", f"the body was not there within {BODY_TIMEOUT:g} seconds") from None
    if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise OperationError("not_json", "a body has to be application/json, and say so in its content-type")
    return body


def arguments_of(operation: Operation, request: Request, body: bytes) -> OperationRequest:
    """The validated arguments of an operation, from the query or the body. Raises
    `OperationError`."""
    if operation.method == "POST":
        refuse_query(request)
        return operation.request(body or b"{}")
    query = request.query_params
    lists = {name for name, field in operation.takes.model_fields.items() if get_origin(field.annotation) is list}
    return operation.request({name: query.getlist(name) if name in lists else query[name] for name in query})


def refuse_query(request: Request) -> None:
    """Raises `OperationError` if a request that takes no query has one."""
    if request.query_params:
        raise OperationError("usage", f"{min(request.query_params)}: is not an option here")
