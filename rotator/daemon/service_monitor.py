"""Probes the services and keeps what is known of them: which passes may begin, and which wait for a
service to be back.

Each service is probed by a worker of its own, so a probe that hangs delays no other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from rotator.daemon.daemon_runtime import DaemonRuntime
from rotator.daemon.periodic import PeriodicTasks
from rotator.daemon.pools import probe_worker
from rotator.daemon.services import VAULT, ServiceHealth, ServiceState, tracked_services
from rotator.daemon.snapshot import ServiceSnapshot
from rotator.domain.ports import EventSink
from rotator.errors import Indeterminate, PermissionDenied, RotatorError, Unavailable


class ServiceMonitor:
    """The services of one runtime. ``lock`` guards their states; ``answered`` is called with it
    held, after each probe that a service answered or not, and ``changed`` without it."""

    def __init__(
        self,
        runtime: DaemonRuntime,
        sink: EventSink,
        periodic: PeriodicTasks,
        lock: threading.RLock,
        *,
        answered: Callable[[bool], None],
        changed: Callable[[], None],
    ) -> None:
        self.services: dict[str, ServiceHealth] = tracked_services(runtime)
        self._sink = sink
        self._periodic = periodic
        self._lock = lock
        self._answered = answered
        self._changed = changed

    def snapshot(self) -> tuple[ServiceSnapshot, ...]:
        """What is known of each service."""
        services = list(self.services.values())
        return tuple(ServiceSnapshot(one.name, one.state, one.since, one.kind, one.message) for one in services)

    def contacted(self) -> bool:
        """Whether every service has been probed, with whatever result."""
        return all(service.state is not ServiceState.UNKNOWN for service in list(self.services.values()))

    def probe_all(self) -> None:
        """Probe every service now."""
        self._probe_now(self.services)

    def replace(self, runtime: DaemonRuntime) -> None:
        """Watch the services of this runtime from now on."""
        fresh = tracked_services(runtime)
        for name, service in fresh.items():
            known = self.services.get(name)
            if known is not None:
                # Taken to be as it was until it is probed, so that a reload stops no application
                # and announces nothing twice.
                service.state, service.since, service.kind, service.message = (
                    known.state,
                    known.since,
                    known.kind,
                    known.message,
                )
        self.services = fresh
        self.probe_all()

    def suspect(self, error: RotatorError | None) -> None:
        """A pass failed because of a service: probe the service itself."""
        if not isinstance(error, Unavailable | Indeterminate | PermissionDenied):
            return
        service = self.services.get(error.service)
        if service is not None and service.state is ServiceState.UP:
            service.state = ServiceState.SUSPECT
            self._probe_now([service.name])

    def usable(self, account: str) -> bool:
        """Whether Vault and the account are up, as far as is known."""
        return all(service.state is ServiceState.UP for service in self._needed(account))

    def down(self, account: str) -> bool:
        """Whether Vault or the account is known to be down."""
        return any(service.state is ServiceState.DOWN for service in self._needed(account))

    def _needed(self, account: str) -> list[ServiceHealth]:
        return [service for name in (VAULT, account) if (service := self.services.get(name)) is not None]

    def _probe_now(self, names: Iterable[str]) -> None:
        for name in names:
            self._periodic.add(f"probe {name}", self._probing(name), pool=probe_worker(name), delay=timedelta(0))

    def _probing(self, name: str) -> Callable[[], timedelta | None]:
        return lambda: self._probe(name)

    def _probe(self, name: str) -> timedelta | None:
        service = self.services.get(name)
        if service is None:
            return None
        problem = service.probe()
        with self._lock:
            if self.services.get(name) is not service:
                return timedelta(0)  # a reload came between
            news = service.note(problem, datetime.now(UTC))
            self._answered(problem is None)
        if news and problem is not None:
            self._sink.emit("service.down", service=name, kind=problem.kind, message=str(problem))
        elif news:
            self._sink.emit("service.up", service=name)
        self._changed()
        return service.pause if problem else None
