"""The catalogue of events: every name that a log line may have, how loud it is, and what it means.

``docs/events.md`` is made from this table and a test holds both to what the code emits. Names are
stable: people build alarms on them. Every line also has ``event``, ``level`` and ``timestamp`` (RFC
3339, UTC); lines about one application have ``application`` and ``account``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EventKind:
    """One event of the catalogue. ``fields`` are those that it has beside the common ones."""

    level: str
    meaning: str
    fields: tuple[str, ...] = ()


CATALOGUE: dict[str, EventKind] = {
    # a rotation, step by step
    "rotation.claimed": EventKind(
        "info",
        "A rotation was announced in the ledger; nothing was created yet.",
        ("rotation_id", "base", "reason", "mode"),
    ),
    "rotation.taken_over": EventKind(
        "warning",
        "A rotation that another process began and did not finish was replaced by a new one.",
        ("rotation_id", "reason"),
    ),
    "rotation.created": EventKind("info", "The provider made the new key.", ("rotation_id", "access_key", "reason")),
    "rotation.create_failed": EventKind(
        "error",
        "The provider did not make the new key, or its answer was lost (unclear); the request is not repeated.",
        ("rotation_id", "reason", "message", "unclear"),
    ),
    "rotation.verified": EventKind(
        "info",
        "The new key authenticated as often as the policy asks.",
        ("rotation_id", "access_key", "successes", "reason"),
    ),
    "rotation.verification_failed": EventKind(
        "error",
        "The new key did not become valid in time; it is dropped and revoked.",
        ("rotation_id", "access_key", "reason"),
    ),
    "rotation.published": EventKind(
        "info",
        "The new key was written to the credential document and read back.",
        ("rotation_id", "access_key", "version", "reason"),
    ),
    "rotation.committed": EventKind(
        "info",
        "The ledger followed: the new key is the current one.",
        ("rotation_id", "access_key", "version", "reason"),
    ),
    "rotation.abandoned": EventKind(
        "warning", "A rotation was given up; the published key stays as it is.", ("rotation_id", "reason", "message")
    ),
    # keys
    "key.grace_started": EventKind(
        "info",
        "A key left the credential document and will be revoked after its grace.",
        ("access_key", "revoke_after", "reason"),
    ),
    "grace.extended": EventKind(
        "warning", "An operator moved the end of a key's grace.", ("access_key", "revoke_after", "by")
    ),
    "grace.ended": EventKind("warning", "An operator ended a key's grace early.", ("access_key", "reason", "by")),
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
        "warning", "The answer to a delete was lost; probing will tell.", ("access_key", "reason", "message")
    ),
    "key.revoked": EventKind(
        "info",
        "The revocation of the key is verified, and the key leaves the ledger.",
        ("access_key", "reason", "verification"),
    ),
    "key.revocation_unverified": EventKind("error", "A deleted key still answers; probing goes on.", ("access_key",)),
    "key.published_key_invalid": EventKind(
        "critical",
        "The published key is invalid at the provider: consumers are down; it is replaced at once.",
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
        "The key that consumers already use was taken over as it is.",
        ("access_key", "version", "rotation_id", "reason"),
    ),
    "application.renamed": EventKind(
        "warning",
        "The application took over the ledger of an earlier name; access_keys are the keys that it held.",
        ("previous_name", "previous_path", "access_keys"),
    ),
    "application.blocked": EventKind(
        "error", "Nothing can be done for the application until the reason clears.", ("reason", "message")
    ),
    "application.held": EventKind(
        "warning",
        "An operator put a hold on the application: nothing is claimed or revoked until it is resumed, or until then.",
        ("reason", "by", "until"),
    ),
    "application.hold_ended": EventKind("info", "The time of an operator's hold is over.", ("until", "reason", "by")),
    "application.resumed": EventKind("info", "An operator released the hold.", ("by",)),
    "application.recovered": EventKind("info", "The problem is over.", ("reason",)),
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
        "The mass rotation has handled all of them; which failed or found no free quota, and whether no old key is "
        "valid (complete).",
        ("incident", "rotated", "broken", "without_room", "complete"),
    ),
    "compromise.marked": EventKind(
        "critical",
        "Keys were marked compromised; from here on every pass acts on it.",
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
        "warning", "An answer was refused or lost; the pass looks again.", ("kind", "message")
    ),
    "pass.failed": EventKind("error", "A pass was cut short; it is repeated.", ("reason", "message")),
    "pass.crashed": EventKind(
        "critical", "A pass ended with an error of the program; it is repeated.", ("error", "where")
    ),
    # the daemon
    "daemon.started": EventKind("info", "The daemon began.", ("version", "applications", "config")),
    "daemon.deprecated_option": EventKind(
        "warning",
        "An option is set by its former name, which the next version does not understand.",
        ("path", "message"),
    ),
    "daemon.ready": EventKind("info", "The first look was made.", ("applications", "down")),
    "daemon.reloaded": EventKind(
        "info",
        "A new configuration is in force; restart_needed names options that only a restart brings into force.",
        ("applications", "added", "removed", "restart_needed"),
    ),
    "daemon.reload_refused": EventKind(
        "error", "The new configuration is not sound; the old one stays in force.", ("problems",)
    ),
    "daemon.stopping": EventKind(
        "info", "The daemon drains: it ends what holds a secret and begins nothing.", ("signal",)
    ),
    "daemon.stopped": EventKind("info", "The daemon ended.", ("unfinished",)),
    "daemon.application_removed": EventKind(
        "warning", "An application left the configuration; its keys in grace are still revoked on time.", ()
    ),
    "daemon.removed_application_stuck": EventKind(
        "error",
        "The keys of an application that left the configuration cannot be revoked by this process.",
        ("message",),
    ),
    "daemon.clock_stepped": EventKind(
        "warning", "The clock of this machine was set; what waits goes on waiting as long.", ("seconds",)
    ),
    "daemon.task_failed": EventKind(
        "warning", "Something beside the passes failed and is repeated.", ("chore", "message")
    ),
    "daemon.crashed": EventKind("critical", "An error of the program outside of any pass.", ("error", "where")),
    "metrics.listening": EventKind("info", "Metrics, /healthz and /readyz are answered there.", ("listen",)),
    "metrics.unavailable": EventKind(
        "error", "It is not possible to listen there; it is tried again. The work goes on.", ("listen", "message")
    ),
    "control.listening": EventKind(
        "info", "The daemon can be asked there, and with orders also ordered.", ("listen", "orders")
    ),
    "control.unavailable": EventKind(
        "error", "That socket cannot be opened; it is tried again. The work goes on.", ("listen", "message")
    ),
    "control.command": EventKind(
        "info", "A caller gave a command through the control socket.", ("operation", "by", "about", "reason")
    ),
    "webhook.listening": EventKind("info", "Machines can report keys there.", ("listen",)),
    "webhook.unavailable": EventKind(
        "error",
        "It is not possible to listen there for reports; it is tried again. The work goes on.",
        ("listen", "message"),
    ),
    "webhook.rejected": EventKind(
        "warning",
        "Unauthenticated requests reached the webhook; emitted at most once a minute, with their number.",
        ("reason", "source", "requests"),
    ),
    "run.completed": EventKind(
        "info",
        "One round of passes is over: how many applications ended how.",
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
    "heartbeat.sent": EventKind("info", "A heartbeat was received (again).", ()),
    "heartbeat.failed": EventKind(
        "warning", "A heartbeat was not received; it is sent again after the next health check.", ("message",)
    ),
    "notification.failed": EventKind(
        "error", "A service did not take a message, however often it was tried; it is dropped.", ("target", "message")
    ),
    "deadline.approaching": EventKind(
        "warning",
        "A key nears its hard deadline and cannot be replaced as things are.",
        ("access_key", "deadline"),
    ),
    "deadline.missed": EventKind(
        "error", "A key is past its hard deadline and cannot be replaced as things are.", ("access_key", "deadline")
    ),
    "service.down": EventKind(
        "error", "Vault or a provider cannot be reached or is sealed.", ("service", "kind", "message")
    ),
    "login.failing": EventKind(
        "error",
        "The login to Vault can be neither renewed nor made anew; work goes on until the present token ends, which is "
        "`until`.",
        ("service", "message", "until"),
    ),
    "login.secret_id_rotated": EventKind(
        "info", "A new secret id of the AppRole login was made, has logged in, and is used from now on.", ("role",)
    ),
    "login.secret_id_destroyed": EventKind("info", "A former secret id of the AppRole login was destroyed.", ("role",)),
    "login.secret_id_failed": EventKind(
        "warning",
        "The secret id of the AppRole login could not be rotated; the present one stays in use, and the rotation is "
        "tried again.",
        ("role", "message"),
    ),
    "login.recovered": EventKind("info", "The login to Vault was renewed or made anew.", ("service",)),
    "service.up": EventKind("info", "Vault or a provider is back.", ("service",)),
    "library.warning": EventKind(
        "warning", "A library warned; its words are left out, they may quote an answer.", ("library", "where")
    ),
    "logs.repeated": EventKind(
        "error",
        "An error that was logged before came again, of these applications and so often since the last line about it.",
        ("repeated", "reason", "message", "applications", "times", "more"),
    ),
    "logs.dropped": EventKind("error", "Log lines could not be written; so many were lost.", ("lines",)),
    "logs.journal_unavailable": EventKind(
        "warning",
        "No journal listens, though --log-format says so; lines go to standard output as JSON.",
        ("message",),
    ),
}
"""Every event that may be emitted."""

COMMON = ("event", "level", "timestamp", "application", "account")
"""Fields that lines have beside those of their kind; the last two only where the line is about one
application."""
