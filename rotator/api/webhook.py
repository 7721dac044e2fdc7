"""The webhook: where machines outside (leak scanners, a SIEM) report a key of ours that they found, and nothing else.

Who is not known learns nothing: every request that lacks a good token, signature or time gets the same empty 401, whatever it asked
for. Who is known may have the keys of one configured application replaced and killed, a few times a minute.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rotator.api.errors import error_response
from rotator.api.executor import CommandExecutor
from rotator.api.http_server import HttpProtocol
from rotator.api.webhook_auth import ReplayGuard, is_authentic
from rotator.config import Webhook
from rotator.decision.transitions import is_verified_revoked
from rotator.domain.secret import redact
from rotator.domain.spec import ApplicationSpec
from rotator.errors import ConfigurationError, Refused, RotatorError
from rotator.operations.commands.contain import CompromiseRequest, contain, mark
from rotator.operations.daemon_handle import DaemonHandle, RuntimeWithSource
from rotator.operations.queries.key_lookup import locate_key
from rotator.operations.refusal import OperationError
from rotator.system import process_identity as owner
from rotator.util.crash import crash_site
from rotator.util.formatting import strip_control_characters

PATH = "/v1/compromised"

MAX_BODY = 2048
"""Bytes of a report."""

BODY_TIMEOUT = 5.0
"""Seconds within which it has to be there."""

QUIET = 60.0
"""Seconds between two events about refused requests: whoever knocks all day must not fill the log."""

MARKED_WITHIN = 60.0
"""Seconds that the caller is kept waiting for the mark to be durable."""


class LeakReport(BaseModel):
    """What machines report: an application or an access key, and where it was seen."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    application: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    access_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    reason: Annotated[str, AfterValidator(strip_control_characters), Field(max_length=300)] = ""

    @model_validator(mode="after")
    def _one(self) -> LeakReport:
        if (self.application is None) == (self.access_key is None):
            raise ValueError("name either an application or an access_key")
        return self


@dataclass(frozen=True)
class MarkedKeys:
    """What was marked, or that the key is dead already (then nothing was)."""

    application: str
    access_keys: tuple[str, ...]
    state: str


class WebhookApp:
    """What is behind the listener. ``clock`` tells the time in seconds since 1970."""

    def __init__(
        self, daemon_handle: DaemonHandle, executor: CommandExecutor, settings: Webhook, clock: Callable[[], float] = time.time
    ) -> None:
        self._daemon_handle = daemon_handle
        self._executor = executor
        self._settings = settings
        self._clock = clock
        self._signatures = ReplayGuard(float(int(clock())))  # callers count in whole seconds
        self._orders: deque[float] = deque()
        self._refused = 0
        self._told_at = float("-inf")
        self._lock = threading.Lock()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - its words may hold anything, and nobody outside needs them
            kind, where = crash_site(error)
            self._daemon_handle.sink.emit("daemon.crashed", error=kind, where=where)
            response = Response(status_code=500)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        body = await _body(request)
        why = await asyncio.to_thread(self._stranger, request, body)
        if why:
            self._refuse(why, request)
            return Response(status_code=401)
        connection = _connection(request)
        connection.admitted = True
        connection.allow(MARKED_WITHIN + 10)
        try:
            if (request.method, request.url.path) != ("POST", PATH):
                raise OperationError("not_found", f"there is only POST {PATH}")
            report = _report(body or b"")
            self._admit()
            marked = asyncio.wrap_future(self._order(report, _source(request)))
            found = await asyncio.wait_for(asyncio.shield(marked), MARKED_WITHIN)  # who waits no longer cuts nothing short
        except TimeoutError:
            return _json({"error": {"kind": "too_slow", "message": "whether it is marked is not known: report it again"}}, 503)
        except RotatorError as error:
            refusal = error_response(error)
            return _json(refusal.body, refusal.status)
        return _json({"application": found.application, "access_keys": found.access_keys, "state": found.state}, 202)

    # --- who is there -------------------------------------------------------------------------------------------------------

    def _stranger(self, request: Request, body: bytes | None) -> str:
        """Why the caller is not known, or nothing. Reads the secrets afresh, so that they can be replaced."""
        try:
            token = self._settings.token.resolve() if self._settings.token else None
            key = self._settings.signing_key.resolve()
        except ConfigurationError:
            return "secrets_unreadable"
        if token is not None and not is_authentic(request.headers.get("authorization", ""), token):
            return "token"
        if body is None:
            return "body"
        timestamp, given = request.headers.get("rotator-timestamp", ""), request.headers.get("rotator-signature", "")
        with self._lock:
            return self._signatures.refuse(key, timestamp, given, body, self._clock())

    def _refuse(self, why: str, request: Request) -> None:
        with self._lock:
            self._refused += 1
            now = time.monotonic()
            if now - self._told_at < QUIET:
                return
            self._told_at, count, self._refused = now, self._refused, 0
        self._daemon_handle.sink.emit("webhook.rejected", reason=why, source=_source(request), requests=count)

    def _admit(self) -> None:
        """Let one more order through, unless there were too many within the last minute."""
        with self._lock:
            now = time.monotonic()
            while self._orders and self._orders[0] <= now - 60:
                self._orders.popleft()
            if len(self._orders) >= self._settings.rate_limit:
                raise OperationError(
                    "busy", f"{self._settings.rate_limit} reports a minute are taken, and no more; report it again", 3
                )
            self._orders.append(now)

    # --- what is done -------------------------------------------------------------------------------------------------------

    def _order(self, report: LeakReport, source: str) -> Future[MarkedKeys]:
        """Begin; the future is there when the mark is durable, and the rest goes on."""
        marked: Future[MarkedKeys] = Future()

        def work() -> None:
            try:
                with self._daemon_handle.lease_runtime() as runtime:
                    self._carry_out(runtime, report, source, marked)
            except Exception as error:  # noqa: BLE001 - whoever waits for the mark gets it
                if not marked.done():
                    marked.set_exception(error)

        self._executor.carry_out(work, urgent=True)
        return marked

    def _carry_out(self, runtime: RuntimeWithSource, report: LeakReport, source: str, marked: Future[MarkedKeys]) -> None:
        spec = runtime.spec(report.application) if report.application else _bearer(runtime, report.access_key or "")
        only = frozenset({report.access_key}) if report.access_key else None
        if only and not _ours(runtime, spec, report.access_key or ""):
            marked.set_result(MarkedKeys(spec.application, (), "revoked"))
            return
        by, reason = f"webhook from {source}@{socket.gethostname()}", report.reason or "reported by a machine"
        order = CompromiseRequest(reason, by)
        context = replace(runtime.context(spec), sink=self._daemon_handle.sink, owner=owner.fresh())

        def sleep(until: datetime) -> None:
            self._executor.sleep(context.clock, until)

        self._daemon_handle.sink.emit("control.command", operation="compromised", by=by, about=[spec.application], reason=reason)
        try:
            keys, _ = mark(spec, context, sleep, order, keys=only)
            marked.set_result(MarkedKeys(spec.application, tuple(sorted(keys)), "marked"))
            # These and no others: somebody may have published a new key since.
            contain(spec, context, sleep, order, keys=keys)
        finally:
            self._daemon_handle.reconcile_now([spec.application])


