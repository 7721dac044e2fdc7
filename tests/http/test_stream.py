"""The stream of a connection: nothing is lost where it has to wait, and no wait is longer than its timeout."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpcore
import pytest

from rotator.http.stream import NonBlockingStream

SHORT = 0.2
LONG = 60.0
LARGE = bytes(range(256)) * 20_000
"""Five megabytes: more than any buffer of a socket."""


@pytest.fixture
def ends() -> Iterator[tuple[NonBlockingStream, socket.socket]]:
    """A stream and its peer."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(LONG)
    yield NonBlockingStream(ours), theirs
    ours.close()
    theirs.close()


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> Iterator[tuple[NonBlockingStream, ssl.SSLSocket, Callable[[bool], None]]]:
    """A stream with TLS, its peer, and a function that says whether what the peer sends arrives in pieces of a record."""
    serving, asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    serving.load_cert_chain(*certificate)
    asking.load_verify_locations(certificate[0])
    ours, near = socket.socketpair()
    far, theirs = socket.socketpair()
    whole = threading.Event()
    whole.set()

    def relay(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                if source is far and not whole.is_set():
                    target.sendall(data[:5])
                    assert whole.wait(LONG)
                    data = data[5:]
                target.sendall(data)
        except OSError:
            return  # the test is over

    pool = ThreadPoolExecutor(3)
    for ends in ((near, far), (far, near)):
        pool.submit(relay, *ends)
    accepted = pool.submit(serving.wrap_socket, theirs, server_side=True)
    stream = NonBlockingStream(asking.wrap_socket(ours, server_hostname="127.0.0.1"))
    peer = accepted.result(LONG)
    peer.settimeout(LONG)
    yield stream, peer, lambda arrives: whole.set() if arrives else whole.clear()
    whole.set()
    for each in (near, far, ours, theirs, peer):
        each.close()
    stream.close()
    pool.shutdown()


def all_of(stream: NonBlockingStream, length: int) -> bytes:
    found = b""
    while len(found) < length:
        found += stream.read(100_000, LONG)
    return found


def read_all(peer: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        found += peer.recv(1000 if len(found) < 10_000 else 100_000)
    return found


def test_a_large_message_is_written_whole_to_a_peer_that_reads_slowly(
    ends: tuple[NonBlockingStream, socket.socket],
) -> None:
    stream, peer = ends
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_all, peer, len(LARGE))
        stream.write(LARGE, LONG)
        assert reading.result(LONG) == LARGE


def test_a_peer_that_does_not_read_delays_a_write_by_its_timeout_and_no_more(
    ends: tuple[NonBlockingStream, socket.socket],
) -> None:
    with pytest.raises(httpcore.WriteTimeout):
        ends[0].write(LARGE, SHORT)


def test_a_silent_peer_delays_a_read_by_its_timeout_and_no_more(ends: tuple[NonBlockingStream, socket.socket]) -> None:
    stream, peer = ends
    with pytest.raises(httpcore.ReadTimeout):
        stream.read(100, SHORT)
    peer.sendall(b"late")
    assert stream.read(100, LONG) == b"late"


def test_without_a_timeout_a_read_and_a_write_take_as_long_as_they_need(
    ends: tuple[NonBlockingStream, socket.socket],
) -> None:
    stream, peer = ends
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_all, peer, len(LARGE))
        stream.write(LARGE)
        reading.result(LONG)
    peer.sendall(b"answer")
    assert stream.read(100) == b"answer"


def test_what_arrived_or_the_end_makes_an_idle_stream_readable(ends: tuple[NonBlockingStream, socket.socket]) -> None:
    stream, peer = ends
    assert stream.get_extra_info("is_readable") is False
    peer.sendall(b"x")
    assert stream.get_extra_info("is_readable") is True
    assert stream.read(100, LONG) == b"x"
    assert stream.get_extra_info("is_readable") is False
    peer.close()
    assert stream.get_extra_info("is_readable") is True
    assert stream.read(100, LONG) == b""
    assert stream.get_extra_info("socket") is None


def test_a_peer_that_is_gone_is_an_error_of_the_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        stream = NonBlockingStream(ours)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
        theirs.close()
        with pytest.raises(httpcore.ReadError):
            stream.read(100, LONG)
        with pytest.raises(httpcore.WriteError):
            stream.write(b"x", LONG)
        stream.close()
    with pytest.raises(OSError, match="descriptor"):
        ours.getpeername()


Tls = tuple[NonBlockingStream, ssl.SSLSocket, Callable[[bool], None]]


def test_tls_carries_large_messages_in_both_directions(tls: Tls) -> None:
    stream, peer, _ = tls
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_all, peer, len(LARGE))
        stream.write(LARGE, LONG)
        assert reading.result(LONG) == LARGE
        pool.submit(peer.sendall, LARGE)
        assert all_of(stream, len(LARGE)) == LARGE


def test_the_rest_of_a_record_that_tls_has_decrypted_is_read_without_waiting(tls: Tls) -> None:
    stream, peer, _ = tls
    peer.sendall(b"answer and more")
    assert stream.read(6, LONG) == b"answer"
    assert stream.read(100, 0.0) == b" and more"


def test_a_record_of_tls_that_arrives_in_part_is_waited_for_until_the_timeout(tls: Tls) -> None:
    stream, peer, arrives = tls
    peer.sendall(b"first")
    assert stream.read(100, LONG) == b"first"
    arrives(False)
    peer.sendall(b"second")
    with pytest.raises(httpcore.ReadTimeout):
        stream.read(100, SHORT)
    arrives(True)
    assert stream.read(100, LONG) == b"second"
