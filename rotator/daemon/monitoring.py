"""Reports how the daemon is: metrics, ``/healthz``, ``/readyz`` and the health of the control API.

Everything is read from the engine's memory when it is asked for, without a lock and without
contacting a service, so that it can report on a daemon whose lock is never given back. The
exception is the quota headroom of accounts, which only the provider knows: a periodic task asks for
it while the metrics listener is open.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rotator.daemon.services import VAULT, ServiceState
from rotator.errors import RotatorError
from rotator.observability.metrics import snapshot
from rotator.observability.metrics.collector import Sample, samples
from rotator.observability.metrics.server import MetricsResponse, MetricsServer
from rotator.util.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rotator.config import Listener
    from rotator.daemon.engine import Engine
    from rotator.daemon.snapshot import ServiceSnapshot, TaskSnapshot
    from rotator.observability.metrics.call_durations import CallDurations
    from rotator.observability.metrics.counters import EventCounters
    from rotator.observability.metrics.exposition import Exposition

WATCHDOG_LIMIT = timedelta(minutes=3)
"""How long a loop or the workers may do nothing before the daemon counts as hung; less where the
service manager has less."""

LISTEN_EVERY = timedelta(seconds=10)
"""Interval at which the listener is checked and the headroom requested. (The provider is asked once
a minute.)"""


class Monitoring:
    """Reports on one engine. ``watchdog_interval`` is that of the service manager, None without
    one."""

    def __init__(
        self,
        engine: Engine,
        counters: EventCounters,
        calls: CallDurations,
        *,
        watchdog_interval: timedelta | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._counters = counters
        self._calls = calls
        self._watchdog_limit = min(watchdog_interval or WATCHDOG_LIMIT, WATCHDOG_LIMIT)
        self._exposition: Exposition | None = None
        self._server: MetricsServer | None = None
        self._complained = ""
        self._headroom: dict[str, int | None] = {}
        self._clock = clock
        self._ticked_at = clock()
        self._loops: dict[str, Callable[[], float]] = {}
        self._configured_at = datetime.now(UTC)
        self._refused = 0
        self._stopping = False
        self._closed = False
        self._listening = threading.Lock()

    # --- what the daemon reports ------------------------------------------------------------------

    def loop_ticked(self) -> None:
        """Note that the main loop runs."""
        self._ticked_at = self._clock()

    def watch(self, name: str, idle: Callable[[], float]) -> None:
        """Watch another loop too: ``idle`` returns the seconds since it was seen to run."""
        self._loops[name] = idle

    def reloaded(self, problems: int = 0) -> None:
        """A reload is over: the new configuration is in force, or has so many problems."""
        self._refused = problems
        if not problems:
            self._configured_at = datetime.now(UTC)
            self.listen()

    def stopping(self) -> None:
        """The end has begun."""
        self._stopping = True

    def maintain(self) -> timedelta:
        """Ensure that the server listens and that the headroom is known. A periodic task."""
        self.listen()
        if self._server is not None:
            self._ask_for_room()
        return LISTEN_EVERY

    def close(self) -> None:
        """Stop answering for good."""
        with self._listening:
            self._closed = True
            self._hang_up()

    # --- listening --------------------------------------------------------------------------------

    def listen(self) -> None:
        """Listen where the configuration in force says. A failure is reported once, and the
        periodic task tries again."""
        with self._listening:
            at, server = self._engine.runtime.listen, self._server
            if self._closed or (server is not None and server.at == at and server.listening):
                return
            self._hang_up()
            if at is not None:
                self._open(at)

    def _hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _open(self, at: Listener) -> None:
        if self._exposition is None:
            # PLC0415: its library costs a tenth of a second
            from rotator.observability.metrics.exposition import Exposition  # noqa: PLC0415

            self._exposition = Exposition(self._samples, self._calls)
        try:
            self._server = MetricsServer(at, self._page).open()
        except OSError as error:
            if self._complained != str(at):
                self._complained = str(at)
                reason = (error.strerror or "input or output error").lower()
                self._engine.sink.emit("metrics.unavailable", listen=str(at), message=reason)
        else:
            self._complained = ""
            self._engine.sink.emit("metrics.listening", listen=str(at))

    def _ask_for_room(self) -> None:
        runtime = self._engine.runtime
        for name, service in list(self._engine.services.items()):
            if name != VAULT and service.state is ServiceState.UP:
                try:
                    self._headroom[name] = runtime.provider(name).headroom()
                except RotatorError:
                    self._headroom[name] = None

    # --- pages ------------------------------------------------------------------------------------

    def _page(self, path: str, accept: str) -> MetricsResponse | None:
        match path:
            case "/metrics" if self._exposition:
                content_type, text = self._exposition.answer(accept)
                return MetricsResponse(200, text, content_type)
            case "/healthz":
                return _told(self.health())
            case "/readyz":
                return _told(self.readiness())
        return None

    def health(self) -> list[tuple[str, bool, str]]:
        """Whether the daemon runs, cause by cause: a name, whether it is well, and details. The
        watchdog is fed only if all are."""
        loops = {"loop": self._clock() - self._ticked_at} | {name: idle() for name, idle in self._loops.items()}
        idle = self._since_work()
        return [
            *(
                (
                    name,
                    (since := timedelta(seconds=seconds)) <= self._watchdog_limit,
                    f"ran {format_duration(since, units=1)} ago",
                )
                for name, seconds in loops.items()
            ),
            ("workers", idle <= self._watchdog_limit, f"did something {format_duration(idle, units=1)} ago"),
        ]

    def readiness(self) -> list[tuple[str, bool, str]]:
        """Whether the daemon can do its work, cause by cause."""
        now = datetime.now(UTC)
        services = [(service.name, *_ability(service, now)) for service in self._engine.snapshot().services]
        age = format_duration(now - self._configured_at, units=1)
        problems = f"{self._refused} problem{'' if self._refused == 1 else 's'}"
        refused = f"; the newer one has {problems} and was refused" if self._refused else ""
        causes = [("configuration", True, f"in force for {age}{refused}"), *services]
        if problem := self._engine.runtime.login_problem():
            causes.append(("login", False, f"fails, and work stops in {format_duration(problem.left, units=1)}"))
        if self._stopping:
            causes.append(("daemon", False, "stopping"))
        return causes

    def _since_work(self) -> timedelta:
        return timedelta(seconds=self._clock() - self._engine.progressed_at)

    # --- the snapshot -----------------------------------------------------------------------------

    def _samples(self) -> Iterator[Sample]:
        return samples(self.snapshot(), self._counters.counts())

    def snapshot(self) -> snapshot.MetricsSnapshot:
        """What the daemon knows now."""
        runtime, engine, now = self._engine.runtime, self._engine.snapshot(), datetime.now(UTC)
        # A reload may come between the two: an account that the runtime does not know is left out.
        services = [service for service in engine.services if service.name == VAULT or service.name in runtime.accounts]
        clocks: dict[str, Callable[[], timedelta]] = {
            service.name: runtime.vault.clock_offset
            if service.name == VAULT
            else runtime.provider(service.name).clock_offset
            for service in services
        }
        return snapshot.MetricsSnapshot(
            now=now,
            alive=all(well for _, well, _ in self.health()),
            idle=self._since_work(),
            configured_at=self._configured_at,
            reload_refused=bool(self._refused),
            applications=tuple(map(_application, engine.tasks)),
            services=tuple(
                snapshot.ServiceSample(
                    service.name, _up(service), clocks[service.name](), self._headroom.get(service.name)
                )
                for service in services
            ),
            login=runtime.login_life(),
            login_failing=runtime.login_problem() is not None,
            daemons=self._engine.shares.daemons,
            looks_left=self._engine.shares.left,
        )


def _application(task: TaskSnapshot) -> snapshot.ApplicationSample:
    summary = task.summary
    return snapshot.ApplicationSample(
        spec=task.spec,
        since=task.started,
        ledger=task.ledger,
        keys=task.key_count,
        unmanaged_keys=task.unmanaged_key_count,
        last_reconciled_at=max(filter(None, (task.last_reconciled_at, task.left_at)), default=None),
        last_success_at=task.last_success_at,
        problem=summary.observed.reason if summary and summary.observed else "",
        observed=summary.observed if summary else None,
        unreadable=bool(summary and summary.unreadable),
        rotating=task.rotating,
    )


def _up(service: ServiceSnapshot) -> bool | None:
    """A service that failed a pass and is being asked again counts as it did before."""
    return None if service.state is ServiceState.UNKNOWN else service.state is not ServiceState.DOWN


def _ability(service: ServiceSnapshot, now: datetime) -> tuple[bool, str]:
    match service.state:
        case ServiceState.UNKNOWN:
            return False, "no answer yet"
        case ServiceState.DOWN:
            away = f" for {format_duration(now - service.since, units=1)}" if service.since else ""
            return False, f"{service.kind.replace('_', ' ')}{away}"
        case ServiceState.SUSPECT:
            return True, "answered before, is being asked again"
        case ServiceState.UP:
            return True, "answers"


def _told(causes: Iterable[tuple[str, bool, str]]) -> MetricsResponse:
    """One line for each cause; 503 as soon as one is not well."""
    causes = list(causes)
    text = "".join(f"{'ok' if well else 'FAILED'} {name}: {how}\n" for name, well, how in causes)
    return MetricsResponse(200 if all(well for _, well, _ in causes) else 503, text.encode())
