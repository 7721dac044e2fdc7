"""Why an application is stopped: for each reason, the exact words that a person reads, and which keys they name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rotator.decision.observation import Observation, Preconditions
from rotator.decision.steps import CheckPreconditions, DeleteKey, Wait, WriteLedger
from rotator.domain.document import DocumentState
from rotator.domain.keys import Key, management_key_message
from rotator.domain.ledger import Hold, Predecessor, Problem
from rotator.domain.reasons import REASONS, Reason, action_for
from rotator.domain.spec import ApplicationSpec
from tests.support.observations import (
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
    observe,
    retiring,
    revoking,
)
from tests.support.simulated import spec

FORMER = "secret/former"


def problem(observation: Observation, wanted: ApplicationSpec | None = None) -> Problem:
    """The problem that a pass reports, recorded or not."""
    step = decided(observation, wanted)
    if isinstance(step, WriteLedger):
        assert step.ledger.problem is not None, step
        (event,) = step.events
        assert (event.name, event.fields["message"]) == ("application.blocked", step.ledger.problem.message)
        return step.ledger.problem
    assert isinstance(step, Wait), step
    assert step.problem is not None, step
    return step.problem


def message(reason: Reason, observed: str, remark: str = "") -> str:
    """What was seen, what to do, and which keys it is about."""
    if REASONS[reason].specific:
        return observed + remark
    wanted = spec()
    action = action_for(reason, application="billing", account=wanted.account, path=wanted.path, bearer=wanted.bearer)
    return f"{observed}: {action}{remark}"


DOCUMENT = "the credential document of billing"
COMPROMISED = f"; compromised, and not revoked because consumers may read it: {PUBLISHED}"
LEFT = (key(), marked(OTHER, base=1))
"""The published key, and another one of this application."""


DOCUMENTS: dict[str, tuple[dict[str, Any], tuple[Reason, str, str]]] = {
    "unreadable": (
        {"document": document(state=DocumentState.UNREADABLE), "ledger": {"compromised": (mark(PUBLISHED),)}},
        (Reason.DOCUMENT_UNREADABLE, f"{DOCUMENT} cannot be read", COMPROMISED),
    ),
    "expired": (
        {"document": document(None, state=DocumentState.DELETED, secret=None, expired=True)},
        (Reason.DOCUMENT_EXPIRES, f"version {VERSION} of {DOCUMENT} expired", ""),
    ),
    "deleted": (
        {"document": document(None, state=DocumentState.DELETED, secret=None), "keys": LEFT},
        (Reason.DOCUMENT_DELETED, f"{DOCUMENT} was deleted", f" ({OTHER})"),
    ),
    "without a secret": (
        {"document": document(secret=None), "ledger": {"compromised": (mark(PUBLISHED),)}},
        (Reason.DOCUMENT_DAMAGED, f"{DOCUMENT} names key {PUBLISHED} but holds no text that can be its secret", COMPROMISED),
    ),
    "without a name": (
        {"document": document(None)},
        (Reason.DOCUMENT_DAMAGED, f"{DOCUMENT} holds a secret but names no key", ""),
    ),
    "emptied": (
        {"document": document(None, secret=None), "keys": LEFT, "versions": {1: document(OTHER, 1), 2: document(OTHER, 2)}},
        (Reason.DOCUMENT_EMPTIED, f"{DOCUMENT} no longer holds a key", f" ({OTHER})"),
    ),
    "restored": (
        {"document": document(version=2), "keys": LEFT, "ledger": {"compromised": (mark(PUBLISHED),)}},
        (
            Reason.DOCUMENT_RESTORED,
            f"{DOCUMENT} is at version 2, but version 3 is known to exist, so nothing is touched",
            f" ({OTHER}){COMPROMISED}",
        ),
    ),
    "stale": (
        {"floor": 4},
        (Reason.DOCUMENT_STALE, f"{DOCUMENT} is at version 3, but version 4 is known to exist, so nothing is touched", ""),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DOCUMENTS)
def test_r11_a_document_that_cannot_be_acted_by_is_reported_with_the_keys_that_it_leaves(what: str) -> None:
    changes, (reason, observed, remark) = DOCUMENTS[what]
    found = problem(observe(**changes))
    assert (found.reason, found.message, found.since) == (reason, message(reason, observed, remark), NOW)


def test_r11_a_ledger_of_another_path_is_reported_with_the_compromised_keys_that_it_keeps() -> None:
    found = problem(observe(ledger={"path": FORMER, "compromised": (mark(PUBLISHED),)}))
    assert FORMER in found.message
    assert found.message.endswith(COMPROMISED)


def test_c20_the_key_that_the_account_logs_in_with_is_reported_by_name_with_the_way_out() -> None:
    found = problem(observe(ledger={"revoking": (revoking(),)}, keys=(key(), key(OTHER, manages_account=True))))
    assert (found.reason, found.message) == (
        Reason.MANAGEMENT_KEY,
        message(Reason.MANAGEMENT_KEY, management_key_message(OTHER, "acme")),
    )


def elsewhere(*keys: str) -> tuple[Predecessor, ...]:
    return tuple(
        Predecessor(f"former-{one}", f"{FORMER}/{one}", "a", "s", taken_over=True, access_key=one) for one in keys
    )


def test_c5_every_key_that_is_kept_by_a_former_document_is_named_with_its_document() -> None:
    kept = observe(
        ledger={
            "predecessors": elsewhere(OTHER, THIRD, FOURTH, "SCWYOUNG"),
            "retiring": (retiring(OTHER, -HOUR), retiring("SCWYOUNG", HOUR)),
            "revoking": (revoking(THIRD),),
            "compromised": (mark(FOURTH),),
        },
    )
    found = problem(kept)
    sentences = "; ".join(
        f"{one} is not revoked because {FORMER}/{one}, the former document of billing, publishes it"
        for one in (OTHER, THIRD, FOURTH)
    )
    assert (found.reason, found.message) == (Reason.FORMER_DOCUMENT, message(Reason.FORMER_DOCUMENT, sentences))


def test_c5_the_published_key_is_not_kept_by_a_former_document() -> None:
    step = decided(observe(ledger={"predecessors": elsewhere(PUBLISHED), "revoking": ()}))
    assert isinstance(step, Wait)
    assert step.problem is None


# --- containment ---


def test_r9_a_compromised_key_that_a_former_document_publishes_is_revoked_only_by_revoke_first() -> None:
    def step(mode: str) -> object:
        marked_key = {
            "compromised": (mark(OTHER, mode),),
            "revoking": (revoking(OTHER),),
            "predecessors": elsewhere(OTHER),
        }
        return decided(observe(ledger=marked_key, keys=(key(), key(OTHER))))

    assert step("revoke_first") == DeleteKey(OTHER, "compromised", even_if_published=True)
    assert not isinstance(step("replace_first"), DeleteKey)


@pytest.mark.parametrize("spared", ["foreign", "not revocable", "published elsewhere", "still published", "held"])
def test_r9_a_compromised_key_that_has_to_wait_keeps_no_other_one_waiting(spared: str) -> None:
    first = {"still published": PUBLISHED}.get(spared, THIRD)
    marks = (mark(first), replace(mark(OTHER), override_hold=True))
    third: Key = key(THIRD, deletable=False) if spared == "not revocable" else key(THIRD)
    seen = observe(
        ledger={
            "compromised": marks,
            "revoking": (revoking(OTHER), revoking(THIRD)),
            "predecessors": elsewhere(THIRD) if spared == "published elsewhere" else (),
            "hold": Hold("audit", "ops", NOW) if spared == "held" else None,
        },
        keys=(key(), key(OTHER), third),
        foreign=frozenset({THIRD} if spared == "foreign" else ()),
    )
    assert decided(seen) == DeleteKey(OTHER, "compromised")


REVOKE_FIRST = {"compromised": (mark(PUBLISHED, "revoke_first"),)}


ABLE = Preconditions()


def test_r8_a_published_key_is_revoked_first_once_it_is_known_that_another_can_be_published() -> None:
    assert decided(observe(ledger=REVOKE_FIRST)) == CheckPreconditions(urgent=True, revoke_first=True)
    for answer in (ABLE, Preconditions(headroom=0)):
        step = decided(observe(ledger=REVOKE_FIRST, preconditions=answer))
        assert isinstance(step, WriteLedger)
        assert step.ledger.is_revoking(PUBLISHED)


def revoked_first(observation: Observation, wanted: ApplicationSpec | None = None) -> bool:
    step = decided(observation, wanted)
    return (isinstance(step, WriteLedger) and step.ledger.is_revoking(PUBLISHED)) or isinstance(step, DeleteKey)


@pytest.mark.parametrize(
    "answer", [Preconditions(("update",)), Preconditions(bearer_missing=True)], ids=["denied", "no bearer"]
)
def test_r8_a_published_key_is_not_revoked_first_when_something_keeps_another_from_being_made(
    answer: Preconditions,
) -> None:
    assert not revoked_first(observe(ledger=REVOKE_FIRST, preconditions=answer))


@pytest.mark.parametrize(
    "changes",
    [
        {"document": document(secret=None)},
        {"document": document(version=2)},
        {"ledger": REVOKE_FIRST | {"path": FORMER}},
        {"document": document(state=DocumentState.UNREADABLE)},
    ],
    ids=["damaged", "restored", "another path", "unreadable"],
)
def test_r8_a_published_key_is_not_revoked_first_while_the_document_cannot_be_written(changes: dict[str, Any]) -> None:
    assert not revoked_first(observe(**{"ledger": REVOKE_FIRST, "preconditions": ABLE, **changes}))


def test_r8_the_published_key_of_a_removed_application_is_not_revoked_first() -> None:
    assert not revoked_first(observe(ledger=REVOKE_FIRST, preconditions=ABLE), spec(configured=False))


def test_i5_a_key_that_must_not_be_deleted_has_no_marker_that_counts() -> None:
    mine = marked(OTHER, base=1)
    seen = observe(keys=(mine,))
    assert seen.marker(mine, {"billing"}) is not None
    for stranger in (replace(mine, deletable=False), replace(mine, manages_account=True), key(OTHER)):
        assert seen.marker(stranger, {"billing"}) is None
    assert seen.marker(mine, {"invoices"}) is None
    assert observe(installation="2" * 16).marker(mine, {"billing"}) is None


def test_r9_a_revoke_first_that_cannot_be_carried_out_says_why_and_how_to_revoke_all_the_same() -> None:
    marks = (mark(PUBLISHED, "revoke_first"), mark(FOURTH), mark(THIRD))
    found = problem(
        observe(
            document=document(state=DocumentState.UNREADABLE),
            ledger={"compromised": marks, "revoking": (revoking(THIRD),)},
            keys=(key(), key(THIRD, deletable=False), key(FOURTH)),
        )
    )
    assert found.message.endswith(
        "; compromised, and not revoked because consumers may read it and it cannot be replaced:"
        f" {', '.join(sorted((PUBLISHED, FOURTH)))}"
        " (--revoke-first waits for that; to revoke it all the same, delete it at the provider)"
    )


def test_r11_every_key_that_a_deleted_document_leaves_is_named() -> None:
    left = (key(), marked(OTHER, base=1), marked(THIRD, base=1))
    found = problem(observe(document=document(None, state=DocumentState.DELETED, secret=None), keys=left))
    assert found.message.endswith(f" ({OTHER}, {THIRD})")
