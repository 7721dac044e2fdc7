"""The gates of the storm do what they are told, or the storm would be a calm one."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.proof.storm.network import Gate, Mood, Network, holds_port


class Server(ThreadingHTTPServer):
    """Answers every request, and counts them."""

    daemon_threads = True
    requests = 0

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        self.server.requests += 1
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


def ask(gate: Gate) -> int:
    """The status of an answer; 0 when there was none."""
    return answer_to(http.client.HTTPConnection(gate.address, timeout=60))


def answer_to(connection: http.client.HTTPConnection) -> int:
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def test_an_open_gate_passes_everything_on(server: Server, network: Network) -> None:
    assert ask(network.gate(server.place)) == 204


def test_a_shut_gate_lets_nothing_through_until_it_is_opened(server: Server, network: Network) -> None:
    gate = network.gate(server.place)
    gate.become(Mood.SHUT)
    assert (ask(gate), server.requests) == (0, 0)
    gate.become(Mood.OPEN)
    assert (ask(gate), server.requests) == (204, 1)


def test_behind_a_deaf_gate_the_request_is_carried_out_and_the_answer_is_lost(server: Server, network: Network) -> None:
    gate = network.gate(server.place)
    gate.become(Mood.DEAF)
    assert (ask(gate), server.requests) == (0, 1)


def test_a_gate_leads_where_it_is_told_to_and_says_nothing_where_nobody_is(server: Server, network: Network) -> None:
    gate = network.gate("127.0.0.1:1")
    assert ask(gate) == 0
    gate.lead(server.place)
    assert ask(gate) == 204


def test_who_is_forbidden_does_not_come_in_and_who_is_in_is_thrown_out(server: Server, network: Network) -> None:
    forbidden = False
    gate = network.gate(server.place, lambda port: forbidden)
    connection = http.client.HTTPConnection(gate.address, timeout=60)
    connection.connect()
    forbidden = True
    gate.review()
    assert answer_to(connection) == 0
    assert (ask(gate), server.requests) == (0, 0)


def test_the_process_behind_a_port_is_known(server: Server) -> None:
    import os

    connection = http.client.HTTPConnection(server.place, timeout=60)
    connection.connect()
    port = connection.sock.getsockname()[1]
    assert holds_port(os.getpid(), port)
    assert not holds_port(os.getppid(), port)
    assert not holds_port(None, port)
    connection.close()
