"""The client of the control API: how a command queries the daemon and gives it commands.

One request is one connection. It is HTTP/1.0, so the answer ends where the daemon closes the connection, and no library is needed
to read it: the libraries take longer to import than the daemon takes to answer. No wait is without a bound. The daemon sends the first byte at once and then a line every few seconds; a daemon that does not is
left alone. What an untrusted process answers is not believed.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

from rotator import __version__
from rotator.api.socket_names import CONTROL, LINES, READ
from rotator.errors import RotatorError
from rotator.operations.failures import FailureReport, ReportedError
from rotator.operations.signatures import SIGNATURES, Signature
from rotator.system.access import group_access
from rotator.system.paths import RUNTIME_DIRECTORY
from rotator.system.trust import listener_problem, read_file
from rotator.system.users import user_id
from rotator.util.typed_json import from_json

if TYPE_CHECKING:
    from rotator.domain.ports import EventSink

CONNECT_TIMEOUT = 5.0
"""Seconds to connect and to send the request."""

URGENT_TIMEOUT = 10.0
"""Seconds without a byte after which an emergency leaves the daemon alone."""

ANSWER_TIMEOUT = 30.0
"""Seconds without a byte after which every other operation gives up."""

PROGRESS_TIMEOUT = 30.0
"""Seconds within which the daemon has to report the first event of an emergency."""

MAX_CONFIGURATION = 64 * 1024 * 1024
"""Bytes of the configuration that are read."""

MAX_HEAD = 64 * 1024
"""Bytes of an answer before its body."""

RECEIVE_SIZE = 64 * 1024
"""Bytes that are received at once."""

_TIME = r"(?a)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


class DaemonUnavailable(RotatorError):
    """The daemon did not answer; ``why`` is part of a sentence.

    ``denied``: this user may not use the socket. ``off``: the configuration opens no socket. ``present``: something listens, so
    there may be a daemon that works. ``sent``: the daemon may have begun the operation.
    """

    exit_code = 3

    def __init__(self, why: str, *, denied: bool = False, off: bool = False, present: bool = False, sent: bool = False) -> None:
        way_out = "; start the daemon, or see docs/control.md"
        if sent:
            way_out = "; rotator status shows what it has done; restart it, or give the command again with --direct"
        elif present:
            way_out = "; give the command again with --direct"
        super().__init__(why if denied else f"{why}{way_out}")
        self.why = why
        self.denied = denied
        self.off = off
        self.present = present or sent
        self.sent = sent


def directory(config: Path) -> Path | None:
    """The directory of the sockets of the daemon that works for this configuration; None when it has none.

    A configuration that this user may not read counts as one without the option.
    """
    if given := os.environ.get("ROTATOR_CONTROL"):
        return Path(given)
    table: Any = {}
    # TOMLDecodeError is a ValueError. What needs the file reports what is wrong with it.
    with suppress(OSError, ValueError, RecursionError):
        content = read_file(config, MAX_CONFIGURATION).decode()
        import tomllib  # noqa: PLC0415 - most users may not read the file

        table = tomllib.loads(content).get("control", {})
    if not isinstance(table, dict) or table.get("enabled") is False:
        return None
    named = table.get("directory")
    return Path(named) if isinstance(named, str) else RUNTIME_DIRECTORY


class DaemonClient:
    """The daemon behind one socket. Methods raise ``DaemonUnavailable``, or ``ReportedError`` with what the daemon reports.

    ``remark`` receives sentences for people, such as that the daemon has another version.
    """

    def __init__(self, path: Path, config: Path, remark: Callable[[str], None] = lambda sentence: None) -> None:  # noqa: ARG005 - no people there
        self._path = path
        self._config = config
        self._remark = remark
        self._remarked = False
        self._waiting: socket.socket | None = _connect(path)

    @classmethod
    def at(cls, folder: Path, config: Path, remark: Callable[[str], None], *, commands: bool) -> Self:
        """The daemon whose sockets are in that directory. A query goes to the control socket where this user may not read."""
        path = folder / CONTROL
        if not commands and os.access(folder / READ, os.W_OK):
            path = folder / READ
        return cls(path, config, remark)

    def close(self) -> None:
        """Close the connection that no request has used."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, name: str, sink: EventSink | None = None, **arguments: Any) -> Any:
        """Run an operation in the daemon; its result. ``sink`` receives the events meanwhile. The daemon checks the arguments."""
        operation = SIGNATURES[name]
        try:
            return self._call(operation, arguments, str(self._config.absolute()), sink)
        except _OtherConfiguration as other:
            # The daemon compares names only. Links are resolved here, where a path that hangs harms this command alone.
            if os.path.realpath(other.config) != os.path.realpath(self._config):
                raise
            return self._call(operation, arguments, other.config, sink)

    def _call(self, operation: Signature, arguments: Mapping[str, Any], config: str, sink: EventSink | None) -> Any:
        urgent = operation.urgent(arguments)
        connection, self._waiting = self._waiting or _connect(self._path), None
        with connection:
            exchange = _Exchange(connection, self._path, URGENT_TIMEOUT if urgent else ANSWER_TIMEOUT)
            exchange.send(_request(operation, arguments, config))
            status, headers = exchange.head()
            self._compare_versions(headers)
            if status != 200:
                raise self._refusal(status, _parsed(exchange.rest().decode(errors="replace")))
            if operation.immediate:
                return self._value(operation, _parsed(exchange.rest().decode(errors="replace")))
            return self._follow(operation, exchange, sink, urgent=urgent)

    def _follow(self, operation: Signature, exchange: _Exchange, sink: EventSink | None, *, urgent: bool) -> Any:
        waiting_since = time.monotonic() if urgent else None
        while (text := exchange.line()) is not None:
            line = _parsed(text) if text else {}
            if "event" in line:
                waiting_since = None
                event, fields = str(line.pop("event")), {name: value for name, value in line.items() if name.isidentifier()}
                if sink is not None:
                    sink.emit(event, **{name: _timed(value) for name, value in fields.items()})
            elif "result" in line:
                return self._value(operation, line["result"])
            elif text:
                raise ReportedError(_failure(line))
            if waiting_since is not None and time.monotonic() - waiting_since > PROGRESS_TIMEOUT:
                raise DaemonUnavailable(
                    f"the daemon at {self._path} accepted the command and did nothing for {PROGRESS_TIMEOUT:g} seconds",
                    sent=True,
                )
        raise DaemonUnavailable(f"the daemon at {self._path} hung up before it reported the result", sent=True)

    def _refusal(self, status: int, answer: Mapping[str, Any]) -> Exception:
        failure = _failure(answer)
        if status == 421:
            return _OtherConfiguration("; ".join(failure.sentences), str(failure.details.get("config", "")))
        return ReportedError(failure)

    def _compare_versions(self, headers: Mapping[str, str]) -> None:
        theirs = headers.get("rotator-version", "?")
        if theirs != __version__ and not self._remarked:
            self._remarked = True
            self._remark(f"the daemon is rotator {theirs} and this command is {__version__}: restart the daemon after an upgrade")

    def _value(self, operation: Signature, content: Any) -> Any:
        try:
            return from_json(operation.gives, content)
        except ValueError:
            raise DaemonUnavailable(
                f"the daemon at {self._path} answers in a way that this command does not understand"
            ) from None


