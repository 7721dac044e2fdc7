"""The picture of keys along the time, as a person sees it: at 80 and at 120 columns, and where there is no UTF-8."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rotator.cli.output.status_view import draw
from rotator.cli.output.timeline import FINE, Axis, bars, drawn
from rotator.decision.status import status_of, unreadable_status
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CompromisedKey, CurrentKey, HistoryEntry, Ledger, Problem, RetiringKey, RevokingKey
from rotator.domain.status import ApplicationStatus
from tests.support.simulated import spec

NOW = datetime(2026, 1, 31, 9, 15, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
OLD, NEW = "SCW00000000000000001", "SCW00000000000000002"


def seen(name: str, age: timedelta, **changes: object) -> ApplicationStatus:
    wanted = spec(application=name)
    current = CurrentKey(NEW, 2, NOW - age, NOW - age)
    found: Ledger = replace(new_ledger(wanted), current=current, **changes)  # type: ignore[arg-type]  # names are the test's
    return status_of(wanted, found, NOW)


def in_grace() -> ApplicationStatus:
    return seen(
        "mailer",
        6 * HOUR,
        retiring=(RetiringKey(OLD, 1, NOW + 18 * HOUR, "replaced"),),
        history=(HistoryEntry(NOW - 30 * DAY, "rotated", OLD, 1),),
    )


def picture(views: list[ApplicationStatus], width: int, *, fine: bool = True) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, record=True)
    draw(views, console, fine=fine)
    return [line.rstrip() for line in console.export_text().splitlines()]


def line_of(lines: list[str], access_key: str) -> str:
    return next(line for line in lines if line.startswith(f"  {access_key}"))


ALL = [
    seen("billing", 12 * DAY),
    in_grace(),
    seen("late", 33 * DAY),
    seen("leaked", 3 * DAY, compromised=(CompromisedKey(NEW, "leak", "alice", NOW - timedelta(seconds=3)),)),
    seen("dying", 3 * DAY, revoking=(RevokingKey(OLD, 1, "leftover"),)),
    seen("a-very-long-name-for-an-application-of-somebody", DAY, problem=Problem("quota", "no room " * 20, NOW - HOUR)),
    status_of(spec(application="fresh"), None, NOW),
    unreadable_status(spec(application="broken"), "ledger_unreadable", "the ledger of broken is damaged", NOW),
]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("fine", [True, False])
def test_no_line_is_wider_than_the_terminal_and_no_key_is_cut(width: int, fine: bool) -> None:
    lines = picture(ALL, width, fine=fine)
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("  SCW") for line in lines) == 8
    assert any("the ledger of broken is damaged" in line for line in lines)


def test_without_utf_8_everything_is_ascii() -> None:
    assert "\n".join(picture(ALL, 80, fine=False)).isascii()


def test_every_bar_has_now_in_the_same_column() -> None:
    lines = picture(ALL, 80)
    columns = {line.index("┃") for line in lines if "┃" in line}
    assert len(columns) == 1
    axis = next(line for line in lines if " now " in line)
    assert abs(axis.index("now") + 1 - columns.pop()) <= 1


def test_a_key_in_grace_shows_its_deadline_and_the_current_one_its_next_rotation() -> None:
    lines = picture([in_grace()], 100)
    old, new = line_of(lines, OLD), line_of(lines, NEW)
    assert old.index("━") < old.index("▓") < old.index("┃") < old.index("░") < old.index("✕")
    assert old.endswith("grace, revoked in 18h")
    assert new.index("━") < new.index("┃") < new.index("╌") < new.index("◆")
    assert new.endswith("current, 6h old")


def test_a_rotation_that_is_past_due_stands_in_the_past() -> None:
    line = line_of(picture([seen("late", 33 * DAY)], 100), NEW)
    assert line.index("◆") < line.index("┃")


def test_a_compromised_key_has_no_future() -> None:
    marked = seen("leaked", 3 * DAY, compromised=(CompromisedKey(NEW, "leak", "alice", NOW - timedelta(seconds=3)),))
    line = line_of(picture([marked], 100), NEW)
    assert "◆" not in line
    assert line.endswith("compromised 3s ago")


def test_the_table_says_phase_age_and_what_comes_next() -> None:
    text = "\n".join(picture(ALL, 120))
    assert "rotate in 18d, every 30d" in text
    assert "revoke in 18h" in text
    assert "rotate, past due by 3d" in text
    assert "contain now" in text
    assert "no room" in text


def test_no_applications_is_a_sentence() -> None:
    assert picture([], 80) == ["There are no applications."]


@given(
    past=st.floats(0, 10**9),
    future=st.floats(0, 10**9),
    width=st.integers(10, 200),
    moments=st.lists(st.floats(-(10**9), 10**9), max_size=5),
)
def test_an_axis_keeps_the_order_of_moments_and_its_width(
    past: float, future: float, width: int, moments: list[float]
) -> None:
    axis = Axis([NOW - timedelta(seconds=past), NOW + timedelta(seconds=future)], NOW, width)
    columns = [axis.column(NOW + timedelta(seconds=second)) for second in sorted(moments)]
    assert columns == sorted(columns)
    assert all(0 <= column < width for column in columns)
    assert axis.column(NOW) == axis.now_column
    assert len(axis.labels()) <= width


def test_a_bar_is_exactly_as_wide_as_its_axis() -> None:
    for found in ALL:
        for bar in bars(found, FINE):
            axis = Axis(bar.moments(), NOW, 40)
            assert sum(len(text) for text, _ in drawn(bar, axis)) == 40
