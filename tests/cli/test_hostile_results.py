"""Every text in the result of every operation is hostile, and so is every field of every event: each command shows them visible, in a
pipe and on a terminal (hazard C15)."""

from __future__ import annotations

import dataclasses
import enum
import io
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from rotator.api.client import DaemonClient
from rotator.cli.main import COMMANDS, root
from rotator.cli.output.watch import watch
from rotator.cli.session import Session
from rotator.errors import Unavailable
from rotator.observability.events import CATALOGUE
from rotator.operations.failures import FailureReport, ReportedError
from rotator.operations.incidents.html import render_html
from rotator.operations.signatures import SIGNATURES
from rotator.util.terminal import plain_streams
from tests.cli.test_hostile_text import HOSTILE, MAY_ACT
from tests.fuzz.hostile import SECRET
from tests.fuzz.services import secret

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[hl]|\r?\x1b\[2K|\r?\x1b\[1A")
"""Colours, and what draws a bar of progress again; all else that a terminal obeys is taken for an attack."""

KEY = "SCWAAAAAAAAAAAAAAAAA"
QUESTIONS: dict[str, Sequence[Sequence[str]]] = {
    "status": ((), ("--check",), ("--sort", "name"), ("--phase", "idle")),
    "agenda": ((), ("--days", "3650")),
    "plan": ((),),
    "doctor": ((),),
    "history": (("billing",),),
    "lookup": ((KEY,),),
    "coverage": (("--created-before", "36h"),),
    "incident": (("list",), ("0123456789abcdef",), ("0123456789abcdef", "--trail")),
    "rotate": (
        ("billing", "--reason", "x"),
        ("billing", "--compromised", "--reason", "x"),
        ("--all", "--compromised", "--reason", "x", "--dry-run"),
        ("--all", "--compromised", "--reason", "x", "--yes"),
    ),
    "revoke": ((KEY, "--confirm", KEY),),
    "extend": (("billing", "--by", "1h"),),
    "hold": (("billing", "--reason", "x"),),
    "resume": (("billing",),),
    "drill": (("billing", "--yes"),),
    "events": (("--follow",),),
}
"""The commands that show what an operation gives, with words for each way to show it."""

OWN_WORDS = {
    *(
        "run",
        "reload",
        "init",
        "check",
        "upgrade-config",
        "policy",
        "rotate-login",
        "notify",
        "demo",
        "sandbox",
        "waive",
    ),
}
"""The others: they show no text of a ledger or of a provider, only what the same user wrote or the sandbox made."""


WORDS = {"kind": "unmanaged", "phase": "idle", "state": "current"}
"""Fields with one of our own words."""


def filled(kind: Any) -> Any:
    """A value of that type with a hostile text wherever it has a text, and one of everything that it may have."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return kind(
            **{
                field.name: WORDS.get(field.name) or filled(hints[field.name])
                for field in dataclasses.fields(kind)
                if field.init
            }
        )
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return filled(arguments[0])
    if origin in (tuple, list, Sequence, frozenset, set):
        return (frozenset if origin is frozenset else list if origin is list else tuple)([filled(arguments[0])])
    if origin in (dict, Mapping):
        return {filled(arguments[0]): filled(arguments[1])}
    if origin is typing.Literal:
        return arguments[0]
    simple: dict[Any, Any] = {
        str: HOSTILE,
        bool: False,
        int: 3,
        float: 1.5,
        datetime: NOW,
        timedelta: timedelta(hours=30),
    }
    return simple.get(kind, HOSTILE)


class HostileDaemon:
    """Answers with hostile text in every field, after every event with hostile text in every field."""

    def call(self, name: str, sink: Any = None, **_: Any) -> Any:
        if sink is not None:
            for event, about in CATALOGUE.items():
                sink.emit(event, **dict.fromkeys((*about.fields, "application", "account"), HOSTILE))
        return filled(SIGNATURES[name].gives)

    def events(self) -> Iterator[Mapping[str, Any]]:
        yield {}
        for event, about in CATALOGUE.items():
            yield {"event": event, "level": HOSTILE, "timestamp": HOSTILE, **dict.fromkeys(about.fields, HOSTILE)}
        yield dict.fromkeys(("event", "level", "timestamp", "application", HOSTILE), HOSTILE)
        raise KeyboardInterrupt


class HostileSession(Session):
    @contextmanager
    def daemon(self, *, commands: bool) -> Iterator[DaemonClient]:  # type: ignore[override]  # commands only enter it
        yield typing.cast("DaemonClient", HostileDaemon())


def harmless(text: str) -> bool:
    return not MAY_ACT.search(OURS.sub("", text))


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("words", [(name, *more) for name, ways in QUESTIONS.items() for more in ways], ids=" ".join)
def test_c15_no_text_of_a_result_or_an_event_reaches_a_terminal_as_it_is(
    words: tuple[str, ...], terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: terminal)
    monkeypatch.setenv("NO_PAGER", "1")
    monkeypatch.setenv("TERM", "xterm")
    result = CliRunner().invoke(root, list(words), obj=HostileSession(can_ask=lambda: False))
    said = result.stdout + result.stderr
    assert "egnp" in "".join(said.split()), "the hostile text is shown"
    assert "error of the program" not in said
    assert harmless(said), ascii(said)


def test_c15_no_text_of_an_incident_reaches_its_file_as_it_is() -> None:
    shown = render_html(filled(SIGNATURES["incident"].gives))
    assert shown.count("egnp") > 10
    assert not MAY_ACT.search(shown), ascii(MAY_ACT.findall(shown))


def test_every_command_is_tested_with_hostile_results_or_shows_only_what_its_user_wrote() -> None:
    assert set(QUESTIONS) | OWN_WORDS == set(COMMANDS)
    assert not set(QUESTIONS) & OWN_WORDS


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(f"vault: {HOSTILE} {SECRET}", service="vault", kind="x"),
        ReportedError(FailureReport("hung", (HOSTILE, HOSTILE), 3)),
    ],
    ids=["of this process", "of the daemon"],
)
def test_c15_an_error_below_a_watched_status_is_visible_and_holds_no_secret_and_leaves_with_its_cause(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = secret()
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr("rotator.cli.output.watch.MIN_INTERVAL", 0.0)
    monkeypatch.setenv("COLUMNS", "300")
    drawings = iter([error, None])

    def draw() -> None:
        if failed := next(drawings):
            raise failed

    def events() -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {}
        raise KeyboardInterrupt

    monkeypatch.setattr("rotator.cli.output.watch.follow", lambda session, remark: events())
    with plain_streams():
        watch(Session(), draw)
    first, second = stream.getvalue().split("\x1b[H")[1:]
    assert "x\\x1b[2J" in first
    assert "\x1b[2J" not in first
    assert "\x1b]" not in first
    assert used.reveal() not in first
    assert "Ctrl-C ends this" in second
