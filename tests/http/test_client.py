"""The shared HTTP client: one deadline over everything, honest about what was sent, and nothing of a secret in a failure."""

from __future__ import annotations

import contextlib
import gzip
import inspect
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import httpcore
import httpx
import pytest

from rotator.errors import ConfigurationError
from rotator.http import HttpClient, HttpFailure, ServiceClock, connection
from rotator.http.client import HttpResponse
from rotator.http.failures import FAILURES
from rotator.http.service_clock import clock_difference
from tests.support.raw_server import RawServer, Script, answer, close, drip, refusing, reset, silence, then_close

SHORT = timedelta(seconds=0.3)
LONG = timedelta(seconds=20)
TOKEN = "5ec0e7f1-0000-4000-8000-c0ffee000001"


@pytest.fixture
def client() -> Iterator[HttpClient]:
    client = HttpClient(timeout=LONG)
    yield client
    client.close()


def failure_of(client: HttpClient, url: str, method: str = "POST", deadline: timedelta = LONG) -> HttpFailure:
    with pytest.raises(HttpFailure) as caught:
        client.request(method, url, headers={"x-auth-token": TOKEN}, json={"a": 1}, deadline=deadline)
    return caught.value


# --- the ordinary ---------------------------------------------------------------------------------------------------------


def test_a_request_says_what_it_was_given_and_the_answer_comes_back_whole(client: HttpClient) -> None:
    with RawServer(answer(201, {"hello": "world"}, X_Thing="yes")) as server:
        got = client.request(
            "POST", f"{server.url}/a/b", params={"page": 1, "q": "a b"}, headers={"X-A": "b"}, json={"n": [1]}
        )
    assert (got.status, got.json(), got.headers["x-thing"]) == (201, {"hello": "world"}, "yes")
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a/b?page=1&q=a+b HTTP/1.1\r\n")
    assert b"user-agent: rotator/" in head.lower()
    assert b"x-a: b" in head.lower()
    assert body == b'{"n":[1]}'


def test_connections_are_kept_and_used_again(client: HttpClient) -> None:
    with RawServer(answer(200, {})) as server:
        for _ in range(5):
            client.request("GET", server.url)
        assert (len(server.requests), server.connections) == (5, 1)


def test_an_idle_connection_is_not_used_again_after_its_keep_alive() -> None:
    client = HttpClient(timeout=LONG, keep_alive=timedelta(0))
    with RawServer(answer(200, {})) as server:
        client.request("GET", server.url)
        client.request("GET", server.url)
        assert server.connections == 2
    client.close()


@pytest.mark.parametrize(("idle", "connections"), [(5, 1), (60, 2)], ids=["seconds", "a minute"])
def test_a_connection_is_used_again_after_seconds_and_not_after_a_minute(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, idle: float, connections: int
) -> None:
    """Gateways give up a connection that was idle for a minute, and a create that meets such a connection is lost."""
    with RawServer(answer(200, {})) as server:
        client.request("GET", server.url)
        monkeypatch.setattr(connection, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + idle))
        client.request("GET", server.url)
        assert server.connections == connections


