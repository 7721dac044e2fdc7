"""What happened in the demo, as one growing record that the picture, the plain lines and the
verdict all read.

Times are seconds since the demo began. One thread adds to it (the observer) and the scenario adds
its own lines; readers take copies of lists, so no lock is needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

LANES = 4
"""Rows in which the keys of one application are drawn at most; the usual two are the current key
and the one in grace."""


@dataclass
class Life:
    """One key from its creation to its verified revocation. ``lane`` is the row that it is drawn
    in."""

    access_key: str
    application: str
    created: float
    lane: int = 0
    published: float | None = None
    left: float | None = None
    died: float | None = None
    proven_dead: float | None = None
    stranger: bool = False
    leaked: float | None = None

    @property
    def short(self) -> str:
        """Enough of the name to follow it with the eye."""
        return f"SCW…{self.access_key[-5:]}"

    @property
    def leftover(self) -> bool:
        """Whether it was revoked without ever having been published."""
        return self.died is not None and self.published is None


@dataclass(frozen=True)
class Line:
    """One sentence about something that happened. ``who`` is an application, ``daemon``, or empty
    for the scenario itself."""

    at: float
    who: str
    text: str
    bad: bool = False


@dataclass
class Span:
    """The time for which a daemon ran; ``killed`` says that it was not asked."""

    start: float
    end: float | None = None
    killed: bool = False


@dataclass
class Chronicle:
    """The record. ``on_line`` gets each line as it is written."""

    applications: tuple[str, ...]
    on_line: Callable[[Line], None] = lambda line: None  # noqa: ARG005 - the default listener is deaf
    lives: dict[str, Life] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    daemons: list[Span] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)
    phase: str = ""
    began: float = field(default_factory=time.time)

    def now(self) -> float:
        """Seconds since the demo began."""
        return time.time() - self.began

    def say(self, who: str, text: str, *, at: float | None = None, bad: bool = False) -> None:
        """Write one line."""
        line = Line(self.now() if at is None else at, who, text, bad)
        self.lines.append(line)
        self.on_line(line)

    def enter(self, phase: str) -> None:
        """Begin the next part of the scenario."""
        self.phase = phase
        self.say("", phase)

    def mark(self, label: str) -> None:
        """Note this moment on the axis of time."""
        self.marks.append((self.now(), label))

    def born(self, access_key: str, application: str, at: float, *, stranger: bool = False) -> Life:
        """Note a new key, in the first row that is free."""
        taken = {life.lane for life in self.of(application) if life.died is None or life.died > at}
        free = next((lane for lane in range(LANES) if lane not in taken), LANES - 1)
        life = Life(access_key, application, at, lane=free, stranger=stranger)
        self.lives[access_key] = life
        return life

    def of(self, application: str) -> list[Life]:
        """The keys of one application, oldest first."""
        return [life for life in list(self.lives.values()) if life.application == application]
