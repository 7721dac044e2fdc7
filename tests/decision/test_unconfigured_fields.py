"""A key that stands in a field which the configuration does not name: consumers may read it there, and no rotation replaces it."""

from __future__ import annotations

from typing import Any

import pytest

from rotator.decision.observation import Observation, Presence, RotationRequest
from rotator.decision.state import ApplicationState
from rotator.decision.steps import CheckPreconditions, DeleteKey, Wait, WriteLedger
from rotator.decision.unconfigured_fields import fields_line, keys_in_other_fields
from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.keys import ProbeResult
from rotator.domain.ledger import Problem
from rotator.domain.reasons import Reason
from tests.support.observations import (
    BORN,
    DAY,
    NOW,
    OTHER,
    PUBLISHED,
    WRITTEN,
    decided,
    document,
    key,
    ledger,
    mark,
    observe,
    records,
    retiring,
    revoking,
    waits,
)
from tests.support.simulated import PATH, spec

UUID = "11111111-2222-3333-4444-555555555555"
KNOWN = Problem(Reason.KEY_IN_OTHER_FIELD, "told already", NOW)


def foreign_fields(**fields: Any) -> CredentialDocument:
    """A document that a person wrote, in which none of the configured fields stands."""
    return CredentialDocument(
        1, DocumentState.LIVE, WRITTEN, None, None, fields or {"SCW_ACCESS_KEY": OTHER, "SCW_SECRET_KEY": UUID}
    )


def first_contact(**changes: Any) -> Observation:
    values: dict[str, Any] = {
        "ledger": None,
        "document": foreign_fields(),
        "keys": (key(OTHER),),
        "presence": Presence.NOTHING,
    }
    return observe(**{**values, **changes})


def beside(**changes: Any) -> Observation:
    """The published key as it should be, and another key of the bearer in a field beside it."""
    values: dict[str, Any] = {
        "document": document(fields={"access_key": PUBLISHED, "SCW_ACCESS_KEY": OTHER}),
        "keys": (key(), key(OTHER)),
        "ledger": {"problem": KNOWN},
    }
    return observe(**{**values, **changes})


def test_i2_no_first_key_is_made_beside_a_key_that_stands_in_another_field() -> None:
    wait = waits(first_contact())
    assert wait.reason == Reason.KEY_IN_OTHER_FIELD
    assert wait.message == (
        f"the credential document {PATH} of billing holds key {OTHER} in the field SCW_ACCESS_KEY, which is none of its fields"
        " (access_key and secret_key), so consumers may read a key that a rotation would not replace: write"
        ' fields = { SCW_ACCESS_KEY = "{access_key}", SCW_SECRET_KEY = "{secret_key}" } into [applications.billing]'
    )
    assert UUID not in wait.message


def test_r1_with_the_configured_fields_the_same_key_is_taken_over() -> None:
    wanted = spec(fields={"SCW_ACCESS_KEY": "{access_key}", "SCW_SECRET_KEY": "{secret_key}"})
    seen = first_contact(document=document(OTHER, fields={"SCW_ACCESS_KEY": OTHER}), published_probe=ProbeResult.VALID)
    step = decided(observe(**{**vars(seen), "presence": Presence.LISTED}), wanted)
    assert isinstance(step, WriteLedger)
    assert step.ledger.current is not None
    assert step.ledger.current.access_key == OTHER


def test_it_is_recorded_so_that_every_channel_shows_it() -> None:
    step = records(beside(ledger={}))
    assert step.ledger.problem is not None
    assert step.ledger.problem.reason == Reason.KEY_IN_OTHER_FIELD
    assert (
        "remove it from there once no consumer reads it, or remove the ledger of billing in Vault"
        in step.ledger.problem.message
    )


BLOCKED: dict[str, dict[str, Any]] = {
    "the calendar": {"ledger": {"problem": KNOWN}, "clocks": observe().clocks},
    "a person's request": {"request": RotationRequest("now", PUBLISHED)},
    "a grace that has ended": {"ledger": {"problem": KNOWN, "retiring": (retiring(OTHER, -DAY),)}},
    "a key scheduled for revocation": {"ledger": {"problem": KNOWN, "revoking": (revoking(OTHER),)}},
    "a copy of the published key": {
        "document": document(fields={"access_key": PUBLISHED, "AWS_ACCESS_KEY_ID": PUBLISHED})
    },
    "a key inside of a text": {
        "document": document(fields={"access_key": PUBLISHED, "ini": f"[default]\nkey={OTHER}\n"})
    },
    "a key inside of a table": {"document": document(fields={"access_key": PUBLISHED, "scw": {"keys": [OTHER]}})},
}


@pytest.mark.parametrize("name", BLOCKED)
def test_i2_nothing_is_made_or_revoked_while_consumers_may_read_another_field(name: str) -> None:
    assert waits(beside(**BLOCKED[name])).reason == Reason.KEY_IN_OTHER_FIELD


AT_REST: dict[str, dict[str, Any]] = {
    "another bearer's key": {"keys": (key(),)},
    "a name that only begins like it": {"document": document(fields={"access_key": PUBLISHED, "x": OTHER[:-1]})},
    "a number": {"document": document(fields={"access_key": PUBLISHED, "x": 7})},
}


