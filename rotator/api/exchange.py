"""One request and its answer over a Unix socket in HTTP/1.0. Every wait has a limit."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self

from rotator.errors import RotatorError
from rotator.system.file_diagnosis import group_access
from rotator.system.peer_credentials import listener_problem

CONNECT_TIMEOUT = 5.0
"""Seconds to connect and to send the request."""

MAX_HEAD = 64 * 1024
"""Bytes of an answer before its body."""

RECEIVE_SIZE = 64 * 1024
"""Bytes received at once."""


class DaemonUnavailable(RotatorError):
    """The daemon did not answer. ``why`` is part of a sentence.

    ``denied``: this user may not use the socket. ``off``: the configuration opens no socket.
    ``present``: a process listens, so the daemon may be running. ``sent``: the daemon may have
    started the operation.
    """

    exit_code = 3

    def __init__(
        self, why: str, *, denied: bool = False, off: bool = False, present: bool = False, sent: bool = False
    ) -> None:
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


class DaemonExchange:
    """One request and its answer on one connection. Every wait has a limit."""

    def __init__(self, connection: socket.socket, path: Path, answer_timeout: float) -> None:
        self._connection = connection
        self._path = path
        self._answer_timeout = answer_timeout
        self._received = bytearray()
        self._searched = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(self, request: bytes) -> None:
        """Sends the whole request. A daemon that rejects it early may answer before reading all of
        it."""
        self._connection.settimeout(CONNECT_TIMEOUT)
        try:
            self._connection.sendall(request)
        except TimeoutError:
            raise DaemonUnavailable(
                f"the daemon at {self._path} does not read its socket", present=True, sent=True
            ) from None
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
        """Waits for more of the answer. False at its end."""
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


def connect(path: Path) -> socket.socket:
    """A connection to a trusted process. Raises ``DaemonUnavailable``."""
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
        return DaemonUnavailable(
            f"the daemon at {path} has too many callers, or does not read its socket", present=True
        )
    return DaemonUnavailable(f"no daemon answers at {path}: it is not running any more")


def _believe(connection: socket.socket, path: Path) -> None:
    if problem := listener_problem(connection, path):
        raise DaemonUnavailable(f"what listens at {path} is not trusted: {problem}", present=True)
