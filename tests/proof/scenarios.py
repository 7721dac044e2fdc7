"""The worlds that are explored: who acts in them, what may go wrong, and what must be true in the end.

Durations are short where only their order matters: fewer idle looks, and as many interleavings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

from rotator.domain.spec import ApplicationSpec, VerificationPolicy
from rotator.errors import RotatorError
from rotator.operations.commands import contain as containment
from rotator.operations.commands import rotate as rotation
from rotator.reconciler.context import LocalState, ReconcileContext
from rotator.reconciler.runner import drive, reconcile
from tests.proof.explorer import Actor, Deed, Fault, Role, Scenario
from tests.proof.replay import Program, Sleep
from tests.proof.truth import DOCUMENT, LEDGER, Truth, by_hand, rolled_back, stored
from tests.support.simulated import EPOCH, spec
from tests.support.simulated import Actor as Daemon

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
GRACE = HOUR
HORIZON = 3 * HOUR
"""Until when actors are interleaved: beyond a rotation, its grace and its revocation. What is left then is run in order of time."""
MOMENT = 0.6 * SECOND
"""The same for an emergency, in which nobody waits for longer than that unless something went wrong."""
SHORT = 50 * SECOND
"""The same for one rotation: whoever is paused wakes up before the grace ends."""

POLICY = spec(
    grace=GRACE,
    every=30 * DAY,
    resync_interval=20 * DAY,
    verification=VerificationPolicy(1, SECOND, 2 * SECOND),
    emergency_verification=VerificationPolicy(1, SECOND / 2, 2 * SECOND),
    publish_timeout=SECOND,
    stale_claim_timeout=5 * SECOND,
)
WATCHFUL = replace(POLICY, resync_interval=DAY)
THOROUGH = replace(
    POLICY,
    verification=VerificationPolicy(2, SECOND, 3 * SECOND),
    emergency_verification=VerificationPolicy(2, SECOND / 2, 3 * SECOND),
)


# --- what actors do ---


def passes(wanted: ApplicationSpec) -> Program:
    """One pass of a daemon, with the memory of the passes before it."""

    def run(context: ReconcileContext, local_state: LocalState, sleep: Sleep) -> object:
        return drive(reconcile(wanted, context, local_state), sleep)

    return run


def rotate(wanted: ApplicationSpec) -> Program:
    """``rotator rotate billing``, as the command line runs it."""
    return lambda context, local_state, sleep: rotation.rotate(wanted, context, sleep, "asked", "ops@desk")


def contain(wanted: ApplicationSpec) -> Program:
    """``rotator rotate billing --compromised``, as the command line runs it."""
    return lambda context, local_state, sleep: containment.contain(
        wanted, context, sleep, containment.CompromiseRequest("leaked", "somebody")
    )


def contain_first(wanted: ApplicationSpec) -> Program:
    """``rotator rotate KEY --compromised`` for the first key that the provider lists, which may be published yet or not."""

    def run(context: ReconcileContext, local_state: LocalState, sleep: Sleep) -> object:
        try:
            listed = context.provider.list_keys(wanted.bearer)
        except RotatorError:
            listed = ()
        if not listed:
            return None
        order = containment.CompromiseRequest("leaked", "somebody")
        return containment.contain(wanted, context, sleep, order, keys=frozenset({listed[0].access_key}))

    return run


# --- how worlds begin ---


def nothing() -> Truth:
    """A world without a document, a ledger or a key."""
    truth = Truth()
    truth.watch(GRACE, set())
    return truth


def adopted(*, age: timedelta = 30 * DAY) -> Truth:
    """A world whose published key was taken over by a daemon long ago, with a stranger beside it."""
    truth = Truth()
    key, secret = truth.make_key()
    stranger, _ = truth.make_key("somebody else's")
    truth.watch(GRACE, {stranger.access_key})
    by_hand(truth, {"access_key": key.access_key, "secret_key": secret.reveal(), "database": "kept"})
    before = Daemon(truth, POLICY)
    before.run()
    _canonical(truth)
    truth.time.advance(age)
    return truth


def yesterday() -> Truth:
    """The same a day after it was taken over: nothing is due."""
    return adopted(age=DAY)


def in_grace(*, age: timedelta = timedelta(0), old_markers: bool = False) -> Truth:
    """The same after one rotation: one key is published, the one before it in grace. Its marker may be of the older form."""
    truth = adopted()
    before = Daemon(truth, POLICY, owner="earlier")
    truth.old_markers = old_markers
    before.run()
    truth.old_markers = False
    _canonical(truth)
    truth.time.advance(age)
    assert truth.ledger().retiring, "the first key is in grace"
    truth.creates = 0
    return truth


def seasoned() -> Truth:
    """The same after that grace: the only key is one that an older version of the program made, and it is due again."""
    truth = in_grace(old_markers=True)
    before = Daemon(truth, POLICY, owner="earlier")
    before.run_for(GRACE + HOUR)
    _canonical(truth)
    truth.time.advance(30 * DAY)
    assert len(truth.ours()) == 1, "the first key is dead"
    truth.creates = 0
    return truth


EARLIER = "invoicing"


def renamed() -> Truth:
    """A world in which the application had another name until now: one key is published, the one before it in grace."""
    truth = Truth()
    key, secret = truth.make_key()
    truth.watch(GRACE, set())
    by_hand(truth, {"access_key": key.access_key, "secret_key": secret.reveal()})
    before = Daemon(truth, replace(POLICY, application=EARLIER), owner="earlier")
    before.run()
    truth.time.advance(30 * DAY)
    before.run()
    _canonical(truth)
    truth.creates = 0
    return truth


def passes_after_a_rename(wanted: ApplicationSpec) -> Program:
    """One pass of a daemon whose configuration has the new name, or another one's that still has the old name."""
    (other,) = {EARLIER, POLICY.application} - {wanted.application}

    def run(context: ReconcileContext, local_state: LocalState, sleep: Sleep) -> object:
        return drive(reconcile(wanted, replace(context, related=lambda spec: (other,)), local_state), sleep)

    return run


