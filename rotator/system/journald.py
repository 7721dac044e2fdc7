"""The journal of systemd, spoken to in its native protocol: an entry is a set of fields that
``journalctl`` can filter by.

::

    PRIORITY=3                          what `journalctl -p err` goes by
    SYSLOG_IDENTIFIER=rotator
    MESSAGE=service.down service=vault kind=sealed message="…"
    ROTATOR_EVENT=service.down          and every other field of the event, under the same prefix
    ROTATOR_APPLICATION=billing

Text stands there as it is, everything else as JSON. What the journal knows better, the time and the
level, is not repeated.
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
    """Takes the events of the log, each as its line of JSON. Raises ``OSError`` at once when no
    journal listens at the path."""

    def __init__(self, path: Path = SOCKET) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            probe.connect(str(path))
        from logging_journald import JournaldTransport  # noqa: PLC0415 - other ways of logging do not pay for it

        # Not connected, it looks for the path with every entry, and so finds a journal that was
        # restarted.
        self._transport = JournaldTransport(path, connected=False)

    def put(self, line: str, patience: float) -> None:
        """Send one event, waiting so many seconds for a journal that does not read. ``OSError``
        means that it is lost."""
        self._transport.socket.settimeout(patience)
        self._transport.send(entry(json.loads(line)).items())

    def close(self) -> None:
        """Nothing more will be sent."""
        self._transport.socket.close()


def entry(event: Mapping[str, Any]) -> dict[str, str]:
    """The fields of the journal for the fields of an event."""
    return {
        "PRIORITY": str(PRIORITIES[event["level"]]),
        "SYSLOG_IDENTIFIER": "rotator",
        "MESSAGE": message(event),
        "ROTATOR_EVENT": str(event["event"]),
        **{_name(name): _text(value) for name, value in _told(event)},
    }


def message(event: Mapping[str, Any]) -> str:
    """The event as one line for people: its name, then every field as ``name=value``, in quotes
    where it has to be."""
    fields = (f"{name}={_word(value)}" for name, value in _told(event))
    return " ".join((str(event["event"]), *fields))


def _told(event: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in event.items() if name not in _KNOWN_BETTER and value is not None]


def _name(name: str) -> str:
    return ("ROTATOR_" + re.sub(r"[^A-Z0-9_]", "_", name.upper()))[:_LONGEST_NAME]


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode(errors="backslashreplace").decode()


def _word(value: Any) -> str:
    text = _text(value)
    return text if _PLAIN.fullmatch(text) or not isinstance(value, str) else json.dumps(text, ensure_ascii=False)
