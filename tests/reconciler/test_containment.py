"""Containment on the simulated world: first keys, documents that cannot be trusted, waits, and what is asked before a revocation
that cannot be taken back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar, cast

import pytest

from rotator.decision.observation import RotationRequest
from rotator.decision.state import RETRY_INTERVAL
from rotator.domain.ledger import RotationMode
from rotator.domain.spec import VerificationPolicy
from rotator.errors import PermissionDenied, Rejected, ServiceError
from rotator.http import ServiceClock
from rotator.operations.commands.contain import CompromiseRequest, contain
from rotator.operations.result import OperationResult
from rotator.reconciler.context import PassOutcome
from rotator.reconciler.runner import reconcile
from tests.support.invariants import Monitor
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
    marked_key,
    once,
    problem,
    rotate,
)
from tests.support.simulated import EPOCH, PATH, Actor, ActorClock, Killed, Sim, SimProvider, SimVault, no_hook, spec

T = TypeVar("T")
DOCUMENT = "doc:" + PATH


class WatchedSim(Sim):
    """A world that checks the invariants at every effect, whatever hook a test sets."""

    monitor: Monitor

    def effect(self, name: str, execute: Callable[[], T]) -> T:
        def checked() -> T:
            answer = execute()
            self.monitor.check()
            return answer

        return super().effect(name, checked)


def watched() -> WatchedSim:
    sim = WatchedSim()
    sim.monitor = Monitor(sim, DAY)
    return sim


def go_on(sim: Sim, passing: Generator[datetime, None, PassOutcome]) -> None:
    """Let a pass that waits go on to its end."""
    for until in passing:
        sim.time.now = max(sim.time.now, until)


def kill() -> None:
    """The process that makes this call ends here."""
    raise Killed


def publish_and_be_killed(sim: Sim, making: Generator[datetime, None, PassOutcome]) -> None:
    """The process that makes a key goes on until it has written the document, or to its end."""
    once(sim, "write_document", "after", kill)
    with contextlib.suppress(Killed):
        go_on(sim, making)
    sim.hook = no_hook


def works(sim: Sim) -> bool:
    """Whether what consumers read works."""
    version = sim.published()
    return version is not None and sim.works(version.data["secret_key"])


# --- a first key, for which there is no document yet (rule 7, C17) ----------------------------------------------------------


def test_c17_a_marked_first_key_is_not_deleted_while_the_process_that_made_it_publishes_it() -> None:
    """The last look before the DELETE finds no document; the key is published; the DELETE lands."""
    sim = watched()
    maker, revoker = Actor(sim, owner="daemon-A"), Actor(sim, owner="daemon-B")
    making = reconcile(maker.spec, maker.context, maker.local_state)
    next(making)  # the key is there, and its verification waits
    (first,) = sim.live_keys()
    mark(revoker, first)

    once(sim, "delete_key", "before", lambda: publish_and_be_killed(sim, making))
    revoker.run()
    maker.restart()
    maker.run_for(DAY)
    assert not sim.live(first)
    assert works(sim)
    assert sim.published_key() != first


def test_c17_a_marked_first_key_is_not_published_after_it_was_deleted() -> None:
    """The process that made the key is paused right before its publish; whoever deletes the key is killed right after that."""
    sim = watched()
    maker, revoker = Actor(sim, owner="daemon-A"), Actor(sim, owner="daemon-B")

    def meanwhile() -> None:
        (first,) = sim.live_keys()
        mark(revoker, first)

        once(sim, "delete_key", "after", kill)
        with pytest.raises(Killed):
            revoker.run()
        sim.hook = no_hook

    once(sim, "write_document", "before", meanwhile)
    maker.run_for(DAY)
    (first,) = sim.monitor.marked
    assert not sim.live(first)
    assert works(sim)


def test_c17_a_marked_key_whose_marker_a_person_edited_is_not_deleted_while_its_maker_publishes_it() -> None:
    """Focused history 40001440: without its marker the key looked like one that no process can publish."""
    sim = watched()
    maker, revoker = Actor(sim, owner="daemon-A"), Actor(sim, owner="daemon-B")
    making = reconcile(maker.spec, maker.context, maker.local_state)
    next(making)  # the key is there, and its verification waits
    (first,) = sim.live_keys()
    true = sim.keys[first]
    true.key = replace(true.key, description="by hand")
    mark(revoker, first)

    once(sim, "delete_key", "before", lambda: publish_and_be_killed(sim, making))
    revoker.run()
    assert not sim.live(first)
    assert [version.data == {} for version in sim.kv[DOCUMENT]] == [True, False], "one fence is enough"
    maker.restart()
    maker.run_for(DAY)
    assert works(sim)
    assert sim.published_key() != first


DENIED = PermissionDenied("the policy denies it", service="vault", kind="permission")
TOO_LARGE = Rejected("the document is too large", service="vault", kind="too_large")


def with_a_marked_stranger(**changes: Any) -> tuple[Sim, Actor, str, str]:
    """A world with an ordinary key in grace, and a marked key that a person made a moment ago."""
    sim, daemon, first = adopted(**changes)
    sim.time.advance(HOUR)
    rotate(daemon)
    sim.time.advance(MINUTE)
    made = sim.make_key("by hand")[0].access_key
    mark(daemon, made)
    return sim, daemon, first, made


@pytest.mark.parametrize("refusal", [DENIED, TOO_LARGE])
def test_c17_a_fence_that_is_refused_stops_no_other_duty_and_the_marked_key_is_revoked(refusal: ServiceError) -> None:
    sim, daemon, in_grace, made = with_a_marked_stranger()
    failing(sim, "write_document", refusal)
    outcome = daemon.run()
    assert not sim.live(made)
    assert outcome.error is None
    assert sim.ledger().compromised == ()
    daemon.run_for(2 * DAY)
    assert not sim.live(in_grace)


def test_c17_a_pass_ends_with_the_refusal_while_a_marked_key_may_still_be_published() -> None:
    sim, daemon, _, _ = with_a_marked_stranger()
    daemon.run()
    pending = marked_key(sim, len(sim.kv[DOCUMENT]))
    leaked = sim.make_key("by hand", created=sim.time.now - 300 * DAY)[0].access_key
    mark(daemon, pending, leaked)
    failing(sim, "write_document", DENIED)
    outcome = daemon.run()
    assert (outcome.error, sim.live(pending), sim.live(leaked)) == (DENIED, True, False)
    sim.hook = no_hook
    daemon.run()
    assert not sim.live(pending)


def test_c17_a_restored_document_is_not_fenced_and_its_newest_key_stays_valid() -> None:
    sim, daemon, _ = adopted()
    sim.time.advance(HOUR)
    newest = rotate(daemon)
    sim.time.advance(HOUR)
    del sim.kv[DOCUMENT][1:]
    daemon.restart()
    daemon.run()
    made = sim.make_key("by hand")[0].access_key
    mark(daemon, made)
    daemon.run_for(2 * DAY)
    assert (sim.live(made), sim.live(newest), len(sim.kv[DOCUMENT])) == (False, True, 1)
    assert problem(daemon) == "document_restored"


def test_c17_a_document_that_a_person_removed_stays_removed_although_a_key_is_marked() -> None:
    sim, daemon, _ = adopted()
    sim.remove(DOCUMENT)
    daemon.restart()
    made = sim.make_key("by hand", created=sim.time.now - 300 * DAY)[0].access_key
    mark(daemon, made)
    daemon.run()
    assert (sim.live(made), sim.kv.get(DOCUMENT, [])) == (False, [])


@pytest.mark.parametrize("gone", [False, True])
def test_c17_a_fence_whose_answer_is_lost_is_not_written_again(gone: bool) -> None:
    sim, daemon, _, made = with_a_marked_stranger()
    if gone:
        sim.keys[made].deleted_at = sim.time.now
    before = len(sim.kv[DOCUMENT])
    failing(sim, "write_document", lost(), phase="after")
    daemon.run_for(HOUR)
    assert (len(sim.kv[DOCUMENT]) - before, sim.live(made), sim.ledger().compromised) == (1, False, ())


def test_c17_a_fence_that_was_not_executed_is_written_before_the_key_is_revoked() -> None:
    sim, daemon, _, made = with_a_marked_stranger()
    before = len(sim.kv[DOCUMENT])
    failing(sim, "write_document", lost(), times=1)
    once_deleted: list[int] = []
    hook = sim.hook

    def watch(effect: str, phase: str) -> None:
        if effect == "delete_key" and phase == "before":
            once_deleted.append(len(sim.kv[DOCUMENT]) - before)
        hook(effect, phase)

    sim.hook = watch
    daemon.run_for(HOUR)
    assert (once_deleted, sim.live(made)) == ([1], False)


def test_c17_the_fence_of_another_process_serves_as_well() -> None:
    sim, daemon, _, made = with_a_marked_stranger()
    other = Actor(sim, daemon.spec, owner="daemon-B")
    before = len(sim.kv[DOCUMENT])

    def fenced_by_the_other() -> None:
        once(sim, "write_document", "after", kill)
        with contextlib.suppress(Killed):
            other.run()
        sim.hook = no_hook

    once(sim, "write_document", "before", fenced_by_the_other)
    daemon.run()
    assert (len(sim.kv[DOCUMENT]) - before, sim.live(made)) == (1, False)


@pytest.mark.parametrize("behind", [timedelta(0), 11 * MINUTE])
@pytest.mark.parametrize("description", ["by hand", "of the published key"])
def test_c17_a_key_is_not_deleted_while_its_maker_publishes_it_whatever_its_description_and_the_clocks_say(
    behind: timedelta, description: str
) -> None:
    sim, maker, first = adopted(max_clock_skew=HOUR)
    sim.time.skew_provider = -behind
    second = rotate(maker)
    sim.time.advance(HOUR)
    revoker = Actor(sim, maker.spec, owner="daemon-B")
    making = reconcile(maker.spec, maker.context, maker.local_state, RotationRequest("asked", second))
    next(making)  # the key is there, and its verification waits
    (made,) = set(sim.live_keys()) - {first, second}
    pasted = sim.keys[second].key.description if description == "of the published key" else description
    sim.keys[made].key = replace(sim.keys[made].key, description=pasted)
    mark(revoker, made)

    once(sim, "delete_key", "before", lambda: publish_and_be_killed(sim, making))
    revoker.run()
    assert works(sim)
    assert not sim.live(made)


def test_c17_the_fence_of_a_first_key_leaves_an_empty_document_that_gets_a_first_key() -> None:
    sim = watched()
    maker, revoker = Actor(sim, owner="daemon-A"), Actor(sim, owner="daemon-B")
    next(reconcile(maker.spec, maker.context, maker.local_state))
    (first,) = sim.live_keys()
    mark(revoker, first)
    revoker.run()
    assert sim.kv[DOCUMENT][0].data == {}
    maker.restart()
    maker.run_for(DAY)
    assert (len(sim.kv[DOCUMENT]), works(sim)) == (2, True)
    assert sim.live_keys() == [sim.published_key()]


# --- documents that cannot be trusted: containment goes first (rule 9 before rules 11 and 14) --------------------------------


def with_a_key_in_grace(**changes: Any) -> tuple[Sim, Actor, str, str]:
    """A world after two rotations, the second a moment ago: the published key, and the one in grace."""
    sim, daemon, _ = adopted(**changes)
    rotate(daemon)
    sim.time.advance(2 * DAY)
    daemon.run()
    old = sim.published_key() or ""
    published = rotate(daemon)
    sim.calls.clear()
    return sim, daemon, published, old


def recreate(sim: Sim) -> None:
    """The document is removed with all its versions, and written anew with what it said."""
    version = sim.published()
    assert version is not None
    sim.remove(DOCUMENT)
    sim.append(DOCUMENT, dict(version.data))


def emergency(actor: Actor, *keys: str, **order: Any) -> OperationResult:
    """``rotator rotate --compromised``, of the application or of these keys, as the command line runs it."""

    def sleep(until: datetime) -> None:
        actor.sim.time.now = max(actor.sim.time.now, until)

    request = CompromiseRequest("leaked", "ops", **order)
    return contain(actor.spec, actor.context, sleep, request, keys=frozenset(keys) if keys else None)


def deny_reading(sim: Sim) -> None:
    """Vault denies every read of the credential document."""
    denied = PermissionDenied("our token may not read it", service="vault", kind="policy", path=PATH, capability="read")
    failing(sim, "read_document", denied)


def restore(sim: Sim) -> None:
    """The document comes back from a backup of the time before the key in grace was published."""
    del sim.kv[DOCUMENT][1:]


BREAKAGES: dict[str, Callable[[Sim], None]] = {
    "recreated": recreate,
    "restored": restore,
    "unreadable": deny_reading,
}


@pytest.mark.parametrize("breakage", sorted(BREAKAGES))
def test_r9_a_compromised_key_in_grace_is_revoked_while_the_document_cannot_be_trusted(breakage: str) -> None:
    sim, daemon, published, old = with_a_key_in_grace()
    daemon.restart()
    BREAKAGES[breakage](sim)
    mark(daemon, old)
    daemon.run_for(HOUR)
    assert not sim.live(old)
    assert sim.live(published)
    sim.hook = no_hook
    assert sim.ledger().compromised == ()


@pytest.mark.parametrize("breakage", sorted(BREAKAGES))
def test_r9_whether_a_compromised_key_is_still_published_is_said_where_it_cannot_be_told(breakage: str) -> None:
    sim, daemon, published, old = with_a_key_in_grace()
    daemon.restart()
    BREAKAGES[breakage](sim)
    result = emergency(daemon)
    assert result.exit_code != 0
    assert not sim.live(old)
    assert sim.live(published)
    assert f"{published} not verified as revoked" in result.message


@pytest.mark.parametrize("moved", [{"path": "secret/apps/billing/new"}, {"bearer": "another-bearer"}])
def test_r9_a_compromised_key_in_grace_is_revoked_where_the_ledger_says_after_the_configuration_moved(
    moved: dict[str, str],
) -> None:
    sim, daemon, published, old = with_a_key_in_grace()
    sim.bearers |= set(moved.values())
    renamed = Actor(sim, spec(**moved), owner="new")
    mark(renamed, old, published)
    outcome = renamed.run()
    assert not sim.live(old)
    assert (sim.live(published), sim.published_key()) == (True, published)
    assert outcome.wait.reason == "configuration_moved"
    assert published in outcome.wait.message
    assert sim.ledger().compromised_keys() == {published}


def test_r9_nothing_is_contained_at_another_account() -> None:
    """An account that does not know the key says that it is gone, which proves nothing."""
    sim, daemon, published, old = with_a_key_in_grace()
    mark(daemon, old)
    other = Actor(sim, spec(account="another"), owner="new")
    other.context = replace(other.context, provider=SimProvider(Sim(time=sim.time)))
    outcome = other.run()
    assert outcome.wait.reason == "configuration_moved"
    assert old in sim.ledger().compromised_keys()
    assert sim.live(old)


def test_i1_the_ledgers_current_key_is_not_revoked_while_the_document_is_older_whoever_made_it() -> None:
    sim = Sim()
    daemon = Actor(sim)
    sim.append(DOCUMENT, {"database": "kept"})
    key, _ = sim.make_key()
    sim.publish_by_hand(key.access_key)
    daemon.run()
    daemon.restart()
    restore(sim)
    mark(daemon, key.access_key)
    wait = daemon.run().wait
    assert sim.live(key.access_key)
    assert wait.problem is not None
    assert key.access_key in wait.problem.message


def test_i1_a_key_that_an_unreadable_document_may_hold_is_not_revoked() -> None:
    """Nothing but the document tells whether a key that the ledger does not name was published."""
    sim, daemon, published, _ = with_a_key_in_grace()
    unnamed = marked_key(sim, len(sim.kv[DOCUMENT]))
    deny_reading(sim)
    mark(daemon, unnamed)
    daemon.run_for(HOUR)
    assert sim.live(unnamed)
    assert sim.live(published)


# --- revoke first: what could make the replacement impossible is asked before (rule 8) ---------------------------------------

OBSTACLES: dict[str, Callable[[Sim, Actor], None]] = {
    "vault_permission_missing": lambda sim, daemon: setattr(sim, "lacking", ("update",)),
    "bearer_gone": lambda sim, daemon: sim.bearers.clear(),
    "not_configured": lambda sim, daemon: setattr(daemon, "spec", spec(configured=False)),
    "document_restored": lambda sim, daemon: recreate(sim),
    "document_damaged": lambda sim, daemon: damage(sim),
}


def damage(sim: Sim) -> None:
    """The document names its key and no longer holds a secret."""
    version = sim.published()
    assert version is not None
    sim.append(DOCUMENT, {**version.data, "secret_key": ""})


@pytest.mark.parametrize("reason", sorted(OBSTACLES))
def test_r8_a_published_key_is_not_revoked_first_when_no_other_could_be_published(reason: str) -> None:
    sim, daemon, published, old = with_a_key_in_grace()
    daemon.restart()
    OBSTACLES[reason](sim, daemon)
    result = emergency(daemon, revoke_first=True)
    assert (result.exit_code, result.reason) == (1 if reason == "vault_permission_missing" else 4, reason)
    assert sim.live(published)
    assert not sim.live(old), "what is not published is revoked all the same"
    assert f"{published} not verified as revoked" in result.message
    assert "--revoke-first" in result.message


def test_r8_the_published_key_is_revoked_first_where_it_can_be_replaced() -> None:
    sim, daemon, published, _ = with_a_key_in_grace()
    sim.quota = len(sim.live_keys())
    revoked: list[str | None] = []
    once(sim, "create_key", "before", lambda: revoked.append(sim.published_key()) if not sim.live(published) else None)
    result = emergency(daemon, revoke_first=True)
    assert result.exit_code == 0
    assert revoked == [published], "it was revoked before another one was made, which also frees its place in the quota"
    assert works(sim)


# --- waits: none is blind to an emergency (rule 9) ---------------------------------------------------------------------------


def revocation_is_slow(sim: Sim, daemon: Actor) -> None:
    """The key in grace goes on answering long after it was deleted."""
    sim.lingering = 2 * HOUR
    sim.time.advance(25 * HOUR)


def activation_is_slow(sim: Sim, daemon: Actor) -> None:
    """A new key does not authenticate for a long time."""
    sim.activation = 2 * HOUR
    sim.time.advance(31 * DAY)


def vault_takes_no_document(sim: Sim, daemon: Actor) -> None:
    """A verified key waits for Vault to take it."""
    failing(sim, "write_document", away())
    sim.time.advance(31 * DAY)


def provider_is_unclear(sim: Sim, daemon: Actor) -> None:
    """A person published another key, and the provider does not tell whether it works."""
    key, _ = sim.make_key()
    sim.publish_by_hand(key.access_key)
    failing(sim, "authenticate", away())


@pytest.mark.parametrize(
    "situation", [revocation_is_slow, activation_is_slow, vault_takes_no_document, provider_is_unclear]
)
def test_r9_a_pass_that_waits_sees_a_mark_within_a_retry_interval(situation: Callable[[Sim, Actor], None]) -> None:
    patient = VerificationPolicy(3, 10 * SECOND, HOUR)
    sim, daemon, published, _ = with_a_key_in_grace(
        verification=patient, emergency_verification=replace(patient, interval=SECOND), publish_timeout=2 * HOUR
    )
    daemon.restart()
    situation(sim, daemon)
    passing = reconcile(daemon.spec, daemon.context, daemon.local_state)
    waits_from = sim.time.now + MINUTE
    while sim.time.now < waits_from:
        sim.time.now = max(sim.time.now, next(passing))
    marked_at, seen_at = sim.time.now, None
    mark(Actor(sim, daemon.spec, owner="command"))
    while seen_at is None:
        sim.time.now = max(sim.time.now, next(passing))
        intent = sim.ledger().intent
        if not sim.live(published) or (intent and intent.mode is RotationMode.COMPROMISED):
            seen_at = sim.time.now
    assert seen_at - marked_at <= RETRY_INTERVAL + 10 * SECOND


def test_r9_a_pass_that_waits_observes_at_once_when_asked_to() -> None:
    sim, daemon, _, _ = with_a_key_in_grace()
    activation_is_slow(sim, daemon)
    passing = reconcile(daemon.spec, daemon.context, daemon.local_state)
    next(passing)
    sim.calls.clear()
    daemon.local_state.look_again = True
    next(passing)
    assert sim.calls[:3] == ["read_ledger", "read_document", "list_keys"]
    assert not daemon.local_state.look_again


def test_a_wait_that_nothing_interrupts_keeps_what_it_has_found() -> None:
    """Neither the DELETE is sent again nor is the verification begun anew while nothing changes."""
    sim, daemon, _, old = with_a_key_in_grace()
    revocation_is_slow(sim, daemon)
    daemon.run()
    assert sim.calls.count("delete_key") == 1
    assert "key.revocation_unverified" in daemon.sink.names()


# --- clocks: one look, one reading of each (rule 13) --------------------------------------------------------------------------


def with_offsets_from_answers(actor: Actor) -> Actor:
    """The actor learns of the services' clocks as the HTTP client does: from the Date of each answer."""
    sim, clock = actor.sim, actor.context.clock

    def elapsed() -> float:
        return (sim.time.now - EPOCH).total_seconds()

    class Offsets:
        """A port that notes when each of its calls is answered."""

        def __init__(self, port: Any) -> None:
            self.port = port
            self.service_clock = ServiceClock(clock.now, elapsed)

        def __getattr__(self, name: str) -> Any:
            member = getattr(self.port, name)
            return member if not callable(member) else self.noting(member)

        def noting(self, call: Callable[..., Any]) -> Callable[..., Any]:
            def noted(*args: Any, **kwargs: Any) -> Any:
                sent = elapsed()
                answer = call(*args, **kwargs)
                self.service_clock.answered(format_datetime(sim.time.now, usegmt=True), sent)
                return answer

            return noted

        def urgent(self) -> Offsets:
            return self

        def clock_offset(self) -> timedelta:
            return self.service_clock.offset()

    actor.context = replace(
        actor.context, vault=cast("Any", Offsets(SimVault(sim))), provider=cast("Any", Offsets(SimProvider(sim)))
    )
    return actor


