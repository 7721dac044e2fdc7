"""The live picture: the keys of each application as bars that grow with time, what the applications
count, what just happened."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from rotator.sandbox.demo.consumer import Consumer
from rotator.sandbox.demo.recording import Chronicle, Life

STEP = 0.5
"""Seconds that one column stands for."""

LABELS = 13
"""Columns to the left of the bars."""

Cell = tuple[str, str]
"""A character and its style."""

EMPTY: Cell = (" ", "")
PROVING: Cell = ("░", "yellow")
PUBLISHED: Cell = ("█", "green")
GRACE: Cell = ("▒", "cyan")
LEAKED: Cell = ("█", "red")
DEAD: Cell = ("✕", "red")
STRANGER: Cell = ("┄", "bright_black")
RUNNING: Cell = ("━", "blue")
KILLED: Cell = ("✖", "bold red")

LEGEND = (
    (PROVING, "made"),
    (PUBLISHED, "published"),
    (GRACE, "in grace"),
    (LEAKED, "leaked"),
    (DEAD, "revoked"),
    (STRANGER, "by hand"),
)


class Picture:
    """Draws the present moment whenever rich asks for it, to the size of the terminal."""

    def __init__(self, chronicle: Chronicle, consumers: list[Consumer]) -> None:
        self._chronicle = chronicle
        self._consumers = consumers
        self._frozen: float | None = None

    def freeze(self) -> None:
        """Show this moment from now on."""
        self._frozen = self._chronicle.now()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.size.height
        roomy = height >= 30
        now = self._chronicle.now() if self._frozen is None else self._frozen
        first = first_column(now, width)
        rows = 4 if roomy else 3
        lines = [
            self._head(now, width),
            Text(f" {shorten(self._chronicle.phase, width - 2)}", style="bold"),
            Text(),
            self._daemon(first, width, now),
        ]
        for consumer in self._consumers:
            lines += [Text(), *self._application(consumer, rows, first, width, now)]
        lines += [*self._axis(first, width, roomy=roomy), self._legend(), Text()]
        if self._frozen is None:
            lines += self._ticker(height - len(lines) - 1, width)
        yield Group(*lines[: height - 1])

    def _head(self, now: float, width: int) -> Text:
        left, right = " rotator demo", f"{now:5.1f} s "
        middle = "  a real OpenBao, a stand-in of Scaleway, the real daemon"
        room = max(width - len(left) - len(right), 0)
        head = Text(left, style="bold reverse")
        head.append(f"{middle[:room]:<{room}}", style="not bold reverse")
        head.append(right, style="not bold reverse")
        return head

    def _daemon(self, first: int, width: int, now: float) -> Text:
        cells: list[Cell] = [EMPTY] * (width - LABELS)
        for span in list(self._chronicle.daemons):
            fill(cells, first, span.start, now if span.end is None else span.end, RUNNING)
            if span.end is not None and span.killed:
                put(cells, first, span.end, KILLED)
        return row(" daemon", "bold", cells)

    def _application(self, consumer: Consumer, rows: int, first: int, width: int, now: float) -> Iterable[Text]:
        lanes = [[EMPTY] * (width - LABELS) for _ in range(rows)]
        for life in self._chronicle.of(consumer.application):
            draw(lanes[min(life.lane, rows - 1)], first, life, now)
        refused = consumer.refused.total()
        labels = [
            (f" {consumer.application}", "bold"),
            (f" {consumer.calls:4d} calls", ""),
            (f" {refused:4d} refused", "bold red" if refused else "green"),
        ]
        labels += [("", "")] * (rows - len(labels))
        return [row(text, style, cells) for (text, style), cells in zip(labels, lanes, strict=True)]

    def _axis(self, first: int, width: int, *, roomy: bool) -> list[Text]:
        line: list[Cell] = [("─", "bright_black")] * (width - LABELS)
        words: list[Cell] = [EMPTY] * (width - LABELS)
        for at, label in list(self._chronicle.marks):
            put(line, first, at, ("┻", "bold red"))
            write(words, column(at) - first, f"▲ {label}", "red")
        for seconds in range(0, 1000, 10):
            put(line, first, float(seconds), ("┴", "bright_black"))
            write(words, column(seconds) - first, f"{seconds} s", "bright_black")
        return [row("", "", line), row("", "", words)] if roomy else [row("", "", words)]

    def _legend(self) -> Text:
        legend = Text(" ", no_wrap=True, overflow="crop")
        for (character, style), meaning in LEGEND:
            legend.append(character * 2, style=style).append(f" {meaning}   ", style="bright_black")
        return legend

    def _ticker(self, room: int, width: int) -> list[Text]:
        lines: list[Text] = []
        happened = [
            line for line in list(self._chronicle.lines) if line.who
        ]  # the lines of the scenario are in the head
        for line in happened[-max(room, 1) :]:
            text = Text(f" {line.at:5.1f} s  ", style="bright_black")
            text.append(f"{line.who:<8} ", style="bold").append(
                shorten(line.text, width - 19), style="red" if line.bad else ""
            )
            lines.append(text)
        return lines


def column(at: float) -> int:
    """The column of a moment, counted from the beginning; the same however the picture has moved
    on."""
    return int(at / STEP)


def first_column(now: float, width: int) -> int:
    """The column at the left edge: the beginning, until there is no more room on the right."""
    return max(column(now) - (width - LABELS) + 2, 0)


def draw(cells: list[Cell], first: int, life: Life, now: float) -> None:
    """One key's life into its lane."""
    end = now if life.died is None else life.died
    if life.stranger:
        fill(cells, first, life.created, end, STRANGER)
        write(cells, max(column(life.created) - first, 0) + 2, " made by hand ", "bright_black", over=True)
        return
    fill(cells, first, life.created, end, PROVING)
    if life.published is not None:
        left = end if life.left is None else life.left
        fill(cells, first, life.published, min(left, end), PUBLISHED)
        if life.left is not None:
            fill(cells, first, life.left, end, GRACE)
        if life.leaked is not None:
            fill(cells, first, life.leaked, end, LEAKED)
        _name(cells, first, life, min(left, end))
    if life.died is not None:
        put(cells, first, life.died, DEAD)


