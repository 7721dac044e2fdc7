"""A proxy in front of a server that does what it is asked, and loses answers when it is told to."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class LossyProxy:
    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.address = ""
        self.lose: Callable[[str, str], bool] = lambda method, path: False
        """Whether the answer to this request is dropped after the server has given it."""
        self.answer: Callable[[str, str], tuple[int, bytes] | None] = lambda method, path: None
        """An answer to give instead of asking the server."""


@contextmanager
def lossy_proxy(upstream: str) -> Iterator[LossyProxy]:
    proxy = LossyProxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            made_up = proxy.answer(self.command, self.path)
            if made_up is not None:
                self._reply(*made_up, {})
                return
            onward = http.client.HTTPConnection(proxy.upstream, timeout=30)
            onward.request(self.command, self.path, body, dict(self.headers.items()))
            answer = onward.getresponse()
            content = answer.read()
            onward.close()
            if proxy.lose(self.command, self.path):
                self.close_connection = True
                return
            self._reply(answer.status, content, dict(answer.headers.items()))

        def _reply(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "connection"):
                    self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

        do_GET = do_POST = do_PUT = do_PATCH = do_LIST = do_DELETE = _pass  # noqa: N815 - names that the base class calls

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
