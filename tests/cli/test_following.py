"""``events --follow`` and ``status --watch`` with real sockets: live, and across a restart of the daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rotator.observability.events import CATALOGUE
from tests.api.conftest import Front
from tests.cli.fleets import SMALL, fleet, served
from tests.support.daemon_stage import eventually
from tests.support.terminal import ROOT, Terminal, without_control


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    with served(fleet(SMALL, tmp_path / "rotator.toml"), tmp_path) as front:
        yield front


def environment(folder: Path) -> dict[str, str]:
    return {"ROTATOR_CONTROL": str(folder), "ROTATOR_CONFIG": str(folder / "rotator.toml"), "PATH": os.environ["PATH"]}


def following(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rotator", "events", "--follow", *words],
        cwd=ROOT,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(command: subprocess.Popen[str]) -> None:
    command.kill()
    command.wait()
    for stream in (command.stdout, command.stderr):
        if stream is not None:
            stream.close()


def subscribed(front: Front) -> None:
    eventually(lambda: front.daemon_handle.broadcast._listeners, "the command follows")


def resumed(front: Front, application: str = "billing") -> None:
    front.daemon_handle.sink.emit("application.resumed", application=application, account="acme", by="ann")


def test_events_come_as_they_happen_and_only_those_that_were_asked_for(front: Front) -> None:
    command = following(front.folder, "--application", "billing", "--event", "application.*")
    try:
        subscribed(front)
        resumed(front, "mailer")
        front.daemon_handle.sink.emit(
            "key.revoked", application="billing", account="acme", access_key="SCW1", reason="x", verification="y"
        )
        resumed(front)
        assert command.stdout is not None
        line = command.stdout.readline()
        assert line.split()[1:] == ["info", "billing", "application.resumed", "account=acme", "by=ann"]
        assert line.split()[0].endswith("Z"), "in a pipe times are UTC"
        command.send_signal(signal.SIGINT)
        assert command.wait(60) == 0
    finally:
        end(command)


def test_for_machines_each_event_is_one_line_as_in_the_log(front: Front) -> None:
    command = following(front.folder, "--json")
    try:
        subscribed(front)
        resumed(front)
        assert command.stdout is not None
        event = json.loads(command.stdout.readline())
        assert (event["event"], event["application"], event["level"]) == ("application.resumed", "billing", "info")
    finally:
        end(command)


def test_a_restart_of_the_daemon_is_said_and_the_events_go_on(tmp_path: Path) -> None:
    with ExitStack() as first:
        front = first.enter_context(served(fleet(SMALL, tmp_path / "rotator.toml"), tmp_path))
        command = following(tmp_path, "--application", "billing")
        subscribed(front)
    try:
        assert command.stderr is not None
        assert command.stdout is not None
        assert "waiting until it answers" in command.stderr.readline()
        with served(fleet(SMALL, tmp_path / "rotator.toml"), tmp_path) as again:
            subscribed(again)
            assert command.stderr.readline() == "rotator: the daemon answers again; events in between are not shown\n"
            resumed(again)
            assert "application.resumed" in command.stdout.readline()
    finally:
        end(command)


def test_it_ends_when_its_reader_is_gone(front: Front) -> None:
    command = following(front.folder)
    try:
        subscribed(front)
        assert command.stdout is not None
        command.stdout.close()
        resumed(front)
        assert command.wait(60) == 0
    finally:
        end(command)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("events",), 2, "add --follow"),
        (("events", "--follow"), 3, "no daemon answers"),
        (("status", "--watch"), 2, "--watch draws on a terminal"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_a_sentence(
    tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rotator", *words],
        cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_a_watched_status_is_drawn_again_when_something_happens_and_leaves_the_terminal_as_it_was(front: Front) -> None:
    terminal = Terminal(["status", "--watch"], columns=80, rows=30, env=environment(front.folder))
    terminal.until(lambda raw: "Ctrl-C ends this" in raw)
    assert "3 applications: 1 held, 1 grace, 1 idle" in without_control(terminal.raw.decode())
    with front.daemon() as daemon:
        daemon.call("hold", applications=["billing"], reason="look")
    terminal.until(lambda raw: "2 held" in without_control(raw))
    terminal.process.send_signal(signal.SIGINT)
    left = terminal.finish()
    assert left.exit_code == 0
    assert left.raw.rstrip().endswith("\x1b[?25h\x1b[?1049l")


def test_every_step_of_a_progress_is_a_sentence_with_the_fields_that_its_event_has() -> None:
    from rotator.cli.output.progress import _SENTENCES

    for event, (_, sentence) in _SENTENCES.items():
        fields = {name: ["x"] for name in CATALOGUE[event].fields}
        assert sentence(fields) != event, event
