"""The catalogue of events: name, level, meaning and fields.

``docs/events.md`` is generated from this table, and a test compares both with what the code emits.
Names are stable, so alerts can rely on them. Every line also has ``event``, ``level`` and
``timestamp`` (RFC 3339, UTC); lines about one application have ``application`` and ``account``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EventKind:
    """One event of the catalogue. ``fields``: those beside the common ones."""

    level: str
    meaning: str
    fields: tuple[str, ...] = ()


CATALOGUE: dict[str, EventKind] = {
    # a rotation, step by step
    "rotation.claimed": EventKind(
        "info",
        "A rotation was claimed in the ledger; no key was created yet.",
        ("rotation_id", "base", "reason", "mode"),
    ),
    "rotation.taken_over": EventKind(
        "warning",
        "An unfinished rotation of another process was replaced by a new one.",
        ("rotation_id", "reason"),
    ),
    "rotation.created": EventKind("info", "The provider created the new key.", ("rotation_id", "access_key", "reason")),
    "rotation.create_failed": EventKind(
        "error",
        "The provider did not create the new key, or its answer was lost (unclear); the request is not repeated.",
        ("rotation_id", "reason", "message", "unclear"),
    ),
    "rotation.verified": EventKind(
        "info",
        "The new key authenticated as often as `verification` requires.",
        ("rotation_id", "access_key", "successes", "reason"),
    ),
    "rotation.verification_failed": EventKind(
        "error",
        "The new key did not become valid in time, or lacks a right of the management key; it is dropped and revoked.",
        ("rotation_id", "access_key", "reason"),
    ),
    "rotation.published": EventKind(
        "info",
        "The new key was written to the credential document and read back.",
        ("rotation_id", "access_key", "version", "reason"),
    ),
    "rotation.committed": EventKind(
        "info",
        "The ledger records the new key as the current one.",
        ("rotation_id", "access_key", "version", "reason"),
    ),
    "rotation.abandoned": EventKind(
        "warning", "A rotation was abandoned; the published key is unchanged.", ("rotation_id", "reason", "message")
    ),
    # keys
    "key.grace_started": EventKind(
        "info",
        "A key is no longer published and will be revoked after its grace.",
        ("access_key", "revoke_after", "reason"),
    ),
    "grace.extended": EventKind(
        "warning", "An operator extended the grace of a key.", ("access_key", "revoke_after", "by")
    ),
    "grace.ended": EventKind("warning", "An operator ended the grace of a key early.", ("access_key", "reason", "by")),
    "key.revocation_scheduled": EventKind(
        "info", "The ledger schedules a key for revocation; this is final.", ("access_key", "reason")
    ),
    "key.republished": EventKind(
        "warning",
        "A person published a key again that is scheduled for revocation; it is replaced at once.",
        ("access_key",),
    ),
    "key.deleted": EventKind(
        "info",
        "The provider deleted the key, or had none of that name (already_gone).",
        ("access_key", "reason", "already_gone"),
    ),
    "key.delete_unconfirmed": EventKind(
        "warning",
        "The answer to a delete was lost; probing shows whether the key is valid.",
        ("access_key", "reason", "message"),
    ),
    "key.revoked": EventKind(
        "info",
        "The revocation of the key is verified, and the key leaves the ledger.",
        ("access_key", "reason", "verification"),
    ),
    "key.revocation_unverified": EventKind(
        "error", "A deleted key still authenticates; probing continues.", ("access_key",)
    ),
    "key.published_key_invalid": EventKind(
        "critical",
        "The published key is invalid, so consumers have no valid key; it is replaced at once.",
        ("access_key",),
    ),
    "key.orphan_found": EventKind(
        "warning",
        "A key with a marker of this installation was never published and never can be; it is revoked.",
        ("access_key", "rotation_id"),
    ),
    "key.unmanaged_found": EventKind(
        "warning",
        "The bearer has an unmanaged key: rotator neither created nor published it, and does not touch it.",
        ("access_key",),
    ),
    # documents
    "document.changed_externally": EventKind(
        "warning",
        "Another writer changed the published key; the ledger followed.",
        ("access_key", "version", "rotation_id", "reason"),
    ),
    "document.rewritten": EventKind(
        "info", "Another writer wrote a new version with the same key.", ("access_key", "version")
    ),
    "document.fenced": EventKind(
        "info",
        "The unchanged document was rewritten so that unpublished keys are certainly orphaned.",
        ("access_key", "version"),
    ),
    "document.annotate_failed": EventKind(
        "warning", "The document's custom metadata could not be merged; nothing depends on it.", ("message",)
    ),
    # applications
    "application.adopted": EventKind(
        "info",
        "The key that consumers already use became the current one.",
        ("access_key", "version", "rotation_id", "reason"),
    ),
    "application.renamed": EventKind(
        "warning",
        "The application took over the ledger of an earlier name; access_keys are the keys that it held.",
        ("previous_name", "previous_path", "access_keys"),
    ),
    "application.blocked": EventKind(
        "error", "The application is blocked until the reason clears.", ("reason", "message")
    ),
    "application.held": EventKind(
        "warning",
        "An operator holds the application: nothing is claimed or revoked until `until`, or until it is resumed.",
        ("reason", "by", "until"),
    ),
    "application.hold_ended": EventKind("info", "The hold of an operator has ended.", ("until", "reason", "by")),
    "application.resumed": EventKind("info", "An operator released the hold.", ("by",)),
    "application.recovered": EventKind("info", "The problem has cleared.", ("reason",)),
    # emergencies
    "mass_rotation.started": EventKind(
        "warning",
        "An operator replaces all keys of an account that are older than a time; the marks of a compromise have the "
        "same incident.",
        ("incident", "created_before", "compromised", "reason", "applications", "begun_at", "again"),
    ),
    "mass_rotation.application_done": EventKind(
        "info", "One application of the mass rotation is done.", ("incident", "outcome")
    ),
    "mass_rotation.application_failed": EventKind(
        "error",
        "One application of the mass rotation could not be rotated; the others go on.",
        ("incident", "reason", "message"),
    ),
    "mass_rotation.waiting_for_quota": EventKind(
        "warning",
        "The quota has no room for the applications that are left; the next try is when a grace has ended.",
        ("incident", "applications", "until"),
    ),
    "mass_rotation.finished": EventKind(
        "info",
        "The mass rotation has ended: which applications failed or found no free quota, and whether no old key is "
        "valid (complete).",
        ("incident", "rotated", "broken", "without_room", "complete"),
    ),
    "compromise.marked": EventKind(
        "critical",
        "Keys were marked as compromised; every pass acts on it.",
        ("incident", "access_keys", "reason"),
    ),
    "versions.destroyed": EventKind(
        "info",
        "The earlier versions of the document that held the secret of a revoked compromised key are destroyed.",
        ("access_key", "versions"),
    ),
    "versions.destroy_failed": EventKind(
        "warning",
        "Vault refused to destroy the versions that hold the secret of a revoked compromised key; the key is revoked "
        "all the same.",
        ("access_key", "message"),
    ),
    "compromise.contained": EventKind(
        "info", "Every key of the incident is verified as revoked.", ("incident", "access_keys")
    ),
    # passes
    "pass.decided": EventKind("debug", "A pass ended: what comes next, when and why.", ("reason", "message", "until")),
    "pass.interrupted": EventKind(
        "warning", "A call was rejected, or its answer lost; the pass observes again.", ("kind", "message")
    ),
    "pass.failed": EventKind("error", "A pass was interrupted; it is repeated.", ("reason", "message")),
    "pass.crashed": EventKind(
        "critical", "A pass ended with an error of the program; it is repeated.", ("error", "where")
    ),
    # the daemon
    "daemon.started": EventKind("info", "The daemon started.", ("version", "applications", "config")),
    "daemon.deprecated_option": EventKind(
        "warning",
        "An option is set by its former name, which the next version does not understand.",
        ("path", "message"),
    ),
    "daemon.ready": EventKind(
        "info",
        "The services were checked for the first time; `down` names the unavailable ones.",
        ("applications", "down"),
    ),
    "daemon.reloaded": EventKind(
        "info",
        "A new configuration is in force; restart_needed names options that only a restart brings into force.",
        ("applications", "added", "removed", "restart_needed"),
    ),
    "daemon.reload_refused": EventKind(
        "error", "The new configuration is not valid; the old one stays in force.", ("problems",)
    ),
    "daemon.stopping": EventKind(
        "info", "The daemon stops: it finishes rotations that hold a secret and starts none.", ("signal",)
    ),
    "daemon.stopped": EventKind("info", "The daemon stopped.", ("unfinished",)),
    "daemon.application_removed": EventKind(
        "warning", "An application left the configuration; its keys in grace are still revoked on time.", ()
    ),
    "daemon.removed_application_stuck": EventKind(
        "error",
        "The keys of an application that left the configuration cannot be revoked by this process.",
        ("message",),
    ),
    "daemon.clock_stepped": EventKind(
        "warning", "The clock of this machine was changed; waits keep their length.", ("seconds",)
    ),
    "daemon.task_failed": EventKind("warning", "A periodic task failed; it is repeated.", ("chore", "message")),
    "daemon.crashed": EventKind("critical", "An error of the program outside of any pass.", ("error", "where")),
    "looks.shared": EventKind("info", "So many daemons, this one included, share their looks.", ("daemons",)),
    "looks.not_shared": EventKind(
        "warning", "`share_looks` is set, and this daemon looks at every application itself.", ("reason", "message")
    ),
    "looks.presence_ignored": EventKind(
        "warning", "A document below `daemons` of the ledger path is no presence of this version.", ("place",)
    ),
    "metrics.listening": EventKind("info", "The metrics server listens there.", ("listen",)),
    "metrics.unavailable": EventKind(
        "error",
        "The metrics server cannot listen there; it is retried. Rotation is not affected.",
        ("listen", "message"),
    ),
    "control.listening": EventKind(
        "info", "A control socket is open; `orders`: whether it accepts commands.", ("listen", "orders")
    ),
    "control.unavailable": EventKind(
        "error", "A control socket cannot be opened; it is retried. Rotation is not affected.", ("listen", "message")
    ),
    "control.command": EventKind(
        "info", "A caller gave a command through the control socket.", ("operation", "by", "about", "reason")
    ),
    "webhook.listening": EventKind("info", "The webhook listens there.", ("listen",)),
    "webhook.unavailable": EventKind(
        "error",
        "The webhook cannot listen there; it is retried. Rotation is not affected.",
        ("listen", "message"),
    ),
    "webhook.rejected": EventKind(
        "warning",
        "Unauthenticated requests reached the webhook; emitted at most once a minute, with their number.",
        ("reason", "source", "requests"),
    ),
    "run.completed": EventKind(
        "info",
        "`run --once` has ended: the number of applications by outcome.",
        ("applications", "ok", "unreachable", "refused", "failed"),
    ),
    "heartbeat.unhealthy": EventKind(
        "warning",
        "The daemon is not healthy, so no heartbeat is sent; `reason` is the first cause.",
        ("reason", "subject"),
    ),
    "heartbeat.healthy": EventKind(
        "info", "The daemon is healthy: every application was reconciled in time, none is overdue or has a problem.", ()
    ),
    "heartbeat.sent": EventKind(
        "info", "The monitoring service accepted a heartbeat, for the first time or after a failure.", ()
    ),
    "heartbeat.failed": EventKind(
        "warning", "A heartbeat was not received; it is sent again after the next health check.", ("message",)
    ),
    "notification.failed": EventKind(
        "error", "A service did not accept a message after all attempts; it is dropped.", ("target", "message")
    ),
    "deadline.approaching": EventKind(
        "warning",
        "A key approaches its hard deadline and cannot be replaced at present.",
        ("access_key", "deadline"),
    ),
    "deadline.missed": EventKind(
        "error", "A key is past its hard deadline and cannot be replaced at present.", ("access_key", "deadline")
    ),
    "service.down": EventKind(
        "error", "Vault or a provider cannot be reached or is sealed.", ("service", "kind", "message")
    ),
    "login.failing": EventKind(
        "error",
        "The login to Vault can be neither renewed nor repeated; the daemon works until the present token ends at "
        "`until`.",
        ("service", "message", "until"),
    ),
    "login.secret_id_rotated": EventKind(
        "info", "A new secret id of the AppRole login was created, has logged in, and is used from now on.", ("role",)
    ),
    "login.secret_id_destroyed": EventKind("info", "A former secret id of the AppRole login was destroyed.", ("role",)),
    "login.secret_id_failed": EventKind(
        "warning",
        "The secret id of the AppRole login could not be rotated; the present one stays in use, and the rotation is "
        "tried again.",
        ("role", "message"),
    ),
    "login.recovered": EventKind("info", "The login to Vault was renewed or repeated.", ("service",)),
    "service.up": EventKind("info", "Vault or a provider is available again.", ("service",)),
    "library.warning": EventKind(
        "warning",
        "A library logged a warning; its text is omitted, because it may quote an answer.",
        ("library", "where"),
    ),
    "logs.repeated": EventKind(
        "error",
        "An error occurred again: the applications, and how often since the last line about it.",
        ("repeated", "reason", "message", "applications", "times", "more"),
    ),
    "logs.dropped": EventKind("error", "Log lines could not be written and were dropped.", ("lines",)),
    "logs.journal_unavailable": EventKind(
        "warning",
        "No journal listens, although --log-format selects it; lines go to standard output as JSON.",
        ("message",),
    ),
}
"""Every event."""

COMMON = ("event", "level", "timestamp", "application", "account")
"""The fields of every line; the last two only on lines about one application."""
