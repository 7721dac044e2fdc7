"""The one sentence that an operator reads in ``systemctl status``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from rotator.daemon.application_task import PassSummary
from rotator.daemon.services import VAULT, ServiceState
from rotator.daemon.snapshot import ServiceSnapshot, TaskSnapshot
from rotator.util.durations import format_duration

_WORDS = {
    "rotate": "rotates",
    "revoke": "revokes an old key",
    "takeover": "takes over a rotation",
    "fence": "tidies up after a failed rotation",
}


def status_line(
    tasks: Iterable[TaskSnapshot], services: Iterable[ServiceSnapshot], now: datetime, *, remark: str = ""
) -> str:
    """Such as ``3 applications: 1 in grace; next: billing rotates in 4h; Vault: sealed for 3m``."""
    tasks = list(tasks)
    summary = [(task.name, task.summary) for task in tasks if task.summary]
    counts = [
        (sum(fact.in_grace > 0 for _, fact in summary), "in grace"),
        (sum(task.holding for task in tasks), "rotating"),
        (sum(fact.urgent for _, fact in summary), "in an emergency"),
        (sum(fact.next.action == "held" for _, fact in summary), "held"),
        (sum(fact.problem is not None for _, fact in summary), "with a problem"),
    ]
    counted = ", ".join(f"{count} {what}" for count, what in counts if count)
    head = f"{len(tasks)} application{'' if len(tasks) == 1 else 's'}" + (f": {counted}" if counted else "")
    parts = [head, _next(summary, now), *(_away(service, now) for service in services), remark]
    return "; ".join(part for part in parts if part)


def _next(summary: list[tuple[str, PassSummary]], now: datetime) -> str:
    ahead = [(fact.next.at, name, fact.next.action) for name, fact in summary if fact.next.action in _WORDS]
    if not ahead:
        return ""
    at, name, what = min(ahead)
    return f"next: {name} {_WORDS[what]} {_in(at - now)}"


def _in(wait: timedelta) -> str:
    return "now" if wait < timedelta(seconds=1) else f"in {format_duration(wait, units=1)}"


def _away(service: ServiceSnapshot, now: datetime) -> str:
    if service.state is ServiceState.UP or service.state is ServiceState.SUSPECT:
        return ""
    name = "Vault" if service.name == VAULT else f"account {service.name}"
    if service.state is ServiceState.UNKNOWN or service.since is None:
        return f"{name}: no answer yet"
    return f"{name}: {service.kind.replace('_', ' ')} for {format_duration(now - service.since, units=1)}"