@pytest.mark.parametrize("name", AT_REST)
def test_what_is_no_key_of_this_bearer_blocks_nothing(name: str) -> None:
    assert waits(beside(**{"ledger": {}, **AT_REST[name]})).problem is None


def test_a_field_that_the_configuration_names_blocks_nothing() -> None:
    wanted = spec(fields={**spec().fields, "SCW_ACCESS_KEY": "key {access_key}"})
    assert ApplicationState(wanted, beside()).keys_in_other_fields == {}


def test_an_application_that_left_the_configuration_is_wound_up_all_the_same() -> None:
    assert waits(beside(ledger={}), spec(configured=False)).reason != Reason.KEY_IN_OTHER_FIELD


def test_r8_a_compromised_published_key_is_replaced_all_the_same() -> None:
    seen = beside(ledger={"problem": KNOWN, "compromised": (mark(PUBLISHED),)})
    assert isinstance(decided(seen), CheckPreconditions)


def test_r9_a_compromised_key_that_consumers_may_read_in_another_field_is_not_revoked_before_there_is_another() -> None:
    step = decided(beside(ledger={"problem": KNOWN, "compromised": (mark(OTHER),)}))
    assert isinstance(step, Wait)
    assert step.reason == Reason.KEY_IN_OTHER_FIELD
    assert step.message.endswith(f"; compromised, and not revoked because consumers may read it: {OTHER}")


def test_r9_revoke_first_revokes_it_at_once() -> None:
    older = (key(), key(OTHER, created_at=BORN - DAY))
    seen = beside(ledger={"compromised": (mark(OTHER, "revoke_first"),)}, keys=older)
    assert [entry.access_key for entry in records(seen).ledger.revoking] == [OTHER]
    revoked = beside(ledger={"compromised": (mark(OTHER, "revoke_first"),), "revoking": (revoking(OTHER),)})
    assert isinstance(decided(revoked), DeleteKey)


def test_r9_a_key_that_the_ledger_saw_replaced_is_contained_although_another_field_names_it() -> None:
    """Else whoever can write the document could switch containment off."""
    seen = beside(ledger={"compromised": (mark(OTHER),), "retiring": (retiring(OTHER),)})
    assert [entry.access_key for entry in records(seen).ledger.revoking] == [OTHER]


def test_a_ledger_that_has_seen_no_key_is_no_reason_against_other_fields() -> None:
    wanted = spec(fields={"SCW_ACCESS_KEY": "{access_key}", "SCW_SECRET_KEY": "{secret_key}"})
    seen = observe(
        ledger=ledger(current=None),
        document=document(OTHER, fields={"SCW_ACCESS_KEY": OTHER}),
        keys=(key(OTHER),),
        published_probe=ProbeResult.VALID,
    )
    after = records(seen, wanted).ledger
    assert (after.access_field, after.secret_field) == ("SCW_ACCESS_KEY", "SCW_SECRET_KEY")
    assert waits(observe(ledger=ledger()), wanted).reason == Reason.FIELDS_RENAMED


LINES: dict[str, tuple[dict[str, Any], str]] = {
    "one secret": ({"K": OTHER, "S": UUID}, 'fields = { K = "{access_key}", S = "{secret_key}" }'),
    "two texts, one called a secret": (
        {"K": OTHER, "my_secret": UUID, "id": UUID},
        'fields = { K = "{access_key}", my_secret = "{secret_key}" }',
    ),
    "two secrets": (
        {"K": OTHER, "a": UUID, "b": UUID},
        'fields = { K = "{access_key}", FIELD_OF_THE_SECRET = "{secret_key}" }',
    ),
    "no secret": ({"K": OTHER}, 'fields = { K = "{access_key}", FIELD_OF_THE_SECRET = "{secret_key}" }'),
    "a name with a dot": (
        {"K": OTHER, "scw.secret": UUID},
        'fields = { K = "{access_key}", "scw.secret" = "{secret_key}" }',
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_the_line_for_the_configuration_names_the_fields_that_are_there(name: str) -> None:
    fields, line = LINES[name]
    assert fields_line(foreign_fields(**fields), "K", ("access_key", "secret_key")) == line


def test_a_document_that_is_not_there_holds_nothing() -> None:
    gone = CredentialDocument(3, DocumentState.DELETED)
    assert keys_in_other_fields(gone, (key(),), ()) == {}


def test_a_document_of_any_depth_is_looked_through_in_bounded_time() -> None:
    deep: Any = OTHER
    for _ in range(10_000):
        deep = [deep]
    assert keys_in_other_fields(foreign_fields(x=deep), (key(OTHER),), ()) == {}


@pytest.mark.parametrize(("depth", "found"), [(0, True), (8, True), (9, False)])
def test_lists_within_lists_are_searched_to_a_depth_of_eight(depth: int, found: bool) -> None:
    value: Any = OTHER
    for _ in range(depth):
        value = [value]
    assert keys_in_other_fields(foreign_fields(notes=value), [key(OTHER)], ["access_key"]) == (
        {OTHER: "notes"} if found else {}
    )


def test_of_several_keys_in_other_fields_one_that_is_not_published_is_named() -> None:
    other = "SCWZ"  # the last by name
    seen = document(fields={"access_key": PUBLISHED, "COPY": PUBLISHED, "SPARE": other})
    problem = records(observe(document=seen, keys=(key(), key(other)))).ledger.problem
    assert problem is not None
    assert f"holds key {other} in the field SPARE" in problem.message
