"""The log: one event a line on standard output. A fault of the log disturbs no work.

JSON lines for machines, a readable form for terminals, and entries of systemd's journal, made from
the same lines. Names and levels are in ``rotator.observability.events``. A ``Secret`` prints as
``[secret]``, and its value is masked in all other values before the line is made. Lines that cannot
be written are dropped and counted; the count is logged as soon as lines can be written again.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping

from rotator.domain.ports import EventSink
from rotator.observability.events import CATALOGUE
from rotator.observability.line_buffer import Descriptor, LineBuffer
from rotator.observability.log_fields import Format, line_maker
from rotator.system.journald import Journald
from rotator.util.crash import crash_site


class LogSink:
    """The event sink that writes to a file descriptor (default: standard output) or to the journal
    of systemd. If the journal is unavailable, it reports that and writes JSON lines. Drops events
    below ``level``."""

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
        self._logger = line_maker(form, colors=terminal)
        if absent:
            self.emit("logs.journal_unavailable", message=absent)

    def emit(self, event: str, **fields: object) -> None:
        """Logs one event. Never raises."""
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


def capture_libraries(sink: EventSink) -> None:
    """Turns warnings of libraries' logging into events. Their exceptions and arguments are dropped:
    they may quote answers, and with them secrets."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(_EventHandler(sink))
    root.setLevel(logging.WARNING)


class _EventHandler(logging.Handler):
    def __init__(self, sink: EventSink) -> None:
        super().__init__(logging.WARNING)
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        self._sink.emit("library.warning", library=record.name, where=f"{record.module}:{record.lineno}")


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def capture_crashes(sink: EventSink) -> None:
    """Reports uncaught exceptions by type and place, without the text that Python would print."""

    def report(error: BaseException | None) -> None:
        kind, where = crash_site(error) if error else ("?", "?")
        sink.emit("daemon.crashed", error=kind, where=where)

    sys.excepthook = lambda _type, error, _trace: report(error)
    threading.excepthook = lambda found: report(found.exc_value)
