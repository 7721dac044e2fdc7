"""The listener cannot hang or kill the daemon: places are bounded, a conversation has one deadline, errors stay inside."""

from __future__ import annotations

import http.client
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotator.config import Listener
from rotator.observability.metrics import server as listener
from rotator.observability.metrics.server import PLACES, MetricsResponse, MetricsServer
from rotator.sandbox.process import free_port, wait_until


def page(path: str, accept: str) -> MetricsResponse | None:
    if path == "/crash":
        raise RuntimeError("a secret in an exception")
    return MetricsResponse(200, b"well\n") if path == "/healthz" else None


@pytest.fixture
def serve() -> Iterator[Callable[..., MetricsServer]]:
    opened: list[MetricsServer] = []

    def begin(at: Listener | None = None, pages: listener.Pages = page) -> MetricsServer:
        server = MetricsServer(at or Listener("127.0.0.1", free_port()), pages).open()
        opened.append(server)
        return server

    yield begin
    for server in opened:
        server.close()


def connect(at: Listener) -> socket.socket:
    if at.path:
        found = socket.socket(socket.AF_UNIX)
        found.connect(str(at.path))
        return found
    return socket.create_connection((at.host, at.port))


def ask(at: Listener, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("rotator")
    connection.sock = connect(at)
    connection.request(method, path)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def everything(connection: socket.socket) -> bytes:
    received = b""
    try:
        while piece := connection.recv(4096):
            received += piece
    except ConnectionResetError:
        pass
    return received


def test_a_page_is_answered_and_any_other_is_not_found(serve: Callable[..., MetricsServer]) -> None:
    at = serve().at
    assert ask(at, "/healthz") == (200, b"well\n")
    assert ask(at, "/healthz?probe=1") == (200, b"well\n")
    assert ask(at, "/healthz", "HEAD") == (200, b"")
    assert ask(at, "/")[0] == 404


def test_other_methods_are_refused(serve: Callable[..., MetricsServer]) -> None:
    assert ask(serve().at, "/healthz", "POST")[0] == 501


def test_an_error_of_the_program_is_a_500_that_says_nothing_and_the_next_one_is_answered(
    serve: Callable[..., MetricsServer],
) -> None:
    at = serve().at
    assert ask(at, "/crash") == (500, b"500: an error of the program\n")
    assert ask(at, "/healthz")[0] == 200


def test_nonsense_is_hung_up_on_and_the_next_one_is_answered(serve: Callable[..., MetricsServer]) -> None:
    at = serve().at
    for nonsense in (b"\x16\x03\x01\x00\xee\x01", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G" * 70_000, b""):
        with connect(at) as talker:
            try:
                talker.sendall(nonsense)
                talker.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            everything(talker)
    assert ask(at, "/healthz")[0] == 200


def test_whoever_finds_all_places_taken_is_hung_up_on_and_places_are_given_back(
    serve: Callable[..., MetricsServer],
) -> None:
    inside, go = threading.Semaphore(0), threading.Event()

    def slow(path: str, accept: str) -> MetricsResponse:
        inside.release()
        go.wait()
        return MetricsResponse(200, b"at last\n")

    at = serve(pages=slow).at
    waiting = [connect(at) for _ in range(PLACES)]
    try:
        for talker in waiting:
            talker.sendall(b"GET / HTTP/1.0\r\n\r\n")
            inside.acquire()
        with connect(at) as one_too_many:
            assert everything(one_too_many) == b""
        go.set()
        for talker in waiting:
            assert everything(talker).endswith(b"at last\n")
        wait_until(lambda: _answers(at), "a place is free again")
    finally:
        go.set()
        for talker in waiting:
            talker.close()


def _answers(at: Listener) -> bool:
    try:
        return ask(at, "/")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_whoever_says_nothing_or_a_byte_at_a_time_is_hung_up_on_at_the_deadline(
    serve: Callable[..., MetricsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "DEADLINE", 0.3)
    at = serve().at
    with connect(at) as silent:
        assert everything(silent) == b""
    with connect(at) as dripping:
        ended = threading.Event()

        def drip() -> None:
            # Each byte comes well within the deadline; all of them together never would.
            while not ended.wait(0.05):
                try:
                    dripping.sendall(b"G")
                except OSError:
                    return

        dripper = threading.Thread(target=drip)
        dripper.start()
        assert everything(dripping) == b""
        ended.set()
        dripper.join()


def test_whoever_does_not_read_the_answer_holds_no_place_for_ever(
    serve: Callable[..., MetricsServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "DEADLINE", 0.3)
    long = MetricsResponse(200, b"x" * 50_000_000)
    at = serve(pages=lambda path, accept: long if path == "/long" else MetricsResponse(200, b"well\n")).at
    deaf = [connect(at) for _ in range(PLACES)]
    for talker in deaf:
        talker.sendall(b"GET /long HTTP/1.0\r\n\r\n")
    wait_until(lambda: _answers(at), "a place is free again")
    for talker in deaf:
        talker.close()


def test_a_socket_is_for_its_owner_and_group_and_leaves_with_the_listener(
    tmp_path: Path, serve: Callable[..., MetricsServer]
) -> None:
    path = tmp_path / "metrics.sock"
    server = serve(Listener(path=path))
    assert ask(server.at, "/healthz") == (200, b"well\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    server.close()
    assert not path.exists()


def test_a_socket_that_a_crash_left_behind_is_replaced(tmp_path: Path, serve: Callable[..., MetricsServer]) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert ask(serve(Listener(path=path)).at, "/healthz")[0] == 200


def test_a_socket_in_use_and_what_is_no_socket_are_left_alone(
    tmp_path: Path, serve: Callable[..., MetricsServer]
) -> None:
    busy = serve(Listener(path=tmp_path / "busy.sock"))
    with pytest.raises(OSError, match="in use"):
        serve(busy.at)
    assert ask(busy.at, "/healthz")[0] == 200
    file = tmp_path / "notes.txt"
    file.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        serve(Listener(path=file))
    assert file.read_text() == "precious"


def test_a_port_in_use_is_an_error_that_the_caller_hears(serve: Callable[..., MetricsServer]) -> None:
    with pytest.raises(OSError, match="in use"):
        serve(serve().at)


def test_it_answers_on_ipv6_as_well(serve: Callable[..., MetricsServer]) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        at = serve(Listener("::1", free_port())).at
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    assert ask(at, "/healthz")[0] == 200