def the_new_name(truth: Truth) -> tuple[Actor, ...]:
    """A daemon whose configuration has the new name."""
    return (Actor(Role("daemon-1", passes_after_a_rename(POLICY)), truth.time.now),)


def both_names(truth: Truth) -> tuple[Actor, ...]:
    """The same beside a daemon that still has the old name."""
    old = Actor(Role("daemon-2", passes_after_a_rename(replace(POLICY, application=EARLIER))), truth.time.now)
    return (*the_new_name(truth), old)


def taken_over(truth: Truth) -> str | None:
    """One of the names owns everything, and the grace ended when it was promised; or two names are a reported conflict."""
    ledgers = [truth.ledger(name) for name in (EARLIER, POLICY.application) if truth.kv.get("ledger:" + name)]
    owners = [ledger for ledger in ledgers if not ledger.successor]
    if len(owners) != 1:
        return None if len(owners) == 2 and truth.ours() else f"{len(owners)} ledgers own the bearer"
    truth.monitor.check_rest(owners[0])
    return "a key is still in grace" if owners[0].retiring else None


def slow() -> Truth:
    """A provider whose keys become valid a second after they were made, and are refused a second after they were deleted."""
    truth = adopted()
    truth.activation = truth.lingering = SECOND
    return truth


def _canonical(truth: Truth) -> None:
    """Ledgers that were written before the exploration began are shared like the later ones."""
    for name, ledgers in truth.kv.items():
        if name.startswith("ledger:"):
            ledgers[:] = [replace(version, data=stored(truth.read(version))) for version in ledgers]
    truth.monitor.check()


def daemons(count: int, wanted: ApplicationSpec = POLICY) -> Callable[[Truth], tuple[Actor, ...]]:
    """So many daemons on one configuration."""

    def cast(truth: Truth) -> tuple[Actor, ...]:
        now = truth.time.now
        return tuple(Actor(Role(f"daemon-{number}", passes(wanted)), now) for number in range(1, count + 1))

    return cast


def beside(command: Program, wanted: ApplicationSpec = POLICY) -> Callable[[Truth], tuple[Actor, ...]]:
    """One daemon, and one command."""

    def cast(truth: Truth) -> tuple[Actor, ...]:
        now = truth.time.now
        return (*daemons(1, wanted)(truth), Actor(Role("command", command, repeats=False), now))

    return cast


# --- what must be true in the end ---


def rotated(truth: Truth) -> str | None:
    """One rotation happened, and the first key is dead."""
    truth.monitor.check_rest(truth.ledger())
    first = next(iter(truth.keys))
    if truth.live(first):
        return f"{first} still lives"
    if truth.ledger().retiring:
        return "a key is still in grace"
    return None if len(truth.ours()) == 1 else f"too many keys live: {truth.ours()}"