class _Exchange:
    """One request and its answer on one connection. Every wait has a limit."""

    def __init__(self, connection: socket.socket, path: Path, answer_timeout: float) -> None:
        self._connection = connection
        self._path = path
        self._answer_timeout = answer_timeout
        self._received = bytearray()
        self._searched = 0

    def send(self, request: bytes) -> None:
        """Send the whole request. A daemon that refuses early may answer before it has read all of it."""
        self._connection.settimeout(CONNECT_TIMEOUT)
        try:
            self._connection.sendall(request)
        except TimeoutError:
            raise DaemonUnavailable(f"the daemon at {self._path} does not read its socket", present=True, sent=True) from None
        except OSError:
            return
        finally:
            self._connection.settimeout(self._answer_timeout)

    def head(self) -> tuple[int, dict[str, str]]:
        """The status and the headers of the answer."""
        while b"\r\n\r\n" not in self._received:
            if len(self._received) > MAX_HEAD or not self._receive():
                raise self._hung_up()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, status = first.partition(" ")
        if not version.startswith("HTTP/1.") or not status[:3].isdecimal():
            raise self._hung_up()
        headers = (line.partition(":") for line in lines)
        return int(status[:3]), {name.strip().lower(): value.strip() for name, _, value in headers}

    def line(self) -> str | None:
        """The next line of the body; None at its end. Only a line feed ends a line."""
        while (end := self._received.find(b"\n", self._searched)) < 0:
            self._searched = len(self._received)
            if not self._receive():
                return None
        line, self._searched = bytes(self._received[:end]), 0
        del self._received[: end + 1]
        return line.decode(errors="replace")

    def rest(self) -> bytes:
        """The rest of the body."""
        while self._receive():
            pass
        return bytes(self._received)

    def _receive(self) -> bool:
        """Wait for more of the answer; False at its end."""
        try:
            part = self._connection.recv(RECEIVE_SIZE)
        except TimeoutError:
            raise DaemonUnavailable(
                f"the daemon at {self._path} did not answer within {self._answer_timeout:g} seconds", sent=True
            ) from None
        except OSError:
            raise self._hung_up() from None
        self._received += part
        return bool(part)

    def _hung_up(self) -> DaemonUnavailable:
        return DaemonUnavailable(
            f"the daemon at {self._path} hung up: it is stopping, or has too many callers", present=True, sent=True
        )


