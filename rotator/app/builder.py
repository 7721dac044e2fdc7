"""Builds runtimes from a configuration file. On each reload, the daemon builds another one beside
the first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from rotator import config
from rotator.app.app_runtime import AppRuntime
from rotator.domain.ports import EventSink, NullEventSink, RequestObserver
from rotator.util.refusals import Refusals


@dataclass(frozen=True)
class RuntimeBuilder:
    """Builds the runtime of a configuration file, which is read at each call. Rejected credentials
    are remembered for the process, so all runtimes of one builder share them."""

    path: Path
    refusals: Refusals = field(default_factory=Refusals)

    def __call__(self, sink: EventSink, observe: RequestObserver) -> AppRuntime:
        """Builds the runtime. Contacts nothing. Raises ``ConfigurationError`` with every problem of
        the file."""
        return AppRuntime(config.load(self.path), sink, observe, self.refusals)


def open_runtime(path: Path, sink: EventSink | None = None, only: Collection[str] = ()) -> AppRuntime:
    """The runtime of a process that reads its configuration once. Calls are not observed. ``only``:
    the applications to open it for; problems of others are ignored."""
    return AppRuntime(config.load(path, only=only), sink or NullEventSink(), _discard, Refusals())


def _discard(service: str, outcome: str, seconds: float) -> None:
    """The observer of a process without metrics."""
