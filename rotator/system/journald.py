"""Writes to the journal of systemd in its native protocol: an entry is a set of fields that
``journalctl`` can filter by.

::

    PRIORITY=3                          for `journalctl -p err`
    SYSLOG_IDENTIFIER=rotator
    MESSAGE=service.down service=vault kind=sealed message="…"
    ROTATOR_EVENT=service.down          and every other field of the event, with the same prefix
    ROTATOR_APPLICATION=billing

Text is written as it is, everything else as JSON. Time and level, which the journal adds, are left
out.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SOCKET = Path("/run/systemd/journal/socket")

PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""The priorities of syslog, by the levels of events."""

_LONGEST_NAME = 64
_KNOWN_BETTER = ("event", "level", "timestamp")
_PLAIN = re.compile(r"[^\s\"=]+")


class Journald:
    """Writes events of the log, each given as its line of JSON. Raises ``OSError`` at once if no
    journal listens at the path."""

    def __init__(self, path: Path = SOCKET) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            probe.connect(str(path))
        from logging_journald import JournaldTransport  # noqa: PLC0415 - other ways of logging do not pay for it

        # Unconnected, the transport opens the path for every entry, and so finds a restarted
        # journal.
        self._transport = JournaldTransport(path, connected=False)

    def put(self, line: str, timeout: float) -> None:
        """Sends one event; waits at most ``timeout`` seconds for the journal. Raises ``OSError``
        if it is lost."""
        self._transport.socket.settimeout(timeout)
        self._transport.send(entry(json.loads(line)).items())

    def close(self) -> None:
        """Closes the socket."""
        self._transport.socket.close()


def entry(event: Mapping[str, Any]) -> dict[str, str]:
    """The fields of the journal for the fields of an event."""
    return {
        "PRIORITY": str(PRIORITIES[event["level"]]),
        "SYSLOG_IDENTIFIER": "rotator",
        "MESSAGE": message(event),
        "ROTATOR_EVENT": str(event["event"]),
        **{_name(name): _text(value) for name, value in _fields(event)},
    }


def message(event: Mapping[str, Any]) -> str:
    """The event as one readable line: its name, then every field as ``name=value``, quoted if
    necessary."""
    fields = (f"{name}={_word(value)}" for name, value in _fields(event))
    return " ".join((str(event["event"]), *fields))


def _fields(event: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in event.items() if name not in _KNOWN_BETTER and value is not None]


def _name(name: str) -> str:
    return ("ROTATOR_" + re.sub(r"[^A-Z0-9_]", "_", name.upper()))[:_LONGEST_NAME]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def _word(value: Any) -> str:
    text = _text(value)
    return text if _PLAIN.fullmatch(text) or not isinstance(value, str) else json.dumps(text, ensure_ascii=False)
