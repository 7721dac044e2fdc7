"""The HTTP client: one request, one whole answer."""

from __future__ import annotations

import json as jsonlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpcore
import httpx

from rotator import __version__
from rotator.errors import ConfigurationError, ConfigurationProblem
from rotator.http.connection import Connection, Exchange, Headers, Origin, Proxy, Request
from rotator.http.failures import COVERED, HttpFailure, failure_of
from rotator.http.pool import ConnectionPool
from rotator.http.service_clock import ServiceClock
from rotator.http.tls import Opener, TlsFiles, open_plainly

BODY_LIMIT = 4 * 1024 * 1024
"""Maximum bytes of an answer; a page of 100 keys has 60,000."""

KEEP_ALIVE = timedelta(seconds=20)
"""How long an idle connection is reused. Shorter than the idle limits of gateways and firewalls, so
that a request (above all a create) rarely uses a connection that the other side has just closed."""

ResponseObserver = Callable[[str, float], None]
"""Called for every call: its outcome (``2xx``, ``4xx``, ``429``, ``5xx``, or the kind of
``HttpFailure``) and its seconds."""

HEADERS = {"user-agent": f"rotator/{__version__}", "accept": "application/json", "accept-encoding": "identity"}


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of an answer. Raises ``ValueError`` if a field occurs twice, because parsers differ
    about its value."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field stands twice in one object")
    return found


class ResponseHeaders(Mapping[str, str]):
    """The headers of an answer, by name in any case. A header that comes several times has its
    values in their order, separated by commas."""

    def __init__(self, pairs: Headers) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key, text = name.decode("ascii").lower(), value.decode("latin-1")
            self._values[key] = f"{self._values[key]}, {text}" if key in self._values else text

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class HttpResponse:
    """A whole answer. ``repr`` shows neither headers nor body, since either may contain a
    secret."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON. Raises ``ValueError``, without any of its text, if it is none, has a
        field twice in one object, a number that is not finite, or half of a character."""
        try:
            return _parsed(self.body)
        except (ValueError, RecursionError):
            pass
        # Raised outside of the ``except`` block: the exception of the parser contains the body.
        raise ValueError("the answer is not JSON")


def _parsed(body: bytes) -> Any:
    text = body.decode("utf-8-sig")
    value = jsonlib.loads(text, object_pairs_hook=_unambiguous, parse_float=_finite, parse_constant=_finite)
    if "\\ud" in text.lower():
        jsonlib.dumps(value, ensure_ascii=False).encode()  # raises if half of a surrogate pair stands alone
    return value


