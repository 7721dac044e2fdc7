"""Actors whose whole past is the list of answers that they got.

The code under test is deterministic: what an actor asks next follows from the program that it runs, from the memory that it began with,
and from the answers and times that it was given since. So an actor in the middle of its work is a place in a tree whose branches are
answers, and need not be a thread. To learn what it asks next, its program runs from its start with the recorded answers
until it asks for one that is not recorded. Each place of the tree is worked out once, however many states of the world share it. What
was decided on the way is the same each time, since the decision is pure, and is not worked out again.

What an actor did before matters only as far as its variables still hold it. So places at which it asks the same, and at which the
variables are equal in every function that is under way, are one and the same place, and the tree is a graph. A look of a daemon, which
knows nothing but its memory, is the same as that of a new pass.

Nothing here knows what a call does: ``tests.proof.explorer`` executes calls on the simulated world and feeds the answers back.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import traceback
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import CodeType, FrameType, GeneratorType
from typing import Any, NoReturn, cast

from rotator.decision.decide import decide
from rotator.decision.observation import Clocks, InFlightRotation, Observation, Presence, RotationRequest
from rotator.decision.steps import Step
from rotator.domain.document import CredentialDocument
from rotator.domain.keys import Key, ProbeResult
from rotator.domain.ledger import Intent, Ledger, Problem, RevokingKey
from rotator.domain.ports import Provider, VaultStore
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec
from rotator.reconciler import runner as reconcile
from rotator.reconciler.context import LocalState, ReconcileContext
from tests.proof.truth import stored

Sleep = Callable[[datetime], None]
Program = Callable[[ReconcileContext, LocalState, Sleep], object]
"""What an actor runs from a start to an end: one pass of a daemon, or a whole command."""


@dataclass(frozen=True)
class Call:
    """The actor asks something of Vault or of the provider."""

    port: str
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class Nap:
    """The actor has nothing to do until then."""

    until: datetime


@dataclass(frozen=True)
class End:
    """The program ended with this result, and leaves this memory to the next run in the same process."""

    result: object
    local_state: LocalState


Event = tuple[str, Mapping[str, object]]


@dataclass(frozen=True)
class Start:
    """Where a run begins: which program in which process, with which memory."""

    program: Program
    owner: str
    local_state: LocalState
    daemon: bool
    places: dict[Hashable, Place]
    """All places: by owner and memory where a run begins, else by owner and the variables of the program."""

    def place(self) -> Place:
        """Where it is before its first question is answered."""
        key = (self.owner, identity(self.local_state))
        place = self.places.get(key)
        if place is None:
            place = self.places[key] = Place(self)
        return place


COUNTERS = frozenset({"_"})
"""How many looks and steps a pass has made is not told apart: after ten looks it ends, and the next pass looks again a second later."""

DEAD = COUNTERS | {"step", "outcome", "obstacle", "over", "done"}
"""Variables that no function reads before it sets them anew, where a look begins."""

PLAIN = frozenset(
    {
        bool,
        int,
        float,
        str,
        datetime,
        timedelta,
        Key,
        Intent,
        ProbeResult,
        Presence,
        Problem,
        RevokingKey,
        RotationRequest,
    }
)
"""Values that can be compared as they are."""

NAMED = frozenset({ReconcileContext, ApplicationSpec, Clocks})
"""Values that are the same for all, or read anew before they matter."""

UNTOLD = frozenset({"<dictcomp>", "<genexpr>", "<listcomp>", "<setcomp>"})
"""Functions in the middle of which not all that they know is in variables."""

_serials = itertools.count()


@dataclass(eq=False)
class Place:
    """One place in the tree of answers: what the actor asks next, and what it said since the last answer."""

    start: Start
    came: tuple[Place, datetime, object] | None = None
    asks: Call | Nap | End = field(init=False)
    said: tuple[Event, ...] = field(init=False)
    same: Place = field(init=False)
    serial: int = field(default_factory=_serials.__next__)
    children: dict[Hashable, Place] = field(default_factory=dict)
    decided: list[Step] = field(init=False)
    """The decisions on the way here, in order."""

    def __post_init__(self) -> None:
        self.decided = list(self.came[0].decided) if self.came else []
        run = _Run(self.start, self._answers(), self.decided)
        self.asks, self.said = run.until_the_next_question(), tuple(run.events)
        self.same = self
        if self.came is None:
            return
        if run.looks_anew and self.start.daemon:
            self.same = replace(self.start, local_state=run.local_state).place()
        elif run.variables is not None:
            self.same = self.start.places.setdefault((self.start.owner, run.variables), self)

    def after(self, now: datetime, answer: object) -> Place:
        """The place after this answer, given at this time. An exception is raised in the actor. From there on it is ``same``."""
        key = (now, identity(answer))
        child = self.children.get(key)
        if child is None:
            child = self.children[key] = Place(self.start, (self, now, answer))
        return child

    def _answers(self) -> list[tuple[datetime, object]]:
        answers, place = [], self
        while place.came is not None:
            place, now, answer = place.came
            answers.append((now, answer))
        return answers[::-1]


def identity(value: object) -> Hashable:
    """What tells one answer, or one memory, from another; secrets count by their contents."""
    if isinstance(value, CredentialDocument):
        secret = value.secret.reveal() if value.secret else None
        return (
            value.version,
            value.state,
            value.created_time,
            value.access_key,
            secret,
            tuple(sorted(value.fields.items())),
        )
    if isinstance(value, InFlightRotation):
        return (replace(value, secret=None), value.secret.reveal() if value.secret else None)
    if isinstance(value, LocalState):
        return (identity(value.in_flight), value.floor, value.fence, value.unmanaged_keys)
    if isinstance(value, Exception):
        return (type(value), str(value))
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, tuple) and len(value) == 2 and hasattr(value[1], "reveal"):
        return (value[0], value[1].reveal())
    return value


class _Question(BaseException):
    """Unwinds the actor when it asks what has not been answered yet."""

    def __init__(self, asks: Call | Nap) -> None:
        super().__init__()
        self.asks = asks


class _Run:
    """One run of a program on recorded answers; the clock and the journal of its world."""

    def __init__(self, start: Start, answers: list[tuple[datetime, object]], decided: list[Step]) -> None:
        self.start = start
        self.answers = answers
        self.decided = decided
        self.decisions = 0
        self.at = 0
        self.time: datetime | None = None
        self.events: list[Event] = []
        self.versions = {"ledger billing": 0, "read_document": 0}
        self.local_state = replace(start.local_state)
        self.variables: Hashable | None = None
        self.looks_anew = False
        self._known: dict[int, tuple[object, Hashable]] = {}

    def until_the_next_question(self) -> Call | Nap | End:
        vault, provider = cast("VaultStore", _Port(self, "vault")), cast("Provider", _Port(self, "provider"))
        context = ReconcileContext(provider, vault, self, self, self.start.owner)
        reconcile.decide = self.decide  # type: ignore[attr-defined]  # what the module imported is what it calls
        try:
            return End(
                self.start.program(context, self.local_state, lambda until: self.ask(Nap(until))), self.local_state
            )
        except _Question as question:
            self.looks_anew = _begins_a_look(question)
            if not (self.looks_anew and self.start.daemon):
                self.variables = self._variables(question)
            return question.asks
        finally:
            reconcile.decide = decide  # type: ignore[attr-defined]  # the same

    def _variables(self, question: _Question) -> Hashable | None:
        """The variables of every function of the program that is under way, and how far each has come; None where they do not tell all."""
        dead = DEAD if self.looks_anew else COUNTERS
        found: list[Hashable] = [
            question.asks.until if isinstance(question.asks, Nap) else None,
            *sorted(self.versions.items()),
        ]
        trace = question.__traceback__
        while trace is not None:
            if trace.tb_frame.f_globals["__name__"].startswith("rotator."):
                if trace.tb_frame.f_code.co_name in UNTOLD:
                    return None
                found.append(self._frame(trace.tb_frame, trace.tb_lasti, dead))
            trace = trace.tb_next
        return tuple(found)

    def _frame(self, frame: FrameType, reached: int, dead: frozenset[str]) -> Hashable:
        live = [(name, value) for name, value in sorted(frame.f_locals.items()) if name not in dead]
        return (
            frame.f_code.co_qualname,
            source_of(frame.f_code, reached),
            tuple((name, self._variable(value)) for name, value in live),
        )

    def _suspended(self, generator: GeneratorType[Any, Any, Any]) -> Hashable:
        """Where a generator waits; one that is under way is met among the functions."""
        found: list[Hashable] = []
        inner: GeneratorType[Any, Any, Any] | None = generator
        while inner is not None and inner.gi_frame is not None and not inner.gi_running:
            found.append(self._frame(inner.gi_frame, inner.gi_frame.f_lasti, COUNTERS))
            inner = inner.gi_yieldfrom if isinstance(inner.gi_yieldfrom, GeneratorType) else None
        return tuple(found)

    def _variable(self, value: object) -> Hashable:
        """One variable by its contents. The world is the same for all, and the clocks are read anew before each decision."""
        kind = type(value)
        if value is None or kind in PLAIN:
            return value
        if kind in NAMED or isinstance(value, _Port | _Run) or callable(value):
            return kind.__name__
        if id(value) not in self._known:
            self._known[id(value)] = (
                value,
                self._contents(value),
            )  # the value is kept, or another one might get its id
        return self._known[id(value)][1]

    def _contents(self, value: object) -> Hashable:
        if isinstance(value, LocalState | InFlightRotation | CredentialDocument | Exception):
            return identity(value)
        if isinstance(value, Ledger):
            revocations = tuple((entry.access_key, entry.reason) for entry in value.history if entry.event == "revoked")
            return (id(stored(value)), revocations)
        if isinstance(value, Secret):
            return value.reveal()
        if isinstance(value, GeneratorType):
            return self._suspended(value)
        if isinstance(value, tuple | list):
            return tuple(map(self._variable, value))
        if isinstance(value, set | frozenset):
            return frozenset(map(self._variable, value))
        if isinstance(value, Mapping):
            return tuple((self._variable(name), self._variable(each)) for name, each in value.items())
        return (type(value), *((name, self._variable(each)) for name, each in vars(value).items()))

    def decide(self, spec: ApplicationSpec, observation: Observation) -> Step:
        """The decision, once for each place on the way."""
        if self.decisions == len(self.decided):
            self.decided.append(decide(spec, observation))
        self.decisions += 1
        return self.decided[self.decisions - 1]

    def ask(self, asks: Call | Nap) -> Any:
        if self.at == len(self.answers):
            raise _Question(asks)
        self.time, answer = self.answers[self.at]
        self.at += 1
        self.events.clear()
        if isinstance(asks, Call):
            self._note_version(asks, answer)
        if isinstance(answer, Exception):
            raise answer.with_traceback(None)
        return answer

    def _note_version(self, asks: Call, answer: object) -> None:
        match asks.name, answer:
            case "read_ledger", (_, int(version)):
                self.versions[f"ledger {asks.args[0]}"] = version
            case "write_ledger", int(version):
                self.versions[f"ledger {asks.args[0].application}"] = version
            case "read_document", CredentialDocument(version=version):
                self.versions["read_document"] = version

    # --- the clock ---

    def now(self) -> datetime:
        assert self.time is not None, (
            "the clock was read before the first answer: then a start is no move with its first call"
        )
        return self.time

    def token(self) -> str:
        """Chance, fixed by who asks and when: what is claimed on a version of the ledger has one name, and no other claim has it."""
        return hashlib.sha256(f"{self.start.owner} {self.versions}".encode()).hexdigest()[:16]

    # --- the journal ---

    def emit(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))


class _Port:
    """A Vault or a provider that asks for every answer, but for what never changes and needs no call."""

    def __init__(self, run: _Run, name: str) -> None:
        self._run = run
        self._port = name
        self.name = "acme"

    def require_kv2(self, path: str) -> None:
        """The mount is sound."""

    def installation(self) -> str:
        return "1" * 16

    def clock_offset(self) -> timedelta:
        return timedelta(0)

    def headroom(self) -> None:
        """The provider does not say."""

    def urgent(self) -> _Port:
        return self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            _unknown(name)
        return lambda *args, **kwargs: self._run.ask(Call(self._port, name, args, kwargs))


def _begins_a_look(question: _Question) -> bool:
    """Whether this is the first question of a look, after which nothing counts that was seen before it."""
    frames = [
        frame
        for frame, _ in traceback.walk_tb(question.__traceback__)
        if frame.f_globals["__name__"].startswith("rotator.")
    ]
    asks = question.asks
    return isinstance(asks, Call) and asks.name == "read_ledger" and frames[-1].f_code.co_qualname == "Observer.observe"


@functools.cache
def source_of(code: CodeType, reached: int) -> Hashable:
    """The place in the source of an instruction. (Instructions themselves are rewritten as the interpreter learns.)"""
    return next(itertools.islice(code.co_positions(), reached // 2, None))


def _unknown(name: str) -> NoReturn:
    raise AttributeError(name)
