"""The process of the playground: ``python -m rotator.sandbox.practice.supervisor DIRECTORY``.

It answers one request a connection on a Unix socket in the directory: a line of JSON with ``verb``
and ``what``; the verbs are those of ``_carry_out``. The answer is a line of JSON with ``result`` or
``error``. It ends by ``stop`` or SIGTERM, and all parts with it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import sys
from pathlib import Path

from rotator.errors import RotatorError
from rotator.sandbox.practice.client import SOCKET
from rotator.sandbox.practice.playground import Playground

LONGEST_REQUEST = 4096
REQUEST_TIMEOUT = 5.0


def main(directory: Path) -> int:
    """Serve until asked to stop."""
    signal.signal(signal.SIGTERM, _stop)
    with Playground(directory) as playground, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path = directory / SOCKET
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        try:
            while _serve(listener, playground):
                pass
        finally:
            path.unlink(missing_ok=True)
    return 0


def _serve(listener: socket.socket, playground: Playground) -> bool:
    """Answer one request; whether to go on."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(REQUEST_TIMEOUT)
        try:
            request = json.loads(connection.recv(LONGEST_REQUEST))
            verb = str(request["verb"])
            answer = {"result": _carry_out(playground, verb, str(request.get("what", "")))}
        except RotatorError as error:
            verb, answer = "", {"error": str(error)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            verb, answer = "", {"error": f"the request cannot be understood ({type(error).__name__})"}
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps(answer).encode() + b"\n")
    return verb != "stop"


def _carry_out(playground: Playground, verb: str, what: str) -> object:
    match verb:
        case "status":
            return playground.status()
        case "break":
            return playground.inject(what)
        case "mend":
            return playground.mend()
        case "unit":
            return playground.control_unit(*what.split())
        case "consumer":
            return playground.restart_consumer(what)
        case "delete-key":
            return playground.delete_key(what)
        case "stop":
            return "stopped"
    raise ValueError


def _stop(*_: object) -> None:
    raise SystemExit(0)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except RotatorError as refusal:
        sys.exit(str(refusal))
