"""One request and its answer over a pair of sockets, and the streams of events in memory: every byte and every sentence."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from rotator.api import event_stream, exchange
from rotator.api.event_stream import EventStream
from rotator.api.exchange import DaemonExchange, DaemonUnavailable, connect

PATH = Path("/run/rotator/control.sock")
Pair = tuple[socket.socket, DaemonExchange]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The daemon's end, and the exchange at the other."""
    theirs, ours = socket.socketpair()
    with closing(theirs), DaemonExchange(ours, PATH, 0.2) as made:
        yield theirs, made


SENT = "; rotator status shows what it has done; restart it, or give the command again with --direct"
HUNG_UP = f"the daemon at {PATH} hung up: it is stopping, or has too many callers"


def why(ask: Callable[[], Any]) -> tuple[str, dict[str, bool]]:
    """The whole sentence of a failure, and its flags that are set."""
    with pytest.raises(DaemonUnavailable) as raised:
        ask()
    error = raised.value
    flags = {name: getattr(error, name) for name in ("denied", "off", "present", "sent")}
    assert error.exit_code == 3
    return str(error), {name: value for name, value in flags.items() if value}


def test_an_answer_is_read_head_first_and_then_line_by_line_however_it_is_cut(pair: Pair) -> None:
    theirs, made = pair
    made.send(b"GET / HTTP/1.0\r\n\r\n")
    assert theirs.recv(100) == b"GET / HTTP/1.0\r\n\r\n"
    whole = b"HTTP/1.1 202 Accepted\r\nRotator-Version:  1.0 \r\nX-Empty:\r\n\r\none\n\ntwo\r\xc3\xbc\xff\nrest"
    for byte in whole:
        theirs.send(bytes([byte]))
    theirs.shutdown(socket.SHUT_WR)
    assert made.head() == (202, {"rotator-version": "1.0", "x-empty": ""})
    assert [made.line() for _ in range(4)] == ["one", "", "two\r\N{LATIN SMALL LETTER U WITH DIAERESIS}\ufffd", None]


def test_the_rest_of_an_answer_is_all_that_follows_the_head(pair: Pair) -> None:
    theirs, made = pair
    theirs.sendall(b"HTTP/1.0 200\r\n\r\n{}")
    assert made.head() == (200, {})
    theirs.sendall(b"\nmore")
    theirs.shutdown(socket.SHUT_WR)
    assert made.rest() == b"{}\nmore"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
    ],
)
def test_an_answer_that_is_none_of_a_daemon_is_a_daemon_that_hung_up(pair: Pair, said: bytes) -> None:
    theirs, made = pair
    theirs.sendall(said)
    theirs.shutdown(socket.SHUT_WR)
    assert why(made.head) == (HUNG_UP + SENT, {"present": True, "sent": True})


def test_a_head_may_have_64_kib_and_no_more(pair: Pair) -> None:
    theirs, made = pair
    head = b"HTTP/1.1 200 OK\r\nX: "
    long = head + b"x" * (64 * 1024 - len(head)) + b"\r\n\r\n"
    writer = threading.Thread(target=theirs.sendall, args=(long,))
    writer.start()
    status, headers = made.head()
    writer.join(30)
    assert (status, len(headers["x"])) == (200, 64 * 1024 - len(head))

    def flood() -> None:
        with suppress(OSError):
            theirs.sendall(b"x" * 256 * 1024)

    other = threading.Thread(target=flood)
    other.start()
    assert why(made.head) == (HUNG_UP + SENT, {"present": True, "sent": True})
    made.__exit__()
    other.join(30)


def test_a_daemon_that_says_nothing_is_waited_for_no_longer_than_its_time(pair: Pair) -> None:
    theirs, made = pair
    made.send(b"x")
    silent = f"the daemon at {PATH} did not answer within 0.2 seconds{SENT}"
    assert why(made.head) == (silent, {"present": True, "sent": True})
    assert theirs.recv(1) == b"x"


def test_a_daemon_that_resets_the_connection_hung_up() -> None:
    class Broken:
        def recv(self, _: int) -> bytes:
            raise OSError(errno.ECONNRESET, "Connection reset by peer")

    made = DaemonExchange(Broken(), PATH, 1)  # type: ignore[arg-type]  # as much of a socket as is used
    assert why(made.line) == (HUNG_UP + SENT, {"present": True, "sent": True})


class Sends:
    """A socket whose sending fails in this way; keeps its time-outs."""

    def __init__(self, error: OSError | None) -> None:
        self.error = error
        self.timeouts: list[float] = []

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(seconds)

    def sendall(self, _: bytes) -> None:
        if self.error is not None:
            raise self.error


def test_a_daemon_that_does_not_read_may_have_read_and_one_that_refuses_early_has_answered() -> None:
    stuck = Sends(TimeoutError())
    made = DaemonExchange(stuck, PATH, 7.0)  # type: ignore[arg-type]  # as much of a socket as is used
    assert why(lambda: made.send(b"x")) == (
        f"the daemon at {PATH} does not read its socket{SENT}",
        {"present": True, "sent": True},
    )
    early = Sends(OSError(errno.EPIPE, "Broken pipe"))
    DaemonExchange(early, PATH, 7.0).send(b"x")  # type: ignore[arg-type]  # as much of a socket as is used
    assert stuck.timeouts == early.timeouts == [5.0, 7.0]