def _request(operation: Signature, arguments: Mapping[str, Any], config: str) -> bytes:
    """The bytes of the request. An option that is off is left out, so a daemon that does not know it yet understands the rest."""
    given = {name: value for name, value in arguments.items() if value is not None and value is not False}
    target, body = operation.path, b""
    if operation.method == "GET":
        query = urlencode({name: _as_query(value) for name, value in given.items()}, doseq=True)
        target += f"?{query}" if query else ""
    else:
        body = json.dumps(given, default=_as_text).encode()
    head = (
        f"{operation.method} {target} HTTP/1.0",
        "Host: rotator",
        f"Accept: {LINES}",
        f"Rotator-Config: {quote(config)}",
        f"Rotator-User: {quote(user_id(), safe=' ')}",
        f"User-Agent: rotator/{__version__}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*head, "", ""]).encode("ascii") + body


def _as_query(value: Any) -> Any:
    return [_as_query(one) for one in value] if isinstance(value, list | tuple) else _as_text(value)


def _as_text(value: Any) -> str:
    if value is True:
        return "true"
    return value.isoformat() if isinstance(value, datetime) else str(value)


class _OtherConfiguration(DaemonUnavailable):
    def __init__(self, why: str, config: str) -> None:
        super().__init__(why)
        self.config = config


def _connect(path: Path) -> socket.socket:
    """A connection to a trusted process; raises ``DaemonUnavailable``."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(CONNECT_TIMEOUT)
        connection.connect(str(path))
        _believe(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, OSError):
            raise _unreachable(path, error) from None
        raise
    return connection


def _unreachable(path: Path, error: OSError) -> DaemonUnavailable:
    if isinstance(error, PermissionError):
        return DaemonUnavailable(f"this user may not use {path}: {group_access(path)}", denied=True)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DaemonUnavailable(f"no daemon answers: there is no {path}")
    if isinstance(error, BlockingIOError | TimeoutError):
        return DaemonUnavailable(f"the daemon at {path} has too many callers, or does not read its socket", present=True)
    return DaemonUnavailable(f"no daemon answers at {path}: it is not running any more")


def _believe(connection: socket.socket, path: Path) -> None:
    if problem := listener_problem(connection, path):
        raise DaemonUnavailable(f"what listens at {path} is not believed: {problem}", present=True)


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _failure(answer: Mapping[str, Any]) -> FailureReport:
    error = answer.get("error")
    if not isinstance(error, dict):
        return FailureReport(
            "unreadable", ("the daemon's answer cannot be understood; is its version the same as this command's?",), 3
        )
    details = {name: value for name, value in error.items() if name not in ("kind", "message", "exit_code")}
    return FailureReport(
        str(error.get("kind")), tuple(str(error.get("message")).split("\n")), int(error.get("exit_code", 1)), details
    )


def _timed(value: object) -> object:
    """A time as a ``datetime``, as the sinks of a direct command receive it."""
    return datetime.fromisoformat(value) if isinstance(value, str) and re.fullmatch(_TIME, value) else value
