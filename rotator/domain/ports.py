"""The contracts of the reconciler with the outside: provider, Vault, clock, event sink.

Each has a contract test suite that every implementation passes, the real one and those of the
tests. All calls are synchronous, thread-safe and bounded in time. They raise only
``rotator.errors.ServiceError`` and, where stated, ``LedgerUnreadable``.
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
from rotator.domain.presence import StoredPresence
from rotator.domain.secret import Secret


class Provider(Protocol):
    """An issuer of keys, for one account.

    Reads raise ``Unavailable`` when the answer shows nothing (timeout, lost connection, 429, 5xx)
    and ``PermissionDenied`` when the management credentials are rejected, after reloading them
    once.
    """

    name: str
    """The account's name, for messages."""

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        """Every key of the bearer from all pages, expired ones included. A list proves presence,
        not absence. Raises ``Unavailable`` if the pages are inconsistent."""

    def list_all_keys(self) -> tuple[Key, ...]:
        """Every key of the account from all pages, of any bearer, expired ones included. Raises
        ``Unavailable`` if the pages are inconsistent, since a key may be missing."""

    def get_key(self, access_key: str) -> Key | None:
        """The key of that name, of any bearer; None if the provider answers that it does not exist
        (404)."""

    def create_key(
        self, bearer: str, description: str, *, default_project_id: str | None, expires_at: datetime | None
    ) -> tuple[Key, Secret]:
        """Make one key with exactly one request, never repeated.

        Raises ``Unavailable`` only when it was surely not executed (nothing was sent, or 429),
        ``Indeterminate`` when it may have been, ``Rejected`` (``QuotaExceeded``, ``NotFound``) or
        ``PermissionDenied`` when it was refused for good.
        """

    def delete_key(self, access_key: str) -> bool:
        """Deletes the key. True if this call did, False if it did not exist (404 is success).

        Raises ``Indeterminate`` when it may have been executed.
        """

    def authenticate(self, access_key: str, secret: Secret) -> ProbeResult:
        """Tries the secret once. ``VALID``: it authenticates, even if the bearer lacks permission
        to read; ``REJECTED``: it does not; ``INCONCLUSIVE``: the answer does not show it. Never
        raises because of an answer or the lack of one."""

    def missing_right(self, key: Key, secret: Secret) -> str:
        """What this new management key may not read of what the management key in use may read, as
        a sentence that names the right; empty if nothing. Asked for an account's own key only, and
        changes nothing. Raises ``Unavailable`` when the answers do not show it."""

    def bearer_exists(self, bearer: str) -> bool:
        """Whether the provider knows the bearer. False only on a plain 404."""

    def headroom(self, *, fresh: bool = False) -> int | None:
        """How many more keys the quota permits; None if the provider reports none. Up to a minute
        old, unless ``fresh``."""

    def trail(self, bearer: str, since: datetime, until: datetime) -> AuditTrail:
        """The bearer's calls between these times, if the provider has a readable trail. Never
        raises because of an answer or the lack of one: the trail names the regions without an
        answer."""

    def urgent(self) -> Provider:
        """The same account for emergencies: its calls may use the reserved share of the rate
        limit."""

    def clock_offset(self) -> timedelta:
        """The provider's clock minus this machine's, from the latest answer; zero before the
        first."""


@runtime_checkable
class BearerDirectory(Protocol):
    """A provider that can list its bearers. Optional; without it ``rotator init`` asks for ids."""

    def list_bearers(self) -> tuple[Bearer, ...]:
        """Every bearer of the account that can have keys, by name. Raises ``Unavailable`` if the
        pages are inconsistent."""


class DocumentVersion(Protocol):
    """One version of a document in Vault's metadata."""

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
        """Whether its data are destroyed."""


