"""What a command does with the answers of a daemon, whatever they are."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rotator import __version__
from rotator.api import client as module
from rotator.api import exchange
from rotator.api.client import DaemonClient, directory
from rotator.api.exchange import DaemonUnavailable
from rotator.operations.failures import ReportedError
from rotator.system.paths import RUNTIME_DIRECTORY
from rotator.system.users import user_id

HEALTH = {"version": "9", "config": "/c", "alive": True, "ready": False, "causes": []}


@dataclass
class Daemon:
    """Listens on a socket, notes requests, and gives the answers that a test has prepared, one to a connection."""

    folder: Path
    answers: list[bytes | Callable[[socket.socket], None]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path = self.folder / "control.sock"
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(self.path))
        self.listening.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(30)
                request = b""
                while b"\r\n\r\n" not in request:
                    part = connection.recv(65536)
                    if not part:
                        break
                    request += part
                if not request:
                    continue
                self.requests.append(request)
                answer = self.answers.pop(0)
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)

    def client(self, remarks: list[str] | None = None) -> DaemonClient:
        return DaemonClient(self.path, self.folder / "rotator.toml", (remarks if remarks is not None else []).append)

    def call(self, name: str, *answers: bytes, **arguments: Any) -> Any:
        self.answers += answers
        with self.client() as client:
            return client.call(name, **arguments)

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join(30)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with closing(Daemon(tmp_path)) as made:
        yield made


def answer(body: object, status: int = 200, version: str = __version__) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nRotator-Version:  {version} \r\n\r\n"
    return head.encode() + (body if isinstance(body, bytes) else json.dumps(body).encode())


def lines(*values: object) -> bytes:
    return answer(b"".join((json.dumps(value).encode() if value != "" else b"") + b"\n" for value in values))


# --- the request ----------------------------------------------------------------------------------------------------------


def test_a_question_is_a_get_with_its_options_in_the_query(daemon: Daemon) -> None:
    daemon.call(
        "coverage",
        lines({"result": COVERAGE}),
        created_before=datetime(2026, 1, 1, tzinfo=UTC),
        account="a b",
        nothing=None,
        off=False,
        on=True,
        names=["x", "y"],
    )
    (request,) = daemon.requests
    first, *headers = request.decode().split("\r\n\r\n")[0].split("\r\n")
    assert first == (
        "GET /v1/coverage?created_before=2026-01-01T00%3A00%3A00%2B00%3A00&account=a+b&on=true&names=x&names=y HTTP/1.0"
    )
    config = str((daemon.folder / "rotator.toml").absolute())
    assert headers == [
        "Host: rotator",
        "Accept: application/x-ndjson",
        f"Rotator-Config: {config}",
        f"Rotator-User: {user_id()}",
        f"User-Agent: rotator/{__version__}",
        "Content-Type: application/json",
        "Content-Length: 0",
    ]


COVERAGE = {
    "account": "acme",
    "created_before": "2026-01-01T00:00:00Z",
    "as_of": "2026-01-02T00:00:00Z",
    "listed": 3,
    "rows": [],
    "expired": [],
    "unread": [],
    "unlisted": "",
    "missing": [],
    "manager_named": True,
    "part": "",
    "outside": None,
}
RESULT = {
    "application": "billing",
    "outcome": "held",
    "exit_code": 0,
    "message": "",
    "reason": "",
    "access_key": "",
    "version": 0,
    "replaced": "",
    "revoke_after": None,
    "rotation_id": "",
    "revoked": {},
    "marked_at": None,
    "contained_at": None,
    "outage_seconds": None,
    "until": {},
}


def test_a_command_is_a_post_with_the_options_that_are_on_in_its_body(daemon: Daemon) -> None:
    (held,) = daemon.call(
        "hold", lines({"result": [RESULT]}), applications=["billing"], reason="x", until=None, override_hold=False
    )
    assert (held.application, held.outcome) == ("billing", "held")
    head, _, body = daemon.requests[0].decode().partition("\r\n\r\n")
    assert head.startswith("POST /v1/hold HTTP/1.0\r\n")
    assert json.loads(body) == {"applications": ["billing"], "reason": "x"}
    assert f"Content-Length: {len(body)}" in head


def test_a_configuration_of_any_name_fits_in_a_header(daemon: Daemon) -> None:
    daemon.answers.append(answer(HEALTH))
    with DaemonClient(daemon.path, daemon.folder / "Größe 1.toml") as client:
        client.call("health")
    assert b"/Gr%C3%B6%C3%9Fe%201.toml\r\n" in daemon.requests[0]


# --- the answer -----------------------------------------------------------------------------------------------------------


def test_an_immediate_answer_is_the_whole_body(daemon: Daemon) -> None:
    found = daemon.call("health", answer(HEALTH))
    assert (found.version, found.alive, found.ready) == ("9", True, False)


def test_the_events_of_a_command_reach_its_sink_with_times_as_times(daemon: Daemon) -> None:
    told: list[tuple[str, dict[str, Any]]] = []

    class Sink:
        def emit(self, event: str, **fields: object) -> None:
            told.append((event, fields))

    daemon.answers.append(
        lines(
            "",
            {"event": "rotation.created", "at": "2026-01-01T10:00:00Z", "odd-name": 1, "text": "2026-99-01T10:00:00Z"},
            {"event": "key.revoked", "exact": "2026-01-01T10:00:00.123456Z", "not": "2026-01-01T10:00:00Z!"},
            {"result": [RESULT]},
        )
    )
    with daemon.client() as client:
        client.call("hold", Sink(), applications=[])
    assert told == [
        ("rotation.created", {"at": datetime(2026, 1, 1, 10, tzinfo=UTC), "text": "2026-99-01T10:00:00Z"}),
        (
            "key.revoked",
            {"exact": datetime(2026, 1, 1, 10, 0, 0, 123456, tzinfo=UTC), "not": "2026-01-01T10:00:00Z!"},
        ),
    ]


def test_every_event_of_the_daemon_is_followed_until_it_ends_the_stream(daemon: Daemon) -> None:
    daemon.answers.append(lines({"event": "a"}, "", {"event": "b", "at": "2026-01-01T10:00:00Z"}))
    with daemon.client() as client:
        assert list(client.events()) == [{}, {"event": "a"}, {}, {"event": "b", "at": "2026-01-01T10:00:00Z"}]
    first, *headers = daemon.requests[0].decode().split("\r\n")
    assert first == "GET /v1/events HTTP/1.0"
    assert headers[-3:] == ["Content-Length: 0", "", ""]
    assert f"Rotator-Config: {daemon.folder / 'rotator.toml'}" in headers


def test_events_that_are_refused_are_an_error_and_of_a_daemon_of_another_version_a_remark(daemon: Daemon) -> None:
    error = {"kind": "busy", "message": "8 callers follow the events", "exit_code": 3}
    daemon.answers += [answer({"error": error}, 429, version="0.0.1"), answer(b"\n")]
    remarks: list[str] = []
    with daemon.client(remarks) as client:
        with pytest.raises(ReportedError) as raised:
            next(client.events())
        failure = raised.value.failure
        assert (failure.kind, failure.sentences, failure.exit_code) == ("busy", ("8 callers follow the events",), 3)
        assert list(client.events()) == [{}, {}], "the next attempt has a connection of its own"
    assert len(remarks) == 1


def test_the_events_of_the_same_configuration_of_another_name_are_followed(daemon: Daemon) -> None:
    config = daemon.folder / "rotator.toml"
    config.touch()
    link = daemon.folder / "link.toml"
    link.symlink_to(config)
    daemon.answers += [other(link), lines({"event": "a"})]
    with daemon.client() as client:
        assert list(client.events()) == [{}, {"event": "a"}]
    assert f"Rotator-Config: {link}\r\n".encode() in daemon.requests[1]


@pytest.mark.parametrize("status", [400, 200])
def test_an_error_of_the_daemon_is_raised_as_it_was_reported(daemon: Daemon, status: int) -> None:
    error = {"kind": "busy", "message": "one\ntwo", "exit_code": 3, "more": 1}
    reply = answer({"error": error}, 400) if status == 400 else lines("", {"error": error})
    with pytest.raises(ReportedError) as raised:
        daemon.call("hold", reply)
    failure = raised.value.failure
    assert (failure.kind, failure.sentences, failure.exit_code, failure.details) == (
        "busy",
        ("one", "two"),
        3,
        {"more": 1},
    )


@pytest.mark.parametrize("code", [0, 5, -1, "3", None])
def test_an_exit_code_that_none_is_counts_as_1(daemon: Daemon, code: object) -> None:
    with pytest.raises(ReportedError) as raised:
        daemon.call("hold", answer({"error": {"kind": "x", "message": "y", "exit_code": code}}, 500))
    assert raised.value.failure.exit_code == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": 1}', b"[" * 100_000])
def test_an_answer_without_an_error_in_it_is_said_not_to_be_understood(daemon: Daemon, body: bytes) -> None:
    with pytest.raises(ReportedError) as raised:
        daemon.call("hold", answer(body, 500))
    failure = raised.value.failure
    assert (failure.kind, failure.exit_code) == ("unreadable", 3)
    assert failure.sentences == (
        "the daemon's answer cannot be understood; is its version the same as this command's?",
    )


@pytest.mark.parametrize(
    ("name", "reply"), [("health", answer({"version": 1})), ("hold", lines({"result": [{"application": 1}]}))]
)
def test_a_result_of_another_shape_is_not_believed(daemon: Daemon, name: str, reply: bytes) -> None:
    with pytest.raises(DaemonUnavailable) as raised:
        daemon.call(name, reply)
    assert raised.value.why == f"the daemon at {daemon.path} answers in a way that this command does not understand"
    assert not raised.value.sent


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"x" * 70_000])
def test_what_is_no_answer_of_a_daemon_counts_as_hung_up(daemon: Daemon, reply: bytes) -> None:
    with pytest.raises(DaemonUnavailable) as raised:
        daemon.call("hold", reply)
    assert raised.value.why == f"the daemon at {daemon.path} hung up: it is stopping, or has too many callers"
    assert (raised.value.sent, raised.value.present, raised.value.denied, raised.value.off) == (
        True,
        True,
        False,
        False,
    )
    assert str(raised.value).endswith(
        "; rotator status shows what it has done; restart it, or give the command again with --direct"
    )


def test_a_daemon_that_hangs_up_before_the_result_may_have_done_it(daemon: Daemon) -> None:
    with pytest.raises(DaemonUnavailable) as raised:
        daemon.call("hold", lines("", {"event": "control.command"}))
    assert raised.value.why == f"the daemon at {daemon.path} hung up before it reported the result"
    assert raised.value.sent


def test_a_daemon_that_says_nothing_is_left_alone_after_a_while_and_sooner_in_an_emergency(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.3)
    monkeypatch.setattr(module, "URGENT_TIMEOUT", 0.2)
    for name, seconds in (("hold", 0.3), ("revoke", 0.2)):
        free = threading.Event()
        daemon.answers.append(lambda connection, free=free: free.wait(30))  # type: ignore[misc]  # bound on purpose
        with pytest.raises(DaemonUnavailable) as raised:
            daemon.call(name)
        assert raised.value.why == f"the daemon at {daemon.path} did not answer within {seconds} seconds"
        assert raised.value.sent
        free.set()


def test_an_emergency_that_is_accepted_and_not_begun_is_left_alone(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRESS_TIMEOUT", 0.2)
    free = threading.Event()

    def beats(connection: socket.socket) -> None:
        connection.sendall(answer(b"\n"))
        while not free.wait(0.05):
            try:
                connection.sendall(b"\n")
            except OSError:
                return

    daemon.answers.append(beats)
    with pytest.raises(DaemonUnavailable) as raised:
        daemon.call("revoke", access_keys=[])
    assert raised.value.why == f"the daemon at {daemon.path} accepted the command and did nothing for 0.2 seconds"
    assert raised.value.sent
    free.set()


def test_an_emergency_that_has_begun_may_take_its_time_and_so_may_what_is_none(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROGRESS_TIMEOUT", 0.05)

    def slowly(*first: bytes) -> Callable[[socket.socket], None]:
        def reply(connection: socket.socket) -> None:
            connection.sendall(answer(b"".join(first)))
            for _ in range(4):
                threading.Event().wait(0.04)
                connection.sendall(b"\n")
            connection.sendall(json.dumps({"result": [RESULT]}).encode() + b"\n")

        return reply

    daemon.answers += [slowly(b'{"event": "compromise.marked"}\n'), slowly(b"\n")]
    assert daemon.call("revoke", access_keys=[])
    assert daemon.call("hold", applications=[])


# --- versions and configurations ------------------------------------------------------------------------------------------


def test_another_version_is_remarked_once(daemon: Daemon) -> None:
    remarks: list[str] = []
    daemon.answers += [answer(HEALTH, version="0.0.1"), answer(HEALTH, version="0.0.1")]
    with daemon.client(remarks) as client:
        client.call("health")
        client.call("health")
    assert remarks == [
        f"the daemon is rotator 0.0.1 and this command is {__version__}: restart the daemon after an upgrade"
    ]
    same: list[str] = []
    daemon.answers.append(answer(HEALTH))
    with daemon.client(same) as client:
        client.call("health")
    assert same == []


def other(config: Path) -> bytes:
    return answer(
        {"error": {"kind": "other_configuration", "message": "no", "exit_code": 2, "config": str(config)}}, 421
    )


def test_a_configuration_of_another_name_that_is_the_same_file_is_meant(daemon: Daemon) -> None:
    config = daemon.folder / "rotator.toml"
    config.touch()
    link = daemon.folder / "link.toml"
    link.symlink_to(config)
    assert daemon.call("health", other(link), answer(HEALTH)).version == "9"
    assert f"Rotator-Config: {config}\r\n".encode() in daemon.requests[0]
    assert f"Rotator-Config: {link}\r\n".encode() in daemon.requests[1]


def test_the_daemon_of_another_configuration_is_left_alone(daemon: Daemon) -> None:
    with pytest.raises(DaemonUnavailable, match="no"):
        daemon.call("health", other(daemon.folder / "other.toml"))
    assert len(daemon.requests) == 1


# --- where it is ----------------------------------------------------------------------------------------------------------


def test_a_question_goes_to_the_socket_of_questions_where_this_user_may_and_a_command_never(tmp_path: Path) -> None:
    with closing(Daemon(tmp_path)) as control:
        control.answers.append(answer(HEALTH))
        with DaemonClient.at(tmp_path, tmp_path / "c", print, commands=False) as client:
            client.call("health")
        read = socket.socket(socket.AF_UNIX)
        read.bind(str(tmp_path / "read.sock"))
        read.listen()
        with read:
            with DaemonClient.at(tmp_path, tmp_path / "c", print, commands=False) as client:
                assert client._path == tmp_path / "read.sock"
            with DaemonClient.at(tmp_path, tmp_path / "c", print, commands=True) as client:
                assert client._path == tmp_path / "control.sock"


def test_no_socket_and_a_socket_without_a_listener_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(DaemonUnavailable) as raised:
        DaemonClient(path, tmp_path)
    assert raised.value.why == f"no daemon answers: there is no {path}"
    assert (raised.value.present, raised.value.sent, raised.value.denied) == (False, False, False)
    assert str(raised.value).endswith("; start the daemon, or see docs/control.md")
    with pytest.raises(DaemonUnavailable, match="there is no"):
        DaemonClient(tmp_path / "file" / "control.sock", tmp_path)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with pytest.raises(DaemonUnavailable) as raised:
        DaemonClient(path, tmp_path)
    assert raised.value.why == f"no daemon answers at {path}: it is not running any more"


def test_a_listener_that_is_not_trusted_is_not_believed(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "listener_problem", lambda connection, path: "mallory listens there")
    with pytest.raises(DaemonUnavailable) as raised:
        daemon.client()
    assert raised.value.why == f"what listens at {daemon.path} is not trusted: mallory listens there"
    assert raised.value.present
    assert str(raised.value).endswith("; give the command again with --direct")


@pytest.mark.parametrize(
    ("error", "why", "denied", "present"),
    [
        (PermissionError(), "this user may not use PATH: ", True, False),
        (BlockingIOError(), "the daemon at PATH has too many callers, or does not read its socket; give", False, True),
        (TimeoutError(), "the daemon at PATH has too many callers, or does not read its socket; give", False, True),
        (ConnectionRefusedError(), "no daemon answers at PATH: it is not running any more; start", False, False),
    ],
)
def test_why_a_daemon_cannot_be_reached_is_said_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, why: str, denied: bool, present: bool
) -> None:
    class Refusing(socket.socket):
        def connect(self, address: object) -> None:
            raise error

    monkeypatch.setattr(socket, "socket", Refusing)
    path = tmp_path / "control.sock"
    with pytest.raises(DaemonUnavailable) as raised:
        DaemonClient(path, tmp_path)
    assert str(raised.value).startswith(why.replace("PATH", str(path)))
    assert (raised.value.denied, raised.value.present) == (denied, present)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, RUNTIME_DIRECTORY),
        ("", RUNTIME_DIRECTORY),
        ("not [ toml", RUNTIME_DIRECTORY),
        ("control = 3", None),
        ("[control]\nenabled = false", None),
        ("[control]\nenabled = true", RUNTIME_DIRECTORY),
        ('[control]\ndirectory = "/run/x"', Path("/run/x")),
        ("[control]\ndirectory = 3", RUNTIME_DIRECTORY),
        ('["control"]\ndirectory = "/run/x"', Path("/run/x")),
        ('["\\u0063ontrol"]\ndirectory = "/run/x"', Path("/run/x")),
        ('control.directory = "/run/x"', Path("/run/x")),
        (' [ control ]\ndirectory = "/run/x"', Path("/run/x")),
        ('[control] # sockets\nhosts = [\n[1],\n]\ndirectory = "/run/x"\n[vault]\n', Path("/run/x")),
        (
            '[vault]\ndirectory = "/run/y"\n[control]\ndirectory = "/run/x"\n[webhook]\ndirectory = "/run/z"',
            Path("/run/x"),
        ),
        ("note = '''\n[control]\ndirectory = \"/run/y\"\n'''\n[control]\ndirectory = \"/run/x\"", Path("/run/x")),
        ('[control]\ndirectory = "/run/x"\n[applications.billing]\nevery = not a value', Path("/run/x")),
    ],
)
def test_the_directory_of_the_sockets_is_that_of_the_configuration_as_far_as_it_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, found: Path | None
) -> None:
    monkeypatch.delenv("ROTATOR_CONTROL", raising=False)
    config = tmp_path / "rotator.toml"
    if text is not None:
        config.write_text(text)
    assert directory(config) == found
    monkeypatch.setenv("ROTATOR_CONTROL", "/run/elsewhere")
    assert directory(config) == Path("/run/elsewhere")