def test_r13_our_clock_takes_the_clocks_of_the_services_nowhere_when_it_is_set_after_their_answers() -> None:
    sim, daemon, _, _ = with_a_key_in_grace()
    with_offsets_from_answers(daemon)
    daemon.run()
    clock = daemon.context.clock
    assert isinstance(clock, ActorClock)
    clock.skew = 25 * HOUR
    clocks = daemon.context.clocks()
    assert clocks.spread >= 24 * HOUR
    assert not clocks.passed(sim.ledger().retiring[0].revoke_after)


@pytest.mark.parametrize("step", [25 * HOUR, -25 * HOUR])
@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("call", ["read_ledger", "read_document", "list_keys"])
def test_i2_no_grace_ends_because_our_clock_is_set_in_the_middle_of_a_look(
    call: str, phase: str, step: timedelta
) -> None:
    sim, daemon, _, old = with_a_key_in_grace()
    with_offsets_from_answers(daemon)
    clock = daemon.context.clock
    assert isinstance(clock, ActorClock)
    clock.skew = max(-step, timedelta(0))  # a right clock is put ahead, or one that was ahead is put right
    daemon.run()
    sim.time.advance(HOUR)
    once(sim, call, phase, lambda: setattr(clock, "skew", clock.skew + step))
    daemon.run()
    assert sim.live(old)
    assert not sim.ledger().revoking