def at_peace(truth: Truth) -> str | None:
    """One key of ours lives, whichever it is."""
    truth.monitor.check_rest(truth.ledger())
    if truth.ledger().retiring:
        return "a key is still in grace"
    return None if len(truth.ours()) == 1 else f"too many keys live: {truth.ours()}"


def tidied(truth: Truth) -> str | None:
    """At peace long before the calendar asks for the next rotation, whatever became of the one that a person asked for (I4)."""
    return "nothing but the calendar ended what was left" if truth.time.now > EPOCH + 20 * DAY else at_peace(truth)


def spared(truth: Truth) -> str | None:
    """Since consumers cannot use what they read, nothing was revoked and nothing made; if nobody wrote nonsense, peace."""
    if not truth.spared:
        return at_peace(truth)
    dead = [name for name in truth.spared if not truth.live(name)]
    assert not dead, f"{dead} were revoked though the published secret does not work"
    problem = truth.ledger().problem
    return None if problem and problem.reason == "secret_rejected" else "nobody has noticed"


# --- what accidents and people do ---


def any_earlier_ledger(truth: Truth, doomed: frozenset[str]) -> Iterator[tuple[str, Deed]]:
    """The ledger is rolled back to any earlier copy, or is gone."""
    for number in range(1, len(truth.kv.get(LEDGER, []))):
        yield f"the ledger is rolled back to version {number}", partial(rolled_back, version=number)
    if truth.kv.get(LEDGER):
        yield "the ledger is gone", lost


def any_edit(truth: Truth, doomed: frozenset[str]) -> Iterator[tuple[str, Deed]]:
    """A person edits the document: a note, an earlier version restored, a key of their own."""
    versions = truth.kv[DOCUMENT]
    yield "a person adds a note", lambda truth: by_hand(truth, {**truth.kv[DOCUMENT][-1].data, "note": "seen"})
    for number, version in enumerate(versions[:-1], start=1):
        access_key = version.data["access_key"]
        if truth.live(access_key) and access_key not in doomed and access_key != versions[-1].data["access_key"]:
            yield f"a person rolls the document back to version {number}", partial(roll_back, version=number)
    yield "a person publishes a key of their own", own_key


def any_key_deleted(truth: Truth, doomed: frozenset[str]) -> Iterator[tuple[str, Deed]]:
    """A person deletes one of our keys at the provider."""
    for name in truth.ours():
        yield f"a person deletes {name}", partial(delete_by_hand, access_key=name)


def any_wrong_secret(truth: Truth, doomed: frozenset[str]) -> Iterator[tuple[str, Deed]]:
    """A person pastes the wrong secret beside the published key."""
    if not doomed:
        yield "a person writes a wrong secret", wrong_secret


def wrong_secret(truth: Truth) -> None:
    """What consumers read from here on is refused, and nobody but a person can mend it."""
    truth.spared = frozenset(truth.ours())
    by_hand(truth, {**truth.kv[DOCUMENT][-1].data, "secret_key": "pasted-from-somewhere-else"})


def lost(truth: Truth) -> None:
    """The ledger is removed with all its versions."""
    truth.remove(LEDGER)
    truth.monitor.forget(LEDGER)


def roll_back(truth: Truth, version: int) -> None:
    """``vault kv rollback``."""
    by_hand(truth, truth.kv[DOCUMENT][version - 1].data)


def own_key(truth: Truth) -> None:
    """A key of the same bearer, made and published by a person."""
    key, secret = truth.make_key()
    by_hand(truth, {**truth.kv[DOCUMENT][-1].data, "access_key": key.access_key, "secret_key": secret.reveal()})


def delete_by_hand(truth: Truth, access_key: str) -> None:
    """Gone, and whoever reads it is down until it is noticed."""
    truth.monitor.by_people.add(access_key)
    truth.keys[access_key].deleted_at = truth.keys[access_key].refused_after = truth.time.now
    truth.monitor.check()


def scenario(
    name: str,
    context: Callable[[], Truth],
    cast: Callable[[Truth], tuple[Actor, ...]],
    rested: Callable[[Truth], str | None] = rotated,
    horizon: timedelta = HORIZON,
    **more: object,
) -> Scenario:
    """A scenario from its parts."""

    def begin() -> tuple[Truth, tuple[Actor, ...]]:
        truth = context()
        return truth, cast(truth)

    return Scenario(name, begin, rested, horizon, **more)  # type: ignore[arg-type]  # fields of the scenario


NOTHING: frozenset[Fault] = frozenset()
FIRST = frozenset({"daemon-1"})
COMMAND = frozenset({"command"})

