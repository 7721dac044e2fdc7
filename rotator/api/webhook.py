"""The webhook: external systems (leak scanners, a SIEM) report a leaked key, and can do nothing
else.

An unauthenticated caller learns nothing: every request without a valid token, signature or time
gets the same empty 401, whatever its path. An authenticated caller can have the keys of one
configured application replaced and revoked, a few times a minute.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
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
from rotator.api.webhook_slots import MarkedKeys, ReportSlots
from rotator.config import Webhook
from rotator.decision.transitions.revocation import is_verified_revoked
from rotator.domain.spec import ApplicationSpec
from rotator.errors import ConfigurationError, Refused, RotatorError
from rotator.observability.serialization import to_json_value
from rotator.operations.commands.contain import CompromiseRequest, contain, mark
from rotator.operations.daemon_handle import DaemonHandle, RuntimeWithSource
from rotator.operations.ledgers import read_whole_ledger
from rotator.operations.queries.key_lookup import find_in_ledgers, locate_key
from rotator.operations.refusal import OperationError
from rotator.system import process_identity
from rotator.util.crash import crash_site
from rotator.util.formatting import strip_control_characters

PATH = "/v1/compromised"

MAX_BODY = 2048
"""Maximum bytes of a report."""

BODY_TIMEOUT = 5.0
"""Seconds to receive the report."""

REJECTED_INTERVAL = 60.0
"""Seconds between two events about rejected requests, so that a flood does not fill the log."""

MARK_TIMEOUT = 60.0
"""Seconds that the caller waits for the mark to be durable."""


class LeakReport(BaseModel):
    """A report: an application or an access key, and where it was found."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    application: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    access_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    reason: Annotated[str, AfterValidator(strip_control_characters), Field(max_length=300)] = ""

    @model_validator(mode="after")
    def _one(self) -> LeakReport:
        if (self.application is None) == (self.access_key is None):
            raise ValueError("name either an application or an access_key")
        return self


