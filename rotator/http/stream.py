"""A connected socket on which a call waits only for what has not arrived yet.

The streams of httpcore set a timeout before each read and write: three system calls more for each
request, and at each of them a thread gives the interpreter to another one.
"""

from __future__ import annotations

import select
import ssl
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import httpcore

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

T = TypeVar("T")


class NonBlockingStream(httpcore.NetworkStream):
    """A socket, with or without TLS, as a network stream of httpcore. Timeouts are in seconds."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(connected, select.POLLIN)
        self._writable.register(connected, select.POLLOUT)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What arrives first, at most ``max_bytes``; empty at the end. Raises ``ReadTimeout`` and
        ``ReadError``."""
        end = _end(timeout)
        if not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):  # an answer takes time
            _wait(self._readable, end, httpcore.ReadTimeout)
        attempt = partial(self._socket.recv, max_bytes)
        return self._attempt(attempt, self._readable, end, httpcore.ReadTimeout, httpcore.ReadError)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Writes all of it. Raises ``WriteTimeout`` and ``WriteError``."""
        end, sent, send = _end(timeout), 0, self._socket.send
        while sent < len(buffer):
            attempt = partial(send, buffer[sent:])
            sent += self._attempt(attempt, self._writable, end, httpcore.WriteTimeout, httpcore.WriteError)

    def _attempt(
        self,
        attempt: Callable[[], T],
        usual: select.poll,
        end: float | None,
        overdue: type[Exception],
        failed: type[Exception],
    ) -> T:
        """The result of ``attempt``, as soon as the socket is ready for it. TLS may have to receive
        before it can send, and the other way round."""
        while True:
            try:
                return attempt()
            except ssl.SSLWantReadError:
                _wait(self._readable, end, overdue)
            except ssl.SSLWantWriteError:
                _wait(self._writable, end, overdue)
            except BlockingIOError:
                _wait(usual, end, overdue)
            except OSError as error:
                raise failed(str(error)) from error

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """Whether it ``is_readable``: something has arrived, or its end."""
        return bool(self._readable.poll(0)) if info == "is_readable" else None


def _end(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _wait(ready: select.poll, end: float | None, overdue: type[Exception]) -> None:
    left = None if end is None else max(0.0, end - time.monotonic()) * 1000
    if not ready.poll(left):
        raise overdue("timed out")
