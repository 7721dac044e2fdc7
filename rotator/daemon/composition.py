"""Builds the daemon, from what reports to what acts, and runs it.

First the event sinks, then the runtime that reports to them, then engine, monitoring and control
API, and the main loop last. No part is given to another after that one was built.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from rotator.api.listeners import Listeners
from rotator.daemon.daemon_runtime import DaemonRuntime
from rotator.daemon.engine import Engine
from rotator.daemon.local_daemon_handle import LocalDaemonHandle
from rotator.daemon.look_shares import LookShares
from rotator.daemon.main_loop import DaemonParts, MainLoop
from rotator.daemon.monitoring import Monitoring
from rotator.daemon.presence_keeper import PresenceKeeper
from rotator.daemon.reload import ReloadRequests
from rotator.daemon.single_run import SingleRun
from rotator.domain.ports import EventSink, RequestObserver
from rotator.observability.fan_out import FanOutSink
from rotator.observability.log_fields import Format
from rotator.observability.logs import LogSink, capture_crashes, capture_libraries
from rotator.observability.metrics.call_durations import CallDurations
from rotator.observability.metrics.counters import EventCounters
from rotator.observability.notifications import Notifier
from rotator.observability.repeats import RepeatFilter
from rotator.system.private_memory import keep_memory_private
from rotator.system.process import Signals
from rotator.system.sd_notify import ServiceManager

BuildRuntime = Callable[[EventSink, RequestObserver], DaemonRuntime]
"""Builds the runtime of the configuration as it is now; raises ``ConfigurationError``. Called at
the start and on each reload."""


@dataclass(frozen=True)
class Sinks:
    """What receives events and calls. The daemon emits to ``notifier``; from there an event passes
    through ``counters`` and ``broadcast`` to ``log``, so it is in the log before it is sent to
    subscribers, and counted before it becomes a message."""

    broadcast: FanOutSink
    counters: EventCounters
    notifier: Notifier
    calls: CallDurations


def build_sinks(log: EventSink) -> Sinks:
    """The sinks in front of this log. The notifier is silent until it has the settings of a
    runtime."""
    broadcast = FanOutSink(log)
    counters = EventCounters(broadcast)
    return Sinks(broadcast, counters, Notifier(counters), CallDurations())


def build_daemon(
    runtime: DaemonRuntime,
    rebuild: Callable[[], DaemonRuntime],
    sinks: Sinks,
    supervisor: ServiceManager,
    signals: Signals,
) -> MainLoop:
    """The daemon that begins with this runtime. ``rebuild`` builds the one of the next reload."""
    sinks.notifier.apply_runtime(runtime.alarm)
    shares = LookShares()
    engine = Engine(runtime, sinks.notifier, shares=shares, changed=signals.wake)
    presence = PresenceKeeper(engine, shares, sinks.notifier)
    monitor = Monitoring(engine, sinks.counters, sinks.calls, watchdog_interval=supervisor.watchdog_interval)
    reloads = ReloadRequests(signals.wake)
    listeners = Listeners(LocalDaemonHandle(engine, monitor, sinks.notifier, sinks.broadcast, reloads))
    monitor.watch("control API", listeners.idle)
    parts = DaemonParts(sinks.notifier, engine, presence, monitor, reloads, listeners)
    return MainLoop(parts, rebuild, supervisor, signals)


def run(build: BuildRuntime, *, once: bool = False, log_format: Format | None = None, log_level: str = "info") -> int:
    """Run the daemon, or one round of passes, until it ends; the exit code. Only from the main
    thread: it handles signals.

    Logs go to standard output, as JSON lines unless that is a terminal; events below ``log_level``
    are dropped. Raises ``ConfigurationError`` before anything begins.
    """
    log = RepeatFilter(LogSink(log_format, level=log_level))
    sinks = build_sinks(log)

    def build_runtime() -> DaemonRuntime:
        return build(sinks.notifier, sinks.calls.observe)

    runtime = build_runtime()
    keep_memory_private()
    capture_libraries(sinks.counters)
    capture_crashes(sinks.counters)
    with Signals() as signals, closing(ServiceManager()) as supervisor, closing(sinks.notifier):
        if once:
            sinks.notifier.apply_runtime(runtime.alarm)
            code = SingleRun(runtime, sinks.notifier, signals).run()
        else:
            code = build_daemon(runtime, build_runtime, sinks, supervisor, signals).run()
    log.close()
    _leave(code)
    return code


def _leave(code: int) -> None:
    """End without workers that hang in a call: Python joins them at its end, so they would outlast
    every stop timeout."""
    end = time.monotonic() + 0.5  # an idle worker ends in much less
    workers = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in workers:
        thread.join(max(0.0, end - time.monotonic()))
    if any(thread.is_alive() for thread in workers):
        os._exit(code)