class VaultStore(Protocol):
    """The ledger and the credential document of each application in Vault KV v2, and the account
    documents.

    Reads raise ``Unavailable`` (``kind`` is ``sealed``, ``standby``, ``unreachable``, …) and
    ``PermissionDenied`` (with path and capability). Writes also raise ``Indeterminate`` and, once a
    fresh read confirms it, ``Conflict``. All reads are at least as new as anything that this
    process has read before.
    """

    def read_ledger(self, application: str) -> tuple[Ledger | None, int]:
        """The ledger and its version; (None, 0) only if Vault never had one. A deleted, damaged or
        newer one raises ``LedgerUnreadable``."""

    def write_ledger(self, ledger: Ledger, *, cas: int) -> int:
        """Writes the ledger if its version is still ``cas`` (0: none); returns the new version."""

    def list_ledgers(self) -> tuple[str, ...]:
        """The applications that have a ledger."""

    def read_account(self, account: str) -> tuple[AccountDocument, int]:
        """The document of an account, and its version; an empty one and 0 only if there never was
        one. Raises ``LedgerUnreadable`` as for a ledger."""

    def write_account(self, document: AccountDocument, *, cas: int) -> int:
        """Writes the document of an account if its version is still ``cas``; returns the new
        version."""

    def read_document(self, path: str, access_field: str, secret_field: str) -> CredentialDocument:
        """The current version of a credential document; the result also stands for an absent or a
        deleted one (with its version)."""

    def read_version(self, path: str, version: int, access_field: str, secret_field: str) -> CredentialDocument:
        """One version. A deleted one has its ``created_time``; a pruned or unwritten one is ABSENT,
        with the requested version."""

    def write_document(self, path: str, fields: Mapping[str, Any], *, cas: int) -> tuple[int, datetime]:
        """Writes the credential document if its version is still ``cas``; returns the new version
        and its creation time. Values may be ``Secret``; everything else is JSON."""

    def list_versions(self, path: str) -> Sequence[DocumentVersion]:
        """The versions of a document that Vault has metadata for, oldest first."""

    def destroy_versions(self, path: str, versions: Sequence[int]) -> None:
        """Destroys the data of these versions. A destroyed or unwritten version is no error."""

    def annotate(self, path: str, values: Mapping[str, str]) -> None:
        """Merges values into the document's custom metadata, for human readers only."""

    def missing_capabilities(self, path: str) -> Sequence[str]:
        """Which of read, create and update the token lacks on the credential path; empty if none.
        The answer may be a few minutes old."""

    def require_kv2(self, path: str) -> None:
        """Returns if the mount of the path is KV version 2; raises ``Rejected`` if not."""

    def installation(self) -> str:
        """The random id of this installation, created on first use. Raises ``LedgerUnreadable`` if
        it is missing while ledgers exist."""

    def clock_offset(self) -> timedelta:
        """Vault's clock minus this machine's, from the latest answer; zero before the first."""


class PresenceStore(Protocol):
    """The presences of the daemons of one installation. Calls raise as those of ``VaultStore``."""

    def read_presences(self) -> Sequence[StoredPresence]:
        """What is stored at each place that was ever used, by place. It may be a little old."""

    def write_presence(self, place: int, content: Mapping[str, Any], *, cas: int) -> None:
        """Writes the document at this place if its version is still ``cas`` (0: none)."""


class Clock(Protocol):
    """Time and random values; tests replace both."""

    def now(self) -> datetime:
        """The time, aware, in UTC."""

    def token(self) -> str:
        """A new random identifier: 16 hexadecimal digits."""


class EventSink(Protocol):
    """Receives events. ``rotator.observability.events`` lists names and fields."""

    def emit(self, event: str, **fields: object) -> None:
        """Records one event. Never raises."""


RequestObserver = Callable[[str, str, float], None]
"""Called after every request: the service (``"vault"`` or the account's name), the outcome, the
seconds. Never raises."""


class NullEventSink:
    """The event sink of commands that print their results."""

    def emit(self, event: str, **fields: object) -> None:
        """Records nothing."""


class TapSink:
    """Forwards every event to ``sink``, after ``saw`` has received it."""

    def __init__(self, sink: EventSink, saw: Callable[[str, Mapping[str, object]], None]) -> None:
        self._sink = sink
        self._saw = saw

    def emit(self, event: str, **fields: object) -> None:
        """Record one event."""
        self._saw(event, fields)
        self._sink.emit(event, **fields)
