"""Who owns a bearer and a document, and the writes that carry a ledger over to a new name, each by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.decision.observation import RelatedLedger
from rotator.decision.ownership import (
    OwnershipConflict,
    consolidated,
    emptied,
    is_emptied,
    next_takeover_step,
    own_ledger,
    owner_of,
    removed_application,
    superseded_message,
)
from rotator.decision.steps import DiscardInFlight, SupersedeLedger, Wait, WriteLedger
from rotator.domain.ledger import (
    HISTORY_LIMIT,
    INCIDENT_LIMIT,
    CurrentKey,
    HistoryEntry,
    Hold,
    Incident,
    Ledger,
    Predecessor,
    Problem,
    RetiringKey,
)
from rotator.domain.spec import ApplicationSpec
from tests.support.observations import (
    CURRENT,
    DAY,
    FOURTH,
    HOUR,
    MINUTE,
    NOW,
    OTHER,
    PUBLISHED,
    THIRD,
    clocks,
    decided,
    document,
    in_flight,
    intent,
    ledger,
    mark,
    observe,
    retiring,
    revoking,
)
from tests.support.simulated import BEARER, PATH, spec

FORMER = "secret/former"
SPEC = spec()
CLOCKS = clocks(vault=MINUTE)


def theirs(name: str = "invoices", **changes: Any) -> Ledger:
    """The ledger of an earlier name of billing."""
    return ledger(**{"application": name, **changes})


def related(version: int = 4, published: str | None = None, name: str = "invoices", **changes: Any) -> RelatedLedger:
    return RelatedLedger(theirs(name, **changes), version, document(published) if published else None)


def predecessor(name: str = "invoices", **changes: Any) -> Predecessor:
    return replace(Predecessor(name, PATH, ledger().access_field, ledger().secret_field), **changes)


def step(
    own: Ledger | None, *others: RelatedLedger, wanted: ApplicationSpec = SPEC, published: str | None = PUBLISHED
) -> Any:
    return next_takeover_step(wanted, own, others, published, CLOCKS)


def copied(own: Ledger, other: RelatedLedger, **others: Any) -> WriteLedger:
    """The copy of a superseded ledger that the own one has announced."""
    announced = own.with_predecessor(
        predecessor(
            path=other.ledger.path, access_field=other.ledger.access_field, secret_field=other.ledger.secret_field
        )
    )
    found = step(announced, replace(other, ledger=replace(other.ledger, successor="billing")), **others)
    assert isinstance(found, WriteLedger)
    return found


# --- who owns what ---


def test_the_owner_has_the_bearer_else_the_document_else_there_is_none() -> None:
    by_path, by_bearer = spec(application="a", bearer="another"), spec(application="b", path="secret/other")
    assert owner_of(BEARER, PATH, [by_path, by_bearer]) == "b"
    assert owner_of(BEARER, PATH, iter([by_path])) == "a"
    assert owner_of("unknown", "unknown", [by_path, by_bearer]) == ""


def test_a_removed_application_is_what_its_ledger_says() -> None:
    removed = removed_application(
        theirs(access_field="key", secret_field="secret"),
        [SPEC],
        organization_id="the-organisation",
        max_clock_skew=7 * MINUTE,
    )
    assert removed == ApplicationSpec(
        application="invoices",
        account="acme",
        bearer=BEARER,
        path=PATH,
        fields={"key": "{access_key}", "secret": "{secret_key}"},
        grace=SPEC.grace,
        verification=SPEC.verification,
        emergency_verification=SPEC.emergency_verification,
        organization_id="the-organisation",
        max_clock_skew=7 * MINUTE,
        stale_claim_timeout=DAY,
        configured=False,
        owner="billing",
    )


def test_c5_a_removed_application_is_owned_by_who_has_its_bearer_or_its_document() -> None:
    def owner(**changes: Any) -> str:
        configured = [spec(application="orders", **changes)]
        return removed_application(theirs(), configured, organization_id="", max_clock_skew=MINUTE).owner

    assert owner(path="secret/other") == "orders"
    assert owner(bearer="another") == "orders"
    assert owner(bearer="another", path="secret/other") == ""


def test_the_empty_remains_of_another_application_with_this_name_are_not_its_ledger() -> None:
    remains = emptied(theirs("billing", bearer="another", path=FORMER, successor="invoices"))
    assert own_ledger(SPEC, remains) is None
    assert own_ledger(SPEC, None) is None
    for kept in (
        replace(remains, bearer=BEARER),
        replace(remains, path=PATH),
        replace(remains, hold=Hold("audit", "ops", NOW)),
    ):
        assert own_ledger(SPEC, kept) == kept


def test_a_ledger_is_empty_when_it_has_a_successor_and_nothing_else() -> None:
    full = theirs(
        intent=intent(),
        retiring=(retiring(),),
        revoking=(revoking(),),
        compromised=(mark(),),
        hold=Hold("audit", "ops", NOW),
        problem=Problem("quota", "full", NOW),
        failures=2,
        not_before=NOW,
        history=(HistoryEntry(NOW, "created", OTHER),),
        incidents=(Incident("i1", NOW, "leaked", "ops", (OTHER,)),),
        successor="billing",
    )
    empty = theirs(current=None, successor="billing")
    assert emptied(full) == empty
    assert is_emptied(empty)
    assert not is_emptied(full)
    assert not is_emptied(replace(empty, successor=""))


def test_what_owns_nothing_is_told_who_does_and_what_to_do() -> None:
    renamed = superseded_message("billing", theirs(successor="invoices"), "orders")
    assert "billing was renamed to invoices" in renamed
    assert "remove its empty ledger in Vault" in renamed
    removed = superseded_message("billing", theirs(), "orders")
    assert removed.startswith("billing left the configuration and orders has its bearer or its document")
    assert "revoked at the provider" in removed


# --- the four writes ---


def test_nothing_is_taken_over_where_nothing_is_related() -> None:
    assert step(ledger()) is None
    assert step(None) is None


def test_a_ledger_of_another_bearer_is_left_alone_and_hides_no_other() -> None:
    stranger = related(name="stranger", bearer="another")
    assert step(ledger(), stranger) is None
    assert isinstance(step(ledger(), stranger, related()), WriteLedger)


def test_c5_the_new_name_is_announced_first() -> None:
    assert step(ledger(), related()) == WriteLedger(ledger(predecessors=(predecessor(),)))
    fresh = step(None, related(access_field="key", secret_field="secret"))
    assert fresh.ledger.predecessors == (predecessor(access_field="key", secret_field="secret"),)
    assert (fresh.ledger.application, fresh.ledger.current) == ("billing", None)


def test_c5_then_the_old_ledger_names_its_successor_and_claims_nothing_any_more() -> None:
    found = step(ledger(predecessors=(predecessor(),)), related(9, intent=intent()))
    assert found == SupersedeLedger(theirs(successor="billing"), 9)


def test_c5_last_the_old_ledger_is_emptied_and_then_nothing_is_left_to_do() -> None:
    own = ledger(predecessors=(predecessor(taken_over=True),))
    assert step(own, related(9, successor="billing")) == SupersedeLedger(emptied(theirs(successor="billing")), 9)
    assert step(own, related(9, successor="billing", current=None)) is None


def test_c5_a_ledger_that_came_back_under_an_old_name_is_taken_over_again() -> None:
    own = ledger(predecessors=(predecessor(taken_over=True, access_key=OTHER),))
    assert step(own, related()) == WriteLedger(ledger(predecessors=(predecessor(taken_over=False, access_key=OTHER),)))


def test_c5_what_was_given_to_a_third_name_comes_with_it_unless_that_is_gone() -> None:
    given = related(successor="orders")
    assert step(ledger(), given, related(name="orders")) == WriteLedger(ledger(predecessors=(predecessor("orders"),)))
    announced = ledger(predecessors=(predecessor("orders"),))
    assert step(announced, given) == WriteLedger(ledger(predecessors=(predecessor("orders"), predecessor())))
    assert step(ledger(), related(successor="orders", current=None)) is None
    with pytest.raises(
        OwnershipConflict,
        match="the ledger of invoices names the same bearer as billing and was given to orders, which",
    ):
        step(ledger(), given)
    assert step(ledger(), given, related(name="orders", bearer="another")) is None


def test_c5_two_configurations_that_announce_each_other_are_a_conflict_until_one_is_taken_over() -> None:
    announced = related(predecessors=(predecessor("billing"),))
    with pytest.raises(
        OwnershipConflict, match="two configurations name one bearer: as billing here and as invoices elsewhere"
    ):
        step(ledger(), announced)
    assert isinstance(step(ledger(), related(predecessors=(predecessor("billing", taken_over=True),))), WriteLedger)
    superseded = related(predecessors=(predecessor("billing"),), successor="billing")
    assert isinstance(step(ledger(predecessors=(predecessor(),)), superseded), WriteLedger)


def test_c5_two_removed_applications_of_one_bearer_are_a_conflict_unless_one_was_superseded() -> None:
    removed = spec(configured=False)
    with pytest.raises(
        OwnershipConflict, match="billing and invoices left the configuration, and their ledgers name one bearer"
    ):
        step(ledger(), related(), wanted=removed)
    assert isinstance(step(ledger(), related(successor="billing"), wanted=removed), WriteLedger)
    assert isinstance(step(ledger(predecessors=(predecessor(),)), related(), wanted=removed), SupersedeLedger)


def test_c5_a_look_ahead_ends_with_the_ledger_that_the_four_writes_end_with() -> None:
    found = consolidated(
        SPEC, None, (related(retiring=(retiring(),)), related(name="orders", bearer="another")), PUBLISHED, CLOCKS
    )
    assert found is not None
    assert found.current == CURRENT
    assert found.retiring == (retiring(),)
    assert found.predecessors == (predecessor(taken_over=True),)


def test_c5_a_look_ahead_at_a_conflict_shows_the_ledger_as_far_as_it_gets() -> None:
    announced = related(name="orders", predecessors=(predecessor("billing"),))
    assert consolidated(SPEC, ledger(), (announced,), PUBLISHED, CLOCKS) == ledger()
    found = consolidated(SPEC, ledger(), (related(hold=Hold("audit", "ops", NOW)), announced), PUBLISHED, CLOCKS)
    assert found is not None
    assert found.hold == Hold("audit", "ops", NOW)


# --- what is copied ---


def test_c5_a_renamed_application_takes_the_current_key_and_its_fields() -> None:
    other = related(current=CURRENT, access_field="key", secret_field="secret")
    taken = copied(ledger(current=None), other).ledger
    assert (taken.current, taken.access_field, taken.secret_field) == (CURRENT, "key", "secret")
    own = CurrentKey(OTHER, 5, NOW)
    kept = copied(ledger(current=own), other).ledger
    assert (kept.current, kept.access_field, kept.secret_field) == (own, ledger().access_field, ledger().secret_field)
    moved = copied(ledger(current=None), replace(other, ledger=replace(other.ledger, path=FORMER))).ledger
    assert (moved.current, moved.access_field, moved.secret_field) == (
        None,
        ledger().access_field,
        ledger().secret_field,
    )


def test_c5_the_copy_keeps_the_more_careful_of_both() -> None:
    other = related(
        hold=Hold("theirs", "ops", NOW),
        failures=3,
        not_before=NOW + HOUR,
        compromised=(mark(THIRD), replace(mark(OTHER), by="them")),
    )
    own = ledger(failures=2, not_before=NOW + MINUTE, compromised=(mark(OTHER),))
    both = copied(own, other).ledger
    assert (both.hold, both.failures, both.not_before) == (Hold("theirs", "ops", NOW), 3, NOW + HOUR)
    assert both.compromised == (mark(OTHER), mark(THIRD))
    stricter = replace(own, hold=Hold("ours", "ops", NOW), failures=5, not_before=NOW + DAY)
    both = copied(stricter, other).ledger
    assert (both.hold, both.failures, both.not_before) == (Hold("ours", "ops", NOW), 5, NOW + DAY)
    assert copied(ledger(), related()).ledger.not_before is None


def test_c5_the_copy_has_the_history_and_the_incidents_of_both_in_the_order_of_time_within_the_limits() -> None:
    def happened(hours: int) -> HistoryEntry:
        return HistoryEntry(NOW - DAY + hours * HOUR, "created", f"SCW{hours}")

    def incident(number: int) -> Incident:
        return Incident(f"i{number}", NOW, "leaked", "ops", (OTHER,), closed_at=NOW)

    other = related(
        history=(happened(1), happened(3)), incidents=tuple(incident(number) for number in range(1, INCIDENT_LIMIT + 5))
    )
    both = copied(ledger(history=(happened(2),), incidents=(incident(0), incident(1))), other).ledger
    assert both.history[:-1] == (happened(1), happened(2), happened(3))
    assert both.history[-1] == HistoryEntry(NOW, "renamed", PUBLISHED, reason="from invoices")
    assert len(both.incidents) == INCIDENT_LIMIT
    assert len({one.id for one in both.incidents}) == INCIDENT_LIMIT
    many = tuple(HistoryEntry(NOW - DAY, "created", str(number)) for number in range(HISTORY_LIMIT))
    full = copied(ledger(history=many), related(history=many[:5])).ledger
    assert len(full.history) == HISTORY_LIMIT


def test_c5_a_rename_is_an_event_with_the_old_name_path_and_keys() -> None:
    other = related(retiring=(retiring(THIRD), retiring(OTHER)))
    (event,) = copied(ledger(current=None), other).events
    assert (event.name, event.fields) == (
        "application.renamed",
        {"previous_name": "invoices", "previous_path": PATH, "access_keys": sorted((OTHER, PUBLISHED, THIRD))},
    )
    assert copied(
        ledger(current=None), replace(other, ledger=replace(other.ledger, path=FORMER, current=None))
    ).ledger.history[-1] == HistoryEntry(NOW, "renamed", "", reason="from invoices")


def test_c5_earlier_names_of_an_earlier_name_come_along_once_and_never_the_own() -> None:
    third = predecessor("third", taken_over=True)
    other = related(predecessors=(third, predecessor("billing", taken_over=True)))
    taken = copied(ledger(), other).ledger
    assert taken.predecessors == (predecessor(taken_over=True), third)
    known = replace(third, access_field="key")
    assert copied(ledger(predecessors=(known,)), other).ledger.predecessors == (known, predecessor(taken_over=True))


def test_c5_i1_the_key_of_a_former_document_is_remembered_as_it_stands_there() -> None:
    for published, expected in ((THIRD, THIRD), (None, PUBLISHED)):
        taken = copied(ledger(), related(published=published, path=FORMER)).ledger
        assert taken.predecessors == (predecessor(path=FORMER, taken_over=True, access_key=expected),)
    gone = RelatedLedger(theirs(path=FORMER), 4, document(None))
    assert copied(ledger(), gone).ledger.predecessors[0].access_key == ""
    unknown = RelatedLedger(theirs(path=FORMER, current=None), 4, None)
    assert copied(ledger(), unknown).ledger.predecessors[0].access_key == ""


def test_c5_a_former_document_at_the_path_of_today_publishes_nothing_elsewhere() -> None:
    other = related(published=THIRD)
    assert copied(ledger(), other).ledger.predecessors == (predecessor(taken_over=True, access_key=""),)
    back = related(path=FORMER, predecessors=(predecessor("third", taken_over=True, access_key=OTHER),))
    assert copied(ledger(), back).ledger.predecessors[-1].access_key == ""
    elsewhere = related(predecessors=(predecessor("third", path=FORMER, taken_over=True, access_key=OTHER),))
    assert copied(ledger(), elsewhere).ledger.predecessors[-1].access_key == OTHER


# --- promises ---


def test_i2_a_key_in_grace_under_both_names_keeps_the_later_end() -> None:
    early, late = retiring(OTHER, HOUR), retiring(OTHER, DAY)
    assert copied(ledger(retiring=(early,)), related(retiring=(late,))).ledger.retiring == (late,)
    assert copied(ledger(retiring=(late,)), related(retiring=(early,))).ledger.retiring == (late,)


def test_i2_the_current_key_of_the_old_name_gets_a_full_grace_by_the_latest_clock() -> None:
    own = ledger(current=CurrentKey(THIRD, 5, NOW))
    taken = copied(own, related(), published=THIRD).ledger
    assert taken.retiring == (RetiringKey(PUBLISHED, 3, CLOCKS.latest + SPEC.grace, "renamed"),)
    assert taken.revoking == ()


def test_i1_the_current_key_of_this_name_is_never_put_into_grace_by_the_old_one() -> None:
    own = ledger(current=CurrentKey(THIRD, 5, NOW))
    taken = copied(own, related(current=None, retiring=(retiring(THIRD), retiring(FOURTH))), published=THIRD).ledger
    assert taken.retiring == (retiring(FOURTH),)
    without = copied(ledger(current=None), related(current=None, retiring=(retiring(THIRD),)), published=THIRD).ledger
    assert without.retiring == ()


def test_a_key_that_is_already_scheduled_for_revocation_gets_no_second_grace() -> None:
    taken = copied(ledger(revoking=(revoking(OTHER),)), related(retiring=(retiring(OTHER), retiring(THIRD)))).ledger
    assert (taken.retiring, taken.revoking) == ((retiring(THIRD),), (revoking(OTHER),))


def test_i2_a_key_that_is_in_grace_here_is_not_revoked_because_the_old_name_schedules_it() -> None:
    own = ledger(retiring=(retiring(OTHER),), revoking=(revoking(FOURTH, version=1),))
    taken = copied(own, related(revoking=(revoking(OTHER), revoking(THIRD), revoking(FOURTH)))).ledger
    assert taken.retiring == (retiring(OTHER),)
    assert taken.revoking == (revoking(FOURTH, version=1), revoking(THIRD))


def test_versions_of_a_former_document_say_nothing_about_this_one() -> None:
    other = related(path=FORMER, retiring=(retiring(OTHER),), revoking=(revoking(THIRD),))
    taken = copied(ledger(current=CurrentKey(FOURTH, 5, NOW)), other, published=FOURTH).ledger
    assert [(entry.access_key, entry.version) for entry in taken.retiring] == [(OTHER, 0), (PUBLISHED, 0)]
    assert [(entry.access_key, entry.version) for entry in taken.revoking] == [(THIRD, 0)]


# --- the rules ---


def test_c5_what_owns_nothing_drops_its_rotation_and_then_waits() -> None:
    owned = spec(owner="orders")
    assert decided(observe(in_flight=in_flight()), owned) == DiscardInFlight()
    waiting = decided(observe(), owned)
    assert isinstance(waiting, Wait)
    assert waiting.problem is not None
    assert (waiting.problem.reason, waiting.problem.message) == (
        "superseded",
        superseded_message("billing", ledger(), "orders"),
    )


def test_c5_an_empty_superseded_ledger_is_looked_at_only_seldom() -> None:
    empty = decided(observe(ledger={"current": None, "successor": "orders"}))
    full = decided(observe(ledger={"successor": "orders"}))
    assert isinstance(empty, Wait)
    assert isinstance(full, Wait)
    assert empty.until == NOW + SPEC.resync_interval
    assert full.until < empty.until


def test_c5_a_related_ledger_that_cannot_be_read_stops_everything_and_is_named() -> None:
    waiting = decided(observe(unread_ledgers=("old", "older")))
    assert isinstance(waiting, Wait)
    assert waiting.problem is not None
    assert waiting.problem.reason == "ledger_conflict"
    assert "the ledger of old and the ledger of older" in waiting.problem.message


def test_c5_a_conflict_of_ledgers_stops_everything_and_says_what_to_do() -> None:
    waiting = decided(observe(related=(related(predecessors=(predecessor("billing"),)),)))
    assert isinstance(waiting, Wait)
    assert waiting.problem is not None
    assert waiting.problem.reason == "ledger_conflict"
    assert "use one name in both" in waiting.problem.message


def test_c5_i2_a_key_that_left_a_former_document_gets_its_grace_from_now() -> None:
    former = predecessor(path=FORMER, taken_over=True, access_key=OTHER)
    keys = {"predecessors": (former,), "retiring": (retiring(OTHER, timedelta(0)), retiring(THIRD, timedelta(0)))}
    found = decided(observe(clocks=CLOCKS, ledger=keys, former_documents={FORMER: document(FOURTH)}))
    assert isinstance(found, WriteLedger)
    deadline = CLOCKS.latest + SPEC.grace
    assert found.ledger.retiring == (replace(retiring(OTHER), revoke_after=deadline), retiring(THIRD, timedelta(0)))
    assert found.ledger.predecessors == (replace(former, access_key=FOURTH),)
    (event,) = found.events
    assert (event.name, event.fields) == (
        "key.grace_started",
        {"access_key": OTHER, "revoke_after": deadline, "reason": f"left {FORMER}"},
    )


def test_c5_a_key_that_left_a_former_document_and_has_a_longer_grace_keeps_it_without_an_event() -> None:
    former = predecessor(path=FORMER, taken_over=True, access_key=OTHER)
    keys = {"predecessors": (former,), "retiring": (retiring(OTHER, 99 * DAY),)}
    found = decided(observe(ledger=keys, former_documents={FORMER: document(None)}))
    assert isinstance(found, WriteLedger)
    assert (found.ledger.retiring, found.events) == ((retiring(OTHER, 99 * DAY),), ())
    assert found.ledger.predecessors[0].access_key == ""


def test_c5_a_former_document_that_still_publishes_its_key_or_cannot_be_read_changes_nothing() -> None:
    former = predecessor(path=FORMER, taken_over=True, access_key=OTHER)
    for documents in ({FORMER: document(OTHER)}, {FORMER: None}, {}):
        found = decided(observe(ledger={"predecessors": (former,)}, former_documents=documents))
        assert isinstance(found, Wait)


def test_c5_a_look_ahead_at_very_many_earlier_names_comes_to_an_end() -> None:
    many = tuple(related(name=f"former-{number}") for number in range(20))
    found = consolidated(SPEC, ledger(), many, PUBLISHED, CLOCKS)
    assert found is not None
    assert 10 < len(found.predecessors) < 20


@pytest.mark.parametrize(
    ("own", "others", "wanted", "message"),
    [
        (
            ledger(),
            [related(predecessors=(predecessor("billing"),))],
            SPEC,
            (
                "two configurations name one bearer: as billing here and as invoices elsewhere; use one name in both, then"
                " remove the ledger of the other name in Vault"
            ),
        ),
        (
            ledger(),
            [related(successor="orders")],
            SPEC,
            (
                "the ledger of invoices names the same bearer as billing and was given to orders, which has none: restore "
                "the ledger of orders in Vault, or remove both"
            ),
        ),
        (
            ledger(),
            [related()],
            replace(SPEC, configured=False),
            (
                "billing and invoices left the configuration, and their ledgers name one bearer: configure one of them, or "
                "remove the ledger of the other in Vault"
            ),
        ),
    ],
)
def test_c5_a_conflict_of_ledgers_names_both_and_the_way_out(
    own: Ledger, others: list[RelatedLedger], wanted: ApplicationSpec, message: str
) -> None:
    with pytest.raises(OwnershipConflict) as conflict:
        step(own, *others, wanted=wanted)
    assert str(conflict.value) == message


def test_c5_a_ledger_that_cannot_be_read_is_named_with_the_way_out() -> None:
    waiting = decided(observe(unread_ledgers=("old",)))
    assert isinstance(waiting, Wait)
    assert waiting.problem is not None
    assert waiting.problem.message == (
        "billing takes over the ledger of old, which cannot be read: give the Vault policy of rotator the right to "
        "read it, or roll it back to its last sound version"
    )


def test_c5_what_the_document_publishes_gets_no_grace_when_neither_ledger_has_a_current_key() -> None:
    own, other = ledger(current=None), related(current=None, retiring=(retiring(PUBLISHED), retiring(OTHER)))
    assert [entry.access_key for entry in copied(own, other).ledger.retiring] == [OTHER]
    announced = own.with_predecessor(predecessor())
    taken = replace(other, ledger=replace(other.ledger, successor="billing"))
    whole = consolidated(SPEC, announced, (taken,), PUBLISHED, CLOCKS)
    assert whole is not None
    assert [entry.access_key for entry in whole.retiring] == [OTHER]
    found = decided(observe(ledger=announced, related=(taken,)))
    assert isinstance(found, WriteLedger)
    assert [entry.access_key for entry in found.ledger.retiring] == [OTHER]


def test_c5_a_key_in_grace_there_and_current_here_is_not_taken_over_as_one_in_grace() -> None:
    own, other = ledger(), related(current=None, retiring=(retiring(PUBLISHED), retiring(OTHER)))
    found = copied(own, other, published=THIRD)
    assert [entry.access_key for entry in found.ledger.retiring] == [OTHER]


def test_c5_every_key_that_is_being_revoked_there_is_revoked_here() -> None:
    found = copied(ledger(), related(current=None, revoking=(revoking(OTHER), revoking(THIRD))))
    assert found.ledger.revoking == (revoking(OTHER), revoking(THIRD))
