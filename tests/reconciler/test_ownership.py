"""One bearer and one document have one owner: renames, moves, removed applications, and two configurations that disagree."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.decision.observation import RotationRequest
from rotator.decision.transitions.compromise import mark_compromised
from rotator.decision.transitions.grace import extend_grace
from rotator.decision.transitions.hold import set_hold
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import Ledger, Predecessor
from rotator.domain.marker import Marker, parse_marker
from rotator.domain.spec import ApplicationSpec, VerificationPolicy
from rotator.errors import PermissionDenied
from rotator.operations.ledgers import read_whole_ledger
from tests.support.fleet import Fleet
from tests.support.invariants import Monitor
from tests.support.scenarios import DAY, HOUR, MINUTE, away, failing
from tests.support.simulated import PATH, Actor, Hook, Killed, Sim, SimVault, no_hook, spec

MOVED = "secret/apps/payments/scaleway"
OLD = spec(grace=HOUR)
NEW = spec(application="payments", grace=24 * HOUR)
ELSEWHERE = replace(NEW, path=MOVED)


def in_service() -> tuple[Sim, Fleet, str]:
    """A world in which billing has made and published its key."""
    sim = Sim()
    fleet = Fleet(sim)
    fleet.configure(OLD)
    fleet.round()
    first = sim.published_key()
    assert first is not None
    return sim, fleet, first


def in_grace() -> tuple[Sim, Fleet, str, str]:
    """The same after one rotation."""
    sim, fleet, first = in_service()
    fleet.actors["billing"].run(RotationRequest("asked", first))
    second = sim.published_key()
    assert second is not None
    assert second != first
    return sim, fleet, first, second


def change(sim: Sim, name: str, ledger: Ledger) -> None:
    SimVault(sim).write_ledger(ledger, cas=len(sim.kv["ledger:" + name]))


def copied(sim: Sim) -> None:
    """A person copies the document to the new path, so that consumers can move one after the other."""
    version = sim.published()
    assert version is not None
    sim.append("doc:" + MOVED, dict(version.data))


def watching(monitor: Monitor) -> Hook:
    return lambda name, phase: monitor.check()


def marked(ledger: Ledger, *keys: str) -> Ledger:
    at = ledger.history[-1].at
    return mark_compromised(ledger, keys, reason="leaked", by="ops", at=at, incident="i1", mode="replace_first")


# --- a rename is understood -----------------------------------------------------------------------------------------------


def test_c5_a_renamed_application_keeps_its_grace_its_hold_its_marks_and_its_history() -> None:
    sim, fleet, first, second = in_grace()
    before = extend_grace(set_hold(sim.ledger(), "audit", "ops", sim.time.now), 72 * HOUR, "ops", sim.time.now)
    before = marked(before, first)
    change(sim, "billing", before)
    fleet.configure(NEW)
    fleet.round()
    after = sim.ledger("payments")
    assert after.current == before.current
    assert (after.retiring, after.hold, after.compromised, after.incidents) == (
        before.retiring,
        before.hold,
        before.compromised,
        before.incidents,
    )
    assert after.history[: len(before.history)] == before.history
    assert fleet.events("payments") == ["application.renamed"]
    old = sim.ledger("billing")
    assert (old.successor, old.names(), old.history) == ("payments", frozenset(), ())
    assert sim.live(first)
    assert sim.published_key() == second
    assert len(sim.kv["doc:" + PATH]) == 2, "the document has a version for each rotation and no other"


def test_c5_a_key_that_is_about_to_be_revoked_when_its_application_is_renamed_is_revoked_under_the_new_name() -> None:
    sim, fleet, first, _ = in_grace()
    failing(sim, "delete_key", away("rate_limited"), times=1)
    sim.time.advance(2 * HOUR)
    fleet.round()
    sim.hook = no_hook
    assert sim.ledger().is_revoking(first)
    fleet.configure(NEW)
    fleet.rounds_for(HOUR)
    assert not sim.live(first), "it is owed no second grace"


def test_c5_i2_a_key_in_grace_when_its_application_is_renamed_gets_what_it_was_promised() -> None:
    sim, fleet, first, _ = in_grace()
    left = sim.time.now
    fleet.configure(NEW)
    promised = sim.ledger().retiring[0].revoke_after
    fleet.rounds_for(promised - sim.time.now - MINUTE)
    assert sim.live(first)
    fleet.rounds_for(2 * HOUR)
    assert sim.died(first) - left >= HOUR


def test_c5_i2_a_renamed_application_rotates_and_the_old_ledger_ends_no_grace() -> None:
    sim, fleet, first = in_service()
    sim.time.advance(10 * DAY)
    fleet.configure(NEW)
    fleet.round(removed_first=True)
    sim.time.advance(20 * DAY)
    fleet.round(removed_first=True)
    left = sim.time.now
    assert sim.published_key() != first
    fleet.rounds_for(24 * HOUR - MINUTE)
    assert sim.live(first)
    fleet.rounds_for(HOUR)
    assert sim.died(first) - left >= 24 * HOUR


def test_c5_two_ledgers_that_an_earlier_version_left_behind_become_one_with_the_longer_promise() -> None:
    sim, fleet, first = in_service()
    orphan = sim.ledger()
    fleet.configure(NEW)
    Actor(sim, NEW).run()  # a process that knows nothing of earlier names, as earlier versions did
    payments = sim.ledger("payments")
    assert payments.current is not None
    sim.time.advance(30 * DAY)
    Actor(sim, NEW).run()
    second = sim.published_key()
    assert second != first
    billing = replace(
        orphan, retiring=sim.ledger("payments").retiring
    )  # what it saw of the rotation, with its own short grace
    billing = replace(billing, retiring=(replace(billing.retiring[0], revoke_after=sim.time.now + HOUR),))
    billing = set_hold(replace(billing, current=sim.ledger("payments").current), "audit", "ops", sim.time.now)
    change(sim, "billing", billing)
    promised = sim.ledger("payments").retiring[0].revoke_after
    fleet.rounds_for(3 * HOUR)
    assert sim.live(first)
    assert sim.ledger("payments").retiring[0].revoke_after == promised
    assert sim.ledger("payments").hold is not None


def test_c5_a_key_that_was_made_under_the_old_name_and_never_published_is_found_and_revoked() -> None:
    sim, fleet, first = in_service()
    failing(sim, "authenticate", Killed(), times=1)
    sim.time.advance(30 * DAY)
    with pytest.raises(Killed):
        fleet.round()
    sim.hook = no_hook
    (leftover,) = set(sim.live_keys()) - {first}
    fleet.restart()
    fleet.configure(NEW)
    fleet.rounds_for(30 * DAY, step=6 * HOUR)
    assert not sim.live(leftover)
    assert "key.orphan_found" in fleet.events("payments")


@pytest.mark.parametrize("place", range(12))
def test_c5_a_kill_anywhere_in_a_rename_loses_nothing(place: int) -> None:
    sim, fleet, first, second = in_grace()
    change(sim, "billing", set_hold(sim.ledger(), "audit", "ops", sim.time.now))
    before = sim.ledger()
    fleet.configure(NEW)
    calls = 0

    def hook(name: str, phase: str) -> None:
        nonlocal calls
        calls += name == "write_ledger"
        if calls > place and name == "write_ledger":
            raise Killed

    sim.hook = hook
    with pytest.raises(Killed) if place < 8 else _nothing():
        fleet.round()
    sim.hook = no_hook
    fleet.restart()
    fleet.configure(NEW)
    fleet.round()
    after = sim.ledger("payments")
    assert (after.current, after.retiring, after.hold) == (before.current, before.retiring, before.hold)
    assert sim.ledger("billing").names() == frozenset()
    assert sim.live_keys() == sorted([first, second])


def announced(places: tuple[str, ...] = (MOVED,)) -> tuple[Sim, Fleet, str]:
    """billing moved under new names to these paths, and each process was killed right after it announced the takeover."""
    sim, fleet, first = in_service()
    calls = 0

    def hook(name: str, phase: str) -> None:
        nonlocal calls
        calls += name == "write_ledger" and phase == "before"
        if calls == 2:
            raise Killed

    for number, path in enumerate(places):
        fleet.configure(replace(NEW, application=f"payments-{number}", path=path))
        calls, sim.hook = 0, hook
        with pytest.raises(Killed):
            fleet.round()
        sim.hook = no_hook
        fleet.restart()
    return sim, fleet, first


def unlisted(fleet: Fleet) -> None:
    """Vault's list lacks what is there: the token may not list, or a standby is behind."""
    for actor in fleet.actors.values():
        actor.context = replace(actor.context, related=lambda spec: ())


