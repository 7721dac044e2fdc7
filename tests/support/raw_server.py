"""A server that says exactly the bytes it is told to, for answers that no proper server gives."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Self

Script = bytes | Callable[[socket.socket], None]
"""What to do with one request: say these bytes, or something else with the connection."""


class RawServer:
    """Answers the n-th request with the n-th script, and with the last one from then on. Connections are kept alive until
    the client or a script ends them."""

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self._tls = tls
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Listen no more and end every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def said(self, text: str) -> bool:
        """Whether some request held the text."""
        return any(text.encode() in request for request in self.requests)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                while True:
                    request = _read_request(connection)
                    with self._lock:
                        script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                        self.requests.append(request)
                    if isinstance(script, bytes):
                        connection.sendall(script)
                    else:
                        script(connection)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise EOFError
    return data


# --- scripts ----------------------------------------------------------------------------------------------------------------


def answer(status: int, body: object = b"", *, date: str | None = None, **headers: str) -> bytes:
    """A proper answer; ``body`` is bytes as they are, or anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Reason", f"Date: {formatdate(usegmt=True) if date is None else date}"]
    if status != 204:
        lines.append(f"Content-Length: {len(content)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def close(connection: socket.socket) -> None:
    """End the connection without a word."""
    connection.shutdown(socket.SHUT_RDWR)
    raise EOFError


def reset(connection: socket.socket) -> None:
    """Reset the connection without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    raise EOFError


def then_close(data: bytes) -> Script:
    """Say this, then end the connection."""

    def script(connection: socket.socket) -> None:
        connection.sendall(data)
        close(connection)

    return script


def drip(head: bytes, endless: bytes, stop: threading.Event) -> Script:
    """Say the head at once, and then one byte after the other without end."""

    def script(connection: socket.socket) -> None:
        connection.sendall(head)
        while not stop.wait(0.02):
            connection.sendall(endless)

    return script


def silence(stop: threading.Event) -> Script:
    """Say nothing."""

    def script(connection: socket.socket) -> None:
        stop.wait()

    return script


@contextlib.contextmanager
def refusing() -> Iterator[str]:
    """The address of a port on which nobody listens."""
    with socket.socket() as reserved:
        # Bound and not listening: nobody else can take the port, and it refuses.
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"