def test_connections_that_are_no_longer_needed_are_closed_while_others_are_used() -> None:
    """A moment with many requests must not leave its connections open for good."""
    client = HttpClient(timeout=LONG, connections=8, keep_alive=timedelta(seconds=0.05))
    gate = threading.Barrier(8)

    def together(connection: socket.socket) -> None:
        gate.wait(20)
        connection.sendall(answer(200, {}))

    with RawServer(*[together] * 8, answer(200, {})) as server:
        threads = [threading.Thread(target=client.request, args=("GET", server.url)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.connections == 8
        time.sleep(0.1)
        for _ in range(8):
            client.request("GET", server.url)
        assert len(client.pool.idle) == 1
    client.close()


def test_a_request_after_the_end_is_a_failure_of_the_call_and_no_error_of_the_program() -> None:
    client = HttpClient(timeout=LONG)
    client.close()
    with RawServer(answer(200, {})) as server:
        failure = failure_of(client, server.url)
        assert (failure.kind, failure.sent, server.connections) == ("closed", "no", 0)


def test_the_number_of_connections_is_limited_and_many_threads_share_them() -> None:
    client = HttpClient(timeout=LONG, connections=2)
    with RawServer(answer(200, {"ok": True})) as server:
        threads = [threading.Thread(target=client.request, args=("GET", server.url)) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.requests) == 12
        assert server.connections <= 2
    client.close()


def test_neither_headers_nor_body_of_an_answer_are_shown(client: HttpClient) -> None:
    with RawServer(answer(200, TOKEN.encode(), X_Token=TOKEN)) as server:
        got = client.request("GET", server.url)
    assert TOKEN not in repr(got)
    with pytest.raises(ValueError, match="not JSON") as caught:
        got.json()
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_redirects_are_not_followed(client: HttpClient) -> None:
    with RawServer(answer(200, {})) as other, RawServer(answer(307, b"", Location=other.url)) as server:
        got = client.request("GET", server.url, headers={"x-auth-token": TOKEN})
        assert (got.status, got.headers["location"], other.requests) == (307, other.url, [])


def test_nothing_is_taken_from_the_environment(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password thing\n")
    with RawServer(answer(502, b"")) as proxy, RawServer(answer(200, {})) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NETRC", str(netrc))
        fresh = HttpClient(timeout=LONG)
        assert fresh.request("GET", server.url).status == 200
        fresh.close()
        assert proxy.requests == []
        assert b"authorization" not in server.requests[0].lower()


def test_a_proxy_that_is_configured_is_used() -> None:
    with RawServer(answer(200, {"via": "proxy"})) as proxy:
        client = HttpClient(timeout=LONG, proxy=proxy.url.replace("http://", "http://user:pass@"))
        got = client.request("GET", "http://127.0.0.2:1/x")
        client.close()
    assert got.json() == {"via": "proxy"}
    assert proxy.requests[0].startswith(b"GET http://127.0.0.2:1/x")
    assert proxy.said("Proxy-Authorization: Basic dXNlcjpwYXNz")


def test_cookies_are_not_kept(client: HttpClient) -> None:
    with RawServer(answer(200, {}, Set_Cookie="a=b")) as server:
        client.request("GET", server.url)
        client.request("GET", server.url)
    assert b"cookie" not in server.requests[1].lower()


# --- limits ---------------------------------------------------------------------------------------------------------------


def test_a_body_above_the_limit_is_refused_without_reading_on() -> None:
    client = HttpClient(timeout=LONG, body_limit=1000)
    with RawServer(answer(200, b"x" * 1000), answer(200, b"x" * 1001)) as server:
        assert len(client.request("GET", server.url).body) == 1000
        failure = failure_of(client, server.url)
    client.close()
    assert (failure.kind, failure.sent) == ("too_large", "unknown")


def test_an_answer_without_end_is_refused_at_the_limit() -> None:
    client = HttpClient(timeout=LONG, body_limit=100_000)
    stop = threading.Event()
    with RawServer(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 30_000, stop)) as server:
        failure = failure_of(client, server.url)
        stop.set()
    client.close()
    assert failure.kind == "too_large"


def test_a_compressed_answer_is_not_unpacked(client: HttpClient) -> None:
    with RawServer(answer(200, gzip.compress(b"{}"), Content_Encoding="gzip")) as server:
        assert failure_of(client, server.url).kind == "encoding"
        assert server.said("accept-encoding: identity") or server.said("Accept-Encoding: identity")


# --- one deadline over everything -----------------------------------------------------------------------------------------


def headers_one_byte_at_a_time(stop: threading.Event) -> Script:
    return drip(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", stop)


def body_one_byte_at_a_time(stop: threading.Event) -> Script:
    return drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x", stop)


def interim_answers_without_end(stop: threading.Event) -> Script:
    return drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n", stop)


def chunks_without_end(stop: threading.Event) -> Script:
    return drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", stop)


@pytest.mark.parametrize(
    "slow",
    [silence, headers_one_byte_at_a_time, body_one_byte_at_a_time, interim_answers_without_end, chunks_without_end],
    ids=lambda slow: slow.__name__,
)
def test_the_deadline_ends_a_request_however_the_server_dawdles(
    client: HttpClient, slow: Callable[[threading.Event], Script]
) -> None:
    """Each of these would go on for ever: a test that hangs here is one that fails."""
    stop = threading.Event()
    with RawServer(slow(stop), answer(200, {})) as server:
        failure = failure_of(client, server.url, deadline=SHORT)
        stop.set()
        assert (failure.kind, failure.sent) == ("timeout", "unknown")
        assert "0.3 s" in str(failure)
        assert client.request("GET", server.url).status == 200, "the client goes on working"


def test_the_deadline_covers_the_tls_handshake() -> None:
    client = HttpClient(timeout=SHORT)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        failure = failure_of(client, f"https://127.0.0.1:{mute.getsockname()[1]}", deadline=SHORT)
    client.close()
    assert (failure.kind, failure.sent) == ("timeout", "no")


def test_the_deadline_covers_waiting_for_a_connection() -> None:
    client = HttpClient(timeout=LONG, connections=1)
    stop = threading.Event()
    with RawServer(silence(stop), answer(200, {})) as server:
        first = threading.Thread(target=failure_of, args=(client, server.url))
        first.start()
        _until(lambda: len(server.requests) == 1)
        failure = failure_of(client, server.url, deadline=SHORT)
        assert (failure.kind, failure.sent) == ("timeout", "no")
        assert len(server.requests) == 1
        server.stop()  # which cuts the first one off
        stop.set()
        first.join()
    client.close()


def test_the_deadline_covers_the_name_look_up(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        stop.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    failure = failure_of(client, "http://vault.test", deadline=SHORT)
    stop.set()
    assert (failure.kind, failure.sent) == ("timeout", "no")


def test_an_address_that_swallows_packets_does_not_hide_the_next(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[tuple[str, float]] = []
    real = socket.create_connection

    def connect(address: tuple[str, int], timeout: float, **_: object) -> socket.socket:
        tried.append((address[0], timeout))
        if address[0] == "192.0.2.1":  # stands in for one that lets us wait until the timeout
            raise TimeoutError
        return real(address, timeout)

    with RawServer(answer(200, {})) as server:
        entries = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("192.0.2.1", "127.0.0.1")]
        look_up = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *a, **k: entries if host == "vault.test" else look_up(host, *a, **k)
        )
        monkeypatch.setattr(socket, "create_connection", connect)
        assert client.request("GET", f"http://vault.test:{server.port}").status == 200
    assert [address for address, _ in tried] == ["192.0.2.1", "127.0.0.1"]
    assert tried[0][1] <= LONG.total_seconds() / 2


def test_no_failure_costs_a_connection() -> None:
    """With a single one, a request that kept it for itself would block every later one until its deadline."""
    client = HttpClient(timeout=LONG, connections=1, body_limit=1000)
    stop = threading.Event()
    awkward: list[Script] = [
        close,
        reset,
        then_close(b"HTTP/1.1 200"),
        answer(200, b"x" * 2000),
        answer(200, Content_Encoding="br"),
    ]
    with RawServer(*awkward, silence(stop), answer(200, {})) as server:
        for script in awkward:
            assert failure_of(client, server.url).kind != "timeout", script
        failure_of(client, server.url, deadline=SHORT)
        stop.set()
        with refusing() as nowhere:
            failure_of(client, nowhere)
        assert client.request("GET", server.url).status == 200
    client.close()


def test_a_deadline_in_the_past_sends_nothing(client: HttpClient) -> None:
    with RawServer(answer(200, {})) as server:
        failure = failure_of(client, server.url, deadline=timedelta(0))
        assert (failure.kind, failure.sent, server.connections) == ("timeout", "no", 0)


# --- what surely was not sent ---------------------------------------------------------------------------------------------


def test_b_create_connection_refused_before_any_byte_was_sent(client: HttpClient) -> None:
    with refusing() as url:
        failure = failure_of(client, url)
    assert (failure.kind, failure.sent) == ("refused", "no")


def test_b_create_host_name_unknown_before_any_byte_was_sent(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    failure = failure_of(client, "http://no-such-host.test")
    assert (failure.kind, failure.sent) == ("dns", "no")


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (close, "protocol"),
        (reset, "lost"),
        (then_close(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "protocol"),
        (then_close(b"HTTP/1.1 200 OK\r\nContent-Le"), "protocol"),
        (then_close(b"not HTTP at all\r\n\r\n"), "protocol"),
        (then_close(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n"), "protocol"),
    ],
    ids=["closed", "reset", "truncated body", "truncated headers", "nonsense", "headers too large"],
)
def test_b_a_lost_or_truncated_answer_leaves_it_unknown_and_is_sent_once(
    client: HttpClient, script: Script, kind: str
) -> None:
    with RawServer(script, answer(200, {})) as server:
        failure = failure_of(client, server.url)
        assert (failure.kind, failure.sent, len(server.requests)) == (kind, "unknown", 1)


def test_b_a_kept_connection_that_the_server_ended_is_not_used_for_a_write(client: HttpClient) -> None:
    with RawServer(then_close(answer(200, {})), answer(200, {})) as server:
        client.request("GET", server.url)
        _until(lambda: _ended(client))
        assert client.request("POST", server.url, json={}).status == 200
        assert (len(server.requests), server.connections) == (2, 2)


def test_b_a_kept_connection_that_ends_under_a_write_leaves_it_unknown(client: HttpClient) -> None:
    """The server ends the connection on reading the second request: it may have carried it out."""
    with RawServer(answer(200, {}), close, answer(200, {})) as server:
        client.request("GET", server.url)
        failure = failure_of(client, server.url)
        assert (failure.sent, len(server.requests), server.connections) == ("unknown", 2, 1)


def _ended(client: HttpClient) -> bool:
    return not any(lane.usable for lane in client.pool.idle)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_proxy_that_refuses_got_no_request() -> None:
    with RawServer(answer(403, b"no")) as proxy:
        client = HttpClient(timeout=LONG, proxy=proxy.url)
        failure = failure_of(client, "https://127.0.0.2:1/x")
        client.close()
    assert (failure.kind, failure.sent) == ("proxy", "no")
    assert not proxy.said(TOKEN)


def test_tls_that_fails_behind_a_proxy_sent_nothing_of_the_request() -> None:
    with RawServer(then_close(b"HTTP/1.1 200 Connection established\r\n\r\n")) as proxy:
        client = HttpClient(timeout=LONG, proxy=proxy.url)
        failure = failure_of(client, "https://127.0.0.2:1/x")
        client.close()
    assert failure.sent == "no"
    assert proxy.requests[0].startswith(b"CONNECT 127.0.0.2:1 ")
    assert not proxy.said(TOKEN)


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "127.0.0.1/x", "http://[::1"])
def test_an_address_that_cannot_be_used_sends_nothing(client: HttpClient, url: str) -> None:
    failure = failure_of(client, url)
    assert (failure.kind, failure.sent) == ("request", "no")


def test_a_header_that_cannot_be_sent_is_not_repeated_in_the_failure(client: HttpClient) -> None:
    with RawServer(answer(200, {})) as server:
        for bad in (f"{TOKEN}\n", f"{TOKEN}é€"):
            with pytest.raises(HttpFailure) as caught:
                client.request("GET", server.url, headers={"x-auth-token": bad})
            assert caught.value.kind == "request"
            assert TOKEN not in "".join(traceback.format_exception(caught.value))
            assert caught.value.__context__ is None
        assert not server.said(TOKEN)


def test_a_failure_neither_says_nor_holds_the_token(client: HttpClient) -> None:
    with RawServer(reset) as server:
        failure = failure_of(client, server.url)
    assert TOKEN not in "".join(traceback.format_exception(failure))
    assert (failure.__context__, failure.__cause__) == (None, None)


def _exceptions_of(module: object) -> list[type[Exception]]:
    names = module.__all__  # type: ignore[attr-defined]  # both modules have one
    members = (getattr(module, name) for name in names)
    return [member for member in members if inspect.isclass(member) and issubclass(member, Exception)]


@pytest.mark.parametrize(
    "exception", _exceptions_of(httpx) + _exceptions_of(httpcore), ids=lambda cls: f"{cls.__module__}.{cls.__name__}"
)
def test_every_exception_of_the_libraries_is_in_the_table(exception: type[Exception]) -> None:
    assert any(issubclass(exception, classes) for classes, _, _ in FAILURES)


def test_the_table_has_the_special_before_the_general() -> None:
    order = [cls for classes, _, _ in FAILURES for cls in classes]
    for position, cls in enumerate(order):
        assert not any(issubclass(cls, earlier) for earlier in order[:position] if earlier is not cls), cls


# --- TLS ------------------------------------------------------------------------------------------------------------------


def _serving(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_a_certificate_of_a_configured_authority_is_trusted_and_our_own_is_shown(
    certificate: tuple[Path, Path],
) -> None:
    context = _serving(certificate)
    context.load_verify_locations(certificate[0])
    context.verify_mode = ssl.CERT_REQUIRED
    with RawServer(answer(200, {}), tls=context) as server:
        client = HttpClient(timeout=LONG, ca_cert=certificate[0], client_cert=certificate)
        assert client.request("GET", server.url).status == 200
        client.close()


def test_b_create_tls_error_before_any_byte_was_sent(client: HttpClient, certificate: tuple[Path, Path]) -> None:
    with RawServer(answer(200, {}), tls=_serving(certificate)) as server:
        failure = failure_of(client, server.url)
        assert (failure.kind, failure.sent, server.requests) == ("tls", "no", [])
        assert "self-signed certificate" in str(failure)


def test_plain_http_at_a_tls_address_is_a_tls_failure(client: HttpClient) -> None:
    with RawServer(then_close(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        server.url = server.url.replace("http:", "https:")
        client_hello_is_no_request = threading.Timer(0.05, server.stop)
        client_hello_is_no_request.start()
        failure = failure_of(client, server.url)
        client_hello_is_no_request.join()
    assert failure.sent == "no"


def test_files_and_proxies_that_cannot_be_used_are_configuration_errors(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    absent, nonsense = tmp_path / "absent.pem", tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for settings in (
        {"ca_cert": absent},
        {"ca_cert": nonsense},
        {"client_cert": (certificate[0], absent)},
        {"client_cert": (nonsense, certificate[1])},
        {"proxy": "socks5://user:hunter2@127.0.0.1:1"},
        {"proxy": "nonsense:hunter2"},
    ):
        with pytest.raises(ConfigurationError) as caught:
            HttpClient(timeout=LONG, **settings)
        assert "hunter2" not in "".join(traceback.format_exception(caught.value))


# --- clocks ---------------------------------------------------------------------------------------------------------------

NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
A_DAY_AND_AN_HOUR = timedelta(hours=25)
HTTP_NOON = "Thu, 01 Jan 2026 12:00:00 GMT"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (0.0, 0.1, 0.0),
        (0.9, 0.99, 0.0),
        (-0.2, 0.3, 0.0),
        (0.5, 5.0, 0.0),
        (1.5, 1.6, -0.5),
        (-0.4, -0.3, 0.3),
        (60.0, 61.0, -59.0),
        (-61.0, -60.0, 60.0),
    ],
)
def test_the_difference_of_clocks_is_the_smallest_that_explains_the_date(
    before: float, after: float, expected: float
) -> None:
    assert clock_difference(HTTP_NOON, at(before), at(after)) == timedelta(seconds=expected)


def test_a_step_of_our_clock_during_the_request_widens_the_answer() -> None:
    assert clock_difference(HTTP_NOON, at(10), at(-10)) == timedelta(0)


@pytest.mark.parametrize(
    "date",
    [
        *(None, "", "yesterday", "Thu, 01 Jan 2026 12:00:00 -0000"),
        *("Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9998 23:59:59 GMT", "Wed, 31 Dec 1969 23:59:59 GMT"),
    ],
)
def test_a_date_that_says_nothing_is_ignored(date: str | None) -> None:
    assert clock_difference(date, NOON, NOON) is None


def test_the_offset_follows_the_latest_answer_and_is_zero_before_the_first() -> None:
    client = HttpClient(timeout=LONG, now=lambda: NOON)
    with RawServer(
        answer(200, date="Thu, 01 Jan 2026 12:10:00 GMT"),
        answer(200, date="nonsense"),
        answer(500, date="Thu, 01 Jan 2026 11:59:50 GMT"),
    ) as server:
        seen = [client.clock_offset()]
        for _ in range(3):
            client.request("GET", server.url)
            seen.append(client.clock_offset())
    client.close()
    assert [round(offset.total_seconds()) for offset in seen] == [0, 600, 600, -9]


def test_r13_a_difference_follows_our_clock_when_it_is_set_after_the_answer() -> None:
    ours, counted = NOON, 100.0
    clock = ServiceClock(lambda: ours, lambda: counted)
    clock.answered("Thu, 01 Jan 2026 12:10:00 GMT", counted)
    ours, counted = ours + A_DAY_AND_AN_HOUR + timedelta(seconds=5), counted + 5
    assert clock.offset() == timedelta(minutes=10) - A_DAY_AND_AN_HOUR
    ours, counted = ours + timedelta(seconds=5.5), counted + 5
    clock.answered("Thu, 01 Jan 2026 12:10:10 GMT", counted)
    ours = ours - A_DAY_AND_AN_HOUR
    assert abs(clock.offset() - timedelta(minutes=10)) <= timedelta(seconds=1)


def test_r13_our_clock_that_is_set_between_a_request_and_its_answer_says_nothing_wrong_of_the_service() -> None:
    ours, counted = NOON, 100.0
    clock = ServiceClock(lambda: ours, lambda: counted)
    sent, ours, counted = counted, ours + A_DAY_AND_AN_HOUR, counted + 0.2
    clock.answered(HTTP_NOON, sent)
    assert abs(clock.offset() + A_DAY_AND_AN_HOUR) <= timedelta(seconds=2)


def test_r13_what_our_clock_gains_by_itself_is_no_step() -> None:
    ours, counted = NOON, 100.0
    clock = ServiceClock(lambda: ours, lambda: counted)
    clock.answered(HTTP_NOON, counted)
    ours, counted = ours + timedelta(seconds=60.4), counted + 60
    assert clock.offset() == timedelta(0)


# --- who listens ----------------------------------------------------------------------------------------------------------


def test_every_call_is_told_with_its_outcome_and_how_long_it_took() -> None:
    told: list[tuple[str, float]] = []
    client = HttpClient(timeout=LONG, body_limit=100, observe=lambda outcome, seconds: told.append((outcome, seconds)))
    scripts: list[tuple[Script, str]] = [
        (answer(201, {}), "2xx"),
        (answer(404, {}), "4xx"),
        (answer(429, {}), "429"),
        (answer(503, {}), "5xx"),
        (reset, "lost"),
        (answer(200, {"too": "x" * 200}), "too_large"),
    ]
    for script, _ in scripts:
        with RawServer(script) as server, contextlib.suppress(HttpFailure):
            client.request("GET", server.url)
    with refusing() as url, contextlib.suppress(HttpFailure):
        client.request("GET", url)
    client.close()
    assert [outcome for outcome, _ in told] == [*(outcome for _, outcome in scripts), "refused"]
    assert all(seconds >= 0 for _, seconds in told)


@pytest.mark.parametrize("body", [b'{"api_keys": [{}], "api_keys": []}', b'[{"data": {"a": 1, "a": 2}}]'])
def test_c13_an_answer_that_names_a_field_twice_is_not_json(body: bytes) -> None:
    with pytest.raises(ValueError, match="the answer is not JSON"):
        HttpResponse(200, {}, body).json()


@pytest.mark.parametrize(
    "body",
    [
        *(b"1e999", b'{"a": [-1e999]}', b"NaN", b'{"a": Infinity}', b"-Infinity", b"9" * 4301, b"[" * 100_000),
        *(b'"\\ud800"', b'{"\\uDFFF": 1}', b'"\\ud83d\\u0041"', b'"\xed\xa0\x80"', b'"\xff"', b"", b"{} {}"),
    ],
    ids=range(14),
)
def test_c18_a_value_that_no_reader_could_hold_is_not_json(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^the answer is not JSON$") as raised:
        HttpResponse(200, {}, body).json()
    assert raised.value.__context__ is None


def test_c18_a_whole_pair_of_surrogates_is_a_letter() -> None:
    assert HttpResponse(200, {}, b'"\\ud83d\\ude00"').json() == "\U0001f600"


def test_no_file_that_the_environment_names_gets_the_keys_of_tls_or_adds_an_authority(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(keys))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with RawServer(answer(200, {}), tls=_serving(certificate)) as server:
        own = HttpClient(timeout=LONG, ca_cert=certificate[0])
        assert own.request("GET", server.url).status == 200
        own.close()
        system = HttpClient(timeout=LONG)
        failure = failure_of(system, server.url)
        system.close()
    assert failure.kind == "tls"
    assert not keys.exists()