class WebhookApp:
    """The application of the listener. ``clock`` returns seconds since 1970."""

    def __init__(
        self,
        daemon_handle: DaemonHandle,
        executor: CommandExecutor,
        settings: Webhook,
        guard: ReplayGuard,
        slots: ReportSlots,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._daemon_handle = daemon_handle
        self._executor = executor
        self._settings = settings
        self._guard = guard
        self._slots = slots
        self._clock = clock
        self._rejected = 0
        self._rejected_event_at = float("-inf")
        self._lock = threading.Lock()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - its text may hold anything, and the caller needs none of it
            kind, where = crash_site(error)
            self._daemon_handle.sink.emit("daemon.crashed", error=kind, where=where)
            response = Response(status_code=500)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        body = await _body(request)
        connection = _connection(request)
        connection.admitted = body is not None
        why = await asyncio.to_thread(self._reject, request, body)
        if why == "starting":
            return self._come_again()
        if why:
            return Response(status_code=401)
        connection.allow(MARK_TIMEOUT + 10)
        try:
            if (request.method, request.url.path) != ("POST", PATH):
                raise OperationError("not_found", f"there is only POST {PATH}")
            report = _report(body or b"")
            marked = asyncio.wrap_future(self._start(report, _source(request)))
            found = await asyncio.wait_for(
                asyncio.shield(marked), MARK_TIMEOUT
            )  # the report continues without the caller
        except TimeoutError:
            return _json(
                {"error": {"kind": "too_slow", "message": "whether it is marked is not known: report it again"}}, 503
            )
        except RotatorError as error:
            refusal = error_response(error)
            return _json(refusal.body, refusal.status)
        return _json({"application": found.application, "access_keys": found.access_keys, "state": found.state}, 202)

    # --- authentication ---------------------------------------------------------------------------

    def _reject(self, request: Request, body: bytes | None) -> str:
        """Why the caller is not authenticated, or empty; reports it. Reads files and may wait for
        the log."""
        why = self._authenticate(request, body)
        if why and why != "starting":
            with self._lock:
                self._rejected += 1
                now = time.monotonic()
                if now - self._rejected_event_at < REJECTED_INTERVAL:
                    return why
                self._rejected_event_at, count, self._rejected = now, self._rejected, 0
            self._daemon_handle.sink.emit("webhook.rejected", reason=why, source=_source(request), requests=count)
        return why

    def _authenticate(self, request: Request, body: bytes | None) -> str:
        try:  # read for each request, so that the secrets can be replaced
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
            return self._guard.refuse(key, timestamp, given, body, self._clock())

    def _come_again(self) -> Response:
        seconds = max(1, math.ceil(self._guard.floor - self._clock()) + 1)
        message = (
            "the daemon has just started and cannot recognise a repeated report yet: sign and report it again in "
            f"{seconds} seconds"
        )
        response = _json({"error": {"kind": "starting", "message": message}}, 503)
        response.headers["retry-after"] = str(seconds)
        return response

    # --- containment ------------------------------------------------------------------------------

    def _start(self, report: LeakReport, source: str) -> Future[MarkedKeys]:
        """Starts the report in a slot. The future completes when the mark is durable; the
        containment continues."""
        name = report.application or ""
        marked, is_new = self._slots.admit(name, self._settings.rate_limit)
        if not is_new:
            return marked

        def work() -> None:
            try:
                with self._daemon_handle.lease_runtime() as runtime:
                    self._carry_out(runtime, report, source, marked)
            except Exception as error:  # noqa: BLE001 - the future carries it to the caller
                if not marked.done():
                    marked.set_exception(error)
            finally:
                self._slots.release(name)

        try:
            self._executor.carry_out(work, urgent=True)
        except OperationError as error:
            self._slots.release(name)
            marked.set_exception(error)
        return marked

    def _carry_out(
        self, runtime: RuntimeWithSource, report: LeakReport, source: str, marked: Future[MarkedKeys]
    ) -> None:
        spec = (
            runtime.spec(report.application)
            if report.application
            else _application_of(runtime, report.access_key or "")
        )
        only = frozenset({report.access_key}) if report.access_key else None
        if only and not _is_valid(runtime, spec, report.access_key or ""):
            marked.set_result(MarkedKeys(spec.application, (), "revoked"))
            return
        by, reason = f"webhook from {source}@{socket.gethostname()}", report.reason or "reported by a machine"
        request = CompromiseRequest(reason, by)
        context = replace(runtime.context(spec), sink=self._daemon_handle.sink, owner=process_identity.fresh())

        def sleep(until: datetime) -> None:
            self._executor.sleep(context.clock, until)

        self._daemon_handle.sink.emit(
            "control.command", operation="compromised", by=by, about=[spec.application], reason=reason
        )
        try:
            keys = mark(spec, context, sleep, request, keys=only).keys
            with self._slots.containing(spec.application) as alone:
                marked.set_result(MarkedKeys(spec.application, tuple(sorted(keys)), "marked"))
                if alone:
                    # These keys and no others: a new one may have been published since.
                    contain(spec, context, sleep, request, keys=keys)
        finally:
            self._daemon_handle.reconcile_now([spec.application])


def _application_of(runtime: RuntimeWithSource, access_key: str) -> ApplicationSpec:
    """The configured application of a key: from the ledgers, or from its account if no ledger names
    it."""
    named = find_in_ledgers(runtime, [access_key]).get(access_key)
    if named is not None and named[0].application in runtime.specs:
        return named[0]
    by_bearer = {(spec.account, spec.bearer): spec for spec in runtime.specs.values()}
    account, key = locate_key(runtime, [access_key]).get(access_key, ("", None))
    if key is None or (account, key.bearer) not in by_bearer:
        raise OperationError("not_found", "no application of the configuration has a valid key of that name")
    return by_bearer[account, key.bearer]


def _is_valid(runtime: RuntimeWithSource, spec: ApplicationSpec, access_key: str) -> bool:
    """Whether a managed key is valid; False if it is known to be revoked. An unmanaged key must be
    revoked by a person."""
    ledger = read_whole_ledger(spec, runtime.context(spec))
    published = runtime.vault.read_document(*spec.location).published
    if access_key == published or (ledger is not None and access_key in ledger.names()):
        return True
    if ledger is not None and is_verified_revoked(ledger, access_key):
        return False
    raise Refused(
        f"{access_key} of {spec.application} is an unmanaged key: a person has to look, and to revoke it by name"
    )


# --- requests and answers -------------------------------------------------------------------------


def _connection(request: Request) -> HttpProtocol:
    connection: HttpProtocol = request.state.connection
    return connection


def _source(request: Request) -> str:
    return request.client.host if request.client else "?"


async def _body(request: Request) -> bytes | None:
    """The body; None if it is too large or too slow, or the caller disconnected."""
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
    return Response(json.dumps(to_json_value(value)), status, media_type="application/json")