def test_c5_i1_a_ledger_that_a_takeover_has_announced_is_read_by_its_name_when_the_list_lacks_it() -> None:
    """Fleet history 1230087: what a list lacks is not gone, and its keys are promised to those who read them."""
    sim, fleet, first = announced()
    assert not sim.ledger("payments-0").predecessors[0].taken_over
    unlisted(fleet)
    actor = fleet.actors["payments-0"]
    for _ in range(30):
        actor.run()
        sim.time.advance(DAY)
    assert sim.ledger("billing").successor == "payments-0"
    assert sim.live(first), "consumers of the former path read it"


def test_c5_i1_an_announced_ledger_that_cannot_be_read_stops_everything_but_an_emergency() -> None:
    sim, fleet, first = announced()
    unlisted(fleet)

    class Denied(SimVault):
        def read_ledger(self, application: str) -> Any:
            if application == "billing":
                raise PermissionDenied("no", service="vault", kind="policy", path="billing", capability="read")
            return super().read_ledger(application)

    actor = fleet.actors["payments-0"]
    actor.context = replace(actor.context, vault=Denied(sim))
    for _ in range(30):
        outcome = actor.run()
        sim.time.advance(DAY)
    assert (outcome.wait.reason, sim.live(first)) == ("ledger_conflict", True)
    assert outcome.wait.problem is not None
    assert "the ledger of billing" in outcome.wait.problem.message
    assert sim.published_key(MOVED) is None, "nothing is rotated on half of the knowledge"


