"""Adds level and time (UTC) to log lines and converts values to JSON.

The other fields belong to the event: ``rotator.observability.events`` lists them, the emitting code
fills them in, and ``PassState.emit`` adds the application and its account.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from rotator.observability.serialization import to_json_value
from rotator.util.absent import absent
from rotator.util.terminal import visible_line

with absent("rich"):  # structlog would load it for tracebacks, of which no log has one: a tenth of the start
    import structlog

Format = Literal["json", "console", "journal"]


FORMATS: tuple[Format, ...] = ("json", "console", "journal")


def line_maker(form: Format, *, colors: bool) -> Any:
    """A structlog logger whose methods return the finished line of an event."""
    return structlog.wrap_logger(
        _Sink(),
        wrapper_class=structlog.BoundLogger,
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _plain,
            _ordered,
            *([_visible] if form == "console" else []),
            structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False, pad_event_to=24)
            if form == "console"
            else _json,
        ],
    )


class _Sink:
    """The end of structlog's chain: returns the finished line."""

    def debug(self, line: str) -> str:
        return line

    info = warning = error = critical = debug


def _plain(_: object, __: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: to_json_value(value) for name, value in fields.items()}


def _visible(_: object, __: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: visible_line(value) if isinstance(value, str) else value for name, value in fields.items()}


def _ordered(_: object, __: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:
    first = ("timestamp", "level", "event", "application", "account")
    return {name: fields[name] for name in first if name in fields} | dict(fields)


# ARG001: structlog's signature
def _json(logger: object, method: str, fields: structlog.typing.EventDict) -> str:  # noqa: ARG001
    return json.dumps(fields, separators=(", ", ": "), allow_nan=False)
