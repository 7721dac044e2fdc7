"""A rotation under way, a document that expires, and what a new key says of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from rotator.decision.observation import Observation, Preconditions, Presence, RotationFailure
from rotator.decision.steps import CreateKey, DiscardInFlight, FenceDocument, Wait, WriteLedger
from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.keys import ProbeResult
from rotator.domain.ledger import CurrentKey, Hold, Intent, Problem
from rotator.domain.marker import incarnation_of, purpose_of
from rotator.domain.reasons import Reason, action_for
from tests.support.observations import (
    BORN,
    CURRENT,
    DAY,
    HOUR,
    MINUTE,
    NOW,
    OTHER,
    PUBLISHED,
    SECOND,
    VERSION,
    WRITTEN,
    clocks,
    decided,
    document,
    in_flight,
    intent,
    key,
    mark,
    marked,
    marker,
    observe,
    records,
    waits,
)
from tests.support.simulated import BEARER, PATH, spec

# --- a document whose versions expire ---


def expiring(at: datetime, **changes: Any) -> CredentialDocument:
    return document(expires_at=at, **changes)


HALF = WRITTEN + 20 * DAY
"""Where half of the life of a version is over that expires after forty days."""

END = WRITTEN + 40 * DAY


def blocked(observation: Observation) -> Wait:
    recorded = decided(observation)
    assert isinstance(recorded, WriteLedger), recorded
    step = decided(replace(observation, ledger=recorded.ledger))
    assert isinstance(step, Wait), step
    assert step.problem is not None
    assert step.problem.reason == Reason.DOCUMENT_EXPIRES
    return step


def at(moment: datetime, **changes: Any) -> Observation:
    """The observation, made at that moment by every clock."""
    return observe(**{"clocks": replace(clocks(), ours=moment, vault=moment, provider=moment), **changes})


def test_r11_a_document_that_expires_stops_rotations_and_is_looked_at_again_at_half_of_its_life() -> None:
    seen = at(HALF - HOUR, document=expiring(END))
    step = blocked(seen)
    assert step.problem is not None
    action = action_for(Reason.DOCUMENT_EXPIRES, application="billing", account="acme", path=PATH, bearer=BEARER)
    observed = f"version {VERSION} of the credential document of billing expires at {END:%Y-%m-%d %H:%M:%S} UTC"
    assert step.problem.message == f"{observed}: {action}"
    assert step.until == HALF


def test_r11_the_clock_of_vault_says_when_half_of_its_life_is_over() -> None:
    behind = observe(
        clocks=replace(clocks(), ours=HALF - HOUR, vault=HALF, provider=HALF - HOUR), document=expiring(END)
    )
    assert decided(behind) == FenceDocument()
    ahead = observe(clocks=replace(clocks(), ours=HALF, vault=HALF - SECOND, provider=HALF), document=expiring(END))
    assert blocked(ahead).until == HALF + SECOND


def test_r11_at_half_of_its_life_a_document_is_written_again() -> None:
    assert decided(at(HALF, document=expiring(END))) == FenceDocument()


@pytest.mark.parametrize(
    "changes",
    [
        {"ledger": {"hold": Hold("audit", "ops", NOW)}},
        {"ledger": {"intent": replace(intent(), claimed_at=HALF - MINUTE)}},
    ],
    ids=["on hold", "claimed by another process"],
)
def test_r11_an_expiring_document_is_not_written_again_while_another_may_write_it(changes: dict[str, Any]) -> None:
    assert blocked(at(HALF, document=expiring(END), **changes)).until > HALF


def test_r11_the_document_of_a_removed_application_is_left_to_expire() -> None:
    step = decided(at(NOW, document=expiring(END)), spec(configured=False))
    assert isinstance(step, Wait)
    assert step.problem is None


def test_r11_an_expiry_without_a_time_of_writing_stops_nothing() -> None:
    nameless = replace(CURRENT, written=None)
    step = decided(at(NOW, document=expiring(END, created_time=None), ledger={"current": nameless}))
    assert isinstance(step, Wait)
    assert step.problem is None


# --- what a new key is for ---


def purpose(current: CurrentKey | None, seen: str | None, configured: str | None = None) -> str:
    """The purpose in the description of the key that is created."""
    keys = (key(description=seen),) if seen is not None else ()
    held = in_flight()
    own = replace(held.intent, owner="daemon-1")
    step = decided(
        observe(in_flight=held, keys=keys, ledger={"current": current, "intent": own}), spec(purpose=configured)
    )
    assert isinstance(step, CreateKey), step
    return purpose_of(step.description)


def test_c19_the_configured_purpose_goes_before_what_the_old_key_says() -> None:
    assert purpose(CURRENT, "nightly invoices", configured="daily invoices") == "daily invoices"
    assert purpose(CURRENT, "nightly invoices", configured="") == ""


def test_c19_a_new_key_has_the_purpose_of_the_one_that_it_replaces() -> None:
    assert purpose(CURRENT, "nightly invoices") == "nightly invoices"
    assert purpose(CURRENT, marker().render("nightly invoices")) == "nightly invoices"


def test_c19_a_key_that_is_not_seen_any_more_is_replaced_by_one_with_the_purpose_that_the_ledger_remembers() -> None:
    assert purpose(replace(CURRENT, purpose="nightly invoices"), None) == "nightly invoices"


# --- a rotation that ends ---


def ended(reason: str, known: Problem | None = None) -> WriteLedger:
    held = in_flight(failure=RotationFailure(reason, "it does not fit"))
    own = replace(held.intent, owner="daemon-1")
    step = decided(observe(in_flight=held, ledger={"intent": own, "problem": known}))
    assert isinstance(step, WriteLedger), step
    return step


def names(step: WriteLedger) -> list[str]:
    return [event.name for event in step.events]


def test_c2_a_rotation_that_fails_for_a_reason_that_blocks_is_reported_as_a_block_once() -> None:
    first = ended("quota")
    assert names(first) == ["rotation.abandoned", "application.blocked"]
    assert first.events[1].fields == {"reason": "quota", "message": "it does not fit"}
    assert first.events[0].fields == {
        "rotation_id": in_flight().intent.id,
        "reason": "quota",
        "message": "it does not fit",
    }
    assert names(ended("quota", Problem("quota", "it does not fit", NOW))) == ["rotation.abandoned"]
    assert names(ended("quota", Problem("secret_rejected", "another", NOW))) == [
        "rotation.abandoned",
        "application.blocked",
    ]


def test_c2_a_rotation_that_fails_for_a_reason_that_passes_is_no_block() -> None:
    assert names(ended("verification_failed")) == ["rotation.abandoned"]


def test_r5_a_rotation_that_another_process_ended_is_dropped() -> None:
    assert decided(observe(in_flight=in_flight())) == DiscardInFlight()


def test_r6_the_version_that_publishes_the_held_key_commits_it_with_its_own_marker() -> None:
    made = marked(OTHER, rotation="d" * 16)
    own: Intent = replace(intent("daemon-1"))
    held = in_flight(intent=own, posted=True, key=made, verified=True, publish_sent=True)
    newer = document(OTHER, VERSION + 1, created_time=NOW - SECOND)
    step = decided(
        observe(
            in_flight=held,
            document=newer,
            keys=(key(), made),
            ledger={"intent": own},
            published_probe=ProbeResult.VALID,
        )
    )
    assert isinstance(step, WriteLedger), step
    assert step.ledger.current == CurrentKey(OTHER, VERSION + 1, NOW - SECOND, BORN, None, NOW - SECOND)
    assert [entry.access_key for entry in step.ledger.retiring] == [PUBLISHED]
    assert step.ledger.intent is None
    assert step.ledger.history[-1].rotation_id == "d" * 16


def test_an_application_that_left_the_configuration_drops_its_intent_and_claims_nothing() -> None:
    found = records(observe(ledger={"intent": intent("daemon-1")}), spec(configured=False))
    assert found.ledger.intent is None
    assert [event.name for event in found.events] == ["rotation.abandoned"]


def test_a_right_that_is_missing_at_a_rotation_is_reported_with_the_compromised_keys_that_stay() -> None:
    lacking = Preconditions(missing_capabilities=("update",))
    waiting = waits(observe(ledger={"compromised": (mark(PUBLISHED),)}, preconditions=lacking))
    assert waiting.problem is not None
    assert waiting.problem.message == (
        f"the Vault token of rotator may not update {PATH} of billing: extend the Vault policy of rotator for {PATH}; "
        f"compromised, and not revoked because consumers may read it: {PUBLISHED}"
    )


def test_a_first_key_without_a_configured_purpose_has_none() -> None:
    claimed = intent("daemon-1", base=0, incarnation=incarnation_of(PATH, None))
    nothing = CredentialDocument(0, DocumentState.ABSENT, None, None, None, {})
    step = decided(
        observe(
            ledger={"current": None, "intent": claimed},
            document=nothing,
            keys=(),
            presence=Presence.NOTHING,
            in_flight=in_flight(intent=claimed),
        )
    )
    assert isinstance(step, CreateKey)
    assert purpose_of(step.description) == ""


def test_a_step_that_waits_says_what_it_waits_for() -> None:
    step = decided(observe())
    assert isinstance(step, Wait)
    assert step.next is not None
    assert (step.next.action, step.reason) == (step.reason, step.next.action)
