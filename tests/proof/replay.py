"""Actors whose whole past is the list of answers that they got.

The code under test is deterministic: what an actor asks next follows from the program that it runs, from the memory that it began with,
and from the answers and times that it was given since. So an actor in the middle of its work is a place in a tree whose branches are
answers, and need not be a thread. To learn what it asks next, its program runs from its start with the recorded answers
until it asks for one that is not recorded. Each place of the tree is worked out once, however many states of the world share it.

Whenever an actor is about to look anew (it asks for the ledger), what it did before matters only as far as its variables still hold it.
There, places whose variables are equal in every function that is under way are one and the same place, so the tree is a graph.

Nothing here knows what a call does: ``tests.proof.explorer`` executes calls on the simulated world and feeds the answers back.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Generator, Hashable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, NoReturn, cast

from rotator.model import Document, Policy
from rotator.ports import Provider, VaultStore
from rotator.steps import Held
from rotator.world import Memory, World

Sleep = Callable[[datetime], None]
Program = Callable[[World, Memory, Sleep], object]
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
    memory: Memory


Event = tuple[str, Mapping[str, object]]


@dataclass(frozen=True)
class Start:
    """Where a run begins: which program in which process, with which memory."""

    program: Program
    owner: str
    memory: Memory
    daemon: bool
    looks: dict[Hashable, Place] = field(default_factory=dict, compare=False)
    """The places at which a look begins, by the variables of the program there."""


DEAD = frozenset({"_", "step", "outcome", "obstacle", "over", "done"})
"""Variables that no function reads before it sets them anew, where a look begins. (How many looks a pass has made is not told
apart either: after ten it ends, and the next pass looks again a second later.)"""

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

    def __post_init__(self) -> None:
        run = _Run(self.start, self._answers())
        self.asks, self.said = run.until_the_next_question(), tuple(run.events)
        self.same = self if run.variables is None else self.start.looks.setdefault(run.variables, self)

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
    if isinstance(value, Document):
        secret = value.secret.reveal() if value.secret else None
        return (value.version, value.state, value.created_time, value.access_key, secret, tuple(sorted(value.fields.items())))
    if isinstance(value, Held):
        return (replace(value, secret=None), value.secret.reveal() if value.secret else None)
    if isinstance(value, Memory):
        return (identity(value.held), value.floor, value.strangers)
    if isinstance(value, Exception):
        return (type(value), str(value))
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

    def __init__(self, start: Start, answers: list[tuple[datetime, object]]) -> None:
        self.start = start
        self.answers = answers
        self.at = 0
        self.time: datetime | None = None
        self.events: list[Event] = []
        self.versions = {"read_ledger": 0, "read_document": 0}
        self.variables: Hashable | None = None

    def until_the_next_question(self) -> Call | Nap | End:
        vault, provider = cast("VaultStore", _Port(self, "vault")), cast("Provider", _Port(self, "provider"))
        world = World(provider, vault, self, self, self.start.owner)
        memory = replace(self.start.memory)
        try:
            return End(self.start.program(world, memory, lambda until: self.ask(Nap(until))), memory)
        except _Question as question:
            if isinstance(question.asks, Call) and question.asks.name == "read_ledger":
                self.variables = self._variables(question.__traceback__)
            return question.asks

    def _variables(self, trace: TracebackType | None) -> Hashable:
        """The variables of every function of the program that is under way, and how far each has come."""
        found: list[Hashable] = []
        while trace is not None:
            frame = trace.tb_frame
            if frame.f_globals["__name__"].startswith("rotator."):
                live = [(name, value) for name, value in sorted(frame.f_locals.items()) if name not in DEAD]
                found.append(
                    (frame.f_code.co_qualname, trace.tb_lasti, tuple((name, self._variable(value)) for name, value in live))
                )
            trace = trace.tb_next
        return tuple(found)

    def _variable(self, value: object) -> Hashable:
        """One variable by its contents. The world is the same for all. What a daemon's pass saw before this look is told in the
        outcome of a pass that is cut short, and daemons do not read that."""
        if isinstance(value, Memory | Held | Document | Exception):
            return identity(value)
        if value is None or isinstance(value, str | int | float | datetime | timedelta | frozenset):
            return value
        if isinstance(value, World | Policy | _Port | _Run | Generator) or callable(value):
            return type(value).__name__
        if is_dataclass(value):
            return (type(value), *((each.name, self._variable(getattr(value, each.name))) for each in fields(value)))
        if isinstance(value, tuple | list):
            return tuple(map(self._variable, value))
        if isinstance(value, set):
            return frozenset(map(self._variable, value))
        if isinstance(value, Mapping):
            return tuple((self._variable(name), self._variable(each)) for name, each in value.items())
        skipped = {"seen"} if self.start.daemon else set()
        return (type(value), *((name, self._variable(each)) for name, each in sorted(vars(value).items()) if name not in skipped))

    def ask(self, asks: Call | Nap) -> Any:
        if self.at == len(self.answers):
            raise _Question(asks)
        self.time, answer = self.answers[self.at]
        self.at += 1
        self.events.clear()
        if isinstance(asks, Call):
            self._note_version(asks.name, answer)
        if isinstance(answer, Exception):
            raise answer.with_traceback(None)
        return answer

    def _note_version(self, name: str, answer: object) -> None:
        match name, answer:
            case "read_ledger", (_, int(version)):
                self.versions["read_ledger"] = version
            case "write_ledger", int(version):
                self.versions["read_ledger"] = version
            case "read_document", Document(version=version):
                self.versions["read_document"] = version

    # --- the clock ---

    def now(self) -> datetime:
        assert self.time is not None, "the clock was read before the first answer: then a start is no move with its first call"
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


def _unknown(name: str) -> NoReturn:
    raise AttributeError(name)
