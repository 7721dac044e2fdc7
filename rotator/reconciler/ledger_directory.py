"""Finds the ledgers that the configuration does not name, and those among them that name the bearer
of a configured application."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta

from rotator.decision.observation import RelatedLedger
from rotator.domain.document import CredentialDocument
from rotator.domain.ledger import Ledger
from rotator.domain.ports import VaultStore
from rotator.domain.spec import ApplicationSpec
from rotator.errors import LedgerUnreadable, ServiceError, Unavailable
from rotator.util.single_flight import SingleFlight

REFRESH_INTERVAL = timedelta(minutes=1)
"""Age from which the list of ledgers is read again before an application is related to them."""

Unreadable = Callable[[str, Exception], None]


class LedgerDirectory:
    """Which ledgers there are beside those of the configuration, and whose bearer each names, which
    never changes. Thread-safe: an entry is replaced whole. A list that is a minute old only delays
    a takeover."""

    def __init__(
        self,
        vault: VaultStore,
        specs: Mapping[str, ApplicationSpec],
        now: Callable[[], datetime],
        *,
        left_out: AbstractSet[str] = frozenset(),
    ) -> None:
        """``left_out``: names that the configuration has and ``specs`` has not, because there was
        no need to read them."""
        self._vault = vault
        self._configured = specs.keys() | left_out
        self._now = now
        self._known: dict[str, str] = {}
        self._by_bearer: dict[str, list[str]] = {}
        self._listed_at: datetime | None = None
        self._listing = SingleFlight[None]()

    def removed(self, unreadable: Unreadable) -> dict[str, Ledger]:
        """The ledgers without configuration that no application has taken over, by name. Asks
        Vault. One that cannot be read is reported and left out: nothing can be done for it, and it
        hides no other."""
        found = self._read(set(), unreadable)
        return {name: ledger for name, ledger in found.items() if not ledger.successor}

    def related(self, spec: ApplicationSpec) -> tuple[str, ...]:
        """The names of the ledgers that name the application's bearer, superseded ones included."""
        if not self._is_recent():
            self._listing.ask(self._refresh)  # passes that begin together list once
        return tuple(name for name in self._by_bearer.get(spec.bearer, ()) if name != spec.application)

    def _is_recent(self) -> bool:
        return self._listed_at is not None and timedelta(0) <= self._now() - self._listed_at < REFRESH_INTERVAL

    def _refresh(self) -> None:
        if self._is_recent():
            return
        now = self._now()
        try:
            self._read(set(self._known), _ignore)
        except Unavailable:
            raise
        except ServiceError:
            pass  # without the right to list nothing is related; the search for removed applications reports it
        self._listed_at = now

    def _read(self, known: set[str], unreadable: Unreadable) -> dict[str, Ledger]:
        names = self._vault.list_ledgers()
        found = {}
        for name in names:
            if name in self._configured or name in known:
                continue
            try:
                ledger, _ = self._vault.read_ledger(name)
            except (LedgerUnreadable, ServiceError) as error:
                if isinstance(error, Unavailable):
                    raise
                unreadable(name, error)
                continue
            if ledger is not None:
                found[name] = ledger
                self._known[name] = ledger.bearer
        for gone in set(self._known) - set(names):
            self._known.pop(gone, None)
        by_bearer: dict[str, list[str]] = {}
        for name, bearer in sorted(self._known.items()):
            by_bearer.setdefault(bearer, []).append(name)
        self._by_bearer = by_bearer
        return found


def _ignore(name: str, error: Exception) -> None:
    """A ledger that cannot be read is reported where removed applications are listed."""


def read_related(
    spec: ApplicationSpec, vault: VaultStore, names: Iterable[str], own: Ledger | None
) -> tuple[tuple[RelatedLedger, ...], tuple[str, ...]]:
    """The ledgers of these names that belong to the application's bearer, with their documents, and
    the names of those that cannot be read.

    A ledger that a takeover has announced in the application's ``own`` one is read by its name,
    whether a list contains it or not: its keys have promises that stand nowhere else.
    """
    found, unread = [], []
    announced = [one.application for one in own.predecessors if not one.taken_over] if own else []
    for name in dict.fromkeys((*names, *announced)):
        try:
            ledger, version = vault.read_ledger(name)
        except Unavailable:
            raise
        except (LedgerUnreadable, ServiceError):
            unread.append(name)
            continue
        if ledger is not None and spec.bearer == ledger.bearer:
            pending = ledger.path != spec.path and not (ledger.successor and ledger.current is None)
            document = (
                read_former_document(vault, ledger.path, ledger.access_field, ledger.secret_field) if pending else None
            )
            found.append(RelatedLedger(ledger, version, document))
    return tuple(found), tuple(unread)


def read_former_document(
    vault: VaultStore, path: str, access_field: str, secret_field: str
) -> CredentialDocument | None:
    """The document at a former path; None when it cannot be read, which is not the same as
    absent."""
    try:
        return vault.read_document(path, access_field, secret_field)
    except Unavailable:
        raise
    except (LedgerUnreadable, ServiceError):
        return None
