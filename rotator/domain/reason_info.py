"""The reasons why work on an application stops, and their descriptions."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Source(enum.StrEnum):
    """Which processes can see a reason, and so where it is recorded."""

    SHARED = "shared"
    """Every process sees it in Vault or at the provider. The ledger records it."""
    CONFIGURATION = "configuration"
    """It follows from the configuration and the ledger. It is derived from both and never
    written."""
    OBSERVER = "observer"
    """It depends on one process: its clock, its network, its token. That process reports it and
    does not write it."""
    ATTEMPT = "attempt"
    """It ended one rotation. The ledger counts the failure, and the next attempt follows after a
    delay."""
    SERVICE = "service"
    """A call to Vault or to the provider failed. The pass is repeated."""


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
    # a rotation failed
    VERIFICATION_FAILED = "verification_failed"
    CREATE_UNCONFIRMED = "create_unconfirmed"
    OVERTAKEN = "overtaken"
    DEPENDENCIES_UNAVAILABLE = "dependencies_unavailable"
    VAULT_UNAVAILABLE = "vault_unavailable"
    PUBLISH_TIMEOUT = "publish_timeout"
    STOPPING = "stopping"
    # a call to a service failed: `kind` of its error
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
    """The description of one reason.

    ``action`` ends every message about it and may name ``{application}``, ``{account}``, ``{path}``
    and ``{bearer}``. ``kinds``: the kinds of service errors that it covers. ``consumers_at_risk``:
    the published key may not work. ``specific``: the action depends on more than the reason, so the
    message contains it.
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
        """The action without names, for notifications to other services and for documents."""
        return self.action.format(application="APPLICATION", account="ACCOUNT", path="PATH", bearer="BEARER")

    @property
    def recorded(self) -> bool:
        """Whether a pass that it blocks writes it into the ledger."""
        return self.source is Source.SHARED
