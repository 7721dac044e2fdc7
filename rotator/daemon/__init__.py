"""The daemon: every application's passes, each when it is due, in one process that tells how it is and ends in good order."""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from pathlib import Path

from rotator.daemon.main_loop import MainLoop, SingleRun
from rotator.daemon.runtime import DaemonRuntime
from rotator.observability.fan_out import FanOutSink
from rotator.observability.logs import Format, LogSink, capture_crashes, capture_libraries
from rotator.observability.metrics.counters import EventCounters
from rotator.observability.notifications import Notifier
from rotator.observability.repeats import RepeatFilter
from rotator.system.private_memory import keep_memory_private
from rotator.system.process import Signals
from rotator.system.sd_notify import ServiceManager

__all__ = ["DaemonRuntime", "MainLoop", "SingleRun", "run"]


def run(what: DaemonRuntime | Path, *, once: bool = False, log_format: Format | None = None, log_level: str = "info") -> int:
    """Run the daemon, or one round of passes, until it ends; the exit code. Only from the main thread: it handles signals.

    ``what`` is a configuration file, or what was built from one. Logs go to standard output, as JSON lines unless that is a
    terminal; events below ``log_level`` are dropped. Raises ``ConfigurationError`` before anything begins.
    """
    runtime = _opened(what)
    log = RepeatFilter(LogSink(log_format, level=log_level))
    broadcast = FanOutSink(log)
    counters = EventCounters(broadcast)
    keep_memory_private()
    capture_libraries(counters)
    capture_crashes(counters)
    with Signals() as signals, closing(ServiceManager()) as supervisor, closing(Notifier(counters, runtime.alarm)) as alarm:
        runtime.sink = alarm
        if once:
            code = SingleRun(runtime, alarm, signals, alarm).run()
        else:
            code = MainLoop(runtime, alarm, supervisor, signals, counters=counters, alarm=alarm, broadcast=broadcast).run()
    log.close()
    _leave(code)
    return code


def _opened(what: DaemonRuntime | Path) -> DaemonRuntime:
    if not isinstance(what, Path):
        return what
    from rotator.app import AppRuntime  # noqa: PLC0415 - for callers who have only a file; the daemon itself knows no ``AppRuntime``

    return AppRuntime.open(what)


def _leave(code: int) -> None:
    """Python waits for workers at its end, so one that hangs in a call would outlast every stop timeout: do not wait."""
    end = time.monotonic() + 0.5  # what is idle ends by itself in much less
    workers = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in workers:
        thread.join(max(0.0, end - time.monotonic()))
    if any(thread.is_alive() for thread in workers):
        os._exit(code)
