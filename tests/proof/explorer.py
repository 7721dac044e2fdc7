"""Every interleaving of a few actors, with a bounded number of faults at any of their effects: explicit states, all of them.

A *state* is the ground truth, the place of every actor in its program, what is still under way on the network, and how many faults may
still happen. From each state every move is taken that the world allows:

- an actor's next call is executed and answered;
- or something goes wrong with it (see ``Fault``), while faults are left;
- or what was under way lands;
- or an actor whose nap or wait is over wakes up. Whoever is not chosen is paused, for as long as the others take: for an hour
  of grace, if they need one.

States that were met before are not entered again, so that the interleavings are all covered without being walked one by one. After every move
the invariants of DESIGN.md section 4 are checked on the ground truth, and what the actors said is compared with it.

There is no cycle (an actor's past only grows), and the moves of a state are never none before the world is at rest. So if
the exploration ends, every state reaches rest under every schedule, which is more than being able to.

What is left out because it cannot matter: the start of a run is one move with its first call, since nothing is read before it; a kill
before the first call of a run is a kill between two runs.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from rotator.domain.keys import ProbeResult
from rotator.errors import Indeterminate, LedgerUnreadable, ServiceError, Unavailable
from rotator.reconciler.context import LocalState
from tests.proof.replay import Call, End, Nap, Place, Program, Start, identity
from tests.proof.truth import LEDGER, Truth, TruthProvider, TruthVault
from tests.support.simulated import EPOCH

WRITES = frozenset({"write_ledger", "write_document", "destroy_versions", "create_key", "delete_key"})
MOST_FRUITLESS = 2
"""How often an actor may wake and change nothing while another one is in the middle of its work, before it has to let that one move."""

BLINK = timedelta(milliseconds=250)
"""The pause of a pass after a conflict. It takes no time here: between actors that can be paused for hours, it only orders."""

LONG = timedelta(seconds=2)
"""What is longer than any nap of a rotation. In a pause of that length others take over, or a grace ends."""

MOST_CALLS = 1_000
"""Calls that one run may make then."""

MOST_CALM_RUNS = 40
"""Runs that the world may take to come to rest when nothing but waiting is left."""


class Fault(enum.StrEnum):
    """What can go wrong with one call."""

    KILLED_BEFORE = "killed before it"
    KILLED_UNSEEN = "killed after it, the answer unseen"
    KILLED_AFTER = "killed after the answer"
    LOST = "the answer is lost"
    NOT_DONE = "surely not executed"
    NEVER = "not executed, and nobody knows"
    LATE = "lands later"
    STALE = "answered from behind the leader"
    FLAPPING = "a living key is refused"
    PAUSED = "paused for long"


@dataclass(frozen=True)
class Role:
    """One actor of a scenario. A daemon runs passes for ever and is started again when it is killed; a command runs once."""

    name: str
    program: Program
    repeats: bool = True


@dataclass(frozen=True)
class Actor:
    """Where one actor is. ``place`` is None between runs; ``wake`` is when it goes on after a wait or a nap. ``seen`` is the highest Vault index it has seen,
    ``blinked`` when it last went on at once instead of taking a short nap: the next one at that very instant takes its time."""

    role: Role
    wake: datetime
    place: Place | None = None
    local_state: LocalState = field(default_factory=LocalState)
    life: int = 0
    fruitless: int = 0
    seen: int = 0
    over: bool = False
    blinked: datetime | None = None

    def fingerprint(self, *, past: bool) -> object:
        if self.over:
            return None
        if self.place is not None:
            return (self.place.serial, self.fruitless, self.seen * past)
        return (self.wake, identity(self.local_state), self.life, self.fruitless, self.seen * past)

    @property
    def calls(self) -> Call | None:
        """The call that it waits to see answered."""
        asks = self.place.asks if self.place else None
        return asks if isinstance(asks, Call) else None

    @property
    def ready_at(self) -> datetime:
        return self.wake


@dataclass(frozen=True)
class Trail:
    """How a state was reached, the last move first."""

    move: str
    at: datetime
    before: Trail | None

    def lines(self) -> list[str]:
        """The moves in order, each with its time."""
        found: list[str] = []
        trail: Trail | None = self
        while trail is not None:
            found.append(f"{trail.at:%d %H:%M:%S.%f} {trail.move}")
            trail = trail.before
        return found[::-1]


@dataclass(frozen=True)
class State:
    """One state of everything."""

    truth: Truth
    actors: tuple[Actor, ...]
    faults: int
    under_way: tuple[tuple[int, Call], ...] = ()
    trail: Trail | None = None

    def fingerprint(self) -> int:
        """What tells this state from others. While faults are left, a standby may answer from the past: then it counts."""
        past = self.faults > 0
        late = tuple((owner, identity_of(call)) for owner, call in self.under_way)
        actors = tuple(actor.fingerprint(past=past) for actor in self.actors)
        return hash((self.truth.fingerprint(past=past), actors, late, self.faults))


def identity_of(call: Call) -> object:
    """What tells one call that is under way from another."""
    values = tuple(
        tuple(sorted((name, getattr(text, "reveal", lambda text=text: text)()) for name, text in value.items()))
        if isinstance(value, Mapping)
        else identity(value)
        for value in (*call.args, *(call.kwargs[name] for name in sorted(call.kwargs)))
    )
    return (call.name, *values)


T = TypeVar("T")


def altered(value: T, **changes: object) -> T:
    """The same as ``dataclasses.replace`` for a plain value, at a fifth of its time: an exploration makes millions of these."""
    other: T = object.__new__(type(value))
    other.__dict__.update(value.__dict__, **changes)
    return other


@dataclass
class Count:
    """What an exploration went through."""

    states: int = 0
    moves: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    rests: int = 0
    longest: int = 0
    creates: int = 0
    live: int = 0


class Violation(AssertionError):
    """Something that must always hold did not; the message is the story, ``count`` what was explored until then."""

    count: Count


Deed = Callable[[Truth], None]
Hand = Callable[[Truth, frozenset[str]], Iterator[tuple[str, Deed]]]
"""What a person or an accident may do to a world at any instant, each as a name and a deed. It counts as one fault. The second
argument names the keys whose DELETE may still land: DESIGN.md exempts the hand that publishes one of those."""


@dataclass(frozen=True)
class Scenario:
    """A world to begin with, who acts in it, what may go wrong, and what must be true in the end."""

    name: str
    begin: Callable[[], tuple[Truth, tuple[Actor, ...]]]
    rested: Callable[[Truth], str | None]
    horizon: timedelta
    faults: frozenset[Fault] = frozenset(Fault)
    budget: int = 1
    befalls: frozenset[str] | None = None
    """The actors that faults may befall; None: all. Of two that are alike, whichever is struck may be called the first."""
    hand: Hand | None = None
    pauses_are_faults: bool = True
    """Whether it counts as a fault that somebody in the middle of something is paused for ``LONG``. Short pauses never do."""
    most_live: int = 3
    most_creates: int = 3
    least: int = 0
    """States that a whole exploration must find: what was found when this was written. Fewer means that something is no longer tried."""
    whole: bool = True
    """Whether it is walked whole in the proof; else it is too large, and as many states are walked as one wants to wait for."""


class Explorer:
    """Walks all the states of one scenario, depth first."""

    def __init__(
        self, scenario: Scenario, *, most: int | None = None, progress: Callable[[Count], None] | None = None
    ) -> None:
        self.scenario = scenario
        self.count = Count()
        self._most = most
        self._progress = progress
        self._places: dict[Hashable, Place] = {}
        self._met: set[int] = set()
        self._end = EPOCH

    def run(self) -> Count:
        """Explore everything (or the first ``most`` states); raises ``Violation`` at the first thing that must not be."""
        truth, actors = self.scenario.begin()
        self._end = truth.time.now + self.scenario.horizon
        stack = [State(truth, actors, self.scenario.budget)]
        self._met.add(stack[0].fingerprint())
        self.count.states = 1
        state = stack[0]
        try:
            while stack and (self._most is None or self.count.states < self._most):
                state = stack.pop()
                moved = False
                for state_after in self._moves(state):
                    moved = True
                    self.count.moves += 1
                    fingerprint = state_after.fingerprint()
                    if fingerprint not in self._met:
                        self._met.add(fingerprint)
                        self.count.states += 1
                        stack.append(state_after)
                        if self._progress and self.count.states % 5000 == 0:
                            self._progress(self.count)
                if not moved:
                    self._rest(state)
        except Exception as error:
            raise self._violation(error, state) from error
        return self.count

    def _violation(self, error: Exception, state: State) -> Violation:
        trail = getattr(error, "trail", None) or state.trail
        story = "\n".join(trail.lines() if trail else [])
        what = str(error) if isinstance(error, AssertionError) else f"an error of the program: {error!r}"
        violation = Violation(f"{what}\n{self.scenario.name}, after {self.count.states} states:\n{story}")
        violation.count = self.count
        return violation

    # --- the moves ---

    def _moves(self, state: State) -> Iterator[State]:
        for number, actor in enumerate(state.actors):
            if actor.calls is not None:
                yield from self._answers(state, number, actor.calls)
            elif not actor.over and self._may_wake(state, actor):
                woken = self._wake(state, number)
                call = woken.actors[number].calls
                # A run's first call is one move with its start; after a nap the clock was read, so it may be paused there.
                if actor.place is None and call is not None:
                    yield from self._answers(woken, number, call, first=True)
                else:
                    yield woken
        for index in range(len(state.under_way)):
            yield self._land(state, index)
        if self.scenario.hand and state.faults:
            for name, deed in self.scenario.hand(state.truth, _doomed(state)):
                truth = state.truth.fork()
                deed(truth)
                self.count.faults[name] += 1
                yield self._checked(
                    altered(state, truth=truth, faults=state.faults - 1, actors=_hopeful(state.actors)), name
                )

    def _may_wake(self, state: State, actor: Actor) -> bool:
        if actor.ready_at > max(self._end, state.truth.time.now):
            return False
        busy = any(other.calls is not None for other in state.actors) or bool(state.under_way)
        if busy and actor.fruitless >= MOST_FRUITLESS:
            return False
        if not self.scenario.pauses_are_faults or not (paused := _paused_until(state, actor)):
            return True
        befalls = self.scenario.befalls
        return state.faults > 0 and Fault.PAUSED in self.scenario.faults and (befalls is None or paused <= befalls)

    def _wake(self, state: State, number: int) -> State:
        actor, truth = state.actors[number], state.truth
        if self.scenario.pauses_are_faults and _paused_until(state, actor):
            self.count.faults[Fault.PAUSED] += 1
            state = altered(state, faults=state.faults - 1)
        if actor.ready_at > truth.time.now:
            truth = truth.fork()
            truth.time.now = actor.ready_at
        now = truth.time.now
        place = self._start(actor) if actor.place is None else actor.place.after(now, None)
        after = altered(state, truth=truth)
        return self._arrive(after, number, altered(actor, place=place, fruitless=actor.fruitless + 1), "wakes")

    def _start(self, actor: Actor) -> Place:
        owner = f"{actor.role.name}-{actor.life}"
        return Start(actor.role.program, owner, actor.local_state, actor.role.repeats, self._places).place()

    def _answers(self, state: State, number: int, call: Call, *, first: bool = False) -> Iterator[State]:
        yield self._execute(state, number, call)
        befalls = self.scenario.befalls
        if not state.faults or (befalls is not None and state.actors[number].role.name not in befalls):
            return
        for fault in self._possible(state, number, call, first=first):
            self.count.faults[fault] += 1
            yield from self._disturbed(altered(state, faults=state.faults - 1), number, call, fault)

    def _possible(self, state: State, number: int, call: Call, *, first: bool) -> Iterator[Fault]:
        write = call.name in WRITES
        kinds = {
            Fault.KILLED_BEFORE: not first,
            Fault.KILLED_UNSEEN: True,
            Fault.KILLED_AFTER: True,
            Fault.LOST: True,
            Fault.NOT_DONE: write,
            Fault.NEVER: write,
            Fault.LATE: write,
            Fault.STALE: call.port == "vault"
            and call.name.startswith("read_")
            and state.actors[number].seen < state.truth.index,
            Fault.FLAPPING: call.name == "authenticate",
        }
        return (fault for fault, possible in kinds.items() if possible and fault in self.scenario.faults)

    def _disturbed(self, state: State, number: int, call: Call, fault: Fault) -> Iterator[State]:
        label = f"{call.name}: {fault}"
        match fault:
            case Fault.KILLED_BEFORE:
                yield self._kill(state, number, label)
            case Fault.KILLED_UNSEEN:
                truth, _, _ = self._done(state, number, call)
                yield self._kill(self._checked(altered(state, truth=truth), label, number), number, label)
            case Fault.KILLED_AFTER:
                yield self._kill(self._execute(state, number, call), number, label)
            case Fault.LOST if call.name == "authenticate":
                yield self._answer(
                    state, number, ProbeResult.INCONCLUSIVE, label
                )  # what its port makes of a lost answer
            case Fault.LOST:
                error = Indeterminate if call.name in WRITES else Unavailable
                yield self._execute(
                    state, number, call, error("the answer was lost", service="test", kind="timeout"), label
                )
            case Fault.NOT_DONE:
                away = Unavailable("away for a moment", service="test", kind="unreachable")
                yield self._answer(state, number, away, label)
            case Fault.NEVER:
                yield self._answer(state, number, Indeterminate("no answer", service="test", kind="timeout"), label)
            case Fault.LATE:
                late = altered(state, under_way=(*state.under_way, (number, call)))
                yield self._answer(late, number, Indeterminate("no answer", service="test", kind="timeout"), label)
            case Fault.STALE:
                for index in range(state.actors[number].seen, state.truth.index):
                    yield self._execute(state, number, call, label=f"{label} (index {index})", index=index)
            case Fault.FLAPPING:
                yield self._answer(state, number, ProbeResult.REJECTED, label)

    def _done(self, state: State, number: int, call: Call, index: int | None = None) -> tuple[Truth, object, int]:
        """The world after the call, the answer (an exception is one), and the highest index that the actor has seen."""
        truth = state.truth.fork() if call.name in WRITES else state.truth
        seen = state.actors[number].seen if number >= 0 else 0
        vault = TruthVault(truth, seen=seen, lag=None if index is None else lambda seen, latest: index)
        port: Any = vault if call.port == "vault" else TruthProvider(truth)
        try:
            answer = getattr(port, call.name)(*call.args, **call.kwargs)
        except (ServiceError, LedgerUnreadable) as error:
            answer = error.with_traceback(None)
        return truth, answer, vault.seen

    def _execute(
        self,
        state: State,
        number: int,
        call: Call,
        instead: Exception | None = None,
        label: str | None = None,
        index: int | None = None,
    ) -> State:
        truth, answer, seen = self._done(state, number, call, index)
        wrote = call.name in WRITES and not isinstance(answer, Exception)
        if instead is None:
            actors = _replaced(state.actors, number, altered(state.actors[number], seen=seen))
            state = altered(state, actors=actors)
        if wrote:
            state = altered(state, actors=_hopeful(state.actors))
        text = label or (f"{call.name} -> {type(answer).__name__}" if isinstance(answer, Exception) else call.name)
        return self._answer(altered(state, truth=truth), number, answer if instead is None else instead, text)

    def _answer(self, state: State, number: int, answer: object, label: str) -> State:
        actor = state.actors[number]
        assert actor.place is not None
        place = actor.place.after(state.truth.time.now, answer)
        return self._arrive(state, number, altered(actor, place=place), label)

    def _arrive(self, state: State, number: int, actor: Actor, label: str) -> State:
        """The actor is at a new place: check the world and what was said, and settle what follows without a further move."""
        place = actor.place
        assert place is not None
        state = self._checked(altered(state, actors=_replaced(state.actors, number, actor)), label, number)
        try:
            for event, fields in place.said:
                listen(state.truth, event, fields)
            if isinstance(place.asks, Nap):
                now = state.truth.time.now
                if place.asks.until - now <= BLINK and actor.blinked != now:
                    return self._arrive(
                        state, number, altered(actor, place=place.after(now, None), blinked=now), "blinks"
                    )
                actor = altered(actor, wake=place.asks.until)
            elif isinstance(place.asks, End):
                actor = self._ended(state, actor, place.asks)
        except AssertionError as error:
            error.trail = state.trail  # type: ignore[attr-defined]  # read by _violation
            raise
        if actor.place is place:
            actor = altered(actor, place=place.same)
        return altered(state, actors=_replaced(state.actors, number, actor))

    def _ended(self, state: State, actor: Actor, end: End) -> Actor:
        judge_end(state.truth, end.result)
        if not actor.role.repeats:
            return altered(actor, place=None, over=True)
        wake = end.result.wait.until  # type: ignore[attr-defined]  # a daemon's run ends with an Outcome
        return altered(actor, place=None, local_state=end.local_state, wake=max(wake, state.truth.time.now))

    def _kill(self, state: State, number: int, label: str) -> State:
        actor, now = state.actors[number], state.truth.time.now
        dead = Actor(actor.role, now, life=actor.life + 1, over=not actor.role.repeats)
        return self._checked(altered(state, actors=_replaced(_hopeful(state.actors), number, dead)), label, number)

    def _land(self, state: State, index: int) -> State:
        owner, call = state.under_way[index]
        truth, answer, _ = self._done(state, -1, call)
        rest = tuple(entry for at, entry in enumerate(state.under_way) if at != index)
        label = f"late {call.name} of {state.actors[owner].role.name} lands: {type(answer).__name__}"
        return self._checked(altered(state, truth=truth, under_way=rest, actors=_hopeful(state.actors)), label)

    # --- the checks ---

    def _checked(self, state: State, label: str, number: int | None = None) -> State:
        who = state.actors[number].role.name if number is not None else "world"
        truth = state.truth
        trail = Trail(f"{who:9} {label}", truth.time.now, state.trail)
        state = altered(state, trail=trail)
        try:
            truth.monitor.check()
            live = len(truth.ours())
            assert live <= self.scenario.most_live, f"{live} keys of ours are alive at once"
            assert truth.creates <= self.scenario.most_creates, f"{truth.creates} keys were made"
        except AssertionError as error:
            error.trail = trail  # type: ignore[attr-defined]  # read by _violation
            raise
        self.count.creates = max(self.count.creates, truth.creates)
        self.count.live = max(self.count.live, live)
        return state

    def _rest(self, state: State) -> None:
        """Nothing is left but waiting: the actors run one after the other, each when it asked to, until the world is at rest."""
        self.count.rests += 1
        for runs in range(MOST_CALM_RUNS):
            problem = self._trouble(state)
            if problem is None:
                self.count.longest = max(self.count.longest, runs)
                return
            ready = [number for number, actor in enumerate(state.actors) if not actor.over]
            number = min(ready, key=lambda number: state.actors[number].ready_at)
            state = self._wake(state, number)
            for _ in range(MOST_CALLS):
                if (call := state.actors[number].calls) is None:
                    break
                state = self._execute(state, number, call)
            else:
                problem = "a run that never ends"
                break
        error = AssertionError(f"no rest within {runs + 1} runs: {problem}")
        error.trail = state.trail  # type: ignore[attr-defined]  # read by _violation
        raise error

    def _trouble(self, state: State) -> str | None:
        """Why the world is not at rest, if it is not."""
        if any(actor.place is not None for actor in state.actors):
            return "somebody is in the middle of something"
        if any(actor.local_state.in_flight for actor in state.actors):
            return "a rotation is held in memory"
        ledger = state.truth.kv.get(LEDGER)
        if not ledger:
            return "there is no ledger"
        try:
            return self.scenario.rested(state.truth)
        except AssertionError as error:
            return str(error)


def _doomed(state: State) -> frozenset[str]:
    """The keys whose DELETE is about to be sent, or under way."""
    calls = [actor.calls for actor in state.actors] + [call for _, call in state.under_way]
    return frozenset(call.args[0] for call in calls if call and call.name == "delete_key")


def _paused_until(state: State, actor: Actor) -> frozenset[str]:
    """Who stays in the middle of something for long while time passes until this actor goes on."""
    until = actor.ready_at
    if until - state.truth.time.now <= LONG:
        return frozenset()
    return frozenset(
        other.role.name
        for other in state.actors
        if other is not actor and other.place is not None and (other.calls is not None or other.ready_at < until)
    )


def _replaced(actors: tuple[Actor, ...], number: int, actor: Actor) -> tuple[Actor, ...]:
    return (*actors[:number], actor, *actors[number + 1 :])


def _hopeful(actors: tuple[Actor, ...]) -> tuple[Actor, ...]:
    """Something changed: it is worth everybody's while to look again."""
    return tuple(altered(actor, fruitless=0) if actor.fruitless else actor for actor in actors)