def test_c5_i1_a_predecessor_that_was_only_announced_is_known_better_by_the_ledger_that_took_it_over() -> None:
    sim, fleet, first = in_service()
    fleet.configure(replace(NEW, application="payments-0", path=MOVED))
    fleet.round()
    third = replace(NEW, application="payments-1", path="secret/apps/archive/scaleway")
    fleet.configure(third)
    own = new_ledger(third)
    own = own.with_predecessor(Predecessor("billing", PATH, OLD.access_field, OLD.secret_field))
    SimVault(sim).write_ledger(own, cas=0)
    fleet.round()
    (billing,) = [one for one in sim.ledger("payments-1").predecessors if one.application == "billing"]
    assert (billing.taken_over, billing.access_key) == (True, first)


class _nothing:  # noqa: N801  # stands where pytest.raises stands
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_c5_a_ledger_that_is_lost_after_a_rename_still_knows_the_keys_of_the_old_name() -> None:
    sim, fleet, first, _ = in_grace()
    fleet.configure(NEW)
    fleet.round()
    sim.remove("ledger:payments")
    fleet.configure(NEW)
    fleet.round()
    assert [one.application for one in sim.ledger("payments").predecessors] == ["billing"]
    assert first in {entry.access_key for entry in sim.ledger("payments").retiring}


def test_c5_a_second_rename_brings_every_earlier_name_along() -> None:
    sim, fleet, first, second = in_grace()
    fleet.configure(NEW)
    fleet.round()
    third = replace(NEW, application="checkout")
    fleet.configure(third)
    fleet.round()
    ledger = sim.ledger("checkout")
    assert {one.application for one in ledger.predecessors} == {"billing", "payments"}
    assert ledger.names() == {first, second}
    assert sim.ledger("payments").names() == frozenset()


# --- a move keeps consumers of both paths ---------------------------------------------------------------------------------


def test_c5_i1_a_moved_application_never_revokes_what_its_former_document_publishes() -> None:
    sim, fleet, first = in_service()
    copied(sim)
    fleet.configure(ELSEWHERE)
    fleet.round()
    sim.time.advance(31 * DAY)
    fleet.round()
    outcomes = fleet.rounds_for(3 * DAY)
    assert sim.published_key(MOVED) != first
    assert sim.live(first), "consumers of the former path read it"
    problem = outcomes["payments"].wait.problem
    assert problem is not None
    assert problem.reason == "former_document"
    assert PATH in problem.message


def test_c5_i2_a_key_of_a_former_document_gets_its_grace_from_when_it_is_gone_from_there() -> None:
    sim, fleet, first = in_service()
    copied(sim)
    fleet.configure(ELSEWHERE)
    fleet.round()
    sim.time.advance(31 * DAY)
    fleet.rounds_for(3 * DAY)
    sim.kv["doc:" + PATH][-1].deleted = True
    left = sim.time.now
    fleet.rounds_for(24 * HOUR - MINUTE)
    assert sim.live(first)
    outcomes = fleet.rounds_for(HOUR)
    assert sim.died(first) - left >= 24 * HOUR
    assert outcomes["payments"].wait.problem is None


