"""The client of the control API, with which commands query the daemon and give it commands.

One request is one connection. It is HTTP/1.0, so the answer ends where the daemon closes the
connection, and no library is needed to parse it: the libraries take longer to import than the
daemon takes to answer. Every wait has a limit. The daemon sends the first byte at once and then a
line every few seconds; without that the client stops waiting. An answer of an untrusted process is
rejected.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlencode

from rotator import __version__
from rotator.api.exchange import DaemonExchange, DaemonUnavailable, connect
from rotator.api.socket_names import CONTROL, LINES, READ
from rotator.operations.failures import FailureReport, ReportedError
from rotator.operations.signatures import SIGNATURES, Signature
from rotator.system.file_permissions import read_file
from rotator.system.paths import RUNTIME_DIRECTORY
from rotator.system.users import user_id
from rotator.util.typed_json import from_json

if TYPE_CHECKING:
    from rotator.domain.ports import EventSink

T = TypeVar("T")

__all__ = ["DaemonClient", "DaemonUnavailable", "directory"]

URGENT_TIMEOUT = 10.0
"""Seconds without a byte after which an emergency stops waiting for the daemon."""

ANSWER_TIMEOUT = 30.0
"""Seconds without a byte after which every other operation stops waiting."""

PROGRESS_TIMEOUT = 30.0
"""Seconds within which the daemon has to report the first event of an emergency."""

CONTAINMENT_TIMEOUT = 60.0
"""Seconds after which a daemon that has begun an emergency is not waited for any more: from the
command on, or from the last event where it is about a selection of applications, which may take any
time."""

MAX_CONFIGURATION = 64 * 1024 * 1024
"""Bytes of the configuration that are read."""

_TIME = r"(?a)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


def directory(config: Path) -> Path | None:
    """The directory of the sockets of the daemon for this configuration; None if it has none.

    A configuration that this user cannot read counts as one without the option.
    """
    if given := os.environ.get("ROTATOR_CONTROL"):
        return Path(given)
    table: Any = {}
    # TOMLDecodeError is a ValueError. The reader of the whole file reports its problems.
    with suppress(OSError, ValueError, RecursionError):
        table = _control_table(read_file(config, MAX_CONFIGURATION).decode())
    if not isinstance(table, dict) or table.get("enabled") is False:
        return None
    named = table.get("directory")
    return Path(named) if isinstance(named, str) else RUNTIME_DIRECTORY


def _control_table(content: str) -> Any:
    """The table ``[control]`` of a configuration; empty without one. Raises ``ValueError``.

    Reading all of 10,000 applications takes longer than the answer of the daemon, so the table is
    read alone where it stands under a header of its own. A line of only ``[control]`` is that
    header: it can be nothing else outside of a text of several lines. What is wrong elsewhere does
    not hide the daemon then.
    """
    if "control" not in content and "\\" not in content:
        return {}
    import tomllib  # noqa: PLC0415 - most users may not read the file

    if '"""' not in content and "'''" not in content and (header := _HEADER.search(content)):
        following = content.find("\n[", header.end())
        with suppress(tomllib.TOMLDecodeError):  # its end is not where it seemed to be
            return tomllib.loads(content[header.start() : following if following >= 0 else None])["control"]
    return tomllib.loads(content).get("control", {})


_HEADER = re.compile(r"^\[control\][ \t]*(?:#.*)?$", re.MULTILINE)


