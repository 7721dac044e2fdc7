"""What an application knows of its keys when the document cannot be trusted, or another document may publish them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rotator.decision.classification import Disposition
from rotator.decision.state import ApplicationState
from rotator.decision.steps import VerifyRevocation, Wait, WriteLedger
from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.ledger import Predecessor
from rotator.domain.marker import Marker
from tests.support.observations import (
    CURRENT,
    FOURTH,
    HOUR,
    NOW,
    OTHER,
    PUBLISHED,
    THIRD,
    VERSION,
    decided,
    document,
    key,
    mark,
    marked,
    marker,
    observe,
    retiring,
    revoking,
)
from tests.support.simulated import spec

FORMER = "secret/former"


def state(**changes: Any) -> ApplicationState:
    return ApplicationState(spec(), observe(**changes))


UNREADABLE = document(None, state=DocumentState.UNREADABLE, secret=None)
RESTORED = document("SCWOLDER", version=2)
"""It is older than what the ledger knows, and shows another key."""

KNOWN = {"retiring": (retiring(OTHER),), "revoking": (revoking(THIRD),)}
KEYS = (key(), key(OTHER), key(THIRD), marked(FOURTH, base=VERSION), key("SCWSTRANGER"))


def test_r9_a_document_is_in_doubt_when_it_cannot_be_read_or_is_older_than_what_is_known() -> None:
    assert not state().document_in_doubt
    assert state(document=UNREADABLE).document_in_doubt
    assert state(document=replace(UNREADABLE, version=VERSION + 1)).document_in_doubt
    assert state(document=RESTORED).document_in_doubt
    assert state(floor=VERSION + 1).document_in_doubt


@pytest.mark.parametrize(
    ("shown", "unpublished"),
    [
        (document(), {OTHER, THIRD, FOURTH, "SCWSTRANGER", "SCWUNKNOWN"}),
        (UNREADABLE, {OTHER, THIRD}),
        (RESTORED, {OTHER, THIRD, "SCWSTRANGER", "SCWUNKNOWN"}),
    ],
    ids=["read", "unreadable", "restored"],
)
def test_r9_a_key_is_surely_unpublished_only_when_no_doubt_about_the_document_matters(
    shown: CredentialDocument, unpublished: set[str]
) -> None:
    seen = state(document=shown, ledger=KNOWN, keys=KEYS)
    names = {PUBLISHED, OTHER, THIRD, FOURTH, "SCWSTRANGER", "SCWUNKNOWN", "SCWOLDER"}
    assert {name for name in names if seen.surely_unpublished(name)} == (
        unpublished | {"SCWOLDER"} if shown is document() or shown.access_key == PUBLISHED else unpublished
    )


def test_r9_where_the_ledger_knows_no_current_key_only_what_it_saw_replaced_is_surely_unpublished() -> None:
    seen = state(document=UNREADABLE, ledger={**KNOWN, "current": None}, keys=KEYS)
    assert [seen.surely_unpublished(name) for name in (PUBLISHED, OTHER, THIRD)] == [False, True, True]


# --- keys that were made under an earlier name ---


def former(path: str = FORMER, access_key: str = OTHER) -> Predecessor:
    return Predecessor("invoices", path, "a", "s", taken_over=True, access_key=access_key)


def judged(predecessor: Predecessor, shown: CredentialDocument | None, base: int = 2) -> Disposition:
    """What became of a key that invoices made for that version of its document."""
    documents = {} if shown is None else {FORMER: shown}
    made = Marker("1" * 16, "invoices", "e" * 16, base, "0" * 16)
    seen = state(ledger={"predecessors": (predecessor,)}, former_documents=documents)
    return seen.disposition(key(THIRD), made)


def test_c5_a_key_for_a_former_document_may_still_be_published_there_until_that_document_moves_on() -> None:
    assert judged(former(), None) is Disposition.ELSEWHERE
    assert judged(former(), document(OTHER, version=2)) is Disposition.ELSEWHERE
    assert judged(former(), document(OTHER, version=1)) is Disposition.ELSEWHERE
    assert judged(former(), document(OTHER, version=3)) is Disposition.ASSUMED
    assert judged(former(access_key=""), document(OTHER, version=2)) is Disposition.ASSUMED


def test_c5_a_key_for_the_document_of_today_is_judged_by_it_whatever_the_application_was_called() -> None:
    assert judged(former(path=spec().path), None, base=VERSION) is Disposition.POSSIBLE


def test_c5_a_key_that_is_published_elsewhere_is_accounted_for() -> None:
    seen = state(
        ledger={"predecessors": (former(access_key=FOURTH),)},
        keys=(key(), marked(OTHER, base=1), marked(FOURTH, base=1)),
    )
    assert [one.access_key for one, _ in seen.unaccounted_keys] == [OTHER]


def test_c5_versions_are_read_for_the_document_of_today_only() -> None:
    elsewhere = key(FOURTH, description=replace(marker(1), application="invoices").render())
    assert state(ledger={"predecessors": (former(),)}, keys=(key(), elsewhere)).unobserved_versions == frozenset()
    here = state(ledger={"predecessors": (former(path=spec().path),)}, keys=(key(), elsewhere))
    assert here.unobserved_versions == {1, 2}


# --- the ends of keys ---


def test_i2_a_key_in_grace_that_has_to_stay_keeps_no_other_one() -> None:
    late = (retiring(OTHER, -HOUR), retiring(THIRD, -HOUR))
    for changes in (
        {"keys": (key(), key(OTHER, deletable=False), key(THIRD))},
        {"ledger": {"retiring": late, "predecessors": (former(),)}},
        {"ledger": {"retiring": (retiring(PUBLISHED, -HOUR), *late[1:]), "current": CURRENT}},
    ):
        step = decided(observe(**{"ledger": {"retiring": late}, "keys": (key(), key(OTHER), key(THIRD)), **changes}))
        assert isinstance(step, WriteLedger), step
        assert step.ledger.is_revoking(THIRD)
        assert not step.ledger.is_revoking(OTHER)


def test_r8_a_key_is_seen_refused_with_the_version_that_held_it() -> None:
    step = decided(observe(ledger={"revoking": (revoking(OTHER),)}, deleted=frozenset({OTHER})))
    assert step == VerifyRevocation(OTHER, 2, emergency=False)
    urgent = observe(ledger={"revoking": (revoking(OTHER),), "compromised": (mark(OTHER),)}, deleted=frozenset({OTHER}))
    assert decided(urgent) == VerifyRevocation(OTHER, 2, emergency=True)


def test_r8_a_revocation_is_finished_with_its_time_and_its_evidence() -> None:
    step = decided(observe(ledger={"revoking": (revoking(OTHER),)}, revoked={OTHER: "refused 3 times"}))
    assert isinstance(step, WriteLedger), step
    assert step.ledger.revoking == ()
    assert (step.ledger.history[-1].at, step.ledger.history[-1].event) == (NOW, "revoked")
    assert not isinstance(decided(observe(ledger=step.ledger)), WriteLedger)
    assert isinstance(decided(observe(ledger=step.ledger)), Wait)


def test_r8_no_key_is_deleted_before_the_ledger_has_followed_the_document() -> None:
    entry = revoking(OTHER)
    keys = (key(), key(OTHER), key(THIRD, deletable=False))
    assert state(keys=keys).may_delete(entry)
    assert not state(keys=keys, document=document(version=VERSION + 1)).may_delete(entry)
    assert not state(keys=keys).may_delete(revoking(THIRD))
    assert not state(keys=keys).may_delete(revoking(PUBLISHED))
    assert not state(keys=keys, ledger={"predecessors": (former(),)}).may_delete(entry)
