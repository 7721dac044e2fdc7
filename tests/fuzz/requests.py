"""Hostile requests to the API and the webhook, and a daemon that answers a command whatever it likes."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from rotator.api import client as api_client
from rotator.api.request_parsing import subjects_of
from rotator.api.webhook import _report
from rotator.api.webhook_auth import is_authentic, signature
from rotator.domain.secret import Secret
from rotator.errors import RotatorError
from rotator.operations.failures import ReportedError
from rotator.operations.refusal import OperationError
from rotator.operations.registry import OPERATIONS
from tests.fuzz.hostile import SECRET, mutated, places, plain, string, value
from tests.fuzz.services import told

SOUND: dict[str, Any] = {
    "applications": ["billing"],
    "application": "billing",
    "access_keys": ["SCWAAAAAAAAAAAAAAAAA"],
    "access_key": "SCWAAAAAAAAAAAAAAAAA",
    "reason": "leak",
    "confirm": [],
    "compromised": True,
    "seconds": 3600,
    "everything": False,
    "globs": ["b*"],
    "accounts": ["acme"],
    "account": "acme",
    "created_before": "2026-01-01T00:00:00Z",
    "since": "2026-01-01T00:00:00Z",
    "until": "2026-01-01T00:00:00Z",
    "id": "1" * 16,
    "trail": True,
}
REPORT = {"application": "billing", "reason": "found in a log"}


def request(rng: Random) -> None:
    """Arguments of an operation are taken within bounds, or refused by name without being repeated."""
    operation = OPERATIONS[rng.choice(list(OPERATIONS))]
    sound = {name: example for name, example in SOUND.items() if name in operation.takes.model_fields}
    given: Any = mutated(rng, sound, list(places(sound))).encode(errors="surrogatepass")
    if rng.random() < 0.3:
        given = {name: plain(rng) for name in sound}
    try:
        found = operation.request(given)
        operation.urgent(found)
        operation.exclusive_key(found)
        json.dumps(subjects_of(found))
    except (OperationError, RotatorError) as error:
        told(error)


def webhook(rng: Random) -> None:
    """A report is one, or refused; headers are compared, whatever they hold."""
    body = mutated(rng, REPORT, list(places(REPORT))).encode(errors="surrogatepass")
    try:
        _report(body)
    except OperationError as error:
        told(error)
    header = string(rng).encode("latin-1", errors="replace").decode("latin-1")  # what can be in a header
    assert not is_authentic(header, Secret(SECRET))
    assert SECRET not in signature(Secret(SECRET), header, body)


class _Caller(api_client.DaemonClient):
    """The client at one end of a pair of sockets, whose other end is a daemon that answers what it likes."""

    def __init__(self, ours: socket.socket) -> None:
        self._path, self._config = Path("/run/rotator/control.sock"), Path("/etc/rotator/rotator.toml")
        self._remark, self._remarked = (lambda _: None), False
        self._waiting: socket.socket | None = ours


def _answer(theirs: socket.socket, answer: bytes) -> None:
    """Take one request, answer it and hang up."""
    with theirs, suppress(OSError):
        theirs.recv(1 << 16)
        theirs.sendall(answer)


def daemon_answer(rng: Random) -> None:
    """What a daemon answers is understood, or told as not understood."""
    name = rng.choice(["status", "plan", "rotate", "history", "lookup", "coverage", "health"])
    sound: Any = rng.choice(
        (
            {"result": []},
            {"event": "key.revoked", "application": "billing", "at": "2026-01-01T00:00:00Z"},
            {"error": {"kind": "busy", "message": "no", "exit_code": 3}},
        )
    )
    lines = [mutated(rng, sound, list(places(sound))) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.1:
        lines.append(value(rng))
    # The daemon masks what it tells; the command repeats it.
    body = "\n".join(lines).replace(SECRET, "masked").encode(errors="surrogatepass")
    status = rng.choice((200, 200, 200, 400, 404, 409, 421, 500))

    head = f"HTTP/1.0 {status} Any\r\nrotator-version: 0\r\n\r\n".encode()
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=_answer, args=(theirs, head + body))
    thread.start()
    caller = _Caller(ours)
    try:
        caller.call(name)
    except ReportedError as error:
        told(error, sound=error.failure.exit_code in (1, 2, 3, 4))
    except RotatorError as error:
        told(error)
    finally:
        caller.close()
        ours.close()
        thread.join()
