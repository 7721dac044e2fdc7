"""The logs: one event per line on standard output, and a promise that no fault of theirs disturbs the work.

JSON lines for machines, a readable form for terminals, and entries of the journal of systemd, made
from the same lines. Names and levels are those of ``rotator.observability.events``. A secret is a
type that shows as ``[secret]``, and the values of secrets are masked in all other values before the
line is made. A line that cannot be written is lost and counted, and the count is logged as soon as
lines can be written again.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

import structlog

from rotator.domain.ports import EventSink
from rotator.observability.events import CATALOGUE
from rotator.observability.serialization import to_json_value
from rotator.system.journald import Journald
from rotator.util.crash import crash_site
from rotator.util.terminal import visible_line

Format = Literal["json", "console", "journal"]


FORMATS: tuple[Format, ...] = ("json", "console", "journal")


PATIENCE = 1.0
"""Seconds that a line waits for a reader who does not read; then it is lost, and lines after it do not wait at all."""


MAX_WAITING = 10_000
"""Lines that wait for the thread that writes; older ones are lost."""


_AT_ONCE = 4096
"""Bytes that a pipe which is ready for writing takes without blocking (PIPE_BUF)."""


class LineBuffer:
    """Where finished lines go. Never raises, never blocks for long, and makes no thread wait for another.

    One thread at a time writes, and it writes the lines of others that come meanwhile. What cannot be written is lost and counted;
    ``confess`` makes the line that tells how many, which goes before the next one that can be written. ``put`` writes a line and
    waits for its reader no longer than the seconds that it is given; then it raises ``OSError``.
    """

    def __init__(self, put: Callable[[str, float], None], confess: Callable[[int], str]) -> None:
        self._put = put
        self._confess = confess
        self._waiting: deque[str] = deque()
        self._writing = threading.Lock()
        self.lost = 0

    def write(self, line: str) -> None:
        """Write one line, or leave it to the thread that writes now, or lose it."""
        self._waiting.append(line)
        # A line that came after the writer's last look and before its release is found by the next turn.
        while self._waiting and self._writing.acquire(blocking=False):
            try:
                self._write_waiting()
            finally:
                self._writing.release()

    def _write_waiting(self) -> None:
        while self._waiting:
            if (surplus := len(self._waiting) - MAX_WAITING) > 0:
                self.lost += surplus
                for _ in range(surplus):
                    self._waiting.popleft()
            line = self._waiting.popleft()
            patience = 0.0 if self.lost else PATIENCE
            try:
                if self.lost:
                    self._put(self._confess(self.lost), patience)
                    self.lost = 0
                self._put(line, patience)
            except (OSError, ValueError):
                self.lost += 1


class Descriptor:
    """A file descriptor that takes lines."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._torn = False

    def put(self, line: str, patience: float) -> None:
        """Write the whole line; the reader may delay the call by so many seconds between its
        parts."""
        data = line.encode(errors="backslashreplace") + b"\n"
        if self._torn:
            data = b"\n" + data  # what was cut off in the middle must not swallow this line as well
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        rest = memoryview(data)
        while rest:
            if not poll.poll(patience * 1000):
                raise BlockingIOError
            written = os.write(self._descriptor, rest[:_AT_ONCE])
            rest = rest[written:]
            self._torn = bool(rest)


class LogSink:
    """The journal that writes to a file descriptor, standard output unless said otherwise, or to the journal of systemd. Where
    that is asked for and is not there, it says so and writes JSON lines instead. Events below ``level`` are dropped."""

    def __init__(
        self,
        form: Format | None = None,
        *,
        descriptor: int = 1,
        level: str = "info",
        journald: Callable[[], Journald] = Journald,
    ) -> None:
        terminal = os.isatty(descriptor) if _is_open(descriptor) else False
        form = form or ("console" if terminal else "json")
        put, absent = Descriptor(descriptor).put, None
        if form == "journal":
            try:
                put = journald().put
            except OSError as error:
                absent = error.strerror or type(error).__name__
        self._lines = LineBuffer(put, lambda lost: self._line("error", "logs.dropped", {"lines": lost}))
        self._least = getattr(logging, level.upper())
        self._logger = structlog.wrap_logger(
            _Sink(),
            wrapper_class=structlog.BoundLogger,
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _plain,
                _ordered,
                *([_visible] if form == "console" else []),
                structlog.dev.ConsoleRenderer(colors=terminal, sort_keys=False, pad_event_to=24) if form == "console" else _json,
            ],
        )
        if absent:
            self.emit("logs.journal_unavailable", message=absent)

    def emit(self, event: str, **fields: object) -> None:
        """Record one event. Never raises."""
        kind = CATALOGUE.get(event)
        level = kind.level if kind else "warning"
        if getattr(logging, level.upper()) < self._least:
            return
        try:
            line = self._line(level, event, fields)
        except Exception as error:  # noqa: BLE001  # a line that cannot be made must not end a pass
            line = self._line(level, event, {"unprintable": type(error).__name__})
        self._lines.write(line)

    def _line(self, level: str, event: str, fields: Mapping[str, object]) -> str:
        line: str = getattr(self._logger, level)(event, **fields)
        return line


def capture_libraries(journal: EventSink) -> None:
    """Let warnings of the libraries' own logging become events. Their exceptions and arguments are left out: they may quote
    answers, and with them secrets."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_ToJournal(journal))
    root.setLevel(logging.WARNING)


class _ToJournal(logging.Handler):
    def __init__(self, journal: EventSink) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        self._journal.emit("library.warning", library=record.name, where=f"{record.module}:{record.lineno}")


class _Sink:
    """The end of structlog's chain: it hands the finished line back."""

    def debug(self, line: str) -> str:
        return line

    info = warning = error = critical = debug


def _plain(logger: object, method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:  # noqa: ARG001  # structlog's signature
    return {name: to_json_value(value) for name, value in fields.items()}


def _visible(logger: object, method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:  # noqa: ARG001  # structlog's signature
    return {name: visible_line(value) if isinstance(value, str) else value for name, value in fields.items()}


def _ordered(logger: object, method: str, fields: structlog.typing.EventDict) -> structlog.typing.EventDict:  # noqa: ARG001  # structlog's signature
    first = ("timestamp", "level", "event", "application", "account")
    return {name: fields[name] for name in first if name in fields} | dict(fields)


def _json(logger: object, method: str, fields: structlog.typing.EventDict) -> str:  # noqa: ARG001  # structlog's signature
    return json.dumps(fields, separators=(", ", ": "), allow_nan=False)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def capture_crashes(journal: EventSink) -> None:
    """Let uncaught exceptions be reported by type and place, without the text that Python would
    print."""

    def report(error: BaseException | None) -> None:
        kind, where = crash_site(error) if error else ("?", "?")
        journal.emit("daemon.crashed", error=kind, where=where)

    sys.excepthook = lambda _type, error, _trace: report(error)
    threading.excepthook = lambda found: report(found.exc_value)