# --- to start over: the way out that a message names leads out (rule 11) -------------------------------------------------------


def follow_advice(sim: Sim, message: str) -> None:
    """A person does what the message says, and nothing else."""
    _, _, advice = message.partition("to start over")
    assert advice, message
    for access_key in sim.live_keys():
        if access_key in advice:
            sim.keys[access_key].deleted_at = sim.time.now
    if "its metadata" in advice:
        sim.remove(DOCUMENT)
    if "ledger" in advice:
        sim.remove("ledger:billing")


def soft_delete(sim: Sim) -> None:
    sim.kv[DOCUMENT][-1].deleted = True


def empty(sim: Sim) -> None:
    sim.append(DOCUMENT, {"database": "kept"})


def remove(sim: Sim) -> None:
    sim.remove(DOCUMENT)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("deed", [soft_delete, empty, remove, recreate])
def test_r11_the_advice_to_begin_anew_leads_to_a_key_that_works(deed: Callable[[Sim], None], restarted: bool) -> None:
    sim, daemon, _, _ = with_a_key_in_grace()
    deed(sim)
    for _ in range(3):  # as often as there is advice
        if restarted:
            daemon.restart()
        problem = daemon.run().wait.problem
        if problem is None:
            break
        follow_advice(sim, problem.message)
    daemon.run_for(2 * DAY)
    assert daemon.run().wait.problem is None
    assert works(sim)
    assert sim.live_keys() == [sim.published_key()]


