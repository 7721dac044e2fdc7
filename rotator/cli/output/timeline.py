"""A drawing of the keys of applications along one axis of time. Pure: it makes pieces of text, each
with the name of a style.

Minutes and months have to fit into one line, so the axis is logarithmic on both sides of *now*,
with the same scale, and says so with its labels. What is short and near is wide, what is long ago
or far away is narrow::

                    30d       7d     1d   now  1d      7d       30d
    SCW…ONE  ━━━━━━━━━━━━━━━━━━━━━▒▒▒▒▒▒▒┃░░░✕                          grace, revoked in 6h
    SCW…TWO                       ━━━━━━━┃──────────────────────◆       current, 18h old
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.domain.due_time import due
from rotator.domain.status import ApplicationStatus
from rotator.util.formatting import format_relative, format_span

Piece = tuple[str, str]
"""Text, and the name of its style."""

LINEAR = 200
"""The longest span on the axis, divided by this, is where the scale turns from linear to
logarithmic."""

_TICKS = (
    ("1s", 1),
    ("10s", 10),
    ("1m", 60),
    ("10m", 600),
    ("1h", 3600),
    ("6h", 6 * 3600),
    ("1d", 86400),
    ("7d", 7 * 86400),
    ("30d", 30 * 86400),
    ("90d", 90 * 86400),
    ("1y", 365 * 86400),
    ("5y", 5 * 365 * 86400),
)


@dataclass(frozen=True)
class Glyphs:
    """The characters that bars are drawn with."""

    used: str
    leaving: str
    grace: str
    planned: str
    rotate: str
    dead: str
    now: str


FINE = Glyphs(used="━", leaving="▓", grace="░", planned="╌", rotate="◆", dead="✕", now="┃")
PLAIN = Glyphs(used="=", leaving="#", grace="-", planned=".", rotate="*", dead="x", now="|")


@dataclass(frozen=True)
class Bar:
    """The life of one key: stretches of time with their look, and marks at single moments."""

    access_key: str
    note: str
    style: str
    stretches: tuple[tuple[datetime, datetime, str, str], ...]
    marks: tuple[tuple[datetime, str, str], ...] = ()

    def moments(self) -> list[datetime]:
        """Every time that must fit on the axis."""
        return [moment for start, end, *_ in self.stretches for moment in (start, end)] + [at for at, *_ in self.marks]


class Axis:
    """From moments to columns. ``width`` columns hold everything between the earliest and the
    latest moment given."""

    def __init__(self, moments: Sequence[datetime], now: datetime, width: int) -> None:
        self.now, self.width = now, width
        past = max((now - min(moments, default=now)).total_seconds(), 1.0)
        future = max((max(moments, default=now) - now).total_seconds(), 1.0)
        self._unit = max(past, future) / LINEAR
        left, right = self._length(past), self._length(future)
        self._per_column = (left + right) / max(width - 1, 1)
        self.now_column = min(max(round(left / self._per_column), 1), width - 2)
        # Both sides keep the same scale, so the room is what the shorter of them needs at least.
        self._per_column = max(left / self.now_column, right / (width - 1 - self.now_column))

    def _length(self, seconds: float) -> float:
        return math.log1p(seconds / self._unit)

    def column(self, moment: datetime) -> int:
        """The column of a moment."""
        seconds = (moment - self.now).total_seconds()
        distance = round(self._length(abs(seconds)) / self._per_column)
        return min(max(self.now_column + (distance if seconds > 0 else -distance), 0), self.width - 1)

    def labels(self) -> str:
        """The line above the bars: ``now``, and distances from it on both sides where they fit."""
        line = [" "] * self.width
        _place(line, "now", self.now_column)
        for text, seconds in _TICKS:
            for direction in (-1, 1):
                distance = timedelta(seconds=direction * seconds)
                at = self.now_column + direction * round(self._length(seconds) / self._per_column)
                if 0 <= at < self.width and self.column(self.now + distance) == at:
                    _place(line, text, at)
        return "".join(line).rstrip()


def _place(line: list[str], text: str, at: int) -> None:
    """Write the text centred at a column, unless something stands there or beside it already."""
    start = min(max(at - len(text) // 2, 0), len(line) - len(text))
    if start >= 0 and not "".join(line[max(start - 1, 0) : start + len(text) + 1]).strip():
        line[start : start + len(text)] = text


def bars(view: ApplicationStatus, glyphs: Glyphs = FINE) -> list[Bar]:
    """The keys of one application, those that are revoked first at the top."""
    ledger, now = view.ledger, view.as_of
    if ledger is None:
        return []
    marked = {mark.access_key: mark for mark in ledger.compromised}
    born = {entry.access_key: entry.at for entry in ledger.history if entry.event in ("rotated", "followed", "adopted")}
    found = []
    for doomed in ledger.revoking:
        start = born.get(doomed.access_key, now)
        look = "compromised" if doomed.access_key in marked else "revoking"
        note = "compromised, being revoked" if doomed.access_key in marked else "being revoked"
        found.append(
            Bar(doomed.access_key, note, look, ((start, now, glyphs.used, look),), ((now, glyphs.dead, "dead"),))
        )
    for old in ledger.retiring:
        left = min(old.revoke_after - ledger.grace, now)
        start = min(born.get(old.access_key, left), left)
        if old.access_key in marked:
            stretches = ((start, now, glyphs.used, "compromised"),)
            found.append(
                Bar(
                    old.access_key,
                    "compromised, being revoked",
                    "compromised",
                    stretches,
                    ((now, glyphs.dead, "dead"),),
                )
            )
            continue
        stretches_of_grace = (
            (start, left, glyphs.used, "retired"),
            (left, now, glyphs.leaving, "grace"),
            (now, old.revoke_after, glyphs.grace, "grace"),
        )
        when = (
            f"revoked {format_relative(old.revoke_after, now)}"
            if old.revoke_after > now
            else f"due {format_relative(old.revoke_after, now)}"
        )
        found.append(
            Bar(
                old.access_key,
                f"grace, {when}",
                "grace",
                stretches_of_grace,
                ((old.revoke_after, glyphs.dead, "dead"),),
            )
        )
    if ledger.current:
        found.append(_current(view, glyphs))
    return found


def _current(view: ApplicationStatus, glyphs: Glyphs) -> Bar:
    ledger, now = view.ledger, view.as_of
    if ledger is None or ledger.current is None:
        raise AssertionError("only called when there is a current key")
    current = ledger.current
    start = current.created_at or current.since
    mark = next((mark for mark in ledger.compromised if mark.access_key == current.access_key), None)
    if mark:
        note = f"compromised {format_relative(mark.at, now)}"
        return Bar(current.access_key, note, "compromised", ((start, now, glyphs.used, "compromised"),))
    stretches = [(start, now, glyphs.used, "current")]
    marks: list[tuple[datetime, str, str]] = []
    rotation = planned_rotation(view)
    if rotation is not None:
        if rotation > now:
            stretches.append((now, rotation, glyphs.planned, "planned"))
        marks.append((rotation, glyphs.rotate, "rotate" if rotation > now else "late"))
    return Bar(
        current.access_key, f"current, {format_span(now - start)} old", "current", tuple(stretches), tuple(marks)
    )


def planned_rotation(view: ApplicationStatus) -> datetime | None:
    """When the current key is to be replaced by the calendar, if it is."""
    ledger = view.ledger
    if ledger is None or ledger.current is None or not view.spec.configured:
        return None
    calendar = due(view.spec, ledger.current)
    return calendar.at if calendar else None


def drawn(bar: Bar, axis: Axis, glyphs: Glyphs = FINE) -> list[Piece]:
    """One bar as pieces of text, exactly as wide as the axis."""
    cells: list[Piece] = [(" ", "")] * axis.width
    for start, end, glyph, style in bar.stretches:
        for column in range(axis.column(start), axis.column(end) + 1):
            cells[column] = (glyph, style)
    cells[axis.now_column] = (glyphs.now, "now")
    for at, glyph, style in bar.marks:
        cells[axis.column(at)] = (glyph, style)
    pieces: list[Piece] = []
    for text, style in cells:
        if pieces and pieces[-1][1] == style:
            pieces[-1] = (pieces[-1][0] + text, style)
        else:
            pieces.append((text, style))
    return pieces
