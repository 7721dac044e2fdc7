"""The catalogue of metrics: name, kind, labels and meaning.

``docs/metrics.md`` contains this table, and a test compares both with what the daemon exposes.
Names are stable, so alerts can rely on them. Labels are names of the configuration and fixed
identifiers; never an access key, an address or free text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram"]

ABOUT_ONE = ("account", "application")
"""The labels of a metric about one application."""


@dataclass(frozen=True)
class Metric:
    """One metric of the catalogue."""

    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()


CATALOGUE: dict[str, Metric] = {
    # one application, by its ledger
    "rotator_application_configured": Metric(
        "gauge",
        "1 for a configured application, 0 for a removed one that still has keys to revoke.",
        ABOUT_ONE,
    ),
    "rotator_application_phase": Metric(
        "gauge", "Always 1; `phase` is the one that `rotator status` shows.", (*ABOUT_ONE, "phase")
    ),
    "rotator_application_problem": Metric(
        "gauge", "1 while the application has a problem; `reason` is its identifier.", (*ABOUT_ONE, "reason")
    ),
    "rotator_key_age_seconds": Metric(
        "gauge", "Age of the published key, from its creation at the provider.", ABOUT_ONE
    ),
    "rotator_key_published_timestamp_seconds": Metric(
        "gauge", "When the published key became the current one: the last successful rotation.", ABOUT_ONE
    ),
    "rotator_rotation_due_timestamp_seconds": Metric(
        "gauge", "When the published key is to be replaced. Missing without a schedule.", ABOUT_ONE
    ),
    "rotator_overdue_seconds": Metric(
        "gauge",
        "How long a rotation or a revocation has been overdue, whatever the reason; 0 if nothing is late.",
        ABOUT_ONE,
    ),
    "rotator_grace_ends_timestamp_seconds": Metric(
        "gauge", "When the next grace period ends and its key is revoked. Missing without a key in grace.", ABOUT_ONE
    ),
    "rotator_open_hold_timestamp_seconds": Metric(
        "gauge", "Since when an operator's hold without an end is on. Missing without one.", ABOUT_ONE
    ),
    "rotator_keys": Metric(
        "gauge",
        "Keys that the ledger names, by `state`: `current`, `grace`, `revoking`, and `compromised` until the "
        "revocation is verified.",
        (*ABOUT_ONE, "state"),
    ),
    "rotator_live_keys": Metric(
        "gauge", "Keys that the provider lists for the application, expired and unmanaged ones included.", ABOUT_ONE
    ),
    "rotator_unmanaged_keys": Metric(
        "gauge",
        "Unmanaged keys of the application: rotator neither created nor published them, and does not touch them.",
        ABOUT_ONE,
    ),
    "rotator_consecutive_failures": Metric(
        "gauge", "Rotations that failed since the last one that succeeded.", ABOUT_ONE
    ),
    # one application, by the passes of this process
    "rotator_last_success_timestamp_seconds": Metric(
        "gauge",
        "When a pass last ended without a problem. Missing before the first since the start.",
        ABOUT_ONE,
    ),
    "rotator_last_reconcile_timestamp_seconds": Metric(
        "gauge",
        "When a pass last completed, when the daemon last left one to another daemon because nothing was due, or when "
        "it started to reconcile the application.",
        ABOUT_ONE,
    ),
    "rotator_resync_interval_seconds": Metric(
        "gauge", "The interval at which the application is reconciled when nothing is due.", ABOUT_ONE
    ),
    "rotator_rotations_total": Metric(
        "counter",
        "Rotations that this process completed, by `mode`: `scheduled`, `requested`, `compromised`, `recovery` (the "
        "published key was invalid), `other` (started by another process).",
        (*ABOUT_ONE, "mode"),
    ),
    "rotator_rotations_abandoned_total": Metric(
        "counter",
        "Rotations that were started and abandoned, by `cause`; the published key is unchanged.",
        (*ABOUT_ONE, "cause"),
    ),
    "rotator_reconcile_errors_total": Metric(
        "counter",
        "Passes that were interrupted, by `cause`: an unavailable service, a missing permission, an unreadable ledger.",
        (*ABOUT_ONE, "cause"),
    ),
    "rotator_keys_revoked_total": Metric("counter", "Keys whose revocation was verified.", ABOUT_ONE),
    # services
    "rotator_service_up": Metric(
        "gauge", "1 while Vault, or the provider behind an account, answers; 0 while not.", ("service",)
    ),
    "rotator_request_duration_seconds": Metric(
        "histogram",
        "How long calls took, by `outcome`: `2xx`, `4xx`, `429`, `5xx`, or why there was no answer, such as "
        "`timeout`. Some `4xx` are expected: a revoked key is rejected.",
        ("service", "outcome"),
    ),
    "rotator_clock_skew_seconds": Metric(
        "gauge", "The service's clock minus this machine's, by its latest answer.", ("service",)
    ),
    "rotator_max_clock_skew_seconds": Metric("gauge", "How far clocks may differ before revocations wait."),
    "rotator_quota_headroom_keys": Metric(
        "gauge", "Free key quota of the account. Missing if the provider does not report it.", ("account",)
    ),
    "rotator_vault_token_ttl_seconds": Metric(
        "gauge", "How long the login to Vault is still valid. Missing without an end."
    ),
    "rotator_vault_token_lease_seconds": Metric(
        "gauge", "Lifetime of the login to Vault when it was last created or renewed."
    ),
    "rotator_vault_login_failing": Metric(
        "gauge",
        "1 while the login to Vault can be neither renewed nor repeated; the daemon works until the token ends.",
    ),
    # the process
    "rotator_build_info": Metric("gauge", "Always 1; what is running.", ("version", "python")),
    "rotator_healthy": Metric("gauge", "1 while the main loop runs and the workers execute tasks, as in `/healthz`."),
    "rotator_worker_idle_seconds": Metric(
        "gauge", "Time since the workers last executed a task; a test task runs every few seconds."
    ),
    "rotator_config_applied_timestamp_seconds": Metric("gauge", "When the configuration in force was read."),
    "rotator_config_reload_refused": Metric(
        "gauge", "1 while the last reload was refused and the old configuration is in force."
    ),
    "rotator_daemons_sharing_looks": Metric(
        "gauge",
        "How many daemons share the reconciling of applications for which nothing is due, this one included. Missing "
        "without `share_looks`.",
    ),
    "rotator_looks_left_total": Metric(
        "counter", "Passes that this process left to another daemon, because nothing was due."
    ),
    "rotator_events_total": Metric("counter", "Events, by their names in `docs/events.md`.", ("event",)),
    # prometheus_client's own, of this process
    "process_cpu_seconds_total": Metric("counter", "Processor time that the process used."),
    "process_max_fds": Metric("gauge", "How many files it may have open."),
    "process_open_fds": Metric("gauge", "How many it has open."),
    "process_resident_memory_bytes": Metric("gauge", "Its memory."),
    "process_start_time_seconds": Metric("gauge", "When it started."),
    "process_virtual_memory_bytes": Metric("gauge", "Its address space."),
}
"""Every metric."""


def table() -> str:
    """The table of ``docs/metrics.md``; ``python -m rotator.observability.metrics.catalogue``
    prints it."""
    lines = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    for name, metric in CATALOGUE.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "—"
        lines.append(f"| `{name}` | {metric.kind} | {labels} | {metric.meaning} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(table())