def test_c5_a_move_without_a_copy_makes_a_first_key_and_leaves_the_old_one_to_its_readers() -> None:
    sim, fleet, first = in_service()
    fleet.configure(ELSEWHERE)
    fleet.rounds_for(3 * DAY)
    assert sim.published_key(MOVED) not in {None, first}
    assert sim.live(first)
    sim.remove("doc:" + PATH)
    fleet.rounds_for(26 * HOUR)
    assert not sim.live(first)
    assert sim.live_keys() == [sim.published_key(MOVED)]


def test_c5_a_moved_application_does_not_measure_old_keys_by_the_versions_of_the_new_document() -> None:
    sim, fleet, first, _ = in_grace()
    unnamed, secret = sim.make_key(Marker("1" * 16, "billing", "f" * 16, 7, "-").render())
    copied(sim)
    fleet.configure(ELSEWHERE)
    outcomes = fleet.round()
    assert outcomes["payments"].wait.problem is None, "version 7 of the old document says nothing of the new one"
    fleet.rounds_for(3 * DAY)
    assert sim.live(unnamed.access_key), "a process may still publish it where it was made for"
    sim.remove("doc:" + PATH)
    fleet.rounds_for(2 * DAY)
    assert not sim.live(unnamed.access_key)
    assert not sim.live(first)


def test_c5_an_emergency_after_a_move_says_which_document_keeps_a_key() -> None:
    sim, fleet, first = in_service()
    copied(sim)
    fleet.configure(ELSEWHERE)
    fleet.round()
    change(sim, "payments", marked(sim.ledger("payments"), first))
    outcomes = fleet.rounds_for(HOUR)
    problem = outcomes["payments"].wait.problem
    assert problem is not None
    assert (problem.reason, sim.live(first)) == ("former_document", True)
    sim.kv["doc:" + PATH][-1].deleted = True
    fleet.round()
    assert not sim.live(first), "no grace for what is compromised"


def test_c5_i1_after_a_third_move_every_former_document_keeps_its_key() -> None:
    """Fleet history 6: the empty ledger of a name before the last one was copied first, and what its document publishes forgotten."""
    sim, fleet, first = in_service()
    published = [first]
    for name in ("checkout", "payments", "archive"):
        fleet.configure(replace(NEW, application=name, path=f"secret/apps/{name}/scaleway"))
        fleet.round()
        published.append(str(sim.published_key(f"secret/apps/{name}/scaleway")))
    ledger = sim.ledger("archive")
    former = {one.application: one.access_key for one in ledger.predecessors}
    assert former == dict(zip(("billing", "checkout", "payments"), published, strict=False))
    change(sim, "archive", marked(ledger, *published))
    fleet.rounds_for(2 * DAY)
    assert all(map(sim.live, published[:3])), "consumers of the former paths read them"


def test_c5_a_former_document_that_cannot_be_read_keeps_its_key_and_stops_nothing_else() -> None:
    sim, fleet, first = in_service()
    copied(sim)
    fleet.configure(ELSEWHERE)
    fleet.round()

    class Denied(SimVault):
        def _document(self, path: str, *rest: Any) -> Any:
            if path == PATH:
                raise PermissionDenied("no", service="vault", kind="policy", path=path, capability="read")
            return super()._document(path, *rest)

    actor = fleet.actors["payments"]
    actor.context = replace(actor.context, vault=Denied(sim))
    sim.time.advance(31 * DAY)
    actor.run()
    sim.time.advance(2 * DAY)
    outcome = actor.run()
    assert sim.published_key(MOVED) != first
    assert sim.live(first)
    assert outcome.wait.problem is not None
    assert outcome.wait.problem.reason == "former_document"


# --- a removed application acts on nothing that another one owns ----------------------------------------------------------


@pytest.mark.parametrize(
    "other", [NEW, ELSEWHERE, replace(NEW, bearer="another-bearer")], ids=["renamed", "moved", "the document only"]
)
def test_c5_a_removed_application_never_acts_on_what_a_configured_one_owns(other: ApplicationSpec) -> None:
    sim, fleet, first, second = in_grace()
    change(sim, "billing", marked(sim.ledger(), first))
    fleet.configure(other)
    (left,) = fleet.removed().values()
    writes = {"write_ledger", "write_document", "create_key", "delete_key"}
    sim.time.advance(3 * DAY)
    sim.calls.clear()
    outcome = Actor(sim, left).run()
    assert writes.isdisjoint(sim.calls)
    assert outcome.wait.reason == "superseded"
    assert "payments" in outcome.wait.message
    assert sim.live_keys() == sorted([first, second])