# --- the connection ---

START = "; start the daemon, or see docs/control.md"
DIRECT = "; give the command again with --direct"


@pytest.mark.parametrize(
    ("error", "sentence", "flags"),
    [
        (FileNotFoundError(), f"no daemon answers: there is no {PATH}{START}", {}),
        (NotADirectoryError(), f"no daemon answers: there is no {PATH}{START}", {}),
        (
            BlockingIOError(),
            f"the daemon at {PATH} has too many callers, or does not read its socket{DIRECT}",
            {"present": True},
        ),
        (
            TimeoutError(),
            f"the daemon at {PATH} has too many callers, or does not read its socket{DIRECT}",
            {"present": True},
        ),
        (ConnectionRefusedError(), f"no daemon answers at {PATH}: it is not running any more{START}", {}),
        (
            PermissionError(),
            f"this user may not use {PATH}: it belongs to the group x",
            {"denied": True},
        ),
    ],
)
def test_each_failure_to_connect_says_whether_a_daemon_is_there_and_what_to_do(
    error: OSError, sentence: str, flags: Mapping[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[socket.socket] = []

    class Socket(socket.socket):
        def __init__(self, *family: Any) -> None:
            super().__init__(*family)
            made.append(self)

        def connect(self, address: Any) -> None:
            assert (address, self.gettimeout()) == (str(PATH), 5.0)
            raise error

    monkeypatch.setattr(socket, "socket", Socket)
    monkeypatch.setattr(
        exchange, "group_access", lambda path: f"it belongs to the group x{'' if path == PATH else '!'}"
    )
    assert why(lambda: connect(PATH)) == (sentence, dict(flags))
    assert [one.fileno() for one in made] == [-1], "it is closed"


def test_what_listens_is_believed_only_when_it_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "control.sock"
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(path))
        listening.listen()
        connect(path).close()
        monkeypatch.setattr(exchange, "listener_problem", lambda connection, where: f"mallory at {where.name}")
        assert why(lambda: connect(path)) == (
            f"what listens at {path} is not trusted: mallory at control.sock{DIRECT}",
            {"present": True},
        )


def test_a_configuration_without_sockets_is_off() -> None:
    assert why(lambda: (_ for _ in ()).throw(DaemonUnavailable("it opens no socket", off=True))) == (
        f"it opens no socket{START}",
        {"off": True},
    )


# --- the stream of events ---


def read(most: int, act: Callable[[EventStream], Any], lines: int = 99) -> list[Mapping[str, Any]]:
    """The lines of a stream on which these things are done."""

    async def follow() -> list[Mapping[str, Any]]:
        feed = EventStream(most)
        act(feed)
        found: list[Mapping[str, Any]] = []
        async with asyncio.timeout(30):
            async for line in feed.lines():
                found.append(line)
                if len(found) == lines:
                    break
        return found

    return asyncio.run(follow())


def event(number: int) -> dict[str, Any]:
    return {"event": f"e{number}"}


def test_what_is_queued_comes_in_order_and_then_how_much_was_lost_and_then_the_end() -> None:
    def act(feed: EventStream) -> None:
        for number in range(5):
            feed.put(event(number))
        feed.close()

    assert read(5, act) == [event(number) for number in range(5)]
    assert read(3, act) == [event(0), event(1), event(2), {"event": "events.lost", "lines": 2}]
    assert read(event_stream.MAX_EVENTS, lambda feed: feed.close()) == []


def test_a_silence_is_an_empty_line_and_an_event_of_another_thread_wakes_the_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_stream, "KEEPALIVE_INTERVAL", 0.02)
    assert read(3, lambda feed: None, 2) == [{}, {}]
    monkeypatch.setattr(event_stream, "KEEPALIVE_INTERVAL", 30.0)

    def later(feed: EventStream) -> None:
        def act() -> None:
            feed.put(event(1))
            feed.close()

        threading.Timer(0.05, act).start()

    assert read(3, later) == [event(1)]


def test_after_a_gap_was_told_the_count_begins_anew() -> None:
    async def follow() -> list[Mapping[str, Any]]:
        feed = EventStream(1)
        found: list[Mapping[str, Any]] = []
        for number in range(3):
            feed.put(event(number))
        async with asyncio.timeout(30):
            async for line in feed.lines():
                found.append(line)
                if line == {"event": "events.lost", "lines": 2}:
                    feed.put(event(3))
                    feed.put(event(4))
                    feed.close()
        return found

    assert asyncio.run(follow()) == [
        event(0),
        {"event": "events.lost", "lines": 2},
        event(3),
        {"event": "events.lost", "lines": 1},
    ]


def test_an_event_after_the_end_of_the_loop_is_nothing_to_wait_for() -> None:
    feeds: list[EventStream] = []

    def act(feed: EventStream) -> None:
        feeds.append(feed)
        feed.close()

    read(3, act)
    feeds[0].put(event(1))
    feeds[0].close()
