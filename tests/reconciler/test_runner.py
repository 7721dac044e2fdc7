"""Passes that meet odd answers: how long they wait, what they look at again, what ends, and what is said."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotator.decision.observation import InFlightRotation, Preconditions, Presence, RotationFailure, RotationRequest
from rotator.domain.keys import Key, ProbeResult
from rotator.domain.ledger import CompromisedKey, Hold, Intent, Problem, RetiringKey, RevokingKey, RotationMode
from rotator.domain.marker import parse_marker
from rotator.domain.secret import Secret
from rotator.domain.spec import VerificationPolicy
from rotator.errors import Conflict, LedgerUnreadable, NotFound, PermissionDenied, Rejected, ServiceError
from rotator.reconciler.context import InvalidKeyBreaker, LocalState, PassOutcome
from rotator.reconciler.runner import drive, observe, reconcile
from tests.support.scenarios import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    adopted,
    away,
    change,
    failing,
    lost,
    mark,
    once,
    problem,
    rotate,
)
from tests.support.simulated import BEARER, EPOCH, MOST_NAPS, PATH, Actor, Sim, SimProvider, SimVault, no_hook


def paced(actor: Actor, request: RotationRequest | None = None) -> tuple[list[timedelta], PassOutcome]:
    """One pass, with how long each of its naps was."""
    passing = reconcile(actor.spec, actor.context, actor.local_state, request)
    naps: list[timedelta] = []
    while len(naps) < MOST_NAPS:
        try:
            until = next(passing)
        except StopIteration as end:
            return naps, end.value
        naps.append(until - actor.sim.time.now)
        actor.sim.time.now = max(actor.sim.time.now, until)
    raise AssertionError("the pass does not end")


def told(actor: Actor, event: str) -> list[dict[str, Any]]:
    """What the events of that name said, beside the application and its account."""
    common = {"application": "billing", "account": "acme"}
    found = [fields for name, fields in actor.sink.events if name == event]
    assert all(common.items() <= fields.items() for fields in found)
    return [{name: value for name, value in fields.items() if name not in common} for fields in found]


# --- the loop -------------------------------------------------------------------------------------------------------------


def test_a_pass_sleeps_where_it_has_nothing_to_do_and_ends_with_its_outcome() -> None:
    sim, daemon, first = adopted()
    slept: list[datetime] = []

    def sleep_until(until: datetime) -> None:
        slept.append(until)
        sim.time.now = until

    outcome = drive(
        reconcile(daemon.spec, daemon.context, daemon.local_state, RotationRequest("asked", first)), sleep_until
    )
    assert slept == [EPOCH + 10 * SECOND, EPOCH + 20 * SECOND]
    assert outcome.wait.reason == "revoke"
    assert outcome.error is None
    assert outcome.ledger == sim.ledger()
    assert outcome.document is not None
    assert outcome.document.published == sim.published_key() != first


def test_a_pass_says_what_it_decided_in_the_end() -> None:
    sim, daemon, _ = adopted()
    outcome = daemon.run()
    assert told(daemon, "pass.decided") == [{"reason": "rotate", "message": "every 30d", "until": EPOCH + 6 * HOUR}]
    assert outcome.wait.until == EPOCH + 6 * HOUR


def test_an_observation_takes_the_steps_that_only_ask_and_changes_nothing() -> None:
    sim, daemon, first = adopted()
    sim.time.advance(30 * DAY)
    sim.quota = 5
    observation = drive_observation(daemon)
    assert observation.preconditions == Preconditions((), 4)
    assert observation.ledger == sim.ledger()
    request = RotationRequest("asked", first)
    assert drive_observation(daemon, request).request == request
    theirs, _ = sim.make_key()
    sim.publish_by_hand(theirs.access_key)
    assert drive_observation(daemon).published_probe is ProbeResult.VALID
    assert not {"write_ledger", "write_document", "create_key", "delete_key"} & set(sim.calls)


def drive_observation(actor: Actor, request: RotationRequest | None = None) -> Any:
    return result_of(observe(actor.spec, actor.context, actor.local_state, request))


def result_of(passing: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(passing)
        except StopIteration as end:
            return end.value


def test_an_observation_begins_anew_when_another_one_is_asked_for_meanwhile() -> None:
    sim, daemon, _ = adopted()
    theirs, _ = sim.make_key()
    sim.publish_by_hand(theirs.access_key)
    failing(sim, "authenticate", lost(), times=1)
    passing = observe(daemon.spec, daemon.context, daemon.local_state, None)
    next(passing)
    daemon.local_state.look_again = True
    sim.calls.clear()
    found = result_of(passing)
    assert sim.calls.count("read_ledger") == 1
    assert found.published_probe is ProbeResult.VALID


def test_an_observation_of_a_document_that_cannot_be_read_raises_why() -> None:
    _, daemon, first = adopted()
    mark(daemon, first)
    failing(daemon.sim, "read_document", PermissionDenied("no", service="vault", kind="policy"))
    with pytest.raises(PermissionDenied):
        drive_observation(daemon)


def test_i2_clocks_are_read_anew_when_the_own_clock_is_set_between_two_readings() -> None:
    _, daemon, _ = adopted()

    class Jumping:
        times = [EPOCH, EPOCH + HOUR, EPOCH + HOUR, EPOCH + HOUR]  # noqa: RUF012  # a list that is used up

        def now(self) -> datetime:
            return self.times.pop(0)

    context = replace(daemon.context, clock=Jumping())  # type: ignore[arg-type]  # only its time is asked for
    assert context.clocks().ours == EPOCH + HOUR


def test_r1_who_is_always_too_late_leaves_the_field_after_ten_looks_a_quarter_of_a_second_apart() -> None:
    sim, daemon, first = adopted()
    failing(sim, "write_ledger", Conflict("another process was faster", service="vault", kind="conflict"))
    naps, outcome = paced(daemon, RotationRequest("asked", first))
    assert naps == [SECOND / 4] * 10
    assert (outcome.wait.reason, outcome.wait.message) == ("contended", "others were faster each time")
    assert outcome.wait.until == sim.time.now + SECOND
    assert outcome.wait.problem is None
    assert sim.calls.count("list_keys") == 10
    assert told(daemon, "pass.interrupted") == [{"kind": "conflict", "message": "another process was faster"}] * 10


def test_i7_a_pass_with_more_to_do_than_its_steps_looks_again_and_finishes() -> None:
    sim, daemon, _ = adopted()
    old = [sim.make_key()[0].access_key for _ in range(40)]
    change(daemon, revoking=tuple(RevokingKey(name, 0, "replaced") for name in old))
    daemon.run()
    assert not any(sim.live(name) for name in old)
    assert sim.ledger().revoking == ()
    assert sim.calls.count("list_keys") == 2, "a hundred steps, then another look"


def test_a_pass_that_is_cut_short_after_its_look_tells_the_error_and_what_it_saw() -> None:
    sim, daemon, first = adopted()
    error = away("sealed")
    failing(sim, "write_ledger", error)
    outcome = daemon.run(RotationRequest("asked", first))
    assert outcome.error is error
    assert (outcome.document and outcome.document.published, outcome.ledger) == (first, sim.ledger())


@pytest.mark.parametrize(
    ("error", "reason", "patience"),
    [
        (away("sealed"), "sealed", 30 * SECOND),
        (PermissionDenied("Vault denies", service="vault", kind="denied"), "denied", 30 * SECOND),
        (LedgerUnreadable("the ledger is damaged"), "ledger_unreadable", 60 * SECOND),
    ],
)
def test_a_pass_that_is_cut_short_says_why_and_when_it_is_repeated(
    error: Any, reason: str, patience: timedelta
) -> None:
    sim, daemon, _ = adopted()
    failing(sim, "read_ledger", error)
    outcome = daemon.run()
    assert outcome.error is error
    assert (outcome.wait.reason, outcome.wait.message) == (reason, str(error))
    assert outcome.wait.until == EPOCH + patience
    assert outcome.wait.problem == Problem(reason, str(error), EPOCH)
    assert (outcome.ledger, outcome.document, outcome.keys) == (None, None, None)
    assert told(daemon, "pass.failed") == [{"reason": reason, "message": str(error)}]
    daemon.spec = replace(daemon.spec, resync_interval=10 * SECOND)
    assert daemon.run().wait.until == EPOCH + 10 * SECOND


def test_a_pass_that_is_cut_short_in_the_middle_tells_what_it_last_knew() -> None:
    sim, daemon, first = adopted()
    failing(sim, "write_ledger", away())
    outcome = daemon.run(RotationRequest("asked", first))
    assert outcome.ledger == sim.ledger()
    assert outcome.document is not None
    assert outcome.document.published == first
    assert outcome.keys is not None
    assert [key.access_key for key in outcome.keys] == [first]


# --- observe --------------------------------------------------------------------------------------------------------------


def test_r11_the_mount_of_the_document_is_proven_first() -> None:
    sim, daemon, _ = adopted()

    class Old(SimVault):
        def require_kv2(self, path: str) -> None:
            raise Rejected(f"{path} is on a mount of version 1", service="vault", kind="kv1")

    daemon.context = replace(daemon.context, vault=Old(sim))
    outcome = daemon.run()
    assert outcome.wait.message == f"{PATH} is on a mount of version 1"
    assert sim.calls == ["read_ledger"], "nothing but what tells whether there is an emergency"


def test_absence_is_not_proven_by_a_list_the_published_key_is_asked_for_by_name() -> None:
    sim, daemon, first = adopted()
    sim.hidden = {first}
    observation = drive_observation(daemon)
    assert observation.presence is Presence.LISTED
    assert [key.access_key for key in observation.keys] == [first]
    assert sim.calls.count("get_key") == 1
    sim.keys[first].deleted_at = EPOCH
    assert drive_observation(daemon).presence is Presence.GONE


def test_a_compromised_key_is_asked_for_by_name_until_it_is_condemned() -> None:
    sim, daemon, first = adopted()
    theirs = sim.make_key(bearer="another-bearer")[0].access_key
    hidden = sim.make_key()[0].access_key
    sim.hidden = {hidden}
    mark(daemon, theirs, hidden)
    change(daemon, hold=Hold("look first", "ops", EPOCH))
    sim.calls.clear()
    observation = drive_observation(daemon)
    assert [key.access_key for key in observation.keys] == [first, hidden]
    assert (observation.presence, observation.foreign) == (Presence.LISTED, {theirs})
    assert sim.calls.count("get_key") == 2
    change(daemon, revoking=(RevokingKey(theirs, 0, "compromised"), RevokingKey(hidden, 0, "compromised")))
    sim.calls.clear()
    assert drive_observation(daemon).foreign == frozenset()
    assert "get_key" not in sim.calls


def test_a_published_key_of_another_bearer_is_foreign_and_nothing_published_is_nothing() -> None:
    sim, daemon, _ = adopted()
    theirs = sim.make_key(bearer="another-bearer")[0].access_key
    sim.publish_by_hand(theirs)
    observation = drive_observation(daemon)
    assert (observation.presence, observation.foreign) == (Presence.FOREIGN, {theirs})
    sim.append("doc:" + PATH, {"database": "kept"})
    assert drive_observation(daemon).presence is Presence.NOTHING


def test_what_is_no_name_of_a_key_is_nobodys_and_keeps_no_other_from_being_asked_for() -> None:
    sim, daemon, first = adopted()
    theirs = sim.make_key(bearer="another-bearer")[0].access_key
    mark(daemon, "+ no key", theirs)
    failing(sim, "get_key", Rejected("wrong", service="acme", kind="invalid_arguments", argument="access_key"), times=1)
    assert drive_observation(daemon).foreign == {"+ no key", theirs}
    failing(sim, "get_key", Rejected("wrong", service="acme", kind="invalid_arguments", argument="organization_id"))
    outcome = daemon.run()
    assert (outcome.wait.reason, outcome.wait.message) == ("invalid_arguments", "wrong")
    assert sim.live(first)


def test_keys_are_seen_oldest_first() -> None:
    sim, daemon, first = adopted()
    older = sim.make_key(created=EPOCH - DAY)[0].access_key
    same = sim.make_key()[0].access_key
    assert [key.access_key for key in drive_observation(daemon).keys] == [older, first, same]


def test_a_stranger_is_reported_once_and_again_when_it_comes_back() -> None:
    sim, daemon, _ = adopted()
    stranger = sim.make_key("terraform")[0].access_key
    daemon.run()
    daemon.run()
    assert told(daemon, "key.unmanaged_found") == [{"access_key": stranger}]
    sim.hidden = {stranger}
    daemon.run()
    sim.hidden = set()
    daemon.run()
    assert len(told(daemon, "key.unmanaged_found")) == 2


def test_who_is_gone_is_asked_of_the_owner_of_the_claim() -> None:
    sim, daemon, _ = adopted()
    change(daemon, intent=Intent("d" * 16, 1, "-", "asked", RotationMode.REQUESTED, "daemon-9", EPOCH))
    asked: list[str] = []

    def is_gone(owner: str) -> bool:
        asked.append(owner)
        return True

    daemon.context = replace(daemon.context, is_gone=is_gone)
    observation = drive_observation(daemon)
    assert observation.owner_gone is True
    assert asked == ["daemon-9"]
    change(daemon, intent=None)
    assert drive_observation(daemon).owner_gone is False


class Emergency(SimProvider):
    """Whose calls may use the share that is kept for emergencies."""

    used: list[str]
    lagging = False

    def list_keys(self, bearer: str) -> tuple[Key, ...]:
        self.used.append("list_keys")
        return () if self.lagging else super().list_keys(bearer)

    def get_key(self, access_key: str) -> Key | None:
        self.used.append("get_key")
        return super().get_key(access_key)

    def create_key(
        self, bearer: str, description: str, *, default_project_id: str | None, expires_at: datetime | None
    ) -> tuple[Key, Secret]:
        self.used.append("create_key")
        return super().create_key(bearer, description, default_project_id=default_project_id, expires_at=expires_at)

    def delete_key(self, access_key: str) -> bool:
        self.used.append("delete_key")
        return super().delete_key(access_key)


class Reserved(SimProvider):
    emergency: Emergency

    def urgent(self) -> SimProvider:
        return self.emergency


def reserved(daemon: Actor) -> list[str]:
    provider = Reserved(daemon.sim)
    provider.emergency = Emergency(daemon.sim)
    provider.emergency.used = []
    daemon.context = replace(daemon.context, provider=provider)
    return provider.emergency.used


def test_r9_an_emergency_uses_the_share_of_the_rate_limit_that_is_kept_for_it_and_nothing_else_does() -> None:
    sim, daemon, first = adopted()
    used = reserved(daemon)
    second = rotate(daemon)
    daemon.run_for(25 * HOUR)
    assert not sim.live(first)
    assert used == []
    mark(daemon, second)
    daemon.run()
    assert used == ["list_keys", "create_key", "delete_key"], "from its first look on"


def test_r9_what_the_list_lacks_is_asked_for_by_name_in_the_same_share() -> None:
    _, daemon, first = adopted()
    used = reserved(daemon)
    daemon.context.provider.urgent().lagging = True  # type: ignore[attr-defined]  # it is our own
    mark(daemon, first)
    daemon.run()
    assert used[:3] == ["list_keys", "get_key", "create_key"]


def test_r6_the_replacement_of_a_dead_key_is_an_emergency_and_an_ordinary_claim_is_none() -> None:
    sim, daemon, first = adopted()
    used = reserved(daemon)
    sim.keys[first].deleted_at = EPOCH
    failing(sim, "list_keys", away(), after=1)
    daemon.run()
    assert used == ["create_key"]
    other, ordinary, _ = adopted()
    used = reserved(ordinary)
    change(ordinary, intent=Intent("d" * 16, 1, "-", "asked", RotationMode.REQUESTED, "daemon-9", EPOCH))
    ordinary.run()
    assert used == []


# --- record ---------------------------------------------------------------------------------------------------------------


def test_r2_a_claim_whose_answer_was_lost_is_still_known_to_be_ours_and_goes_on() -> None:
    sim, daemon, first = adopted()
    failing(sim, "write_ledger", lost(), phase="after", times=1)
    daemon.run(RotationRequest("asked", first))
    assert sim.published_key() != first
    assert "rotation.taken_over" not in daemon.sink.names()
    assert len(told(daemon, "rotation.created")) == 1


def test_a_wish_is_one_attempt() -> None:
    sim, daemon, first = adopted()
    failing(sim, "create_key", away("rate_limited"), times=1)
    outcome = daemon.run(RotationRequest("asked", first))
    assert sim.published_key() == first
    assert sim.calls.count("create_key") == 1
    assert sim.ledger().failures == 1
    assert outcome.wait.problem is not None
    assert outcome.wait.problem.reason == "rate_limited"


def test_a_wish_that_is_overtaken_before_it_failed_is_tried_again() -> None:
    sim, daemon, first = adopted()

    once(sim, "authenticate", "after", lambda: sim.publish_by_hand(first, note="edited"), since="create_key")
    daemon.run(RotationRequest("asked", first))
    assert sim.calls.count("create_key") == 2
    assert sim.published_key() != first


def test_two_rotations_of_one_pass_have_names_of_their_own() -> None:
    sim, daemon, first = adopted()
    mark(daemon, first)
    once(sim, "write_document", "after", lambda: mark(daemon, str(sim.published_key())))
    daemon.run()
    claims = [fields["rotation_id"] for fields in told(daemon, "rotation.claimed")]
    assert len(claims) == len(set(claims)) == 2
    assert len(sim.live_keys()) == 1


def test_people_see_in_the_documents_metadata_what_is_current_and_nothing_depends_on_it() -> None:
    sim, daemon, first = adopted()
    daemon.run()
    assert "annotate" not in sim.calls, "nothing changed"
    second = rotate(daemon)
    assert sim.annotations[PATH]["rotator_access_key"] == second
    assert sim.calls.count("annotate") == 1
    failing(sim, "annotate", PermissionDenied("we may not", service="vault", kind="denied"))
    outcome = daemon.run(RotationRequest("asked", second))
    assert outcome.error is None
    assert told(daemon, "document.annotate_failed") == [{"message": "we may not"}]
    assert sim.annotations[PATH]["rotator_access_key"] == second
    assert first != second


# --- probe ----------------------------------------------------------------------------------------------------------------


def test_r6_a_dead_key_is_told_and_counted_for_the_account_and_one_that_works_again_is_not_counted_any_more() -> None:
    sim, daemon, first = adopted()
    sim.keys[first].deleted_at = EPOCH
    failing(sim, "create_key", away())
    naps, _ = paced(daemon)
    assert naps == [SECOND / 2], "two refusals, half a second apart"
    assert told(daemon, "key.published_key_invalid") == [{"access_key": first}]
    assert daemon.context.casualties.others("shop", sim.time.now) == 1
    sim.keys[first].deleted_at = None
    sim.publish_by_hand(first)
    sim.hook = no_hook
    daemon.run()
    assert daemon.context.casualties.others("shop", sim.time.now) == 0


def test_r6_a_dead_key_that_was_replaced_already_wakes_nobody_when_only_a_standby_that_is_behind_shows_it() -> None:
    sim, daemon, first = adopted()
    behind = sim.index
    other = Actor(sim, owner="daemon-2")
    rotate(other)
    other.run_for(2 * DAY)
    assert not sim.live(first)
    vault = daemon.context.vault
    assert isinstance(vault, SimVault)
    vault.lag = lambda observation, newest: behind if "write_ledger" not in sim.calls else newest
    sim.calls.clear()
    daemon.run()
    assert told(daemon, "pass.interrupted") != [], "the ledger was not what it was shown"
    assert told(daemon, "key.published_key_invalid") == []


def test_r6_a_dead_key_is_told_also_where_nothing_can_be_done_about_it() -> None:
    sim, daemon, first = adopted()
    change(daemon, hold=Hold("audit", "mia", sim.time.now))
    daemon.run()
    sim.keys[first].deleted_at = EPOCH
    daemon.sink.events.clear()
    daemon.run()
    daemon.run()
    assert told(daemon, "key.published_key_invalid") == [{"access_key": first}] * 2


def test_r6_a_key_of_an_unknown_bearer_is_not_counted_as_dead() -> None:
    sim, daemon, first = adopted()
    sim.keys[first].deleted_at = EPOCH
    sim.bearers.clear()
    daemon.run()
    assert problem(daemon) == "bearer_gone"
    assert told(daemon, "key.published_key_invalid") == []
    assert daemon.context.casualties.others("shop", sim.time.now) == 0


def test_r6_a_secret_that_does_not_fit_a_key_that_is_there_is_not_counted_as_dead() -> None:
    sim, daemon, first = adopted()
    sim.publish_by_hand(first, secret="nonsense-nonsense")
    daemon.run()
    assert problem(daemon) == "secret_rejected"
    assert told(daemon, "key.published_key_invalid") == []


def test_r6_the_bearer_is_asked_for_only_after_a_refusal() -> None:
    sim, daemon, first = adopted()
    sim.publish_by_hand(first)
    daemon.run()
    assert "bearer_exists" not in sim.calls


def test_r6_a_published_key_without_a_clear_answer_is_tried_for_the_time_of_an_emergency_proof() -> None:
    sim, daemon, first = adopted(emergency_verification=VerificationPolicy(2, 10 * SECOND, 30 * SECOND))
    sim.publish_by_hand(first)
    failing(sim, "authenticate", away())
    naps, outcome = paced(daemon)
    assert naps == [10 * SECOND] * 3
    assert outcome.wait.reason == "probe_inconclusive"
    assert sim.calls.count("authenticate") == 4


def test_casualties_are_remembered_for_an_hour_and_one_does_not_count_itself() -> None:
    casualties = InvalidKeyBreaker()
    casualties.note("billing", EPOCH)
    casualties.note("shop", EPOCH)
    assert casualties.others("billing", EPOCH) == 1
    assert casualties.others("reports", EPOCH + HOUR) == 2
    assert casualties.others("reports", EPOCH + HOUR + SECOND) == 0
    casualties.clear("shop")
    casualties.clear("never noted")
    assert casualties.others("reports", EPOCH) == 1


def test_a_world_knows_no_owners_unless_told() -> None:
    _, daemon, _ = adopted()
    assert daemon.context.is_gone("daemon-9") is False


# --- create ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason", "unclear"),
    [
        (away("rate_limited"), "rate_limited", False),
        (lost(), "timeout", True),
        (PermissionDenied("we may not", service="acme", kind="denied"), "denied", False),
        (NotFound("there is no such application", service="acme", kind="not_found"), "bearer_gone", False),
    ],
)
def test_r3_a_create_that_failed_is_told_with_its_reason_and_whether_a_key_may_be_there(
    error: ServiceError, reason: str, unclear: bool
) -> None:
    sim, daemon, first = adopted()
    failing(sim, "create_key", error)
    daemon.run(RotationRequest("asked", first))
    claimed = told(daemon, "rotation.claimed")[0]["rotation_id"]
    assert told(daemon, "rotation.create_failed") == [
        {"rotation_id": claimed, "reason": reason, "message": str(error), "unclear": unclear}
    ]
    assert told(daemon, "rotation.abandoned") == [{"rotation_id": claimed, "reason": reason, "message": str(error)}]
    assert problem(daemon) == reason


def test_a_key_lives_as_long_as_configured_from_the_moment_of_its_create() -> None:
    sim, daemon, _ = adopted(lifetime=90 * DAY, default_project_id="p9")
    sim.time.advance(HOUR)
    made = sim.keys[rotate(daemon)].key
    assert (made.expires_at, made.default_project_id, made.bearer) == (EPOCH + HOUR + 90 * DAY, "p9", BEARER)
    assert sim.keys[rotate(Actor(sim))].key.expires_at is None


def test_what_a_rotation_tells_names_it_its_key_and_its_reason() -> None:
    sim, daemon, _ = adopted()
    made = rotate(daemon)
    marker = parse_marker(sim.keys[made].key.description)
    assert marker is not None
    about = {"rotation_id": marker.rotation, "access_key": made, "reason": "asked"}
    assert sim.kv["doc:" + PATH][-1].data["rotation_id"] == marker.rotation
    assert told(daemon, "rotation.created") == [about]
    assert told(daemon, "rotation.verified") == [{**about, "successes": 3}]
    assert told(daemon, "rotation.published") == [{**about, "version": 2}]


# --- prove ----------------------------------------------------------------------------------------------------------------


def proving(answers: list[ProbeResult], **changes: Any) -> tuple[Actor, list[timedelta], PassOutcome]:
    """One requested rotation whose new key answers so, one after the other, and VALID from then on."""
    sim, daemon, first = adopted(**changes)

    class Fickle(SimProvider):
        def authenticate(self, access_key: str, secret: Secret) -> ProbeResult:
            verdict = super().authenticate(access_key, secret)
            return answers.pop(0) if access_key != first and answers else verdict

    daemon.context = replace(daemon.context, provider=Fickle(sim))
    naps, outcome = paced(daemon, RotationRequest("asked", first))
    return daemon, naps, outcome


def test_r4_an_answer_that_says_nothing_neither_counts_nor_begins_the_row_anew() -> None:
    daemon, naps, _ = proving([ProbeResult.VALID, ProbeResult.INCONCLUSIVE, ProbeResult.VALID])
    assert naps == [10 * SECOND] * 3
    assert told(daemon, "rotation.verified")[0]["successes"] == 3


def test_r4_a_refusal_begins_the_row_anew() -> None:
    _, naps, _ = proving([ProbeResult.VALID, ProbeResult.VALID, ProbeResult.REJECTED])
    assert naps == [10 * SECOND] * 5, "two successes, a refusal, three successes"


def test_r4_a_key_is_given_up_when_its_next_proof_would_come_after_its_time() -> None:
    daemon, naps, _ = proving(
        [ProbeResult.REJECTED] * 100, verification=VerificationPolicy(3, 10 * SECOND, 30 * SECOND)
    )
    assert naps == [10 * SECOND] * 5, "three for the proof, two until its key is verified as revoked"
    made = told(daemon, "rotation.created")[0]
    assert told(daemon, "rotation.verification_failed") == [made]
    message = f"the new key {made['access_key']} did not authenticate within 30 s: it is revoked, the old one stays"
    assert told(daemon, "rotation.abandoned") == [
        {"rotation_id": made["rotation_id"], "reason": "verification_failed", "message": message}
    ]


def test_r9_a_long_verification_reads_the_ledger_twice_a_minute_and_goes_on_where_it_was() -> None:
    daemon, naps, _ = proving([ProbeResult.VALID] * 5, verification=VerificationPolicy(6, 20 * SECOND, 5 * MINUTE))
    assert naps == [20 * SECOND] * 5
    assert told(daemon, "rotation.verified")[0]["successes"] == 6
    calls = daemon.sim.calls
    assert calls.count("list_keys") == 1, "nothing has changed, so nothing is observed anew"
    begin, end = calls.index("create_key"), calls.index("write_document")
    assert calls[begin:end].count("read_ledger") == 2


def test_r9_an_emergency_is_proven_by_the_proof_of_an_emergency() -> None:
    sim, daemon, first = adopted()
    mark(daemon, first)
    naps, _ = paced(daemon)
    assert naps == [SECOND / 2, SECOND / 2], "two successes, and two refusals of the dead one"


# --- publish --------------------------------------------------------------------------------------------------------------


def test_r5_a_publish_that_vault_denies_is_given_up_at_once_and_its_key_revoked() -> None:
    sim, daemon, first = adopted()
    failing(sim, "write_document", PermissionDenied("we may not write", service="vault", kind="denied"))
    daemon.run(RotationRequest("asked", first))
    assert problem(daemon) == "denied"
    assert sim.ledger().problem == Problem("denied", "we may not write", EPOCH + 20 * SECOND)
    assert sim.live_keys() == [first]
    assert sim.calls.count("write_document") == 1


def test_r5_a_publish_that_vault_cannot_take_is_sent_again_every_second_until_its_time_is_up() -> None:
    sim, daemon, first = adopted(publish_timeout=5 * SECOND)
    failed = failing(sim, "write_document", away())
    daemon.run(RotationRequest("asked", first))
    assert [moment - failed[0] for moment in failed] == [n * SECOND for n in range(6)]
    assert sim.ledger().problem == Problem("unreachable", "it is away", EPOCH + 25 * SECOND)
    assert sim.live_keys() == [first], "surely never published: revoked at once"


def test_r5_a_publish_whose_answers_are_lost_is_sent_again_until_its_time_is_up_and_its_key_is_then_a_possible_leftover() -> (
    None
):
    sim, daemon, first = adopted(publish_timeout=2 * SECOND)
    failed = failing(sim, "write_document", lost())
    daemon.run(RotationRequest("asked", first))
    assert [moment - failed[0] for moment in failed] == [n * SECOND / 4 for n in range(9)]
    assert sim.ledger().problem == Problem("publish_timeout", "Vault did not take the publish in time", sim.time.now)
    assert len(sim.live_keys()) == 2
    assert daemon.local_state.in_flight is None
    assert {"kind": "timeout", "message": "no answer"} in told(daemon, "pass.interrupted")


def test_r5_while_vault_does_not_answer_the_secret_waits_and_is_dropped_in_the_end() -> None:
    sim, daemon, first = adopted(publish_timeout=3 * SECOND)
    sim.time.advance(HOUR)

    def hook(name: str, phase: str) -> None:
        if name == "read_document" and phase == "before" and sim.calls.count("create_key"):
            raise away("sealed")

    sim.hook = hook
    naps, _ = paced(daemon, RotationRequest("asked", first))
    assert naps == [10 * SECOND, 10 * SECOND, SECOND, SECOND, SECOND]
    assert told(daemon, "pass.interrupted") == [{"kind": "sealed", "message": "it is away"}] * 4
    assert sim.ledger().problem == Problem(
        "vault_unavailable", "Vault did not come back in time to publish", sim.time.now
    )
    assert daemon.local_state.in_flight is None
    sim.hook = no_hook
    daemon.run()
    assert sim.live_keys() == [first]


def test_i6_a_secret_that_waits_between_passes_is_dropped_when_its_time_is_up_and_the_passes_come_every_second() -> (
    None
):
    sim, daemon, first = adopted(verification=VerificationPolicy(1, SECOND, 10 * SECOND), publish_timeout=5 * SECOND)
    failing(sim, "authenticate", LedgerUnreadable("Vault has lost its mind"))
    outcome = daemon.run(RotationRequest("asked", first))
    assert outcome.wait.until == EPOCH + SECOND
    assert daemon.local_state.in_flight is not None
    assert daemon.local_state.in_flight.secret is not None
    assert daemon.local_state.in_flight.publish_by == EPOCH + 15 * SECOND
    failing(sim, "read_ledger", away())
    sim.time.now = EPOCH + 15 * SECOND - timedelta(microseconds=1)
    daemon.run()
    assert daemon.local_state.in_flight.secret is not None
    assert daemon.local_state.in_flight.failure is None
    sim.time.now = EPOCH + 15 * SECOND
    assert daemon.run().wait.until == EPOCH + 16 * SECOND
    in_flight = daemon.local_state.in_flight
    assert in_flight.secret is None
    assert in_flight.failure == RotationFailure(
        "dependencies_unavailable", "Vault or the provider did not come back in time to publish"
    )
    daemon.local_state.in_flight = replace(
        in_flight, failure=RotationFailure("verification_failed", "it never became valid")
    )
    daemon.run()
    assert daemon.local_state.in_flight.failure == RotationFailure("verification_failed", "it never became valid")


def test_i6_a_rotation_that_was_dropped_while_its_pass_waited_is_not_published() -> None:
    sim, daemon, first = adopted()
    dropped: list[datetime] = []

    def hook(name: str, phase: str) -> None:
        if name == "write_document" and phase == "before":
            raise lost()
        if name == "read_document" and phase == "before" and "write_document" in sim.calls:
            sim.hook = no_hook
            dropped.append(sim.time.now)
            daemon.local_state.in_flight = None
            raise away()

    sim.hook = hook
    paced(daemon, RotationRequest("asked", first))
    assert dropped
    made = [true for true in sim.keys.values() if parse_marker(true.key.description)]
    assert len(made) == 2, "the first one is left to the version after its base, and the pass began anew"
    assert sim.published_key() == made[1].key.access_key


def test_r5_a_document_that_changed_before_the_publish_is_not_written() -> None:
    sim, daemon, first = adopted()

    def hook(name: str, phase: str) -> None:
        if name == "authenticate" and phase == "after" and sim.calls.count("authenticate") == 3:
            sim.hook = no_hook
            sim.kv["doc:" + PATH][-1].deleted = True

    sim.hook = hook
    assert daemon.run(RotationRequest("asked", first)).wait.reason == "document_deleted"
    assert "write_document" not in sim.calls


# --- fence, delete, prove the death ---------------------------------------------------------------------------------------


def test_r7_a_fence_rewrites_the_document_as_it_stands_and_is_told() -> None:
    sim, daemon, first = adopted()
    before = dict(sim.kv["doc:" + PATH][-1].data)
    possible = marked_by(daemon)
    sim.quota = 2
    daemon.run(RotationRequest("asked", first))
    assert sim.kv["doc:" + PATH][1].data == before
    assert told(daemon, "document.fenced") == [{"access_key": first, "version": 2}]
    assert not sim.live(possible)


def test_i1_a_paused_fence_does_not_overwrite_a_document_that_was_recreated_at_the_same_version() -> None:
    """Found by history 31100: the version number fits, but it is another document, whose key the fence would replace."""
    sim, daemon, first = adopted()
    marked_by(daemon)
    sim.quota = 2
    theirs, _ = sim.make_key()

    def recreate() -> None:
        sim.time.advance(SECOND)
        sim.kv["doc:" + PATH] = []
        sim.publish_by_hand(theirs.access_key)

    once(sim, "missing_capabilities", "after", recreate)
    daemon.run(RotationRequest("asked", first))
    assert first not in [version.data["access_key"] for version in sim.kv["doc:" + PATH]]


def test_r7_a_document_that_only_others_have_written_is_rewritten_as_it_stands() -> None:
    sim = Sim()
    sim.append("doc:" + PATH, {"database": "kept"})
    daemon = Actor(sim)
    failing(sim, "create_key", lost(), phase="after", times=1)
    daemon.run()
    sim.hook = no_hook
    mark(daemon, *sim.live_keys())
    daemon.run()
    assert sim.kv["doc:" + PATH][1].data == {"database": "kept"}
    assert told(daemon, "document.fenced")[0] == {"access_key": "", "version": 2}


def marked_by(daemon: Actor) -> str:
    """A key that a lost create of ours has left."""
    sim = daemon.sim
    failing(sim, "create_key", lost(), phase="after", times=1)
    daemon.run(RotationRequest("asked", sim.published_key()))
    sim.hook = no_hook
    daemon.sink.events.clear()
    return next(name for name, true in sim.keys.items() if parse_marker(true.key.description))


def revoked(sim: Sim, daemon: Actor) -> None:
    """Go to the end of the grace."""
    sim.time.advance(24 * HOUR)
    daemon.sink.events.clear()
    sim.calls.clear()


def test_r8_a_delete_is_told_and_so_is_that_the_key_was_gone_already() -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    revoked(sim, daemon)
    daemon.run()
    assert told(daemon, "key.deleted") == [{"access_key": first, "reason": "replaced", "already_gone": False}]
    assert told(daemon, "key.revoked") == [{"access_key": first, "reason": "replaced", "verification": "refused"}]
    rotate(daemon)
    sim.keys[second].deleted_at = sim.time.now
    revoked(sim, daemon)
    daemon.run()
    assert told(daemon, "key.deleted") == [{"access_key": second, "reason": "replaced", "already_gone": True}]


@pytest.mark.parametrize(
    "refusal",
    [
        PermissionDenied("we may not", service="acme", kind="denied"),
        Rejected("it is in use", service="acme", kind="rejected"),
    ],
)
def test_r8_a_delete_that_is_refused_is_said_and_not_repeated_within_the_pass(refusal: ServiceError) -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    failing(sim, "delete_key", refusal)
    revoked(sim, daemon)
    outcome = daemon.run()
    assert sim.calls.count("delete_key") == 1
    assert (outcome.wait.reason, outcome.wait.message) == (
        "delete_refused",
        f"{refusal}: give the management key of account acme the right to delete keys, or delete the key at the provider",
    )
    assert sim.ledger().is_revoking(first)


@pytest.mark.parametrize(
    "change", ["another version", "a soft delete", "recreated at the same version with the condemned key"]
)
def test_i1_r8_the_document_is_looked_at_once_more_before_a_delete(change: str) -> None:
    sim, daemon, first = adopted()
    second = rotate(daemon)
    revoked(sim, daemon)

    def hook(name: str, phase: str) -> None:
        if name == "write_ledger" and phase == "after":
            sim.hook = no_hook
            if change == "another version":
                sim.publish_by_hand(first)
            elif change == "a soft delete":
                sim.kv["doc:" + PATH][-1].deleted = True
            else:
                sim.remove("doc:" + PATH)
                sim.publish_by_hand(second)
                sim.publish_by_hand(first)

    sim.hook = hook
    looks = sim.calls.count("list_keys")
    daemon.run()
    assert sim.live(first)
    assert sim.calls.count("list_keys") > looks + 1


def test_r8_a_lost_delete_is_told_with_what_was_heard_and_the_key_is_also_asked_for_by_name() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    revoked(sim, daemon)
    failing(sim, "delete_key", lost(), phase="after", times=1)
    daemon.run()
    assert told(daemon, "key.delete_unconfirmed") == [
        {"access_key": first, "reason": "replaced", "message": "no answer"}
    ]
    assert told(daemon, "key.deleted") == []
    at = sim.calls.index("delete_key")
    assert sim.calls[at + 1 : at + 6] == ["read_version", "authenticate", "authenticate", "authenticate", "get_key"]
    assert first not in sim.ledger().names()


def test_r8_a_lost_delete_of_a_key_that_is_refused_but_still_there_is_no_death() -> None:
    sim, daemon, first = adopted(verification=VerificationPolicy(2, 10 * SECOND, 50 * SECOND))
    rotate(daemon)
    revoked(sim, daemon)
    sim.keys[first].key = replace(sim.keys[first].key, expires_at=EPOCH + HOUR)
    failing(sim, "delete_key", lost())
    naps, outcome = paced(daemon)
    assert naps == [10 * SECOND] * 5
    assert told(daemon, "key.revocation_unverified") == [{"access_key": first}]
    assert outcome.wait.reason == "delete_unconfirmed"
    assert outcome.wait.message.startswith(f"{first} still answers: no answer: look at")
    at = sim.calls.index("delete_key")
    asked = [name for name in sim.calls[at + 2 : at + 12] if name != "read_ledger"]
    assert asked == [
        "authenticate",
        "authenticate",
        "get_key",
        "authenticate",
        "authenticate",
        "get_key",
        "authenticate",
        "authenticate",
        "get_key",
    ]


def test_r8_a_death_is_several_refusals_in_a_row_and_an_answer_that_says_nothing_does_not_count() -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    revoked(sim, daemon)
    answers = [
        ProbeResult.REJECTED,
        ProbeResult.REJECTED,
        ProbeResult.VALID,
        ProbeResult.REJECTED,
        ProbeResult.INCONCLUSIVE,
        ProbeResult.REJECTED,
    ]

    class Fickle(SimProvider):
        def authenticate(self, access_key: str, secret: Secret) -> ProbeResult:
            verdict = super().authenticate(access_key, secret)
            return answers.pop(0) if answers else verdict

    daemon.context = replace(daemon.context, provider=Fickle(sim))
    naps, _ = paced(daemon)
    assert naps == [10 * SECOND] * 6
    assert told(daemon, "key.revoked") == [{"access_key": first, "reason": "replaced", "verification": "refused"}]


@pytest.mark.parametrize("why", ["destroyed", "another key", "unreadable", "none"])
def test_r8_without_the_old_secret_a_key_is_dead_when_its_name_is_unknown_several_times(why: str) -> None:
    sim, daemon, first = adopted()
    rotate(daemon)
    revoked(sim, daemon)
    if why == "destroyed":
        sim.kv["doc:" + PATH][0].deleted = True
    elif why == "another key":
        sim.kv["doc:" + PATH][0].data["access_key"] = "SCWSOMEBODY"
    elif why == "unreadable":
        failing(sim, "read_version", LedgerUnreadable("the version is damaged"))
    else:
        change(daemon, retiring=(RetiringKey(first, 0, EPOCH, "replaced"),))
        sim.calls.clear()
    naps, _ = paced(daemon)
    assert naps == [10 * SECOND] * 2
    assert told(daemon, "key.revoked") == [
        {"access_key": first, "reason": "replaced", "verification": "gone, not probed"}
    ]
    assert sim.calls.count("get_key") == 3
    assert "authenticate" not in sim.calls
    assert sim.calls.count("read_version") == (why != "none")


def test_r8_a_name_that_the_provider_still_knows_or_does_not_answer_for_is_no_death() -> None:
    sim, daemon, first = adopted(verification=VerificationPolicy(2, 10 * SECOND, 40 * SECOND))
    rotate(daemon)
    revoked(sim, daemon)
    sim.kv["doc:" + PATH][0].deleted = True
    failing(sim, "get_key", away(), after=1, times=1)
    naps, _ = paced(daemon)
    assert naps == [10 * SECOND] * 2, "gone, no answer, gone"
    assert first not in sim.ledger().names()


def test_r8_probing_ends_with_its_time_and_goes_on_with_the_next_pass() -> None:
    sim, daemon, first = adopted(verification=VerificationPolicy(2, 10 * SECOND, 30 * SECOND))
    rotate(daemon)
    sim.lingering = MINUTE
    revoked(sim, daemon)
    naps, outcome = paced(daemon)
    assert naps == [10 * SECOND] * 3
    assert outcome.wait.reason == "revocation_unverified"
    assert told(daemon, "key.revocation_unverified") == [{"access_key": first}]
    sim.time.advance(MINUTE)
    daemon.run()
    assert first not in sim.ledger().names()


def test_i7_a_document_that_is_damaged_while_a_key_is_proven_ends_the_rotation_and_is_said() -> None:
    sim, daemon, first = adopted()
    sim.time.advance(30 * DAY)

    once(sim, "authenticate", "after", lambda: sim.append("doc:" + PATH, {"access_key": first}), since="create_key")
    daemon.run_for(HOUR)
    assert daemon.local_state.in_flight is None
    assert problem(daemon) == "document_damaged"
    sim.publish_by_hand(first)
    daemon.run_for(HOUR)
    assert len(sim.live_keys()) == 2, "the first one in grace, and its replacement; the one that was proven is gone"


# --- what is carried from one step to the next ----------------------------------------------------------------------------


def test_r13_the_clocks_of_vault_and_the_provider_are_ours_and_what_they_are_off() -> None:
    sim, daemon, _ = adopted()
    sim.time.skew_vault, sim.time.skew_provider = 5 * SECOND, -7 * SECOND
    clocks = drive_observation(daemon).clocks
    assert (clocks.ours, clocks.vault, clocks.provider) == (EPOCH, EPOCH + 5 * SECOND, EPOCH - 7 * SECOND)


def test_an_observation_shows_the_rotation_that_is_held() -> None:
    sim, daemon, _ = adopted()
    claimed = Intent("d" * 16, 1, "-", "asked", RotationMode.REQUESTED, "daemon-1", EPOCH)
    daemon.local_state = LocalState(in_flight=InFlightRotation(claimed))
    assert drive_observation(daemon).in_flight == InFlightRotation(claimed)


def test_r6_an_application_is_not_counted_among_the_others_that_look_dead() -> None:
    sim, daemon, _ = adopted()
    daemon.context.casualties.note("billing", EPOCH)
    daemon.context.casualties.note("shop", EPOCH)
    assert drive_observation(daemon).invalid_elsewhere == 1


class Asked(SimVault):
    paths: list[str]

    def missing_capabilities(self, path: str) -> Any:
        self.paths.append(path)
        return super().missing_capabilities(path)


class Counting(SimProvider):
    asked = 0

    def headroom(self, *, fresh: bool = False) -> int | None:
        self.asked += 1
        return super().headroom(fresh=fresh)


@pytest.mark.parametrize("why", ["all is well", "a right is lacking", "an emergency", "both"])
def test_a5_head_room_is_asked_for_where_it_matters_and_rights_on_the_path_of_the_document(why: str) -> None:
    sim, daemon, first = adopted()
    vault, provider = Asked(sim), Counting(sim)
    vault.paths = []
    daemon.context = replace(daemon.context, vault=vault, provider=provider)
    if why in {"a right is lacking", "both"}:
        sim.lacking = ("update",)
    if why in {"an emergency", "both"}:
        mark(daemon, first)
    daemon.run(RotationRequest("asked", first))
    assert set(vault.paths) == {PATH}
    assert (provider.asked > 0) == (why == "all is well")


def test_i6_the_secret_of_a_compromised_key_is_dropped_before_its_key_is_deleted() -> None:
    sim, daemon, first = adopted(verification=VerificationPolicy(6, 20 * SECOND, 5 * MINUTE))
    dropped: list[bool] = []

    def hook(name: str, phase: str) -> None:
        made = [name for name, true in sim.keys.items() if parse_marker(true.key.description)]
        if name == "authenticate" and phase == "after" and made and not sim.ledger().compromised and not dropped:
            ledger, version = daemon.context.vault.read_ledger("billing")
            assert ledger is not None
            marked = replace(ledger, compromised=(CompromisedKey(made[0], "leaked", "ops", EPOCH),))
            daemon.context.vault.write_ledger(marked, cas=version)
        if name == "delete_key" and phase == "before":
            dropped.append(daemon.local_state.in_flight is None)

    sim.hook = hook
    daemon.run(RotationRequest("asked", first))
    daemon.run_for(HOUR)
    assert dropped[0]


def test_a_wish_after_earlier_failures_is_still_tried_again_when_it_is_overtaken() -> None:
    sim, daemon, first = adopted()
    change(daemon, failures=2)

    once(sim, "authenticate", "after", lambda: sim.publish_by_hand(first, note="edited"), since="create_key")
    daemon.run(RotationRequest("asked", first))
    assert sim.published_key() != first


def test_every_claim_asks_for_room_and_counts_the_keys_that_the_pass_has_made() -> None:
    sim, daemon, first = adopted(every=SECOND)
    sim.time.advance(DAY)
    daemon.run()
    claims = len(told(daemon, "rotation.claimed"))
    assert claims == 2, "with a third key more than two in grace would be too many"
    assert sim.calls.count("missing_capabilities") == claims
    assert problem(daemon) == "too_many_keys"
    assert len(sim.live_keys()) == 3


def test_i6_the_secret_of_an_emergency_waits_as_long_as_its_own_proof() -> None:
    sim, daemon, first = adopted(publish_timeout=5 * SECOND)
    mark(daemon, first)
    failing(sim, "authenticate", LedgerUnreadable("Vault has lost its mind"))
    daemon.run()
    assert daemon.local_state.in_flight is not None
    assert daemon.local_state.in_flight.publish_by == EPOCH + MINUTE + 5 * SECOND


def test_i2_a_publish_that_may_have_arrived_is_not_forgotten_because_a_later_one_surely_did_not() -> None:
    sim, daemon, first = adopted(publish_timeout=3 * SECOND)
    errors = iter([lost()])

    def hook(name: str, phase: str) -> None:
        if name == "write_document" and phase == "before":
            raise next(errors, away())

    sim.hook = hook
    daemon.run(RotationRequest("asked", first))
    assert problem(daemon) == "unreachable"
    assert len(sim.live_keys()) == 2, "the first publish may still land"


@pytest.mark.parametrize("publish", ["reads fail", "answers are lost"])
def test_i6_a_secret_whose_time_is_up_is_dropped_also_when_the_end_cannot_be_written_down(publish: str) -> None:
    sim, daemon, first = adopted(publish_timeout=SECOND)
    ended: list[bool] = []

    def hook(name: str, phase: str) -> None:
        if phase != "before" or not sim.calls.count("create_key"):
            return
        if name == "write_ledger":
            in_flight = daemon.local_state.in_flight
            ended.append(in_flight is not None and in_flight.secret is None)
        if publish == "reads fail" and name == "read_document":
            raise away("sealed")
        if publish == "answers are lost" and name == "write_document":
            raise lost()

    sim.hook = hook
    daemon.run(RotationRequest("asked", first))
    assert ended[0]


def test_r6_after_a_publish_that_was_lost_the_old_key_is_tried_anew_and_the_new_one_needs_no_trial() -> None:
    sim, daemon, first = adopted()
    sim.keys[first].deleted_at = EPOCH
    tried: list[str] = []

    class Noting(SimProvider):
        def authenticate(self, access_key: str, secret: Secret) -> ProbeResult:
            tried.append("old" if access_key == first else "new")
            return super().authenticate(access_key, secret)

    daemon.context = replace(daemon.context, provider=Noting(sim))
    failing(sim, "write_document", lost(), times=1)
    daemon.run()
    assert sim.published_key() != first
    assert tried == ["old", "old", "new", "new", "old", "old"]


def test_r3_a_create_that_ended_with_an_error_of_the_program_is_not_sent_a_second_time_for_its_claim() -> None:
    """The adapter read the answer wrongly: the key exists, and the pass knows nothing of it."""
    sim, daemon, _ = adopted()

    posted_for: list[str] = []

    def odd(name: str, phase: str) -> None:
        if (name, phase) == ("create_key", "after"):
            intent = sim.ledger().intent
            assert intent is not None
            posted_for.append(intent.id)
            raise KeyError("an answer of another shape")

    sim.hook = odd
    for _ in range(4):
        with suppress(KeyError):
            daemon.run(RotationRequest("asked", sim.published_key() or ""))
        sim.time.advance(timedelta(hours=2))
    assert posted_for
    assert len(set(posted_for)) == len(posted_for), "each POST has a claim of its own"
