"""Resolves host names within a deadline, which the system's resolver does not support."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from contextlib import suppress

import httpcore


def look_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host, resolved in another thread."""
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    found: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
        except OSError as error:
            found.put(error)
        except UnicodeError:  # for example a label that is too long
            found.put(socket.gaierror(socket.EAI_NONAME, "not a host name"))

    threading.Thread(target=ask, name="rotator-resolver", daemon=True).start()
    try:
        result = found.get(timeout=seconds)
    except queue.Empty:
        raise httpcore.ConnectTimeout("name look-up") from None
    if isinstance(result, OSError):
        raise httpcore.ConnectError(result)
    return result