# --- what a wrong version of the program did, and no test saw ----------------------------------------------------------------


def test_r3_a_process_that_is_killed_while_it_creates_never_creates_again_for_the_same_claim() -> None:
    """That the one POST was sent is remembered before it is sent: what the process may not do twice is not told by an answer."""
    sim, daemon, first = adopted()
    remembered: list[bool] = []
    once(
        sim,
        "create_key",
        "before",
        lambda: remembered.append(bool(daemon.local_state.in_flight and daemon.local_state.in_flight.posted)),
    )
    daemon.run(RotationRequest("asked", first))
    assert remembered == [True]


def test_i3_contained_is_not_said_while_a_marked_key_is_what_consumers_read() -> None:
    """The ledger forgot the mark, as one does that is rolled back, and the document holds the key."""
    sim, daemon, published, _ = with_a_key_in_grace()
    command = Actor(sim, daemon.spec, owner="command")
    forgotten: list[int] = []

    def forget() -> None:
        change(daemon, compromised=(), retiring=(), revoking=())
        forgotten.append(1)

    once(sim, "write_ledger", "after", forget)
    result = emergency(command)
    assert forgotten
    assert (sim.published_key(), sim.live(published)) == (published, True)
    assert (result.exit_code, result.reason) == (1, "mark_lost")
    assert published in result.message
