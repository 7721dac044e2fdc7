"""The changes that a ledger can go through, each by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.decision.observation import DestroyedVersions
from rotator.decision.steps import Event
from rotator.decision.transitions.compromise import mark_compromised
from rotator.decision.transitions.grace import end_grace, extend_grace, extendable_keys, start_grace
from rotator.decision.transitions.hold import clear_hold, set_hold
from rotator.decision.transitions.publication import commit_published
from rotator.decision.transitions.revocation import (
    finish_revocation,
    is_verified_revoked,
    mark_republished,
    start_revocation,
)
from rotator.decision.transitions.rotation import abandon_rotation
from rotator.domain.ledger import (
    INCIDENT_LIMIT,
    CompromisedKey,
    CurrentKey,
    HistoryEntry,
    Hold,
    Incident,
    Ledger,
    Problem,
    RevocationRecord,
    RotationMode,
)
from rotator.util.backoff import backoff
from tests.support.observations import (
    BORN,
    CURRENT,
    DAY,
    FOURTH,
    HOUR,
    MINUTE,
    NOW,
    OTHER,
    PUBLISHED,
    SECOND,
    THIRD,
    WRITTEN,
    clocks,
    document,
    intent,
    key,
    ledger,
    mark,
    marker,
    observe,
    retiring,
    revoking,
)
from tests.support.simulated import spec

NEW = document(OTHER, 4, created_time=NOW - MINUTE)


def test_r6_a_rotation_is_committed_the_old_key_retires_and_everything_about_failures_is_forgotten() -> None:
    before = ledger(
        intent=intent(reason="asked"), failures=3, not_before=NOW + HOUR, problem=Problem("quota", "no room", NOW)
    )
    made = key(OTHER, created_at=NOW - 2 * MINUTE, expires_at=NOW + 90 * DAY)
    after, events = commit_published(before, NEW, made, marker(rotation="d" * 16), spec(), clocks())
    assert after == ledger(
        current=CurrentKey(OTHER, 4, NOW - MINUTE, NOW - 2 * MINUTE, NOW + 90 * DAY, NOW - MINUTE, "made by hand"),
        retiring=(replace(retiring(PUBLISHED, DAY), version=3),),
        history=(HistoryEntry(NOW, "rotated", OTHER, 4, "d" * 16, "asked"),),
    )
    assert events == (
        Event("application.recovered", {"reason": "quota"}),
        Event("rotation.committed", {"access_key": OTHER, "version": 4, "rotation_id": "d" * 16, "reason": "asked"}),
        Event("key.grace_started", {"access_key": PUBLISHED, "revoke_after": NOW + DAY, "reason": "replaced"}),
    )


def test_r13_grace_is_counted_from_the_latest_clock_or_from_the_document_if_that_is_later() -> None:
    after, _ = commit_published(ledger(), NEW, key(OTHER), None, spec(), clocks(provider=5 * MINUTE))
    assert after.retiring[0].revoke_after == NOW + 5 * MINUTE + DAY
    after, _ = commit_published(ledger(), replace(NEW, created_time=NOW + HOUR), key(OTHER), None, spec(), clocks())
    assert after.retiring[0].revoke_after == NOW + HOUR + DAY


def test_r6_a_rotation_of_another_that_was_overtaken_is_abandoned_and_said() -> None:
    after, events = commit_published(ledger(intent=intent()), NEW, key(OTHER), None, spec(), clocks())
    assert after.intent is None
    assert after.history == (HistoryEntry(NOW, "followed", OTHER, 4, "", "document changed"),)
    assert events[:2] == (
        Event(
            "document.changed_externally",
            {"access_key": OTHER, "version": 4, "rotation_id": "", "reason": "document changed"},
        ),
        Event(
            "rotation.abandoned",
            {"rotation_id": "d" * 16, "reason": "overtaken", "message": "the document changed meanwhile"},
        ),
    )


def test_r6_a_key_of_ours_from_another_rotation_than_the_one_claimed_was_rotated_and_not_asked_for() -> None:
    after, events = commit_published(ledger(intent=intent()), NEW, key(OTHER), marker(), spec(), clocks())
    assert after.history == (HistoryEntry(NOW, "rotated", OTHER, 4, "e" * 16, "document changed"),)
    assert [event.name for event in events] == ["rotation.committed", "rotation.abandoned", "key.grace_started"]


def test_r6_a_first_key_of_ours_was_rotated_when_it_was_claimed_and_adopted_when_the_ledger_was_lost() -> None:
    first = ledger(current=None, intent=intent(reason="first key"))
    after, events = commit_published(first, NEW, key(OTHER), marker(rotation="d" * 16), spec(), clocks())
    assert after.history == (HistoryEntry(NOW, "rotated", OTHER, 4, "d" * 16, "first key"),)
    assert [event.name for event in events] == ["rotation.committed"]
    lost, events = commit_published(ledger(current=None), NEW, key(OTHER), marker(), spec(), clocks())
    assert lost.history == (HistoryEntry(NOW, "adopted", OTHER, 4, "e" * 16, "taken over"),)
    assert [event.name for event in events] == ["application.adopted"]


def test_r6_a_new_version_with_the_same_key_changes_no_more_than_the_version() -> None:
    before = ledger(intent=intent(), failures=2, not_before=NOW + HOUR)
    same = document(PUBLISHED, 5, created_time=NOW - MINUTE)
    after, events = commit_published(before, same, None, None, spec(), clocks())
    assert after == replace(before, intent=None, current=CurrentKey(PUBLISHED, 5, WRITTEN, BORN, None, NOW - MINUTE))
    assert [event.name for event in events] == ["document.rewritten", "rotation.abandoned"]
    assert events[0].fields == {"access_key": PUBLISHED, "version": 5}
    _, events = commit_published(ledger(), same, key(), None, spec(), clocks())
    assert [event.name for event in events] == ["document.rewritten"]


def test_r6_what_the_provider_does_not_show_is_known_from_the_ledger_for_the_same_key_only() -> None:
    dated = ledger(current=CurrentKey(PUBLISHED, 3, WRITTEN, BORN, NOW + DAY, WRITTEN))
    same, _ = commit_published(dated, document(PUBLISHED, 4), None, None, spec(), clocks())
    assert same.current is not None
    assert (same.current.created_at, same.current.expires_at) == (BORN, NOW + DAY)
    other, _ = commit_published(dated, NEW, None, None, spec(), clocks())
    assert other.current is not None
    assert (other.current.created_at, other.current.expires_at) == (None, None)
    none, _ = commit_published(ledger(current=None), NEW, None, None, spec(), clocks())
    assert none.current is not None
    assert (none.current.created_at, none.current.expires_at) == (None, None)


def test_a_document_of_which_vault_tells_no_time_counts_from_our_clock() -> None:
    after, _ = commit_published(
        ledger(), replace(NEW, created_time=None), key(OTHER), None, spec(), clocks(vault=-SECOND)
    )
    assert after.current is not None
    assert (after.current.since, after.current.written) == (NOW, None)


def test_r9_a_compromised_old_key_is_condemned_instead_of_retired() -> None:
    before = ledger(compromised=(mark(PUBLISHED),))
    after, events = commit_published(before, NEW, key(OTHER), None, spec(), clocks())
    assert after.retiring == ()
    assert after.revoking == (revoking(PUBLISHED, 3, "compromised"),)
    assert events[-1] == Event("key.revocation_scheduled", {"access_key": PUBLISHED, "reason": "compromised"})


def test_r8_an_old_key_that_is_condemned_already_stays_condemned() -> None:
    before = ledger(revoking=(revoking(PUBLISHED, 3),))
    after, events = commit_published(before, NEW, key(OTHER), None, spec(), clocks())
    assert (after.retiring, after.revoking) == ((), before.revoking)
    assert [event.name for event in events] == ["document.changed_externally"]


def test_r8_a_republished_key_gets_the_end_of_its_grace_when_another_one_is_followed_and_keeps_it() -> None:
    before = ledger(
        revoking=(
            revoking(PUBLISHED, 3, republished=True),
            revoking(THIRD),
            revoking(FOURTH, republished=True, not_before=NOW),
        )
    )
    after, _ = commit_published(before, NEW, key(OTHER), None, spec(), clocks())
    assert after.revoking == (
        revoking(PUBLISHED, 3, republished=True, not_before=NOW + DAY),
        revoking(THIRD),
        revoking(FOURTH, republished=True, not_before=NOW),
    )


def test_a_key_in_grace_that_is_published_again_is_the_current_one_and_no_longer_in_grace() -> None:
    before = ledger(retiring=(retiring(OTHER), retiring(THIRD)))
    after, _ = commit_published(before, NEW, key(OTHER), None, spec(), clocks())
    assert [entry.access_key for entry in after.retiring] == [THIRD, PUBLISHED]


def test_i2_keys_seen_meanwhile_get_their_grace_anew_and_never_a_shorter_one() -> None:
    before = ledger(
        retiring=(retiring(THIRD, HOUR), retiring(FOURTH, 2 * DAY), retiring("SCWX", HOUR)),
        revoking=(revoking("SCWY"), revoking("SCWZ")),
    )
    after, _ = commit_published(before, NEW, key(OTHER), None, spec(), clocks(), frozenset({THIRD, FOURTH, "SCWY"}))
    assert after.retiring[:3] == (retiring(THIRD, DAY), retiring(FOURTH, 2 * DAY), retiring("SCWX", HOUR))
    assert after.revoking == (revoking("SCWY", republished=True, not_before=NOW + DAY), revoking("SCWZ"))


def test_i2_when_more_may_have_been_read_every_key_that_a_version_held_gets_its_grace_anew() -> None:
    before = ledger(
        retiring=(retiring(THIRD, HOUR, 0),),
        revoking=(revoking(FOURTH, 0, "leftover"), revoking("SCWY", 1), revoking("SCWZ", 2)),
    )
    after, _ = commit_published(before, NEW, key(OTHER), None, spec(), clocks(), more=True)
    assert after.retiring[0] == retiring(THIRD, DAY, 0)
    assert after.revoking == (
        revoking(FOURTH, 0, "leftover"),
        revoking("SCWY", 1, republished=True, not_before=NOW + DAY),
        revoking("SCWZ", 2, republished=True, not_before=NOW + DAY),
    )
    seen_too, _ = commit_published(before, NEW, key(OTHER), None, spec(), clocks(), frozenset({FOURTH}))
    assert seen_too.revoking[0] == revoking(FOURTH, 0, "leftover", republished=True, not_before=NOW + DAY)


def test_r7_a_key_nobody_wrote_down_gets_its_grace_from_the_latest_clock_or_a_later_document() -> None:
    after, event = start_grace(
        ledger(retiring=(retiring(THIRD),)), OTHER, 2, "published", spec(), observe(clocks=clocks(vault=SECOND))
    )
    entry = replace(retiring(OTHER, DAY + SECOND), reason="published")
    assert after == ledger(retiring=(retiring(THIRD), entry))
    assert event == Event(
        "key.grace_started", {"access_key": OTHER, "revoke_after": NOW + DAY + SECOND, "reason": "published"}
    )
    later = observe(document=document(created_time=NOW + HOUR))
    assert start_grace(ledger(), OTHER, 2, "x", spec(), later)[0].retiring[0].revoke_after == NOW + HOUR + DAY
    unknown = observe(document=document(created_time=None))
    assert start_grace(ledger(), OTHER, 2, "x", spec(), unknown)[0].retiring[0].revoke_after == NOW + DAY


def test_r8_condemning_moves_a_key_and_republishing_marks_it_alone() -> None:
    after = start_revocation(ledger(retiring=(retiring(OTHER), retiring(THIRD))), OTHER, 2, "replaced")
    assert (after.retiring, after.revoking) == ((retiring(THIRD),), (revoking(),))
    both = ledger(revoking=(revoking(OTHER, republished=True, not_before=NOW), revoking(THIRD)))
    assert mark_republished(both, OTHER).revoking == (revoking(OTHER, republished=True), revoking(THIRD))


def test_r9_a_death_takes_its_mark_with_it_and_closes_an_incident_with_its_last_key() -> None:
    first = Incident("i1", NOW - HOUR, "leaked", "ops", (OTHER, THIRD))
    second = Incident("i2", NOW - HOUR, "leaked", "ops", (FOURTH,))
    closed = Incident("i0", NOW - DAY, "leaked", "ops", (PUBLISHED,), NOW - HOUR)
    before = ledger(
        revoking=(revoking(OTHER), revoking(THIRD, 1)),
        compromised=(mark(OTHER), mark(THIRD), mark(FOURTH)),
        incidents=(closed, first, second),
    )
    after, events = finish_revocation(before, {OTHER: "refused"}, NOW, {OTHER: DestroyedVersions((1, 2))})
    told = replace(first, revocations=(RevocationRecord(OTHER, NOW, "refused", (1, 2)),))
    assert after.revoking == (revoking(THIRD, 1),)
    assert after.compromised_keys() == {THIRD, FOURTH}
    assert after.incidents == (closed, told, second)
    assert after.history == (HistoryEntry(NOW, "revoked", OTHER, 2, "", "replaced; refused"),)
    assert events == (Event("key.revoked", {"access_key": OTHER, "reason": "replaced", "verification": "refused"}),)
    last, events = finish_revocation(
        after,
        {THIRD: "gone, not probed"},
        NOW,
        {OTHER: DestroyedVersions((1, 2)), THIRD: DestroyedVersions(remark="denied")},
    )
    both = (*told.revocations, RevocationRecord(THIRD, NOW, "gone, not probed", (), "denied"))
    assert last.incidents == (closed, replace(first, closed_at=NOW, revocations=both), second)
    assert last.history[-1] == HistoryEntry(NOW, "revoked", THIRD, 1, "", "replaced; gone, not probed")
    assert events == (
        Event("key.revoked", {"access_key": THIRD, "reason": "replaced", "verification": "gone, not probed"}),
        Event("compromise.contained", {"incident": "i1", "access_keys": [OTHER, THIRD]}),
    )


def test_what_a_closed_incident_tells_of_a_key_stays_when_the_key_dies_a_second_time() -> None:
    closed = Incident(
        "i0",
        NOW - DAY,
        "leaked",
        "ops",
        (OTHER,),
        NOW - HOUR,
        revocations=(RevocationRecord(OTHER, NOW - HOUR, "refused", (1,)),),
    )
    again = Incident("i1", NOW - HOUR, "leaked again", "ops", (OTHER,))
    before = ledger(revoking=(revoking(OTHER),), compromised=(mark(OTHER),), incidents=(closed, again))
    after, _ = finish_revocation(before, {OTHER: "refused"}, NOW, {OTHER: DestroyedVersions((2,))})
    assert after.incidents == (
        closed,
        replace(again, closed_at=NOW, revocations=(RevocationRecord(OTHER, NOW, "refused", (2,)),)),
    )


@pytest.mark.parametrize(
    ("mode", "every", "shortest", "longest"),
    [
        (RotationMode.SCHEDULED, 30 * DAY, 30 * SECOND, HOUR),
        (RotationMode.REQUESTED, None, 30 * SECOND, HOUR),
        (RotationMode.COMPROMISED, 30 * DAY, SECOND, 30 * SECOND),
        (RotationMode.SCHEDULED, 100 * SECOND, 10 * SECOND, HOUR),
        (RotationMode.SCHEDULED, 5 * SECOND, SECOND, HOUR),
        (RotationMode.RECOVERY, 5 * SECOND, SECOND, 30 * SECOND),
    ],
)
def test_a9_a_failure_asks_for_patience_that_grows_with_each_one(
    mode: RotationMode, every: timedelta | None, shortest: timedelta, longest: timedelta
) -> None:
    problem = Problem("lost", "the answer to the create was lost", NOW)
    for failures in (0, 2, 40):
        before = ledger(intent=intent(mode=mode), failures=failures)
        after = abandon_rotation(before, spec(every=every), NOW, failed=True, problem=problem)
        pause = backoff(failures + 1, "billing", "d" * 16, base=shortest, cap=longest)
        assert after == replace(
            before,
            intent=None,
            failures=failures + 1,
            not_before=NOW + pause,
            problem=problem,
            history=(HistoryEntry(NOW, "abandoned", "", 3, "d" * 16, "lost"),),
        )


def test_a_rotation_that_did_not_fail_or_that_was_not_claimed_leaves_no_trace() -> None:
    claimed = ledger(intent=intent(), failures=1)
    assert abandon_rotation(claimed, spec(), NOW, failed=False, problem=None) == replace(claimed, intent=None)
    assert abandon_rotation(ledger(), spec(), NOW, failed=True, problem=None) == ledger()


def test_a_failure_of_which_no_trouble_is_told_has_no_reason() -> None:
    after = abandon_rotation(ledger(intent=intent()), spec(), NOW, failed=True, problem=None)
    assert after.history[-1].reason == ""


def test_r9_marks_are_made_once_and_every_emergency_is_an_incident() -> None:
    before = ledger(compromised=(mark(OTHER),), intent=intent(), not_before=NOW + HOUR)
    after = mark_compromised(
        before, {THIRD, OTHER, PUBLISHED}, reason="pastebin", by="ann", at=NOW, incident="i2", mode="revoke_first"
    )
    assert after == ledger(
        compromised=(
            replace(mark(OTHER), mode="revoke_first"),
            CompromisedKey(PUBLISHED, "pastebin", "ann", NOW, "revoke_first", "i2"),
            CompromisedKey(THIRD, "pastebin", "ann", NOW, "revoke_first", "i2"),
        ),
        incidents=(Incident("i2", NOW, "pastebin", "ann", (OTHER, PUBLISHED, THIRD), mode="revoke_first"),),
    )


@pytest.mark.parametrize(
    ("before", "order", "after"),
    [
        (("replace_first", False), ("revoke_first", False), ("revoke_first", False)),
        (("revoke_first", False), ("replace_first", False), ("revoke_first", False)),
        (("replace_first", False), ("replace_first", True), ("replace_first", True)),
        (("replace_first", True), ("replace_first", False), ("replace_first", True)),
    ],
)
def test_r9_a_later_order_makes_a_mark_sharper_and_never_milder(
    before: tuple[str, bool], order: tuple[str, bool], after: tuple[str, bool]
) -> None:
    marked = ledger(compromised=(replace(mark(OTHER, before[0]), override_hold=before[1]), mark(THIRD)))
    again = mark_compromised(
        marked, {OTHER}, reason="worse", by="ann", at=NOW, incident="i2", mode=order[0], override_hold=order[1]
    )
    assert again.compromised == (replace(mark(OTHER, after[0]), override_hold=after[1]), mark(THIRD))
    assert (again.incidents[-1].mode, again.incidents[-1].override_hold) == order


def test_the_history_keeps_its_last_fifty_entries() -> None:
    after = ledger()
    for number in range(55):
        after = after.with_history(HistoryEntry(NOW, "rotated", f"SCW{number}"))
    assert [entry.access_key for entry in after.history] == [f"SCW{number}" for number in range(5, 55)]


def marked_again(before: Ledger, number: int) -> Ledger:
    """One more incident."""
    return mark_compromised(
        before, {OTHER}, reason="leaked", by="ops", at=NOW, incident=f"i{number}", mode="replace_first"
    )


def test_the_list_of_incidents_is_bounded_and_the_oldest_closed_ones_leave_first() -> None:
    after = ledger()
    for number in range(INCIDENT_LIMIT + 5):
        after = marked_again(after, number)
        after = replace(after, incidents=tuple(replace(incident, closed_at=NOW) for incident in after.incidents))
    assert INCIDENT_LIMIT == 20
    assert [incident.id for incident in after.incidents] == [f"i{number}" for number in range(5, 25)]


def test_i3_an_open_incident_is_never_dropped() -> None:
    """One that is dropped while it is open never says that its keys were contained."""
    after = marked_again(ledger(), 0)
    for number in range(1, INCIDENT_LIMIT + 5):
        after = marked_again(after, number)
        closed = replace(after.incidents[-1], closed_at=NOW)
        after = replace(after, incidents=(*after.incidents[:-1], closed))
    assert len(after.incidents) == INCIDENT_LIMIT
    assert (after.incidents[0].id, after.incidents[0].closed_at) == ("i0", None)
    for number in range(INCIDENT_LIMIT + 5, 2 * INCIDENT_LIMIT + 10):
        after = marked_again(after, number)
    still_open = [incident for incident in after.incidents if incident.closed_at is None]
    assert len(still_open) == 1 + INCIDENT_LIMIT + 5, "more open ones than the list is long stay as well"


def test_r14_the_highest_version_that_a_ledger_knows_is_that_of_any_key_or_claim() -> None:
    assert ledger(current=None).highest_version() == 0
    assert ledger().highest_version() == 3
    assert ledger(retiring=(retiring(version=5),)).highest_version() == 5
    assert ledger(revoking=(revoking(version=6),)).highest_version() == 6
    assert ledger(intent=intent(base=7)).highest_version() == 7


# --- what people order ----------------------------------------------------------------------------------------------------


def test_a_hold_is_set_once_and_released_once_and_both_stand_in_the_history() -> None:
    in_flight = set_hold(ledger(), "migration", "ann", NOW)
    assert in_flight.hold == Hold("migration", "ann", NOW)
    assert in_flight.history == (HistoryEntry(NOW, "held", "", reason="migration (ann)"),)
    assert set_hold(in_flight, "another", "bob", NOW + HOUR) == in_flight
    free = clear_hold(in_flight, "bob", NOW + HOUR)
    assert free.hold is None
    assert free.history[-1] == HistoryEntry(NOW + HOUR, "resumed", "", reason="by bob")
    assert clear_hold(free, "bob", NOW + DAY) == free


def test_only_keys_that_live_on_until_a_time_and_are_not_compromised_are_extended() -> None:
    again = revoking(PUBLISHED, republished=True, not_before=NOW + HOUR)
    marked_too = revoking("SCWFIFTH", republished=True, not_before=NOW + HOUR)
    before = ledger(
        retiring=(retiring(OTHER), retiring(THIRD)),
        revoking=(revoking(FOURTH), again, marked_too),
        compromised=(mark(THIRD), mark("SCWFIFTH")),
    )
    assert extendable_keys(before) == (retiring(OTHER), again)
    after = extend_grace(before, DAY, "ann", NOW)
    assert after.retiring == (retiring(OTHER, HOUR + DAY), retiring(THIRD))
    assert after.revoking == (revoking(FOURTH), replace(again, not_before=NOW + HOUR + DAY), marked_too)
    assert after.history == tuple(
        HistoryEntry(NOW, "extended", key, reason="by ann") for key in sorted((OTHER, PUBLISHED))
    )


def test_a_grace_that_a_person_ends_is_over_by_every_clock() -> None:
    late = clocks(vault=-MINUTE, provider=SECOND)
    before = ledger(retiring=(retiring(OTHER), retiring(THIRD)))
    after = end_grace(before, OTHER, "moved", "ann", late)
    assert after.retiring == (replace(retiring(OTHER), revoke_after=NOW - MINUTE), retiring(THIRD))
    assert late.passed(after.retiring[0].revoke_after)
    assert after.history == (HistoryEntry(NOW, "grace_ended", OTHER, reason="moved (ann)"),)
    over = ledger(retiring=(retiring(OTHER, -DAY),))
    assert end_grace(over, OTHER, "moved", "ann", late).retiring == over.retiring


def test_an_extension_has_its_order_in_the_history() -> None:
    after = extend_grace(ledger(retiring=(retiring(OTHER),)), HOUR, "ops", NOW, "the-order")
    (entry,) = after.history
    assert (entry.event, entry.access_key, entry.rotation_id) == ("extended", OTHER, "the-order")


@pytest.mark.parametrize(("before", "purpose"), [(PUBLISHED, "nightly billing"), (OTHER, "")])
def test_a_published_key_that_is_listed_nowhere_has_the_purpose_that_its_ledger_knows(
    before: str, purpose: str
) -> None:
    held = ledger(current=replace(CURRENT, access_key=before, purpose="nightly billing"))
    after, _ = commit_published(held, document(version=4), None, None, spec(), clocks())
    assert after.current is not None
    assert (after.current.access_key, after.current.purpose) == (PUBLISHED, purpose)


def test_i8_a_revocation_is_known_from_the_history_and_from_the_incident() -> None:
    entry = HistoryEntry(NOW, "revoked", OTHER, 2, "", "compromised; refused")
    record = RevocationRecord(OTHER, NOW, "refused")
    incident = Incident("i1", NOW, "leaked", "ops", (OTHER,), NOW, revocations=(record,))
    assert is_verified_revoked(ledger(history=(entry,)), OTHER)
    assert is_verified_revoked(ledger(incidents=(incident,)), OTHER)
    assert not is_verified_revoked(ledger(history=(replace(entry, event="extended"),)), OTHER)
    assert not is_verified_revoked(ledger(history=(entry,), incidents=(incident,)), THIRD)