def _name(cells: list[Cell], first: int, life: Life, until: float) -> None:
    """The end of the access key's name into the part of the bar in which it is published, if there
    is room."""
    start, name = column(life.published or 0) - first + 1, life.access_key[-5:]
    if column(until) - first > start + len(name):
        write(cells, start, name, "black on red" if life.leaked is not None else "black on green", over=True)


def fill(cells: list[Cell], first: int, start: float, end: float, cell: Cell) -> None:
    """A bar from one moment to another."""
    for index in range(max(column(start) - first, 0), min(column(end) - first + 1, len(cells))):
        cells[index] = cell


def put(cells: list[Cell], first: int, at: float, cell: Cell) -> None:
    """One character at one moment."""
    index = column(at) - first
    if 0 <= index < len(cells):
        cells[index] = cell


def write(cells: list[Cell], start: int, text: str, style: str, *, over: bool = False) -> None:
    """A word from a column on; without ``over`` only where there is nothing yet, and a gap to what
    there is."""
    places = range(start, start + len(text))
    if start < 0 or places.stop > len(cells):
        return
    if not over and any(cell != EMPTY for cell in cells[max(start - 1, 0) : places.stop + 1]):
        return
    for place, character in zip(places, text, strict=True):
        cells[place] = (character, style)


def row(label: str, style: str, cells: list[Cell]) -> Text:
    """One line of the picture."""
    text = Text(f"{label:<{LABELS}}"[:LABELS], style=style, no_wrap=True, end="")
    line = Text(no_wrap=True)
    line.append_text(text)
    for character, kind in cells:
        line.append(character, style=kind)
    return line


def shorten(text: str, width: int) -> str:
    """The text, cut at a word where it does not fit."""
    return textwrap.shorten(text, max(width, 10), placeholder=" …")