def listen(truth: Truth, event: str, fields: Mapping[str, Any]) -> None:
    """I8 and I3: what is said is compared with the truth at the very instant."""
    if event == "rotation.published":
        assert truth.published_key() == fields["access_key"], (
            f"I8: {fields['access_key']} was said to be published, and is not"
        )
    if event == "key.revoked":
        _assert_dead(truth, str(fields["access_key"]), "I8", probed=fields["verification"] == "refused")
    if event == "compromise.contained":
        for access_key in fields["access_keys"]:
            _assert_dead(truth, access_key, "I3", probed=False)  # how each was proven was judged when it was said
            assert truth.published_key() != access_key, f"I3: {access_key} was said to be contained, and is published"


def judge_end(truth: Truth, result: object) -> None:
    """I8: what a command tells a person is true."""
    outcome = getattr(result, "outcome", None)
    if outcome in {"rotated", "overtaken"}:
        published = truth.published()
        assert published is not None
        assert truth.published_key() != result.replaced, "I8: rotated was said, and the old key is published"  # type: ignore[attr-defined]
        assert truth.works(published.data["secret_key"]), "I8: rotated was said, and the published key does not work"
    if outcome == "contained":
        marks = truth.monitor.marked
        revoked = result.revoked  # type: ignore[attr-defined]  # a Result of the command line
        marked_at = max((marks[key] for key in revoked if key in marks), default=result.marked_at)  # type: ignore[attr-defined]  # the same
        before = {
            name
            for name in truth.monitor._ever_published
            if name in truth.keys and truth.keys[name].key.created_at < marked_at
        }
        for access_key in before | set(revoked):
            _assert_dead(truth, access_key, "I3", probed=revoked.get(access_key) == "refused")
            assert truth.published_key() != access_key, f"I3: {access_key} was said to be contained, and is published"


def _assert_dead(truth: Truth, access_key: str, invariant: str, *, probed: bool) -> None:
    """``probed``: its secret was tried and refused; else the provider says only that there is no such key."""
    true = truth.keys.get(access_key)
    alive = true is not None and (truth.works(true.secret) if probed else true.deleted_at is None)
    assert not alive, f"{invariant}: {access_key} was said to be dead, and lives"
