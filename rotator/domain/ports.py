"""The contracts between the protocol and the world: a provider of keys, a Vault, a clock, a
journal.

Each has a contract test suite that every implementation passes, the real one and the ones that
tests use. All calls are synchronous, thread-safe and bounded in time, and raise nothing but
``rotator.errors.ServiceError`` (and, where said, ``LedgerUnreadable``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from rotator.domain.account import AccountDocument
from rotator.domain.audit import AuditTrail
from rotator.domain.document import CredentialDocument
from rotator.domain.keys import Bearer, Key, ProbeResult
from rotator.domain.ledger import Ledger
from rotator.domain.secret import Secret


class Provider(Protocol):
    """An issuer of keys, seen through one account.

    Reading verbs raise ``Unavailable`` when the answer says nothing (time-out, connection lost,
    429, 5xx) and ``Denied`` when the management credentials are refused, after reloading them once.
    """

    name: str
    """The account's name, for messages."""

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        """Every key of the bearer, all pages, expired ones included. Presence is proven by one
        list; absence is not proven by a list. Raises ``Unavailable`` when the pages do not add
        up."""

    def list_all_keys(self) -> tuple[Key, ...]:
        """Every key of the account, of any bearer, all pages, expired ones included. Raises
        ``Unavailable`` when the pages do not add up, for then one may be missing."""

    def get_key(self, access_key: str) -> Key | None:
        """The key of that name, of any bearer; None when the provider says that there is none
        (404)."""

    def create_key(
        self, bearer: str, description: str, *, default_project_id: str | None, expires_at: datetime | None
    ) -> tuple[Key, Secret]:
        """Make one key with exactly one request, never repeated.

        Raises ``Unavailable`` only when it was surely not executed (nothing was sent, or 429),
        ``Unclear`` when it may have been, ``Rejected`` (``QuotaExceeded``, ``NotFound``) or
        ``Denied`` when it was refused for good.
        """

    def delete_key(self, access_key: str) -> bool:
        """Delete the key; True when this call did it, False when it was already gone (404 is
        success).

        Raises ``Indeterminate`` when it may have been executed.
        """

    def authenticate(self, access_key: str, secret: Secret) -> ProbeResult:
        """Try the secret once. ``VALID``: it authenticates (also when the bearer lacks the right to
        look); ``REJECTED``: it does not; ``INCONCLUSIVE``: the answer says nothing. Never raises
        for what the other side answers or fails to answer."""

    def bearer_exists(self, bearer: str) -> bool:
        """Whether the provider knows the bearer. False only on a plain 404."""

    def headroom(self, *, fresh: bool = False) -> int | None:
        """How many keys the account still has room for; None when the provider does not say. May be
        a minute old, unless ``fresh``."""

    def trail(self, bearer: str, since: datetime, until: datetime) -> AuditTrail:
        """What the bearer did between these times, as far as the provider keeps a trail that may be
        read. Never raises for what the other side answers or fails to answer: the trail names the
        places without an answer."""

    def urgent(self) -> Provider:
        """The same account for an emergency, whose calls may use the share of the rate limit that
        no other call may."""

    def clock_offset(self) -> timedelta:
        """The provider's clock minus this machine's, from the latest answer; zero before the
        first."""


@runtime_checkable
class BearerDirectory(Protocol):
    """A provider that can list its bearers. A provider without a directory works; ``rotator init``
    then asks for ids."""

    def list_bearers(self) -> tuple[Bearer, ...]:
        """Every bearer of the account that keys can be made for, by name. Raises ``Unavailable``
        when the pages do not add up."""


class DocumentVersion(Protocol):
    """One version of a document as Vault's metadata tells it."""

    @property
    def version(self) -> int:
        """Its number, from 1."""

    @property
    def created_time(self) -> datetime:
        """When it was written."""

    @property
    def deleted(self) -> bool:
        """Whether it can no longer be read."""

    @property
    def destroyed(self) -> bool:
        """Whether its data are gone for good."""