class DaemonClient:
    """The daemon at one socket. Methods raise ``DaemonUnavailable``, or ``ReportedError`` with what
    the daemon reports.

    ``remark`` receives sentences for the user, such as that the daemon has another version.
    """

    def __init__(
        self,
        path: Path,
        config: Path,
        remark: Callable[[str], None] = lambda sentence: None,  # noqa: ARG005 - no people there
    ) -> None:
        self._path = path
        self._config = config
        self._remark = remark
        self._remarked = False
        self._waiting: socket.socket | None = connect(path)

    @classmethod
    def at(cls, folder: Path, config: Path, remark: Callable[[str], None], *, commands: bool) -> Self:
        """The daemon whose sockets are in that directory. A query uses the control socket if this
        user may not use the other."""
        path = folder / CONTROL
        if not commands and os.access(folder / READ, os.W_OK):
            path = folder / READ
        return cls(path, config, remark)

    def close(self) -> None:
        """Closes a connection without a request."""
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, name: str, sink: EventSink | None = None, **arguments: Any) -> Any:
        """Runs an operation in the daemon and returns its result. ``sink`` receives the events
        meanwhile. The daemon validates the arguments."""
        operation = SIGNATURES[name]
        return self._for_configuration(lambda config: self._call(operation, arguments, config, sink))

    def events(self) -> Iterator[Mapping[str, Any]]:
        """Every event of the daemon from now on, until it ends the stream. An empty one begins it,
        and each silence of some seconds is an empty one too."""
        with self._for_configuration(self._subscribed) as exchange:
            yield {}
            while (text := exchange.line()) is not None:
                yield _parsed(text) if text else {}

    def _subscribed(self, config: str) -> DaemonExchange:
        connection, self._waiting = self._waiting or connect(self._path), None
        with ExitStack() as opened:
            exchange = opened.enter_context(DaemonExchange(connection, self._path, ANSWER_TIMEOUT))
            exchange.send(_head("GET", "/v1/events", config, 0))
            status, headers = exchange.head()
            self._compare_versions(headers)
            if status != 200:
                raise self._refusal(status, _parsed(exchange.rest().decode(errors="replace")))
            opened.pop_all()
        return exchange

    def _for_configuration(self, ask: Callable[[str], T]) -> T:
        """What the daemon answers to a caller with this configuration, under whichever of its names
        the daemon knows it."""
        try:
            return ask(str(self._config.absolute()))
        except _OtherConfiguration as other:
            # The daemon compares names only. Links are resolved here, where a blocking path affects
            # this command only.
            if os.path.realpath(other.config) != os.path.realpath(self._config):
                raise
            return ask(other.config)

    def _call(self, operation: Signature, arguments: Mapping[str, Any], config: str, sink: EventSink | None) -> Any:
        urgent = operation.urgent(arguments)
        connection, self._waiting = self._waiting or connect(self._path), None
        with connection:
            exchange = DaemonExchange(connection, self._path, URGENT_TIMEOUT if urgent else ANSWER_TIMEOUT)
            exchange.send(_request(operation, arguments, config))
            status, headers = exchange.head()
            self._compare_versions(headers)
            if status != 200:
                raise self._refusal(status, _parsed(exchange.rest().decode(errors="replace")))
            if operation.immediate:
                return self._value(operation, _parsed(exchange.rest().decode(errors="replace")))
            return self._follow(operation, exchange, sink, urgent=urgent)

    def _follow(self, operation: Signature, exchange: DaemonExchange, sink: EventSink | None, *, urgent: bool) -> Any:
        begun = last = time.monotonic()
        allowed = PROGRESS_TIMEOUT
        while (text := exchange.line()) is not None:
            line = _parsed(text) if text else {}
            if "event" in line:
                allowed = CONTAINMENT_TIMEOUT
                last = time.monotonic() if operation.selects else begun
                event, fields = (
                    str(line.pop("event")),
                    {name: value for name, value in line.items() if name.isidentifier()},
                )
                if sink is not None:
                    sink.emit(event, **{name: _timed(value) for name, value in fields.items()})
            elif "result" in line:
                return self._value(operation, line["result"])
            elif text:
                raise ReportedError(_failure(line))
            if urgent and time.monotonic() - last > allowed:
                idle = operation.selects or allowed == PROGRESS_TIMEOUT
                did = "did nothing for" if idle else "has not finished within"
                raise DaemonUnavailable(
                    f"the daemon at {self._path} accepted the command and {did} {allowed:g} seconds", sent=True
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
            self._remark(
                f"the daemon is rotator {theirs} and this command is {__version__}: restart the daemon after an upgrade"
            )

    def _value(self, operation: Signature, content: Any) -> Any:
        try:
            return from_json(operation.gives, content)
        except ValueError:
            raise DaemonUnavailable(
                f"the daemon at {self._path} answers in a way that this command does not understand"
            ) from None


def _request(operation: Signature, arguments: Mapping[str, Any], config: str) -> bytes:
    """The bytes of the request. An option that is off is left out, so an older daemon understands
    the rest."""
    given = {name: value for name, value in arguments.items() if value is not None and value is not False}
    target, body = operation.path, b""
    if operation.method == "GET":
        query = urlencode({name: _as_query(value) for name, value in given.items()}, doseq=True)
        target += f"?{query}" if query else ""
    else:
        body = json.dumps(given, default=_as_text).encode()
    return _head(operation.method, target, config, len(body)) + body


def _head(method: str, target: str, config: str, length: int) -> bytes:
    head = (
        f"{method} {target} HTTP/1.0",
        "Host: rotator",
        f"Accept: {LINES}",
        f"Rotator-Config: {quote(config)}",
        f"Rotator-User: {quote(user_id(), safe=' ')}",
        f"User-Agent: rotator/{__version__}",
        "Content-Type: application/json",
        f"Content-Length: {length}",
    )
    return "\r\n".join([*head, "", ""]).encode("ascii")


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


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {}


def _failure(answer: Mapping[str, Any]) -> FailureReport:
    error = answer.get("error")
    if not isinstance(error, dict):
        return FailureReport(
            "unreadable", ("the daemon's answer cannot be understood; is its version the same as this command's?",), 3
        )
    details = {name: value for name, value in error.items() if name not in ("kind", "message", "exit_code")}
    code = error.get("exit_code")
    return FailureReport(
        str(error.get("kind")),
        tuple(str(error.get("message")).split("\n")),
        code if isinstance(code, int) and 0 < code < 5 else 1,
        details,
    )


def _timed(value: object) -> object:
    """A time as a ``datetime``, as the sinks of a direct command receive it."""
    if isinstance(value, str) and re.fullmatch(_TIME, value):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    return value