def test_c5_a_removed_application_whose_bearer_and_document_nobody_else_has_is_still_wound_up() -> None:
    sim, fleet, first, second = in_grace()
    fleet.configure(replace(NEW, bearer="another-bearer", path=MOVED))
    sim.bearers.add("another-bearer")
    fleet.rounds_for(2 * HOUR)
    assert not sim.live(first)
    assert sim.live(second)


def test_c5_a_name_whose_ledger_belongs_to_another_bearer_takes_no_ledger_over() -> None:
    """Fleet history 20: the keys of two applications came into one ledger when the name of one was given to the other."""
    sim, fleet, first = in_service()
    sim.bearers.add("another-bearer")
    other = replace(NEW, bearer="another-bearer", path=MOVED)
    fleet.configure(OLD, other)
    fleet.round()
    before = sim.ledger("billing"), sim.ledger("payments")
    fleet.configure(replace(OLD, application="payments"))
    outcomes = fleet.rounds_for(HOUR)
    assert outcomes["payments"].wait.reason == "configuration_moved"
    assert sim.ledger("billing").successor == ""
    payments = fleet.actors["payments"]
    read = read_whole_ledger(payments.spec, payments.context)
    assert read is not None
    assert read.names() == before[1].names(), "nor does a command, or a query, believe that it does"
    assert (sim.ledger("billing").names(), sim.ledger("payments").names()) == (before[0].names(), before[1].names())
    fleet.configure(OLD, other)
    outcomes = fleet.rounds_for(HOUR)
    assert [outcome.wait.problem for outcome in outcomes.values()] == [None, None]
    assert sim.live(first)


def test_c5_i2_a_name_that_was_given_to_another_bearer_starts_no_grace_by_its_configuration() -> None:
    """Fleet history 10009: a key that left a former document got the grace of the application that had its name for a while."""
    sim, fleet, first = in_service()
    sim.bearers.add("another-bearer")
    fleet.configure(ELSEWHERE)
    fleet.rounds_for(2 * DAY)
    fleet.configure(replace(ELSEWHERE, bearer="another-bearer", grace=MINUTE))
    sim.remove("doc:" + PATH)
    left = sim.time.now
    outcomes = fleet.rounds_for(HOUR)
    assert outcomes["payments"].wait.reason == "configuration_moved"
    fleet.configure(ELSEWHERE)
    fleet.rounds_for(26 * HOUR)
    assert sim.died(first) - left >= 24 * HOUR


def test_c5_two_removed_applications_of_one_bearer_are_a_conflict_and_revoke_nothing() -> None:
    sim, fleet, first, _ = in_grace()
    ledger = sim.ledger()
    SimVault(sim).write_ledger(replace(ledger, application="payments"), cas=0)
    fleet.configure()
    outcomes = fleet.rounds_for(3 * DAY)
    assert {outcome.wait.reason for outcome in outcomes.values()} == {"ledger_conflict"}
    assert sim.live(first)


# --- two configurations that disagree -------------------------------------------------------------------------------------


def test_c5_a_process_that_still_has_the_old_name_stops_and_says_so() -> None:
    sim, fleet, first, _ = in_grace()
    late = Fleet(sim, owner="daemon-2")
    late.configure(OLD)
    late.round()
    fleet.configure(NEW)
    fleet.round()
    sim.time.advance(3 * DAY)
    before = len(sim.kv["ledger:billing"]), len(sim.kv["ledger:payments"])
    outcomes = late.round()
    assert outcomes["billing"].wait.reason == "superseded"
    assert "payments" in outcomes["billing"].wait.message
    assert (len(sim.kv["ledger:billing"]), len(sim.kv["ledger:payments"])) == before
    assert sim.live(first)


def test_c5_of_two_processes_with_different_names_at_most_one_acts_and_the_other_reports() -> None:
    sim, fleet, _ = in_service()
    other = Fleet(sim, owner="daemon-2")
    other.configure(NEW)
    SimVault(sim).write_ledger(replace(sim.ledger(), application="payments"), cas=0)
    versions = 0
    for _ in range(20):
        reasons = [fleet.round()["billing"].wait.reason, other.round()["payments"].wait.reason]
        sim.time.advance(5 * MINUTE)
        versions = max(versions, len(sim.kv["ledger:billing"]) + len(sim.kv["ledger:payments"]))
    assert "superseded" in reasons
    assert versions < 12, "they do not write by turns"


