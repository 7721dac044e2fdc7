"""Which ledgers there are beside those of the configuration, and what of them cannot be read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from rotator.domain.document import CredentialDocument
from rotator.domain.ledger import Ledger, Predecessor
from rotator.domain.ports import VaultStore
from rotator.errors import LedgerUnreadable, PermissionDenied, Unavailable
from rotator.reconciler.ledger_directory import REFRESH_INTERVAL, LedgerDirectory, read_former_document, read_related
from rotator.reconciler.rendering import notes
from tests.support.observations import CURRENT, NOW, document, ledger
from tests.support.simulated import PATH, spec

AWAY = Unavailable("vault is away", service="vault", kind="sealed")
DENIED = PermissionDenied("the policy denies it", service="vault", kind="permission")
DAMAGED = LedgerUnreadable("the ledger is damaged")
FORMER = "secret/former"


@dataclass
class Store:
    """A Vault of ledgers and one document; an exception in place of either is raised."""

    ledgers: dict[str, Ledger | Exception | None] = field(default_factory=dict)
    document: CredentialDocument | Exception = field(default_factory=document)
    listing: Exception | None = None
    lists: int = 0
    reads: list[str] = field(default_factory=list)

    def list_ledgers(self) -> tuple[str, ...]:
        self.lists += 1
        if self.listing:
            raise self.listing
        return tuple(sorted(self.ledgers))

    def read_ledger(self, name: str) -> tuple[Ledger | None, int]:
        self.reads.append(name)
        found = self.ledgers[name]
        if isinstance(found, Exception):
            raise found
        return found, 7

    def read_document(self, path: str, access_field: str, secret_field: str) -> CredentialDocument:
        assert (path, access_field, secret_field) == (FORMER, "a", "s")
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


def directory(store: Store) -> tuple[LedgerDirectory, Clock]:
    clock = Clock()
    return LedgerDirectory(cast(VaultStore, store), {"billing": spec()}, clock), clock


def other(name: str, **changes: object) -> Ledger:
    return ledger(application=name, **changes)


def test_a_removed_application_has_a_ledger_and_no_configuration_and_no_successor() -> None:
    store = Store(
        {"billing": ledger(), "invoices": other("invoices"), "old": other("old", successor="billing"), "deleted": None}
    )
    found, _ = directory(store)
    assert found.removed(lambda name, error: None) == {"invoices": other("invoices")}
    assert "billing" not in store.reads


def test_a_ledger_that_cannot_be_read_is_reported_and_hides_no_other() -> None:
    told: list[tuple[str, Exception]] = []
    found, _ = directory(Store({"a": DAMAGED, "b": DENIED, "c": other("c")}))
    assert list(found.removed(lambda name, error: told.append((name, error)))) == ["c"]
    assert told == [("a", DAMAGED), ("b", DENIED)]


def test_a_vault_that_is_away_is_no_missing_ledger() -> None:
    found, _ = directory(Store({"a": AWAY}))
    with pytest.raises(Unavailable):
        found.removed(lambda name, error: None)
    with pytest.raises(Unavailable):
        found.related(spec())


def test_c5_the_ledgers_of_a_bearer_are_found_and_listed_again_after_a_minute() -> None:
    store = Store(
        {"b": other("b"), "a": other("a"), "stranger": other("stranger", bearer="another"), "damaged": DAMAGED}
    )
    found, clock = directory(store)
    assert found.related(spec()) == ("a", "b")
    store.ledgers["c"] = other("c")
    del store.ledgers["a"]
    clock.now = NOW + REFRESH_INTERVAL - timedelta(milliseconds=1)
    assert (found.related(spec()), store.lists) == (("a", "b"), 1)
    clock.now = NOW + REFRESH_INTERVAL
    store.reads.clear()
    assert (found.related(spec()), store.lists) == (("b", "c"), 2)
    assert store.reads == ["c", "damaged"]
    assert found.related(spec(application="b")) == ("c",)


def test_passes_that_begin_together_list_the_ledgers_once() -> None:
    release, asked = threading.Event(), threading.Event()

    class Slow(Store):
        def list_ledgers(self) -> tuple[str, ...]:
            names = super().list_ledgers()
            if self.lists > 1:
                asked.set()
            release.wait(60)
            return names

    store = Slow({"a": other("a")})
    found, _ = directory(store)
    with ThreadPoolExecutor(8) as passes:
        answers = [passes.submit(found.related, spec()) for _ in range(8)]
        asked.wait(0.3)
        release.set()
        assert [answer.result(60) for answer in answers] == [("a",)] * 8
    assert store.lists == 1


def test_c5_a_clock_that_goes_back_has_the_ledgers_listed_again() -> None:
    store = Store()
    found, clock = directory(store)
    found.related(spec())
    clock.now = NOW - timedelta(seconds=1)
    found.related(spec())
    assert store.lists == 2


def test_c5_a_list_that_another_pass_has_read_meanwhile_is_not_read_again() -> None:
    store = Store()
    found, clock = directory(store)
    found.related(spec())
    times = iter([NOW + REFRESH_INTERVAL, NOW])  # stale at the first look, read by another pass at the second
    found._now = lambda: next(times)
    found.related(spec())
    assert store.lists == 1


def test_c5_without_the_right_to_list_nothing_is_related_and_vault_is_not_asked_at_every_pass() -> None:
    store = Store(listing=DENIED)
    found, _ = directory(store)
    assert (found.related(spec()), found.related(spec()), store.lists) == ((), (), 1)
    away, _ = directory(Store(listing=AWAY))
    with pytest.raises(Unavailable):
        away.related(spec())


def related(*ledgers: Ledger | Exception | None, shown: CredentialDocument | Exception | None = None) -> list[object]:
    store = Store({str(number): one for number, one in enumerate(ledgers)}, shown or document())
    found, _ = read_related(spec(), cast(VaultStore, store), tuple(store.ledgers), None)
    return [(one.ledger, one.version, one.document) for one in found]


def test_c5_a_related_ledger_comes_with_the_document_of_its_former_path() -> None:
    here = other("a", path=PATH)
    moved = other("b", path=FORMER, access_field="a", secret_field="s")
    assert related(here) == [(here, 7, None)]
    assert related(moved) == [(moved, 7, document())]
    assert related(moved, shown=DENIED) == [(moved, 7, None)]
    emptied = other("c", path=FORMER, successor="billing", current=None)
    assert related(emptied) == [(emptied, 7, None)]
    assert related(DAMAGED, None, other("d", bearer="another")) == []


def test_c5_what_a_takeover_announces_is_read_by_its_name_and_what_cannot_be_read_is_named() -> None:
    store = Store({"a": other("a", path=PATH), "b": DAMAGED, "c": DENIED, "d": other("d", path=PATH), "e": None})
    own = ledger(
        predecessors=tuple(
            Predecessor(name, PATH, "a", "s", taken_over=name == "d") for name in ("a", "b", "c", "d", "e")
        )
    )
    found, unread = read_related(spec(), cast(VaultStore, store), (), own)
    assert ([one.ledger.application for one in found], unread) == (["a"], ("b", "c"))
    assert store.reads == ["a", "b", "c", "e"]
    store.ledgers["a"] = AWAY
    with pytest.raises(Unavailable):
        read_related(spec(), cast(VaultStore, store), (), own)


def test_c5_a_former_document_that_cannot_be_read_is_unknown_and_a_vault_that_is_away_is_a_failure() -> None:
    for failure in (DENIED, DAMAGED):
        assert read_former_document(cast(VaultStore, Store(document=failure)), FORMER, "a", "s") is None
    with pytest.raises(Unavailable):
        read_former_document(cast(VaultStore, Store(document=AWAY)), FORMER, "a", "s")


def test_an_application_without_a_key_leaves_no_notes_at_its_document() -> None:
    assert notes(ledger(current=None)) == {}


def test_the_notes_at_a_document_say_what_is_unknown_in_words() -> None:
    current = replace(CURRENT, created_at=None, expires_at=NOW)
    known = notes(ledger())
    assert known == {
        "rotator_access_key": "SCWPUBLISHED",
        "rotator_rotation_id": "none",
        "rotator_published_at": "2025-12-23T00:00:00Z",
        "rotator_created_at": "2025-12-22T00:00:00Z",
        "rotator_expires_at": "never",
    }
    changed = {"rotator_created_at": "unknown", "rotator_expires_at": "2026-01-01T00:00:00Z"}
    assert notes(ledger(current=current)) == {**known, **changed}


def test_c5_of_a_ledger_that_was_taken_over_and_has_a_current_key_the_former_document_is_read_as_well() -> None:
    elsewhere = {"path": FORMER, "access_field": "a", "secret_field": "s"}
    kept, unborn = other("a", **elsewhere, successor="billing"), other("b", **elsewhere, current=None)
    emptied = other("c", **elsewhere, successor="billing", current=None)
    assert related(kept, unborn, emptied) == [(kept, 7, document()), (unborn, 7, document()), (emptied, 7, None)]
