"""The client of the control API: how a command queries the daemon and gives it commands.

No wait is without a bound. The daemon sends the first byte at once and then a line every few seconds; a daemon that does not is
left alone. What an untrusted process answers is not believed.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from rotator import __version__
from rotator.api.listeners import CONTROL, READ
from rotator.api.openapi import LINES
from rotator.config.runtime_directory import RUNTIME_DIRECTORY
from rotator.domain.ports import EventSink, NullEventSink
from rotator.errors import RotatorError
from rotator.operations.failures import FailureReport, ReportedError
from rotator.operations.operation import Operation
from rotator.operations.registry import OPERATIONS
from rotator.system.trust import listener_problem, read_file
from rotator.system.users import user_id

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

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


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
    with suppress(
        OSError, ValueError, RecursionError
    ):  # TOMLDecodeError is a ValueError; what needs the file reports what is wrong with it
        table = tomllib.loads(read_file(config, MAX_CONFIGURATION).decode()).get("control", {})
    if not isinstance(table, dict) or table.get("enabled") is False:
        return None
    named = table.get("directory")
    return Path(named) if isinstance(named, str) else RUNTIME_DIRECTORY


class DaemonClient:
    """The daemon behind one socket. Methods raise ``DaemonUnavailable``, or ``ReportedError`` with what the daemon reports.

    ``remark`` receives sentences for people, such as that the daemon has another version.
    """

    def __init__(self, path: Path, config: Path, remark: Callable[[str], None] = lambda sentence: None) -> None:  # noqa: ARG005 - no people there
        _examine(path)
        self._path = path
        self._config = config
        self._remark = remark
        self._remarked = False
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)),
            base_url="http://rotator",
            headers={
                "accept": LINES,
                "rotator-config": quote(str(config.absolute())),
                "rotator-user": quote(user_id(), safe=" "),
                "user-agent": f"rotator/{__version__}",
            },
            timeout=CONNECT_TIMEOUT,
            trust_env=False,
        )

    @classmethod
    def at(cls, folder: Path, config: Path, remark: Callable[[str], None], *, commands: bool) -> Self:
        """The daemon whose sockets are in that directory. A query goes to the control socket where this user may not read."""
        path = folder / CONTROL
        if not commands and os.access(folder / READ, os.W_OK):
            path = folder / READ
        return cls(path, config, remark)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, name: str, sink: EventSink | None = None, **arguments: Any) -> Any:
        """Run an operation in the daemon; its result. ``sink`` receives the events meanwhile."""
        operation = OPERATIONS[name]
        wanted = operation.request(arguments)
        body = wanted.model_dump(mode="json", exclude_defaults=True)
        if operation.method == "GET":
            request = self._client.build_request("GET", operation.path, params=body)
        else:
            request = self._client.build_request("POST", operation.path, json=body)
        urgent = operation.urgent(wanted)
        request.extensions["timeout"] = {**request.extensions["timeout"], "read": URGENT_TIMEOUT if urgent else ANSWER_TIMEOUT}
        try:
            return self._call(operation, request, sink or NullEventSink(), urgent=urgent)
        except _OtherConfiguration as other:
            # The daemon compares names only. Links are resolved here, where a path that hangs harms this command alone.
            if os.path.realpath(other.config) != os.path.realpath(self._config):
                raise
            request.headers["rotator-config"] = quote(other.config)
            return self._call(operation, request, sink or NullEventSink(), urgent=urgent)

    def _call(self, operation: Operation, request: httpx.Request, sink: EventSink, *, urgent: bool) -> Any:
        with self._answer(request) as answer:
            if operation.immediate:
                return self._value(operation, answer.read())
            waiting_since = time.monotonic() if urgent else None
            for text in _split_lines(answer.iter_bytes()):
                line = _parsed(text) if text else {}
                if "event" in line:
                    waiting_since = None
                    sink.emit(
                        str(line.pop("event")), **{name: _timed(value) for name, value in line.items() if name.isidentifier()}
                    )
                elif "result" in line:
                    return self._value(operation, json.dumps(line["result"]).encode())
                elif text:
                    raise ReportedError(_failure(line))
                if waiting_since is not None and time.monotonic() - waiting_since > PROGRESS_TIMEOUT:
                    raise DaemonUnavailable(
                        f"the daemon at {self._path} accepted the command and did nothing for {PROGRESS_TIMEOUT:g} seconds",
                        sent=True,
                    )
        raise DaemonUnavailable(f"the daemon at {self._path} hung up before it reported the result", sent=True)

    @contextmanager
    def _answer(self, request: httpx.Request) -> Iterator[httpx.Response]:
        try:
            answer = self._client.send(request, stream=True)
            try:
                _believe(answer.extensions["network_stream"].get_extra_info("socket"), self._path)
                self._compare_versions(answer)
                if answer.status_code != 200:
                    raise self._refusal(answer.status_code, _parsed(answer.read().decode(errors="replace")))
                yield answer
            finally:
                answer.close()
        except httpx.TransportError as error:
            raise self._unavailable(error, request) from None

    def _refusal(self, status: int, answer: Mapping[str, Any]) -> Exception:
        failure = _failure(answer)
        if status == 421:
            return _OtherConfiguration("; ".join(failure.sentences), str(failure.details.get("config", "")))
        return ReportedError(failure)

    def _compare_versions(self, answer: httpx.Response) -> None:
        theirs = answer.headers.get("rotator-version", "?")
        if theirs != __version__ and not self._remarked:
            self._remarked = True
            self._remark(f"the daemon is rotator {theirs} and this command is {__version__}: restart the daemon after an upgrade")

    def _value(self, operation: Operation, content: bytes) -> Any:
        try:
            return TypeAdapter(operation.gives).validate_json(content)
        except ValidationError:
            raise DaemonUnavailable(
                f"the daemon at {self._path} answers in a way that this command does not understand"
            ) from None

    def _unavailable(self, error: httpx.TransportError, request: httpx.Request) -> DaemonUnavailable:
        sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        if isinstance(error, httpx.ReadTimeout):
            seconds = request.extensions["timeout"]["read"]
            return DaemonUnavailable(f"the daemon at {self._path} did not answer within {seconds:g} seconds", sent=sent)
        if isinstance(error, httpx.TimeoutException):
            return DaemonUnavailable(f"the daemon at {self._path} does not read its socket", present=True, sent=sent)
        return DaemonUnavailable(
            f"the daemon at {self._path} hung up: it is stopping, or has too many callers", present=True, sent=sent
        )


class _OtherConfiguration(DaemonUnavailable):
    def __init__(self, why: str, config: str) -> None:
        super().__init__(why)
        self.config = config


def _examine(path: Path) -> None:
    """Raise ``DaemonUnavailable`` unless a trusted process listens. (httpx would not say why, and leave a socket open.)"""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(CONNECT_TIMEOUT)
            probe.connect(str(path))
            _believe(probe, path)
    except PermissionError:
        raise DaemonUnavailable(f"this user may not use {path}: only members of its group may", denied=True) from None
    except (FileNotFoundError, NotADirectoryError):
        raise DaemonUnavailable(f"no daemon answers: there is no {path}") from None
    except (BlockingIOError, TimeoutError):
        raise DaemonUnavailable(f"the daemon at {path} has too many callers, or does not read its socket", present=True) from None
    except OSError:
        raise DaemonUnavailable(f"no daemon answers at {path}: it is not running any more") from None


def _believe(connection: socket.socket, path: Path) -> None:
    if problem := listener_problem(connection, path):
        raise DaemonUnavailable(f"what listens at {path} is not believed: {problem}", present=True)


def _split_lines(parts: Iterator[bytes]) -> Iterator[str]:
    """The lines of a stream. Only a line feed ends one; ``str.splitlines`` would also split at separators inside a text."""
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in lines)


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
    return datetime.fromisoformat(value) if isinstance(value, str) and _TIME.fullmatch(value) else value
