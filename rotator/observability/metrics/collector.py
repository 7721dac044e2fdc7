"""Turns a snapshot of the daemon into samples for Prometheus. Pure.

Every sample is derived at each scrape. A removed application is exposed until its last key is
revoked, and then disappears with all its counts.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from rotator import __version__
from rotator.decision.status import phase_and_lateness
from rotator.domain.due_time import due
from rotator.domain.status import PHASES
from rotator.observability.metrics.counters import MODES, CounterValues, word

if TYPE_CHECKING:
    from rotator.observability.metrics.snapshot import ApplicationSample, MetricsSnapshot, ServiceSample

Sample = tuple[str, tuple[str, ...], float]
"""Name of a metric in the catalogue, label values in the catalogue's order, and the value."""


def samples(now: MetricsSnapshot, counts: CounterValues) -> Iterator[Sample]:
    """All samples except the durations of calls."""
    for one in now.applications:
        about = one.spec.account, one.spec.application
        yield from ((name, (*about, *labels), value) for name, labels, value in _application(one, now))
        yield from _counted(about, counts)
    for service in now.services:
        yield from _service(service)
    yield from ((name, (), value) for name, value in _process(now))
    yield "rotator_build_info", (__version__, platform.python_version()), 1
    yield from (("rotator_events_total", (event,), count) for event, count in counts.events.items())


def _application(one: ApplicationSample, snapshot: MetricsSnapshot) -> Iterator[Sample]:
    spec, ledger, now = one.spec, one.ledger, snapshot.now
    by_ledger, late = phase_and_lateness(spec, ledger, now, one.observed)
    phase = "unreadable" if one.unreadable else by_ledger
    rotating = one.rotating and PHASES.index(phase) > PHASES.index("rotating")
    yield "rotator_application_configured", (), spec.configured
    yield "rotator_application_phase", ("rotating" if rotating else phase,), 1
    if one.problem:
        yield "rotator_application_problem", (word(one.problem),), 1
    if ledger is not None or (one.last_reconciled_at and not one.unreadable):
        yield "rotator_overdue_seconds", (), _seconds(late)
    yield "rotator_last_reconcile_timestamp_seconds", (), (one.last_reconciled_at or one.since).timestamp()
    yield "rotator_resync_interval_seconds", (), _seconds(spec.resync_interval)
    if one.last_success_at:
        yield "rotator_last_success_timestamp_seconds", (), one.last_success_at.timestamp()
    if one.keys is not None:
        yield "rotator_live_keys", (), one.keys
        yield "rotator_unmanaged_keys", (), one.unmanaged_keys
    if ledger is None:
        return
    yield "rotator_consecutive_failures", (), ledger.failures
    keys = {"current": 1 if ledger.current else 0, "grace": len(ledger.retiring), "revoking": len(ledger.revoking)}
    for state, count in {**keys, "compromised": len(ledger.compromised)}.items():
        yield "rotator_keys", (state,), count
    if ledger.hold and ledger.hold.until is None:
        yield "rotator_open_hold_timestamp_seconds", (), ledger.hold.at.timestamp()
    if ledger.retiring:
        yield (
            "rotator_grace_ends_timestamp_seconds",
            (),
            min(entry.revoke_after for entry in ledger.retiring).timestamp(),
        )
    if ledger.current:
        yield "rotator_key_age_seconds", (), _seconds(now - (ledger.current.created_at or ledger.current.since))
        yield "rotator_key_published_timestamp_seconds", (), ledger.current.since.timestamp()
        if spec.configured and (calendar := due(spec, ledger.current)):
            yield "rotator_rotation_due_timestamp_seconds", (), calendar.at.timestamp()


def _counted(about: tuple[str, str], counts: CounterValues) -> Iterator[Sample]:
    done = counts.rotations.get(about, {})
    # Prometheus sees no increase from a missing series to 1, so known series start at 0.
    yield from (("rotator_rotations_total", (*about, mode), done.get(mode, 0)) for mode in MODES)
    for name, causes in (
        ("rotator_rotations_abandoned_total", counts.given_up),
        ("rotator_reconcile_errors_total", counts.failed),
    ):
        yield from ((name, (*about, cause), count) for cause, count in causes.get(about, {}).items())
    yield "rotator_keys_revoked_total", about, counts.revoked.get(about, 0)


def _service(service: ServiceSample) -> Iterator[Sample]:
    if service.up is not None:
        yield "rotator_service_up", (service.name,), service.up
    yield "rotator_clock_skew_seconds", (service.name,), service.clock_difference.total_seconds()
    if service.headroom is not None:
        yield "rotator_quota_headroom_keys", (service.name,), service.headroom


def _process(now: MetricsSnapshot) -> Iterator[tuple[str, float]]:
    yield "rotator_healthy", now.alive
    yield "rotator_worker_idle_seconds", _seconds(now.idle)
    yield "rotator_config_applied_timestamp_seconds", now.configured_at.timestamp()
    yield "rotator_config_reload_refused", now.reload_refused
    yield "rotator_vault_login_failing", now.login_failing
    yield "rotator_looks_left_total", now.looks_left
    if now.daemons is not None:
        yield "rotator_daemons_sharing_looks", now.daemons
    if now.login:
        left, granted = now.login
        yield "rotator_vault_token_ttl_seconds", _seconds(left)
        yield "rotator_vault_token_lease_seconds", _seconds(granted)
    if tolerances := _tolerances(now.applications):
        yield "rotator_max_clock_skew_seconds", min(tolerances)


def _tolerances(applications: Iterable[ApplicationSample]) -> list[float]:
    return [_seconds(one.spec.max_clock_skew) for one in applications]


def _seconds(duration: timedelta) -> float:
    """Seconds, at least 0: another metric shows what has passed."""
    return max(0.0, duration.total_seconds())
