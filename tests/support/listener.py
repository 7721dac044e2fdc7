"""An HTTP listener on this machine that remembers what it was sent, and answers as it is told."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Listener:
    """Enter it to listen. ``status`` is what it answers, with ``location`` if there is one; while ``open`` is not set it answers nothing."""

    def __init__(self) -> None:
        self.status = 200
        self.location = ""
        self.open = threading.Event()
        self.open.set()
        self.heard: list[tuple[str, bytes]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                listener.heard.append((self.path, body))
                listener.open.wait()
                self.send_response(listener.status)
                self.send_header("content-length", "0")
                if listener.location:
                    self.send_header("location", listener.location)
                self.end_headers()

            do_POST = do_GET  # noqa: N815 - the name that http.server looks for

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # who hung up is no news
        self.port = self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def count(self) -> int:
        return len(self.heard)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What Apprise's json:// sent."""
        return [json.loads(body) for _, body in list(self.heard) if body]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
