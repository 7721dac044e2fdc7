"""Whoever is slow, large, or one too many: hung up on, and nobody else notices."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rotator import __version__
from rotator.api import client, request_parsing
from rotator.api import http_server as serving
from rotator.api import routes as api
from rotator.system.sockets import SocketFile
from tests.api.conftest import Front
from tests.support.daemon_stage import eventually


def rest(connection: socket.socket) -> bytes:
    """What comes until the other side hangs up."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    connection.close()
    return received


@pytest.mark.parametrize("said", [b"", b"GET /v1/health HTT", b"GET /v1/health HTTP/1.1\r\nHost: x\r\n"])
def test_who_does_not_say_what_he_wants_is_hung_up_on(
    front: Front, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(serving, "REQUEST_TIMEOUT", 0.2)
    connection = front.raw()
    connection.sendall(said)
    assert rest(connection) == b""


def test_a_body_that_does_not_come_is_not_waited_for(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_parsing, "BODY_TIMEOUT", 0.2)
    connection = front.raw()
    connection.sendall(
        b"POST /v1/rotate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'"too_slow"' in answer


@pytest.mark.parametrize("length", ["Content-Length: 10000000", "Transfer-Encoding: chunked"])
def test_a_body_that_is_too_large_is_not_read_to_its_end(front: Front, length: str) -> None:
    connection = front.raw()
    connection.sendall(
        f"POST /v1/rotate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n".encode()
    )
    part = b"x" * 65536
    if "chunked" in length:
        part = b"10000\r\n" + part + b"\r\n"
    try:
        for _ in range(150):
            connection.sendall(part)
    except (BrokenPipeError, ConnectionResetError):
        pass
    else:
        pytest.fail("everything was read")
    connection.close()
    assert front.ask("GET", "/v1/health").status_code == 200


def test_a_body_just_too_large_is_refused_with_a_sentence(front: Front) -> None:
    answer = front.ask(
        "POST", "/v1/rotate", json={"applications": ["billing"], "reason": "x" * request_parsing.MAX_BODY}
    )
    assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "too_large")


def test_a_head_that_never_ends_is_refused(front: Front) -> None:
    connection = front.raw()
    connection.sendall(b"GET /v1/health HTTP/1.1\r\nX: " + b"x" * 2 * serving.MAX_HEAD)
    assert rest(connection).startswith(b"HTTP/1.1 400")


def test_c12_idle_connections_shut_nobody_out_the_oldest_makes_room(front: Front) -> None:
    idle = [front.raw() for _ in range(40)]
    assert _answers(front)
    for connection in idle[:9]:
        assert rest(connection) == b""
    assert _answers(front)
    for connection in idle[9:]:
        connection.close()


def _answers(front: Front) -> bool:
    connection = front.raw()
    connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
    return rest(connection).startswith(b"HTTP/1.1 200")


def test_one_request_is_one_conversation(front: Front) -> None:
    connection = front.raw()
    connection.sendall(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    assert rest(connection).count(b"HTTP/1.1 200") == 1


def test_a_listener_that_does_not_read_stops_nobody_and_is_hung_up_on(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "WRITE_TIMEOUT", 0.5)
    connection = front.raw("read")
    connection.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(12) == b"HTTP/1.1 200"
    for number in range(20_000):
        front.daemon_handle.sink.emit("service.down", service="vault", kind="sealed", message=f"{number} " + "x" * 200)
    eventually(lambda: not front.daemon_handle.broadcast._listeners)
    assert front.ask("GET", "/v1/health", listener="read").status_code == 200
    connection.close()


def test_who_listens_too_slowly_is_told_how_much_was_missed(front: Front) -> None:
    with front.http("read") as client, client.stream("GET", "/v1/events") as stream:
        for _ in range(20_000):
            front.daemon_handle.sink.emit("service.up", service="vault")
        told = 0
        for text in stream.iter_lines():
            line = json.loads(text)
            if line["event"] == "events.lost":
                told += line["lines"]
                break
            told += 1
    assert told > 1000


def test_the_end_waits_for_nobody_who_is_inside(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SHUTDOWN_TIMEOUT", 0.2)
    inside = [front.raw() for _ in range(5)]
    inside[0].sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
    inside[1].sendall(b"POST /v1/rotate HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n")
    front.listeners.close()
    assert not list(Path(front.folder).glob("*.sock"))
    for connection in inside:
        rest(connection)
    front.listeners.close()


def test_a_large_answer_to_a_slow_reader_leaves_no_exception_behind(tmp_path: Path) -> None:
    large = b"x" * 5_000_000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(large)(scope, receive, send)

    server, entrance = serving.HttpServer(), SocketFile(tmp_path / "large.sock")
    listener = serving.HttpListener(entrance.socket, app)
    server.open(listener)
    try:
        for _ in range(3):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(entrance.path))
                connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert rest(connection).endswith(large)
        eventually(lambda: not listener.connections)
    finally:
        server.shut(listener)
        server.close()
        entrance.close()


# --- a daemon that is slow, as the client sees it


class SlowDaemon:
    """Accepts one request, and answers with an event now and then and never with a result."""

    def __init__(self, directory: Path, events_every: float) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / "control.sock"))
        self._listener.listen()
        self._every = events_every
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(f"HTTP/1.1 200 OK\r\nrotator-version: {__version__}\r\n\r\n".encode())
            begun = time.monotonic()
            while True:
                connection.sendall(b"\n")
                time.sleep(0.02)
                if time.monotonic() - begun > self._every:
                    begun = time.monotonic()
                    connection.sendall(b'{"event": "compromise.marked", "application": "billing"}\n')

    def close(self) -> None:
        self._listener.close()


@pytest.mark.parametrize(
    ("name", "events_every", "why"),
    [
        ("rotate", 10.0, "did nothing for 0.3 seconds"),
        ("rotate", 0.1, "has not finished within 0.6 seconds"),
        ("mass_rotation", 10.0, "did nothing for 0.3 seconds"),
        ("mass_rotation", 0.1, ""),
    ],
)
def test_c12_an_emergency_waits_for_a_daemon_that_begins_and_does_not_finish_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, events_every: float, why: str
) -> None:
    monkeypatch.setattr(client, "PROGRESS_TIMEOUT", 0.3)
    monkeypatch.setattr(client, "CONTAINMENT_TIMEOUT", 0.6)
    daemon = SlowDaemon(tmp_path, events_every)
    heard = []

    class Sink:
        def emit(self, event: str, **_: object) -> None:
            heard.append(event)
            if len(heard) > 30:  # three seconds: a selection of applications may take any time
                raise StopIteration

    with client.DaemonClient(tmp_path / "control.sock", tmp_path / "rotator.toml") as caller:
        expected = client.DaemonUnavailable if why else StopIteration
        with pytest.raises(expected) as caught:
            caller.call(name, Sink(), applications=["billing"], compromised=True)
    if isinstance(caught.value, client.DaemonUnavailable):
        assert why in caught.value.why
        assert caught.value.sent
    daemon.close()