def _finite(text: str) -> float:
    """The number. Raises ``ValueError`` if JSON cannot represent it."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("the number is not finite")
    return number


class HttpClient:
    """A pool of kept-alive connections to one service, for any number of threads.

    ``timeout``: deadline of requests that name none. ``connections``: maximum open at once; a
    request waits for a free one within its deadline. ``ca_cert`` replaces the system's certificate
    authorities. ``client_cert``: the files of a certificate and of its key, which are read again
    when they change; ``opener`` opens these files. ``proxy``: an http:// or https:// address.
    ``now``: the clock that ``clock_offset`` compares with. ``observe`` is called for every call.
    Raises ``ConfigurationError`` for files and addresses that it cannot use.
    """

    def __init__(
        self,
        *,
        timeout: timedelta,
        connections: int = 8,
        keep_alive: timedelta = KEEP_ALIVE,
        ca_cert: Path | None = None,
        client_cert: tuple[Path, Path] | None = None,
        opener: Opener = open_plainly,
        proxy: str | None = None,
        headers: Mapping[str, str] | None = None,
        body_limit: int = BODY_LIMIT,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        observe: ResponseObserver = lambda outcome, seconds: None,  # noqa: ARG005 - no observer
    ) -> None:
        self._timeout = timeout
        self._keep_alive = keep_alive.total_seconds()
        self._headers = {name.lower(): value for name, value in {**HEADERS, **(headers or {})}.items()}
        self._observe = observe
        self._body_limit = body_limit
        self._service_clock = ServiceClock(now)
        self.tls = TlsFiles(ca_cert, client_cert, opener)
        """The certificates as they are on disk."""
        self._proxy = _proxy(proxy, ca_cert, opener) if proxy else None
        self.pool = ConnectionPool(connections, self.tls.refresh)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        json: Any = None,
        deadline: timedelta | None = None,
    ) -> HttpResponse:
        """Sends exactly one request and returns its whole answer, whatever its status. Raises
        ``HttpFailure``.

        ``deadline``: the time for all of it, from now.
        """
        begun, outcome = time.monotonic(), "error"
        exchange = Exchange(self._timeout if deadline is None else deadline)
        try:
            origin, asked = self._request(method, url, headers, params, content, json)
            answer = self._answer(origin, asked, exchange)
        except COVERED as error:
            failure = failure_of(error, exchange)
            outcome = failure.kind
        except HttpFailure as refused:
            outcome = refused.kind
            raise
        else:
            outcome = _outcome(answer.status)
            return answer
        finally:
            self._observe(outcome, time.monotonic() - begun)
        # Raised outside of the ``except`` block: the exceptions of the libraries contain the
        # request, and so the token.
        raise failure

    def clock_offset(self) -> timedelta:
        """The service's clock minus this machine's, from the latest answer with a Date, corrected
        for steps of this clock since; zero before the first."""
        return self._service_clock.offset()

    def close(self) -> None:
        """Closes every connection."""
        self.pool.close()

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        params: Mapping[str, Any] | None,
        content: bytes | None,
        json: Any,
    ) -> tuple[Origin, Request]:
        origin, target = address_of(url)
        if params:
            target = target.partition(b"?")[0] + b"?" + str(httpx.QueryParams(params)).encode("ascii")
        named = dict(self._headers)
        body = content or b""
        if json is not None:
            body = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
            named["content-type"] = "application/json"
        if body or method in ("POST", "PUT", "PATCH"):
            named["content-length"] = str(len(body))
        named.update({name.lower(): value for name, value in (headers or {}).items()})
        encoded: Headers = [(b"Host", origin.authority().encode("ascii"))]
        encoded += [(name.encode("ascii"), value.encode("ascii")) for name, value in named.items()]
        return origin, Request(method.encode("ascii"), target, encoded, body)

    def _answer(self, origin: Origin, request: Request, exchange: Exchange) -> HttpResponse:
        lane = self.pool.take(exchange.left(httpcore.PoolTimeout))
        whole = False
        try:
            connection = lane.connection(origin, self._connection)
            sent = time.monotonic()
            status, headers = connection.send(request, exchange)
            named = ResponseHeaders(headers)
            self._service_clock.answered(named.get("date"), sent)
            answer = HttpResponse(status, named, self._body(connection, named, exchange))
            whole = True
            return answer
        finally:
            if not whole:
                lane.close()  # the rest of its answer would be taken for the answer to the next request
            self.pool.give_back(lane)

    def _connection(self, origin: Origin) -> Connection:
        return Connection(origin, self.tls, self._proxy, self._keep_alive)

    def _body(self, connection: Connection, headers: Mapping[str, str], exchange: Exchange) -> bytes:
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise HttpFailure(
                "the answer is compressed although that was not requested", kind="encoding", sent="unknown"
            )
        body = bytearray()
        for piece in connection.body(exchange):
            body += piece
            if len(body) > self._body_limit:
                raise HttpFailure(
                    f"the answer has more than {self._body_limit} bytes", kind="too_large", sent="unknown"
                )
        return bytes(body)


def address_of(url: str) -> tuple[Origin, bytes]:
    """The service and the target of an address. The library takes an address apart, and so does
    half of the work of a request; a path that needs no encoding is the target as it is."""
    if plain := _PLAIN.fullmatch(url):
        return _parsed_address(plain[1])[0], plain[2].encode("ascii")
    return _parsed_address(url)


_PLAIN = re.compile(r"(https?://[^/?#@\s]+)((?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+)")
"""An address whose path has neither dot segments nor characters that are written in another way."""


@lru_cache(1024)
def _parsed_address(url: str) -> tuple[Origin, bytes]:
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise httpx.UnsupportedProtocol("neither http:// nor https://")
    secure = parsed.scheme == "https"
    origin = Origin(secure, parsed.raw_host.decode("ascii"), parsed.port or (443 if secure else 80))
    return origin, parsed.raw_path


def _outcome(status: int) -> str:
    return "429" if status == 429 else f"{status // 100}xx"


def _proxy(address: str, ca_cert: Path | None, opener: Opener) -> Proxy:
    # The address may contain a password, so no error repeats it.
    try:
        proxy = httpx.Proxy(address)
    except (ValueError, httpx.InvalidURL):
        proxy = None
    if proxy is None or proxy.url.scheme not in ("http", "https") or not proxy.url.host:
        raise ConfigurationError(
            [ConfigurationProblem("proxy", "", "is not a usable proxy; write an http:// or https:// address")]
        )
    secure = proxy.url.scheme == "https"
    origin = Origin(secure, proxy.url.raw_host.decode("ascii"), proxy.url.port or (443 if secure else 80))
    credentials = Proxy.credentials(*proxy.raw_auth) if proxy.raw_auth else ()
    return Proxy(origin, TlsFiles(ca_cert, opener=opener) if secure else None, credentials)