def _bearer(runtime: RuntimeWithSource, access_key: str) -> ApplicationSpec:
    """The application whose key that is."""
    by_bearer = {(spec.account, spec.bearer): spec for spec in runtime.specs.values()}
    account, key = locate_key(runtime, [access_key]).get(access_key, ("", None))
    if key is None or (account, key.bearer) not in by_bearer:
        raise OperationError("not_found", "no application of the configuration has a living key of that name")
    return by_bearer[account, key.bearer]


def _ours(runtime: RuntimeWithSource, spec: ApplicationSpec, access_key: str) -> bool:
    """Whether the key lives and we answer for it; False when we know it to be dead. A stranger's is for a person to revoke."""
    ledger, _ = runtime.vault.read_ledger(spec.application)
    published = runtime.vault.read_document(spec.path, spec.access_field, spec.secret_field).published
    if access_key == published or (ledger is not None and access_key in ledger.names()):
        return True
    if ledger is not None and is_verified_revoked(ledger, access_key):
        return False
    raise Refused(f"{access_key} of {spec.application} is an unmanaged key: a person has to look, and to revoke it by name")


# --- in and out -------------------------------------------------------------------------------------------------------------


def tls_context(settings: Webhook) -> ssl.SSLContext | None:
    """How to speak TLS, if at all; with an authority for callers, whoever has no certificate of it gets no further."""
    if settings.certificate is None or settings.key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate.file(), settings.key.file())
    if settings.client_ca is not None:
        context.load_verify_locations(settings.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _connection(request: Request) -> HttpProtocol:
    connection: HttpProtocol = request.state.connection
    return connection


def _source(request: Request) -> str:
    return request.client.host if request.client else "?"


async def _body(request: Request) -> bytes | None:
    """The body; None when it is too large or too slow, or the caller hung up."""
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return body


def _report(body: bytes) -> LeakReport:
    try:
        return LeakReport.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) if first["type"] != "extra_forbidden" else ""
        raise OperationError("usage", f"{where or 'the report'}: {first['msg']}") from None


def _json(value: dict[str, Any], status: int) -> Response:
    return Response(redact(json.dumps(value)), status, media_type="application/json")
