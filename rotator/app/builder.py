"""Builds runtimes from a configuration file. The daemon builds another one beside the first on each
reload."""

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
    """Builds the runtime of a configuration file, as the file is at each call. The credentials that
    were seen refused are those of the process, so every runtime that one builder builds knows
    them."""

    path: Path
    refusals: Refusals = field(default_factory=Refusals)

    def __call__(self, sink: EventSink, observe: RequestObserver) -> AppRuntime:
        """The runtime. Contacts nothing; raises ``ConfigurationError`` with every problem of the
        file."""
        return AppRuntime(config.load(self.path), sink, observe, self.refusals)


def open_runtime(path: Path, sink: EventSink | None = None, only: Collection[str] = ()) -> AppRuntime:
    """The runtime of a process that reads its configuration once. Calls are not observed. ``only``
    names the applications that it is opened for; problems of others do not matter."""
    return AppRuntime(config.load(path, only=only), sink or NullEventSink(), _discard, Refusals())


def _discard(service: str, outcome: str, seconds: float) -> None:
    """Observes calls for a process that has no metrics."""
