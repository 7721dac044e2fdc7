"""One line for a monitoring system, by the conventions of Nagios plugins: a state, a sentence, and
performance data."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from rotator.domain.status import ApplicationStatus
from rotator.util.formatting import format_relative, format_span, pluralize

PROGRAM = "ROTATOR"
MOST_NAMED = 5
"""Applications that one line names of each kind; a pager shows no more."""


class State(enum.IntEnum):
    """The states of the conventions; the number is the exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


PRESSING = ("compromised", "unreadable", "overdue", "blocked")
"""What cannot wait for the morning, in the order of the output."""

NOTEWORTHY = ("failing", "held", "new")
"""What an operator should know: an attempt failed and is repeated, a hold, no pass yet."""


def problem_line(view: ApplicationStatus) -> str:
    """What there is to complain of, as the phase that says it; empty when all is well."""
    if view.overdue and view.phase not in ("compromised", "unreadable"):
        return "overdue"
    if view.phase in (*PRESSING, "failing", "held"):
        return view.phase
    if view.problem is not None:
        from rotator.domain.reasons import phase_of  # noqa: PLC0415 - a calm status loads no catalogue

        return phase_of(view.problem.reason)
    return "new" if view.ledger is None else ""


def has_problem(view: ApplicationStatus) -> bool:
    """Whether plain ``status`` ends with the exit code that says so: a hold is not a problem, nor
    is a start."""
    return problem_line(view) not in ("", "held", "new")


def line(views: Sequence[ApplicationStatus], remarks: Iterable[str], now: datetime) -> tuple[State, str]:
    """The state and the line. ``remarks`` are about what could not be shown."""
    found: dict[str, list[ApplicationStatus]] = {}
    for view in views:
        found.setdefault(problem_line(view), []).append(view)
    remarks = list(remarks)
    named = [_named(what, found[what]) for what in (*PRESSING, *NOTEWORTHY) if what in found] + [
        _plain(text) for text in remarks
    ]
    state = State.CRITICAL if found.keys() & set(PRESSING) else State.WARNING if named else State.OK
    sentence = "; ".join([*named, _calm(views, now)] if named else [_calm(views, now)])
    return state, f"{PROGRAM} {state.name} - {sentence} | {_performance(views, found)}"


def unknown(message: str) -> tuple[State, str]:
    """The line for when the state is unknown."""
    return State.UNKNOWN, f"{PROGRAM} UNKNOWN - {_plain(message)}"


def _named(what: str, views: Sequence[ApplicationStatus]) -> str:
    names = [
        f"{view.name} (by {format_span(view.late)})" if what == "overdue" else f"{view.name}{_reason(view)}"
        for view in sorted(views, key=lambda view: (-view.late, view.name))
    ]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    ways_out = dict.fromkeys(_way_out(view) for view in views)
    remedies = "".join(f" ({way_out})" for way_out in list(ways_out)[:MOST_NAMED] if way_out)
    return f"{what.replace('_', ' ')}: {', '.join(names[:MOST_NAMED])}{more}{remedies}"


def _reason(view: ApplicationStatus) -> str:
    return f" [{_plain(view.problem.reason)}]" if view.problem else ""


def _way_out(view: ApplicationStatus) -> str:
    """What to do, in words of this program: a message may name paths, and a pager shows little."""
    if view.problem is None:
        return ""
    from rotator.domain.reasons import REASONS, reason_of  # noqa: PLC0415 - see above

    reason = reason_of(view.problem.reason)
    return f"{reason}: {REASONS[reason].general_action}" if reason else ""


def _calm(views: Sequence[ApplicationStatus], now: datetime) -> str:
    ahead = [(view.next.at, view) for view in views if view.next.action in ("rotate", "revoke") and view.next.at > now]
    if not ahead:
        return pluralize(len(views), "application")
    at, view = min(ahead, key=lambda entry: (entry[0], entry[1].name))
    return f"{pluralize(len(views), 'application')}, next: {view.name} {view.next.action} {format_relative(at, now)}"


def _performance(views: Sequence[ApplicationStatus], found: dict[str, list[ApplicationStatus]]) -> str:
    """The figures; U where a ledger that could not be read may change one."""
    late = max((view.late for view in views if view.overdue), default=timedelta(0))
    whole = all(view.known for view in views)
    with_problem = sum(len(found.get(what, ())) for what in (*PRESSING, "failing"))
    grace = sum(len(view.ledger.retiring) for view in views if view.ledger)
    overdue = f"{int(late.total_seconds())}s" if whole or late else "U"
    counts = f"applications={len(views)};;;0 with_problem={with_problem};0;;0"
    return f"{counts} overdue={overdue};;0;0 grace={grace if whole else 'U'};;;0"


def _plain(text: str) -> str:
    """On one line, without the mark that begins the performance data."""
    return " ".join(text.split()).replace("|", "/")
