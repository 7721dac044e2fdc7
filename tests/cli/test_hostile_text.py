"""Texts of others reach a terminal visible, and are never obeyed (hazard C15)."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.table import Table

from rotator.cli.output.progress import Progress
from rotator.cli.output.styled_console import StyledConsole
from rotator.domain.ledger import HistoryEntry, Hold, Problem, RetiringKey
from rotator.util.terminal import plain_streams, styled, visible, visible_line
from tests.cli.conftest import Desk
from tests.support.scenarios import change

HOSTILE = "x\x1b[2J\x1b]0;t\x07\x1b[31m\r\u202egnp\u2066\u200b\x9b5m\x08\x00y"
MAY_ACT = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

COMMANDS = [
    ("status",),
    ("status", "--nagios"),
    ("status", "--timeline"),
    ("plan", "billing"),
    ("history", "billing"),
    ("coverage", "--created-before", "2030-01-01"),
    ("incident",),
    ("incident", HOSTILE),
    ("hold", "billing", "--reason", HOSTILE),
    ("resume", "billing"),
    ("rotate", HOSTILE),
    ("rotate", "billing", "--reason", HOSTILE),
    ("rotate", "billing", "--compromised", "--reason", HOSTILE),
    ("revoke", HOSTILE),
    ("lookup", HOSTILE),
    ("check",),
    (HOSTILE,),
]


@pytest.mark.parametrize("words", COMMANDS, ids=ascii)
def test_c15_no_text_of_a_ledger_or_of_the_provider_reaches_a_terminal_as_it_is(
    desk: Desk, words: tuple[str, ...]
) -> None:
    daemon = desk.daemon()
    ledger = desk.sim.ledger()
    assert ledger.current
    at = desk.sim.time.now
    change(
        daemon,
        hold=Hold(HOSTILE, HOSTILE, at),
        problem=Problem("document_damaged", HOSTILE, at),
        retiring=(RetiringKey(f"SCW{HOSTILE}", 1, at, HOSTILE),),
        history=(HistoryEntry(at, "rotated", HOSTILE, 1, "1" * 16, HOSTILE),),
    )
    for name, key in list(desk.sim.keys.items()):
        desk.sim.keys[name] = replace(key, key=replace(key.key, description=HOSTILE))
    result = desk.type(*words)
    for text in (result.stdout, result.stderr):
        assert not MAY_ACT.search(text), ascii(text)


def test_c15_json_is_left_as_json(desk: Desk) -> None:
    at = desk.sim.time.now
    change(desk.daemon(), hold=Hold(HOSTILE, "ops", at))
    [found] = desk.json("status", "--json")["applications"]
    assert any(HOSTILE in str(value) for value in walk(found))


def walk(value: Any) -> Iterator[object]:
    """Every value in the document that is no container."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from walk(part)
    else:
        yield value


def test_c15_every_character_that_may_act_is_shown_as_its_escape() -> None:
    assert visible("a\x1b[2Jü€\u202e\ud800\nb") == "a\\x1b[2Jü€\\u202e\\ud800\nb"
    assert visible_line("a\nb") == "a\\nb"
    assert not MAY_ACT.search(visible("".join(map(chr, range(0x11000)))))


def test_c15_a_table_of_rich_shows_its_styles_and_escapes_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with plain_streams():
        table = Table("name")
        table.add_row("a\x1b]0;t\x1b\\b", style="red")
        StyledConsole().print(table)
    assert "\x1b]" not in stream.getvalue()
    assert "\\x1b]0" in stream.getvalue()


def test_c15_the_steps_of_an_emergency_keep_their_styles_and_escape_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with plain_streams():
        Progress(lambda: 1.0).emit(
            "key.revoked", application=HOSTILE, access_key=HOSTILE, reason=HOSTILE, verification=HOSTILE
        )
        assert styled(sys.stderr) is stream
    assert stream.getvalue().count("\n") == 1
    assert not MAY_ACT.search(stream.getvalue())