def test_c5_two_processes_that_announce_at_once_are_a_conflict_and_revoke_nothing() -> None:
    sim, fleet, first, _ = in_grace()
    other = Fleet(sim, owner="daemon-2")
    other.configure(NEW)
    SimVault(sim).write_ledger(replace(sim.ledger(), application="payments"), cas=0)
    announcing: list[str] = []

    def hook(name: str, phase: str) -> None:
        if name == "write_ledger" and phase == "before" and not announcing:
            announcing.append(name)
            other.round()  # between the look and the write of the first one

    sim.hook = hook
    fleet.round()
    sim.hook = no_hook
    sim.time.advance(3 * DAY)
    reasons = {fleet.round()["billing"].wait.reason, other.round()["payments"].wait.reason}
    assert reasons & {"ledger_conflict", "superseded"}
    owners = [name for name in ("billing", "payments") if not sim.ledger(name).successor]
    assert len(owners) == 1 or sim.live(first)


def test_c5_renaming_back_is_a_persons_decision_and_needs_the_empty_ledger_removed() -> None:
    sim, fleet, first, second = in_grace()
    fleet.configure(NEW)
    fleet.round()
    fleet.configure(OLD)
    outcomes = fleet.round()
    assert outcomes["billing"].wait.reason == "superseded"
    assert "remove its empty ledger" in outcomes["billing"].wait.message
    sim.remove("ledger:billing")
    fleet.configure(OLD)
    fleet.round()
    assert sim.ledger("billing").names() == {first, second}
    assert sim.ledger("payments").successor == "billing"


def test_c5_an_old_name_can_be_given_to_another_application() -> None:
    sim, fleet, _ = in_service()
    fleet.configure(NEW)
    fleet.round()
    sim.bearers.add("another-bearer")
    fresh = replace(OLD, bearer="another-bearer", path="secret/apps/fresh/scaleway")
    fleet.configure(NEW, fresh)
    outcomes = fleet.round()
    assert outcomes["billing"].wait.problem is None
    assert sim.published_key(fresh.path) is not None
    assert sim.ledger("billing").bearer == "another-bearer"


# --- two installations on one ledger prefix -------------------------------------------------------------------------------


@pytest.mark.parametrize("emergency", [False, True])
def test_c5_two_installations_on_one_prefix_do_not_starve_each_other(emergency: bool) -> None:
    sim = Sim()
    slow = VerificationPolicy(3, timedelta(seconds=10), 40 * MINUTE)
    theirs = spec(
        verification=slow,
        emergency_verification=slow,
        stale_claim_timeout=45 * MINUTE,
        resync_interval=15 * MINUTE,
    )
    b = Actor(sim, theirs, owner="B")
    b.run()
    first = sim.published_key()
    assert first is not None
    sim.time.advance(31 * DAY)
    if emergency:
        change(sim, "billing", marked(sim.ledger(), first))
    sim.activation = 15 * MINUTE
    a = Fleet(sim, owner="A")

    def meddle(name: str, phase: str) -> None:
        if name == "authenticate" and phase == "before":
            sim.hook = no_hook
            a.round()
            sim.hook = meddle

    sim.hook = meddle
    b.run_for(2 * HOUR)
    sim.hook = no_hook
    assert sim.published_key() != first
    assert "rotation.abandoned" not in b.sink.names()
    assert sum(parse_marker(true.key.description) is not None for true in sim.keys.values()) == 2


# --- the invariants over a whole story ------------------------------------------------------------------------------------


def test_c5_i1_to_i5_hold_while_an_application_is_renamed_in_the_middle_of_everything() -> None:
    for seed in range(8):
        sim, fleet, first = in_service()
        monitor = Monitor(sim, HOUR)
        sim.hook = watching(monitor)
        sim.time.advance(seed * HOUR)
        fleet.actors["billing"].run(RotationRequest("asked", first))
        sim.time.advance(seed * 10 * MINUTE)
        fleet.configure(NEW)
        fleet.rounds_for(65 * DAY, step=2 * HOUR)
        sim.hook = no_hook
        assert len(sim.live_keys()) <= 2
        assert sim.published_key() != first
