"""The names of the reasons why work on an application stops, and what is known of each."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Source(enum.StrEnum):
    """Who can see a reason, and with it where it is kept."""

    SHARED = "shared"
    """Every process sees the same in Vault and at the provider. The ledger records it."""
    CONFIGURATION = "configuration"
    """It follows from the configuration and the ledger alone. It is derived wherever both are read,
    and never written."""
    OBSERVER = "observer"
    """It depends on one process: its clock, its network, its token. That process reports it and
    never writes it."""
    ATTEMPT = "attempt"
    """It ended one rotation. The ledger counts the failure, and the next attempt follows after a
    delay."""
    SERVICE = "service"
    """A call to Vault or to the provider did not succeed. The pass is repeated."""


class Reason(enum.StrEnum):
    """The identifiers: ``problem.reason`` in JSON, the field ``reason`` of events, the label
    ``reason`` of metrics."""

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
    KEY_IN_OTHER_FIELD = "key_in_other_field"
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

    ``action`` ends every message about it and may name ``{application}``, ``{account}``, ``{path}``
    and ``{bearer}``. ``kinds`` are the kinds of service errors that it stands for.
    ``consumers_at_risk``: what consumers read may not work. ``specific``: what to do depends on
    more than the reason, so the message says it itself.
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