class VaultStore(Protocol):
    """The two documents of each application, in Vault KV v2, and a little beside them.

    Reading verbs raise ``Unavailable`` (``kind`` is ``sealed``, ``standby``, ``unreachable``, …)
    and ``Denied`` (with path and capability). Writing verbs also raise ``Unclear`` and, only after
    a fresh read said so too, ``Conflict``. All reads are at least as new as anything that this
    process has seen.
    """

    def read_ledger(self, application: str) -> tuple[Ledger | None, int]:
        """The ledger and its version; (None, 0) only when Vault has never had one. A deleted,
        damaged or newer one raises ``LedgerUnreadable``."""

    def write_ledger(self, ledger: Ledger, *, cas: int) -> int:
        """Write the ledger if its version is still ``cas`` (0: if there is none); the new
        version."""

    def list_ledgers(self) -> tuple[str, ...]:
        """The applications that have a ledger."""

    def read_account(self, account: str) -> tuple[AccountDocument, int]:
        """What is remembered of an account and of no application, and its version; an empty one and
        0 only when there never was one. Raises ``LedgerUnreadable`` as for a ledger."""

    def write_account(self, document: AccountDocument, *, cas: int) -> int:
        """Write the document of an account if its version is still ``cas``; the new version."""

    def read_document(self, path: str, access_field: str, secret_field: str) -> CredentialDocument:
        """The current version of a credential document, or its absence, or that it was deleted
        (with its version)."""

    def read_version(self, path: str, version: int, access_field: str, secret_field: str) -> CredentialDocument:
        """One version. A deleted one has its ``created_time``; a pruned one or one that never was
        is ABSENT, with the version asked for."""

    def write_document(self, path: str, fields: Mapping[str, Any], *, cas: int) -> tuple[int, datetime]:
        """Write the credential document if its version is still ``cas``; the new version and its
        created time. Values may be ``Secret``; everything else is JSON."""

    def list_versions(self, path: str) -> Sequence[DocumentVersion]:
        """The versions of a document that Vault still knows, oldest first."""

    def destroy_versions(self, path: str, versions: Sequence[int]) -> None:
        """Destroy the data of these versions for good. One that is destroyed already, or that never
        was, is no error."""

    def annotate(self, path: str, values: Mapping[str, str]) -> None:
        """Merge into the document's custom metadata, for people who look. Never needed."""

    def missing_capabilities(self, path: str) -> Sequence[str]:
        """What the token lacks of read, create and update on the credential path; empty if nothing.
        The answer may be a few minutes old."""

    def require_kv2(self, path: str) -> None:
        """Return when the mount of the path is proven to be KV version 2; raise ``Rejected`` when
        it is not."""

    def installation(self) -> str:
        """The random id of this installation, made on first use. Raises ``LedgerUnreadable`` when
        it is missing while ledgers exist."""

    def clock_offset(self) -> timedelta:
        """Vault's clock minus this machine's, from the latest answer; zero before the first."""


class Clock(Protocol):
    """Time and chance, so that tests can own both."""

    def now(self) -> datetime:
        """The time, aware, in UTC."""

    def token(self) -> str:
        """A fresh random identifier: 16 hexadecimal digits."""


class EventSink(Protocol):
    """Where events go. Names and fields are listed in ``rotator.observability.events``."""

    def emit(self, event: str, **fields: object) -> None:
        """Record one event. Never raises."""


RequestObserver = Callable[[str, str, float], None]
"""Hears of every call: the service (``"vault"`` or the account's name), the outcome, the seconds.
Never raises."""


class NullEventSink:
    """The journal of commands that print their results: events are for the daemon's logs and for
    the ledger."""

    def emit(self, event: str, **fields: object) -> None:
        """Nothing is recorded."""


class TapSink:
    """Passes every event on to ``sink``, after ``saw`` has received it."""

    def __init__(self, sink: EventSink, saw: Callable[[str, Mapping[str, object]], None]) -> None:
        self._sink = sink
        self._saw = saw

    def emit(self, event: str, **fields: object) -> None:
        """Record one event."""
        self._saw(event, fields)
        self._sink.emit(event, **fields)
