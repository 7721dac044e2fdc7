"""``status`` as a person at a terminal sees it: a table, the problems in full, and the keys drawn
along the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rotator.cli.output.sentences import beside_utc
from rotator.cli.output.timeline import FINE, PLAIN, Axis, Glyphs, bars, drawn
from rotator.domain.status import WORST_FIRST, ApplicationStatus
from rotator.util.formatting import format_relative, format_span, format_time, pluralize
from rotator.util.shared_messages import grouped

STYLES = {
    "current": "green",
    "planned": "green dim",
    "rotate": "bold cyan",
    "late": "bold red",
    "retired": "yellow dim",
    "grace": "yellow",
    "revoking": "red",
    "compromised": "bold red",
    "dead": "bold red",
    "now": "bold white",
    "faint": "dim",
    "": "",
}

PHASE_STYLES = {
    "unreadable": "bold red",
    "compromised": "bold white on red",
    "held": "magenta",
    "rotating": "bold cyan",
    "failing": "bold red",
    "blocked": "bold red",
    "overdue": "bold red",
    "revoking": "yellow",
    "grace": "yellow",
    "new": "cyan",
    "idle": "green",
}

MAX_ROWS = 40
"""Applications that are shown where none was chosen; of more, those that are not at rest."""

AT_REST = ("grace", "new", "idle")
"""Phases that need no look."""

NOTE_WIDTH = 25
"""Room for the words beside a bar, such as ``grace, revoked in 17h58m``."""

NARROW = 80
"""Columns below which an application takes two lines, and no timeline is drawn."""

KEY_WIDTH = 20
"""An access key of Scaleway has 20 characters; people copy it, so it is never cut."""


def draw(
    views: Sequence[ApplicationStatus],
    console: Console,
    *,
    fine: bool = True,
    whole: int | None = None,
    cut: bool = False,
) -> None:
    """Print the whole picture, of ``whole`` applications. With ``cut``, of many only those that
    need a look, and how many are left."""
    whole = len(views) if whole is None else whole
    if not views:
        console.print(
            f"None of {pluralize(whole, 'application')} is what was asked for."
            if whole
            else "There are no applications."
        )
        return
    console.print(
        Text.assemble(summary(views, whole), (f"   ledgers read {beside_utc(format_time(views[0].as_of))}", "dim"))
    )
    console.print()
    shown = _pressing(views) if cut and len(views) > MAX_ROWS else list(views)
    if shown:
        console.print(
            _table(shown, console.width, fine=fine) if console.width >= NARROW else _stacked(shown, fine=fine)
        )
    if len(shown) < len(views):
        rest = [view for view in views if view not in shown]
        console.print(Text(f"… and {summary(rest, len(rest))}; --match or --phase shows them", "dim"))
    _with_problem(views, console, fine=fine)
    if console.width >= NARROW:
        _timelines(shown, console, fine=fine)


def summary(views: Sequence[ApplicationStatus], whole: int) -> str:
    """How many applications are in which phase, the most pressing first: ``204 applications: 2
    blocked, 3 grace, 199 idle``."""
    counts = Counter(view.phase for view in views)
    counted = ", ".join(f"{counts[phase]} {phase}" for phase in WORST_FIRST if counts[phase])
    number = (
        pluralize(whole, "application") if len(views) == whole else f"{len(views)} of {pluralize(whole, 'application')}"
    )
    return f"{number}: {counted}"


def _pressing(views: Sequence[ApplicationStatus]) -> list[ApplicationStatus]:
    """Of many, the most pressing that are not at rest, in their order."""
    wanted = sorted(
        (view for view in views if view.phase not in AT_REST), key=lambda view: WORST_FIRST.index(view.phase)
    )[:MAX_ROWS]
    return [view for view in views if view in wanted]


def _table(views: Sequence[ApplicationStatus], width: int, *, fine: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", expand=False)
    name = max(len("application"), min(max(len(view.name) for view in views), 24 if width < 100 else 40))
    table.add_column("application", width=name + 2, no_wrap=True, overflow="ellipsis" if fine else "crop")
    table.add_column("phase", no_wrap=True, width=11)
    if width >= 100:
        table.add_column("current key", no_wrap=True, width=KEY_WIDTH)
    table.add_column("age", no_wrap=True, width=8)
    table.add_column("next", overflow="fold")
    for view in views:
        cells = [_name(view, fine=fine), Text(view.phase.replace("_", " "), PHASE_STYLES[view.phase])]
        current = view.ledger.current if view.ledger else None
        if width >= 100:
            cells.append(Text(current.access_key if current else ""))
        cells.append(Text(format_span(view.as_of - (current.created_at or current.since)) if current else ""))
        cells.append(_next(view, reasons=width >= 100 or current is None))
        table.add_row(*cells)
    return table


def _stacked(views: Sequence[ApplicationStatus], *, fine: bool) -> Table:
    """The same for a narrow terminal: what comes next stands below the name."""
    grid = Table.grid()
    for view in views:
        current = view.ledger.current if view.ledger else None
        age = format_span(view.as_of - (current.created_at or current.since)) + " old" if current else ""
        phase = Text(view.phase.replace("_", " "), PHASE_STYLES[view.phase])
        grid.add_row(Text("  ").join([_name(view, fine=fine), phase, Text(age)]))
        grid.add_row(Padding(_next(view, reasons=True), (0, 0, 0, 4)))
    return grid


def _name(view: ApplicationStatus, *, fine: bool) -> Text:
    dot = "●" if fine else "*"
    style = PHASE_STYLES[view.phase].replace("bold white on red", "bold red")
    return Text.assemble((f"{dot} ", style), (view.name, "bold" if view.spec.configured else "dim italic"))


def _next(view: ApplicationStatus, *, reasons: bool) -> Text:
    if view.phase == "overdue":
        return Text(f"{view.next.action}, past due by {format_span(view.late)}", "bold red")
    if view.next.action == "held":
        return _held(view)
    when = format_relative(view.next.at, view.as_of)
    if view.next.at <= view.as_of:
        when = "now"
    text = Text(f"{view.next.action} {when}")
    if reasons:
        text.append(f", {view.next.reason}", "dim")
    if not view.spec.configured:
        text.append(", not in the configuration", "dim italic")
    return text


def _held(view: ApplicationStatus) -> Text:
    """Who holds the application, why and until when; in red where the hold may be forgotten."""
    hold = view.ledger.hold if view.ledger else None
    if hold is None:
        return Text(view.next.reason, "magenta")
    if hold.until:
        return Text(f"{view.next.reason}, ends {format_relative(hold.until, view.as_of)}", "magenta")
    held = f"{view.next.reason}, for {format_span(view.as_of - hold.at)}, without an end"
    return Text(held, "bold red" if view.hold_forgotten else "magenta")


def _with_problem(views: Sequence[ApplicationStatus], console: Console, *, fine: bool) -> None:
    with_problem = [view for view in views if view.problem]
    if not with_problem:
        return
    console.print()
    since = {view.name: _since(view) for view in with_problem}
    mark = "✖" if fine else "!"
    for name, message in grouped((view.name, view.problem.message) for view in with_problem if view.problem):
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            Text(mark, "bold red"), Text.assemble((name, "bold"), f": {message}", (since.get(name, ""), "dim"))
        )
        console.print(grid)


def _since(view: ApplicationStatus) -> str:
    problem = view.problem
    return f" (for {format_span(view.as_of - problem.since)})" if problem and problem.since < view.as_of else ""


def _timelines(views: Sequence[ApplicationStatus], console: Console, *, fine: bool) -> None:
    glyphs = FINE if fine else PLAIN
    groups = [(view, found) for view in views if (found := bars(view, glyphs))]
    if not groups:
        return
    width = console.width - 2 - KEY_WIDTH - 1 - 1 - NOTE_WIDTH
    longest = max(len(bar.access_key) for _, found in groups for bar in found)
    key_width = max(KEY_WIDTH, min(longest, 24))
    axis = Axis(
        [at for _, found in groups for bar in found for at in bar.moments()],
        groups[0][0].as_of,
        width - key_width + KEY_WIDTH,
    )
    console.print()
    indent = 2 + key_width + 1
    console.print(Text(" " * indent + axis.labels(), "dim"), no_wrap=True)
    for view, found in groups:
        purpose = view.ledger.current.purpose if view.ledger and view.ledger.current else ""
        name = (view.name, "bold" if view.spec.configured else "dim italic")
        console.print(Text.assemble(name, (f"  {purpose}" if purpose else "", "dim")), no_wrap=True, overflow="crop")
        for bar in found:
            line = Text("  ")
            line.append(f"{bar.access_key:<{key_width}} ", STYLES[bar.style] if bar.style == "compromised" else "")
            for text, style in drawn(bar, axis, glyphs):
                line.append(text, STYLES[style])
            line.append(f" {bar.note}", STYLES[bar.style])
            console.print(line, no_wrap=True, overflow="crop")
    console.print()
    console.print(Padding(_legend(glyphs), (0, 0, 0, 2)), no_wrap=True, overflow="crop")


def _legend(glyphs: Glyphs) -> Text:
    parts = (
        (glyphs.used, "current", "in use"),
        (glyphs.leaving + glyphs.grace, "grace", "grace"),
        (glyphs.dead, "dead", "is revoked"),
        (glyphs.rotate, "rotate", "next rotation"),
    )
    text = Text()
    for glyph, style, word in parts:
        text.append(glyph, STYLES[style])
        text.append(f" {word}   ", "dim")
    return text
