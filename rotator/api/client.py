"""The other side of the sockets: the daemon as a command asks it and gives it orders."""

from __future__ import annotations

import json
import os
import re
import socket
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
from rotator.system.users import user_id

TIMEOUT = 150.0
"""Seconds that an answer may take; an order that is followed may take as long as it does."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


class DaemonUnavailable(RotatorError):
    """No daemon could be asked. ``why`` tells it as a part of a sentence; ``denied``: there is one, and it is not for this user;
    ``sent``: it may have begun what was asked for; ``off``: none is meant to be asked."""

    exit_code = 3

    def __init__(self, why: str, *, denied: bool = False, sent: bool = False, off: bool = False) -> None:
        super().__init__(f"{why}; start the daemon, or see docs/control.md" if not denied else why)
        self.why = why
        self.denied = denied
        self.sent = sent
        self.off = off


def directory(config: Path) -> Path | None:
    """The folder of the sockets of the daemon that works for this configuration, as far as we may know; None when it has none."""
    if given := os.environ.get("ROTATOR_CONTROL"):
        return Path(given)
    table: Any = {}
    with suppress(OSError, ValueError):  # TOMLDecodeError is one: whoever needs the file says what is wrong with it
        table = tomllib.loads(config.read_bytes().decode()).get("control", {})
    if not isinstance(table, dict) or table.get("enabled") is False:
        return None
    named = table.get("directory")
    return Path(named) if isinstance(named, str) else RUNTIME_DIRECTORY


class DaemonClient:
    """The daemon behind one socket. Every method raises ``DaemonUnavailable``, or ``ReportedError`` with what the daemon says is wrong.

    ``remark`` hears sentences for people, such as that the daemon has another version.
    """

    def __init__(self, path: Path, config: Path, remark: Callable[[str], None] = lambda sentence: None) -> None:  # noqa: ARG005 - nobody wants to hear
        _knock(path)
        self._path = path
        self._remark = remark
        self._said = False
        self._client = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)),
            base_url="http://rotator",
            headers={
                "rotator-config": os.path.realpath(config),
                "rotator-user": quote(user_id(), safe=" "),
                "user-agent": f"rotator/{__version__}",
            },
            timeout=TIMEOUT,
            trust_env=False,
        )

    @classmethod
    def at(cls, folder: Path, config: Path, remark: Callable[[str], None], *, orders: bool) -> Self:
        """The daemon whose sockets are in that folder. Questions go to the socket of orders where that of questions is closed
        to us."""
        path = folder / CONTROL
        if not orders and os.access(folder / READ, os.W_OK):
            path = folder / READ
        return cls(path, config, remark)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, name: str, sink: EventSink | None = None, **arguments: Any) -> Any:
        """Ask or order; what came of it, as the value that the verb gives. ``sink`` hears what happens meanwhile."""
        operation = OPERATIONS[name]
        body = operation.request(arguments).model_dump(mode="json", exclude_defaults=True)
        if operation.method == "GET":
            request = self._client.build_request("GET", operation.path, params=body)
        else:
            request = self._client.build_request("POST", operation.path, json=body)
        if operation.streams:
            request.headers["accept"] = LINES
            request.extensions["timeout"] = {**request.extensions["timeout"], "read": None}
            return self._followed(operation, request, sink or NullEventSink())
        with self._answer(request) as answer:
            return self._value(operation, answer.read())

    def _followed(self, operation: Operation, request: httpx.Request, sink: EventSink) -> Any:
        with self._answer(request) as answer:
            for text in answer.iter_lines():
                line = _parsed(text)
                if "event" in line:
                    sink.emit(
                        str(line.pop("event")), **{name: _timed(value) for name, value in line.items() if name.isidentifier()}
                    )
                elif "result" in line:
                    return self._value(operation, json.dumps(line["result"]).encode())
                else:
                    raise ReportedError(_failure(line))
        raise DaemonUnavailable(
            f"the daemon at {self._path} hung up before it said what came of it; rotator status shows how far it is", sent=True
        )

    @contextmanager
    def _answer(self, request: httpx.Request) -> Iterator[httpx.Response]:
        try:
            answer = self._client.send(request, stream=True)
            try:
                self._compare(answer)
                if answer.status_code != 200:
                    failure = _failure(_parsed(answer.read().decode(errors="replace")))
                    raise DaemonUnavailable("; ".join(failure.sentences)) if answer.status_code == 421 else ReportedError(failure)
                yield answer
            finally:
                answer.close()
        except httpx.TransportError as error:
            raise self._unreached(error) from None

    def _compare(self, answer: httpx.Response) -> None:
        theirs = answer.headers.get("rotator-version", "?")
        if theirs != __version__ and not self._said:
            self._said = True
            self._remark(f"the daemon is rotator {theirs} and this command is {__version__}: restart the daemon after an upgrade")

    def _value(self, operation: Operation, content: bytes) -> Any:
        try:
            return TypeAdapter(operation.gives).validate_json(content)
        except ValidationError:
            raise DaemonUnavailable(
                f"the daemon at {self._path} answers in a way that this command does not understand"
            ) from None

    def _unreached(self, error: httpx.TransportError) -> DaemonUnavailable:
        sent = not isinstance(error, httpx.ConnectError)
        if isinstance(error, httpx.TimeoutException):
            return DaemonUnavailable(f"the daemon at {self._path} did not answer in time", sent=sent)
        return DaemonUnavailable(f"the daemon at {self._path} hung up: it is stopping, or has too many callers", sent=sent)


def _knock(path: Path) -> None:
    """Raise ``DaemonUnavailable`` unless somebody is there. (httpx would not say why, and leave a socket open.)"""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(TIMEOUT)
            probe.connect(str(path))
    except PermissionError:
        raise DaemonUnavailable(f"this user may not use {path}: only members of its group may", denied=True) from None
    except (FileNotFoundError, NotADirectoryError):
        raise DaemonUnavailable(f"no daemon answers: there is no {path}") from None
    except OSError:
        raise DaemonUnavailable(f"no daemon answers at {path}: it is not running any more") from None


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
    """Times are times again, as they are where nothing lies between."""
    return datetime.fromisoformat(value) if isinstance(value, str) and _TIME.fullmatch(value) else value