ALL: tuple[Scenario, ...] = (
    scenario("one daemon, a rotation and a revocation", adopted, daemons(1, THOROUGH), least=962),
    scenario("one daemon, a provider that is slow to know and slow to forget", slow, daemons(1, THOROUGH), least=1_131),
    scenario(
        "one daemon, the same where one answer is proof enough",
        slow,
        daemons(1),
        faults=frozenset(Fault) - {Fault.FLAPPING},
        least=901,
    ),
    scenario("one daemon, a first key", nothing, daemons(1, THOROUGH), at_peace, horizon=SHORT, least=300),
    scenario(
        "two daemons, a first key",
        nothing,
        daemons(2),
        at_peace,
        horizon=SHORT,
        befalls=FIRST,
        most_live=4,
        most_creates=4,
        least=19_360,
    ),
    scenario("one daemon, two faults", adopted, daemons(1), budget=2, most_creates=4, most_live=4, least=19_862),
    scenario(
        "one daemon, and the ledger is lost or rolled back",
        seasoned,
        daemons(1),
        at_peace,
        faults=NOTHING,
        hand=any_earlier_ledger,
        least=668,
    ),
    scenario(
        "one daemon, and a person edits the document",
        seasoned,
        daemons(1),
        at_peace,
        faults=NOTHING,
        hand=any_edit,
        most_live=4,
        least=484,
    ),
    scenario(
        "one daemon, and a person writes a wrong secret",
        in_grace,
        daemons(1),
        spared,
        faults=NOTHING,
        hand=any_wrong_secret,
        least=5_453,
    ),
    scenario(
        "one daemon, and a person deletes a key",
        seasoned,
        daemons(1),
        at_peace,
        faults=NOTHING,
        hand=any_key_deleted,
        least=185,
    ),
    scenario(
        "one daemon, a renamed application and a revocation", renamed, the_new_name, taken_over, budget=2, least=5_593
    ),
    scenario(
        "two daemons, one of which still has the old name of an application",
        renamed,
        both_names,
        taken_over,
        befalls=FIRST,
        horizon=SHORT,
        least=4_782,
    ),
    scenario("two daemons, a rotation and a revocation", adopted, daemons(2), befalls=FIRST, least=100_650),
    scenario("two daemons, a rotation", adopted, daemons(2), horizon=SHORT, befalls=FIRST, least=37_271),
    scenario(
        "two daemons, a rotation, two faults",
        adopted,
        daemons(2),
        horizon=SHORT,
        befalls=FIRST,
        budget=2,
        most_live=4,
        most_creates=4,
        least=300_000,
        whole=False,
    ),
    scenario("two daemons, a revocation", in_grace, daemons(2), befalls=FIRST, pauses_are_faults=False, least=16_480),
    scenario(
        "two daemons, a rotation, and pauses as often as one likes",
        adopted,
        daemons(2),
        horizon=SHORT,
        befalls=FIRST,
        pauses_are_faults=False,
        most_live=5,
        most_creates=5,
        least=1_000_000,
        whole=False,
    ),
    scenario("a daemon and rotate, a rotation and a revocation", yesterday, beside(rotate(POLICY)), least=23_783),
    scenario(
        "a daemon and rotate, of which nothing is left behind",
        yesterday,
        beside(rotate(WATCHFUL), WATCHFUL),
        tidied,
        horizon=SHORT,
        befalls=COMMAND,
        least=21_451,
    ),
    scenario(
        "a daemon and rotate --compromised",
        yesterday,
        beside(contain(POLICY)),
        horizon=MOMENT,
        most_live=4,
        least=624_329,
    ),
    scenario(
        "a daemon and rotate --compromised, with a key in grace",
        in_grace,
        beside(contain(POLICY)),
        horizon=MOMENT,
        most_live=5,
        least=1_000_000,
        whole=False,
    ),
    scenario(
        "a daemon that makes a first key, and rotate --compromised of that key",
        nothing,
        beside(contain_first(POLICY)),
        at_peace,
        horizon=SHORT,
        most_live=4,
        most_creates=4,
        least=300_000,
        whole=False,
    ),
    scenario(
        "a daemon and rotate --compromised, without faults",
        yesterday,
        beside(contain(POLICY)),
        horizon=SHORT,
        budget=0,
        pauses_are_faults=False,
        least=266_030,
    ),
)

__all__ = ["ALL", "Fault", "Scenario"]
