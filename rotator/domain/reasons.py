"""Every reason why work on an application stops, each with what it means and what to do.

This is the one source: the exit code, the phase, whether the ledger records it, the last words of the message, the
metric's label and the section of docs/runbook.md come from here. ``python -m rotator.domain.reasons`` prints that document.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Source(enum.StrEnum):
    """Who can see a reason, and with it where it is kept."""

    SHARED = "shared"
    """Every process sees the same in Vault and at the provider. The ledger records it."""
    CONFIGURATION = "configuration"
    """It follows from the configuration and the ledger alone. It is derived wherever both are read, and never written."""
    OBSERVER = "observer"
    """It depends on one process: its clock, its network, its token. That process reports it and never writes it."""
    ATTEMPT = "attempt"
    """It ended one rotation. The ledger counts the failure, and the next attempt follows after a delay."""
    SERVICE = "service"
    """A call to Vault or to the provider did not succeed. The pass is repeated."""


class Reason(enum.StrEnum):
    """The identifiers: ``problem.reason`` in JSON, the field ``reason`` of events, the label ``reason`` of metrics."""

    CONFIGURATION_MOVED = "configuration_moved"
    FIELDS_RENAMED = "fields_renamed"
    SUPERSEDED = "superseded"
    LEDGER_CONFLICT = "ledger_conflict"
    FORMER_DOCUMENT = "former_document"
    NOT_CONFIGURED = "not_configured"
    DOCUMENT_STALE = "document_stale"
    DOCUMENT_UNREADABLE = "document_unreadable"
    DOCUMENT_RESTORED = "document_restored"
    DOCUMENT_DELETED = "document_deleted"
    DOCUMENT_EXPIRES = "document_expires"
    DOCUMENT_DAMAGED = "document_damaged"
    DOCUMENT_EMPTIED = "document_emptied"
    FOREIGN_KEY = "foreign_key"
    SECRET_REJECTED = "secret_rejected"  # noqa: S105  # an identifier, no secret
    PROBE_INCONCLUSIVE = "probe_inconclusive"
    BEARER_GONE = "bearer_gone"
    WRONG_ACCOUNT = "wrong_account"
    MANY_KEYS_INVALID = "many_keys_invalid"
    ORPHAN_AMBIGUOUS = "orphan_ambiguous"
    TOO_MANY_KEYS = "too_many_keys"
    QUOTA = "quota"
    VAULT_PERMISSION_MISSING = "vault_permission_missing"
    DELETE_UNCONFIRMED = "delete_unconfirmed"
    DELETE_REFUSED = "delete_refused"
    REVOCATION_UNVERIFIED = "revocation_unverified"
    MANAGEMENT_KEY = "management_key"
    NOT_REVOCABLE = "not_revocable"
    CLOCK_SKEW = "clock_skew"
    LEDGER_UNREADABLE = "ledger_unreadable"
    HELD = "held"
    # one rotation failed
    VERIFICATION_FAILED = "verification_failed"
    CREATE_UNCONFIRMED = "create_unconfirmed"
    OVERTAKEN = "overtaken"
    DEPENDENCIES_UNAVAILABLE = "dependencies_unavailable"
    VAULT_UNAVAILABLE = "vault_unavailable"
    PUBLISH_TIMEOUT = "publish_timeout"
    STOPPING = "stopping"
    # a service did not do what it was asked: `kind` of its error
    UNREACHABLE = "unreachable"
    SEALED = "sealed"
    STANDBY = "standby"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNEXPECTED_ANSWER = "unexpected_answer"
    STALE = "stale"
    CONTENDED = "contended"
    LOGIN = "login"
    POLICY = "policy"
    NOT_KV2 = "not_kv2"
    VERSIONS_EXPIRE = "versions_expire"
    TOO_LARGE = "too_large"
    NOT_FOUND = "not_found"
    INVALID_REQUEST = "invalid_request"


@dataclass(frozen=True)
class ReasonInfo:
    """What is known of one reason.

    ``action`` ends every message about it and may name ``{application}``, ``{account}``, ``{path}`` and ``{bearer}``.
    ``kinds`` are the kinds of service errors that it stands for. ``consumers_at_risk``: what consumers read may not work.
    ``specific``: what to do depends on more than the reason, so the message says it itself.
    """

    source: Source
    exit_code: int
    meaning: str
    automatic: str
    action: str
    over: str
    kinds: tuple[str, ...] = ()
    consumers_at_risk: bool = False
    specific: bool = False

    @property
    def general_action(self) -> str:
        """The action without names, for messages to services of others and for documents."""
        return self.action.format(application="APPLICATION", account="ACCOUNT", path="PATH", bearer="BEARER")

    @property
    def recorded(self) -> bool:
        """Whether a pass that is blocked by it writes it into the ledger."""
        return self.source is Source.SHARED


_NOTHING_TOUCHED = "rotator changes nothing for the application, apart from keys that are marked compromised."
_KEY_STAYS = "The published key stays; rotator revokes nothing that consumers may still need, and looks again every 30 seconds."
_NEXT_ATTEMPT = (
    "The published key stays. rotator drops the new key, revokes it, and makes another attempt after a delay that grows."
)
_REPEATS = "rotator repeats the pass every 30 seconds and writes nothing meanwhile."
_CLEARS = "`application.recovered` is logged, and `rotator status` shows no problem."
_ROTATES = "`rotation.committed` is logged, and `rotator status` shows the new key."
_ANSWERS = "`service.up` is logged, `rotator_service_up` is 1 again, and passes end with `pass.decided`."

_R, _S = Reason, Source

REASONS: Mapping[Reason, ReasonInfo] = {
    _R.CONFIGURATION_MOVED: ReasonInfo(
        _S.CONFIGURATION,
        4,
        "The configuration names another account, bearer or path than the ledger of the application.",
        _NOTHING_TOUCHED,
        "put the old value back, or give the application a new name so that the old one can be wound up",
        _CLEARS,
    ),
    _R.FIELDS_RENAMED: ReasonInfo(
        _S.CONFIGURATION,
        4,
        "The configuration names other fields of the credential document than the ledger, so the published key cannot be found.",
        _NOTHING_TOUCHED,
        "put the old names back, or give the application a new name and path",
        _CLEARS,
    ),
    _R.SUPERSEDED: ReasonInfo(
        _S.OBSERVER,
        4,
        "Another application has the bearer or the document of this one: it was renamed, or left the configuration.",
        "rotator does nothing under the old name. The application that owns them looks after the keys.",
        "use the new name in every configuration; to use the old name again, remove its empty ledger in Vault",
        _CLEARS,
        specific=True,
    ),
    _R.LEDGER_CONFLICT: ReasonInfo(
        _S.OBSERVER,
        4,
        "Two ledgers name one bearer, and nothing tells which of them owns it: two configurations use two names, or a ledger was lost.",
        "rotator does nothing for either name, apart from keys that are marked compromised.",
        "use one name in every configuration, then remove the ledger of the other name in Vault",
        _CLEARS,
        specific=True,
    ),
    _R.FORMER_DOCUMENT: ReasonInfo(
        _S.SHARED,
        4,
        "A key that is due to be revoked is still published by the document at a former path of the application.",
        "rotator revokes the key after its grace, counted from when that document no longer publishes it.",
        "let consumers read {path} and delete the document at the former path",
        _CLEARS,
    ),
    _R.NOT_CONFIGURED: ReasonInfo(
        _S.CONFIGURATION,
        4,
        "The published key is compromised or about to be revoked, and the application is not in the configuration any more,"
        " so no new key may be made for it.",
        "rotator goes on revoking the other keys of the application; the published one stays valid.",
        "put {application} back into the configuration, or delete the key at the provider when nothing uses it",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_STALE: ReasonInfo(
        _S.OBSERVER,
        4,
        "Vault shows an older version of the credential document than this process has seen before.",
        _NOTHING_TOUCHED,
        "see whether a node of Vault is behind; when Vault was restored from a backup, restart rotator",
        _CLEARS,
    ),
    _R.DOCUMENT_UNREADABLE: ReasonInfo(
        _S.OBSERVER,
        4,
        "Vault does not give the credential document to this process.",
        _NOTHING_TOUCHED,
        "give the Vault policy of rotator the capability read on {path}",
        _CLEARS,
    ),
    _R.DOCUMENT_RESTORED: ReasonInfo(
        _S.SHARED,
        4,
        "The credential document is older than the ledger, or than a key that was made for it: it was restored from a"
        " backup, or deleted and written anew. Consumers may read a key that is revoked.",
        _NOTHING_TOUCHED,
        "restore the ledger of the same time as well, or write the newest key into {path} again",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_DELETED: ReasonInfo(
        _S.SHARED,
        4,
        "The credential document was deleted, so consumers find no key.",
        _KEY_STAYS,
        "undelete it in Vault, or remove its metadata and its ledger to begin anew",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_EXPIRES: ReasonInfo(
        _S.SHARED,
        4,
        "Vault deletes versions of the credential document by itself, because delete_version_after is set on its mount or on it.",
        "rotator writes the document again, unchanged, when half of the time of a version has passed. It claims no rotation, except in"
        " an emergency. A version that has expired is not taken for a document that a person deleted; nothing is revoked.",
        "set delete_version_after of the mount and of {path} to 0s; undelete a version that has expired",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_DAMAGED: ReasonInfo(
        _S.SHARED,
        4,
        "The credential document holds a key without a secret, or a secret without a key.",
        _KEY_STAYS,
        "write a sound version of {path}, or roll it back",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.DOCUMENT_EMPTIED: ReasonInfo(
        _S.SHARED,
        4,
        "The credential document held a key before and holds none now.",
        _KEY_STAYS,
        "roll {path} back in Vault, or remove the ledger to begin anew",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.FOREIGN_KEY: ReasonInfo(
        _S.SHARED,
        4,
        "A key that the document or a mark names belongs to another bearer, or is no key at all.",
        "rotator never touches a key of another bearer. Its own keys stay as they are.",
        "publish one of the application's own keys, or revoke the other key where it belongs",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.SECRET_REJECTED: ReasonInfo(
        _S.SHARED,
        4,
        "The provider rejects the published secret although its key exists: the document holds a secret of another key.",
        _KEY_STAYS,
        "publish the right secret in {path}, or roll it back",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.PROBE_INCONCLUSIVE: ReasonInfo(
        _S.OBSERVER,
        3,
        "The published key could not be probed: the provider gave no clear answer.",
        "rotator probes again every 30 seconds, and neither replaces nor revokes a key meanwhile.",
        "look at the provider's status page and at the network between this machine and it",
        _CLEARS,
    ),
    _R.BEARER_GONE: ReasonInfo(
        _S.SHARED,
        4,
        "The provider does not know the bearer of the application's keys.",
        _KEY_STAYS,
        "check the bearer {bearer} in the configuration and the organisation of account {account}",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.WRONG_ACCOUNT: ReasonInfo(
        _S.OBSERVER,
        4,
        "The published key authenticates, and the account has no key of that name: the account is another organisation.",
        "rotator revokes nothing: a key that this account does not list is not taken for gone.",
        "correct organization_id and secret_key of account {account}",
        _CLEARS,
    ),
    _R.MANY_KEYS_INVALID: ReasonInfo(
        _S.SHARED,
        4,
        "The published keys of several applications of one account are rejected at once, so the account looks wrong and not the keys.",
        "rotator replaces no further key of the account on its own.",
        "check organisation and address of account {account}; when the keys are really invalid, run: rotator rotate {application}",
        _CLEARS,
        consumers_at_risk=True,
    ),
    _R.ORPHAN_AMBIGUOUS: ReasonInfo(
        _S.SHARED,
        4,
        "Several attempts to make the first key may have left keys behind, and no document tells which of them could be published.",
        "rotator makes no further key for the application.",
        "delete these keys at the provider by hand",
        _CLEARS,
    ),
    _R.TOO_MANY_KEYS: ReasonInfo(
        _S.SHARED,
        4,
        "The application has as many valid keys as it may have.",
        "rotator rotates as soon as a grace period has ended.",
        "wait for the grace of the old keys to end, or end it with: rotator revoke KEY",
        _CLEARS,
    ),
    _R.QUOTA: ReasonInfo(
        _S.SHARED,
        4,
        "The organisation's quota has no room for another key.",
        "The published key stays. rotator rotates as soon as there is room.",
        "delete keys that nothing uses, or have the quota of account {account} raised",
        _CLEARS,
    ),
    _R.VAULT_PERMISSION_MISSING: ReasonInfo(
        _S.OBSERVER,
        1,
        "The Vault token of this process lacks a capability on the credential path, so a new key could not be published.",
        "The published key stays; rotator asks again every 30 seconds and makes no key that it could not publish.",
        "extend the Vault policy of rotator for {path}",
        _CLEARS,
    ),
    _R.DELETE_UNCONFIRMED: ReasonInfo(
        _S.SHARED,
        3,
        "The answer to the deletion of a key was lost, and the key still authenticates.",
        "rotator sends the deletion again and probes again.",
        "look at the provider's status page; when the deletion goes on failing, delete the key at the provider",
        "`key.revoked` is logged.",
    ),
    _R.DELETE_REFUSED: ReasonInfo(
        _S.SHARED,
        1,
        "The provider refuses to delete a key that is scheduled for revocation.",
        "rotator tries again with every pass; other keys do not wait for this one.",
        "give the management key of account {account} the right to delete keys, or delete the key at the provider",
        "`key.revoked` is logged.",
    ),
    _R.REVOCATION_UNVERIFIED: ReasonInfo(
        _S.SHARED,
        1,
        "A key was deleted and still authenticates.",
        "rotator deletes and probes again with every pass; the key stays in the ledger until it is rejected.",
        "report it to the provider when the key still authenticates after some minutes",
        "`key.revoked` is logged.",
    ),
    _R.MANAGEMENT_KEY: ReasonInfo(
        _S.OBSERVER,
        4,
        "A key that is due to be revoked is the one that its account logs in with.",
        "rotator never revokes that key; it revokes it once the account logs in with another one.",
        "put another key into secret_key and access_key of [accounts.{account}] and reload",
        _CLEARS,
        specific=True,
    ),
    _R.NOT_REVOCABLE: ReasonInfo(
        _S.SHARED,
        1,
        "The provider manages the key itself or protects it from deletion.",
        "rotator leaves the key alone; it stays in the ledger.",
        "have the provider's support remove the key, or make it deletable",
        _CLEARS,
    ),
    _R.CLOCK_SKEW: ReasonInfo(
        _S.OBSERVER,
        1,
        "The clocks of this machine, of Vault and of the provider differ by more than `max_clock_skew`.",
        "Revocations by a deadline wait. Rotations and emergencies go on. A process whose clock agrees is not affected.",
        "correct the clock of this machine, for instance with chrony, or that of Vault",
        _CLEARS,
    ),
    _R.LEDGER_UNREADABLE: ReasonInfo(
        _S.SERVICE,
        4,
        "The ledger of the application is deleted, damaged, or written by a newer version of rotator.",
        _NOTHING_TOUCHED,
        "roll the ledger back to its last sound version in Vault, or upgrade rotator",
        "Passes end with `pass.decided`, and `rotator status` shows the application.",
    ),
    _R.HELD: ReasonInfo(
        _S.SHARED,
        4,
        "An operator holds the application.",
        "rotator neither claims nor revokes; it goes on observing.",
        "release it with: rotator resume {application}",
        "`application.resumed` is logged.",
    ),
    _R.VERIFICATION_FAILED: ReasonInfo(
        _S.ATTEMPT,
        1,
        "The new key did not authenticate within the time of `verification`.",
        _NEXT_ATTEMPT,
        "look at the provider's status page; when it takes this long, raise verification.timeout",
        _ROTATES,
    ),
    _R.CREATE_UNCONFIRMED: ReasonInfo(
        _S.ATTEMPT,
        1,
        "The answer to the creation of a key was lost, so its secret is lost too.",
        "The published key stays. rotator finds the key by its tag, revokes it, and makes another attempt.",
        "nothing, unless it repeats: then look at the network between this machine and the provider",
        _ROTATES,
    ),
    _R.OVERTAKEN: ReasonInfo(
        _S.ATTEMPT,
        1,
        "The credential document changed while a rotation was under way.",
        "rotator revokes the key that it made and follows the document.",
        "nothing, unless it repeats: then find what else writes {path}",
        _ROTATES,
    ),
    _R.DEPENDENCIES_UNAVAILABLE: ReasonInfo(
        _S.ATTEMPT,
        3,
        "Vault or the provider was away for longer than a new key may wait in memory (`publish_timeout`).",
        _NEXT_ATTEMPT,
        "bring the service back; `service.down` names it",
        _ROTATES,
    ),
    _R.VAULT_UNAVAILABLE: ReasonInfo(
        _S.ATTEMPT,
        3,
        "Vault was away for longer than a new key may wait in memory (`publish_timeout`).",
        _NEXT_ATTEMPT,
        "bring Vault back",
        _ROTATES,
    ),
    _R.PUBLISH_TIMEOUT: ReasonInfo(
        _S.ATTEMPT,
        3,
        "Vault did not take the new key within `publish_timeout`.",
        _NEXT_ATTEMPT,
        "look at the load and the storage of Vault",
        _ROTATES,
    ),
    _R.STOPPING: ReasonInfo(
        _S.ATTEMPT,
        1,
        "The daemon was stopped before the new key was verified and published.",
        _NEXT_ATTEMPT,
        "start the daemon again",
        _ROTATES,
    ),
    _R.UNREACHABLE: ReasonInfo(
        _S.SERVICE,
        3,
        "Vault or the provider could not be reached, or the connection broke.",
        _REPEATS,
        "check the address, the network, the proxy and the certificates between this machine and the service",
        _ANSWERS,
        (
            "timeout",
            "refused",
            "dns",
            "tls",
            "connect",
            "proxy",
            "lost",
            "protocol",
            "closed",
            "request",
            "too_large",
            "encoding",
        ),
    ),
    _R.SEALED: ReasonInfo(
        _S.SERVICE, 3, "Vault is sealed or not initialised.", _REPEATS, "unseal Vault", _ANSWERS, ("uninitialized",)
    ),
    _R.STANDBY: ReasonInfo(
        _S.SERVICE,
        3,
        "Vault has no active node, or the node that answered cannot take the call.",
        _REPEATS,
        "look at the cluster of Vault: vault operator raft list-peers",
        _ANSWERS,
        ("upgrading",),
    ),
    _R.RATE_LIMITED: ReasonInfo(
        _S.SERVICE,
        3,
        "The service limits the rate of requests, or rotator's own `rate_limit` left no turn in time.",
        _REPEATS,
        "look for another program that uses the same account; lower rate_limit, or raise the account's timeout",
        _ANSWERS,
        ("own_rate_limit",),
    ),
    _R.SERVER_ERROR: ReasonInfo(
        _S.SERVICE,
        3,
        "The service answered with an error of its own.",
        _REPEATS,
        "look at the status page or the log of the service",
        _ANSWERS,
        ("transient", "key_replaced"),
    ),
    _R.UNEXPECTED_ANSWER: ReasonInfo(
        _S.SERVICE,
        3,
        "The answer is not one that the service gives: a proxy, another server, or a newer API.",
        _REPEATS,
        "check the address of the service and what stands between it and this machine",
        _ANSWERS,
        ("unreadable", "redirected", "inconsistent_pages"),
    ),
    _R.STALE: ReasonInfo(
        _S.SERVICE,
        3,
        "The node of Vault that answered is behind its leader.",
        _REPEATS,
        "look at the replication of Vault's cluster",
        _ANSWERS,
    ),
    _R.CONTENDED: ReasonInfo(
        _S.SERVICE,
        3,
        "Other processes wrote the same document first each time.",
        _REPEATS,
        "nothing, unless it repeats: then find what else writes the ledgers",
        _ANSWERS,
        ("conflict",),
    ),
    _R.LOGIN: ReasonInfo(
        _S.SERVICE,
        1,
        "Vault or the provider rejects the credentials that rotator logs in with, or they cannot be read.",
        _REPEATS,
        "renew the credentials that [vault] auth and [accounts.{account}] name",
        _ANSWERS,
        ("credentials", "unauthenticated", "secret_key", "no_field"),
    ),
    _R.POLICY: ReasonInfo(
        _S.SERVICE,
        1,
        "The credentials of rotator do not allow the call.",
        _REPEATS,
        "give the Vault policy or the IAM policy of rotator the right that the message names",
        _ANSWERS,
        ("permissions_denied",),
    ),
    _R.NOT_KV2: ReasonInfo(
        _S.SERVICE,
        1,
        "The mount of the ledger or of the credential document is not KV version 2.",
        _REPEATS,
        "upgrade the mount with: vault kv enable-versioning MOUNT, or name another one",
        _ANSWERS,
    ),
    _R.VERSIONS_EXPIRE: ReasonInfo(
        _S.SERVICE,
        1,
        "The mount of the ledgers deletes every version after a time, so that ledgers and the installation id would expire.",
        _REPEATS,
        "set delete_version_after of the mount to 0s, or name another mount in ledger_path",
        _ANSWERS,
    ),
    _R.TOO_LARGE: ReasonInfo(
        _S.SERVICE,
        1,
        "Vault refused a write because the document is too large or has too many strings; a ledger was tried without its past as well.",
        _REPEATS,
        "raise max_request_json_strings and max_request_size of the listener of Vault",
        _ANSWERS,
    ),
    _R.NOT_FOUND: ReasonInfo(
        _S.SERVICE,
        1,
        "The service does not have what the configuration names: a mount, a namespace, a project.",
        _REPEATS,
        "correct the name in the configuration",
        _ANSWERS,
        ("no_route",),
    ),
    _R.INVALID_REQUEST: ReasonInfo(
        _S.SERVICE,
        1,
        "The service rejects a request as wrong.",
        _REPEATS,
        "correct the option that the message names; when it names none, report it",
        _ANSWERS,
        ("bad_request", "invalid_arguments"),
    ),
}
"""Every reason. The keys are all members of ``Reason``."""

FORMER_NAMES: Mapping[str, Reason] = {
    "clocks_differ": Reason.CLOCK_SKEW,
    "many_dead": Reason.MANY_KEYS_INVALID,
    "never_alive": Reason.VERIFICATION_FAILED,
    "restored": Reason.DOCUMENT_RESTORED,
    "secret_refused": Reason.SECRET_REJECTED,
    "services_away": Reason.DEPENDENCIES_UNAVAILABLE,
    "still_alive": Reason.REVOCATION_UNVERIFIED,
    "two_possible_leftovers": Reason.ORPHAN_AMBIGUOUS,
    "untouchable": Reason.NOT_REVOCABLE,
    "vault_away": Reason.VAULT_UNAVAILABLE,
    "vault_denies": Reason.VAULT_PERMISSION_MISSING,
}
"""What ledgers up to schema 3 may call a reason; it is read under its present name."""

_BY_NAME: Mapping[str, Reason] = {
    **{kind: reason for reason, info in REASONS.items() for kind in info.kinds},
    **{reason.value: reason for reason in Reason},
}


def reason_of(name: str) -> Reason | None:
    """The reason of that name, or the one that a kind of service error stands for. None for what a plug-in made up."""
    return _BY_NAME.get(name)


def exit_code_of(name: str) -> int:
    """The exit code for the reason, or kind of service error, of that name: 3 passes with a service, 4 would be unsafe, 1 failed."""
    reason = reason_of(name)
    return REASONS[reason].exit_code if reason else 1


def phase_of(name: str) -> str:
    """The phase of an application that is stopped by the reason, or kind of service error, of that name."""
    reason = reason_of(name)
    if reason in (Reason.LEDGER_UNREADABLE, Reason.HELD):
        return "unreadable" if reason is Reason.LEDGER_UNREADABLE else "held"
    return "failing" if reason is None or REASONS[reason].source in (Source.ATTEMPT, Source.SERVICE) else "blocked"


def action_for(name: str, *, application: str, account: str, path: str, bearer: str) -> str:
    """What to do about the reason of that name; empty for one that is not known."""
    reason = reason_of(name)
    if reason is None:
        return ""
    return REASONS[reason].action.format(application=application, account=account, path=path, bearer=bearer)
