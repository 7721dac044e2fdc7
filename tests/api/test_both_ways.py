"""The same command says the same, whether the daemon does the work or the command itself."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rotator.api.executor import MAX_COMMANDS, CommandExecutor
from rotator.api.listeners import Listeners
from rotator.cli.main import root
from rotator.cli.session import Session
from rotator.config import Control
from rotator.domain.ports import Clock, EventSink
from rotator.errors import ConfigurationError, ConfigurationProblem
from tests.api.conftest import FakeHouse
from tests.cli.conftest import Desk, SimApp
from tests.support.simulated import Sim, spec


@dataclass
class Located(SimApp):
    """The simulated application, with the file that it came from."""

    source: str = ""


class Sleepless(CommandExecutor):
    """A crew in simulated time."""

    desk: Desk

    def sleep(self, clock: Clock, until: datetime) -> None:
        self.desk.pause(max(0.0, (until - clock.now()).total_seconds()))


def at_work() -> Desk:
    sim = Sim()
    key, _ = sim.make_key()
    sim.publish_by_hand(key.access_key, database="kept")
    desk = Desk(
        sim,
        specs={"billing": spec(), "mailer": spec(application="mailer", path="secret/apps/mailer", bearer="another")},
    )
    sim.bearers.add("another")
    desk.daemon().run()
    return desk


def closed(path: Path, sink: EventSink, only: Collection[str] = ()) -> SimApp:
    raise ConfigurationError(
        [ConfigurationProblem(str(path), "", "this user may not read it; run as root", private=True)]
    )


class Counter:
    """Where a person without any credentials types, beside a daemon."""

    def __init__(self, folder: Path) -> None:
        self.desk = at_work()
        self.config = folder / "rotator.toml"
        daemon_handle = self.daemon_handle = FakeHouse(None)
        daemon_handle.runtime = Located(self.desk.sim, self.desk.specs, daemon_handle.sink, source=str(self.config))
        self.listeners = Listeners(daemon_handle)
        self.listeners.executor = Sleepless(daemon_handle.stopping)
        self.listeners.executor.desk = self.desk
        self.listeners.maintain(Control(folder))

    def type(self, *words: str) -> Result:
        session = Session(config=self.config, opener=closed, pause=self.desk.pause, now=lambda: self.desk.sim.time.now)
        return CliRunner().invoke(root, list(words), obj=session)


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    monkeypatch.setenv("ROTATOR_CONTROL", str(tmp_path))
    found = Counter(tmp_path)
    yield found
    found.listeners.close()


def said(result: Result) -> tuple[int, str, str]:
    """Without what the stopwatch says, and through which door the order came."""
    timeless = re.sub(r"[\d.]+ s after the start|\"elapsed_seconds\": [\d.]+", "TIME", result.stdout)
    timeless = timeless.replace(" via control socket@", "@")
    return result.exit_code, timeless, result.stderr


@pytest.mark.parametrize(
    "words",
    [
        "status",
        "status billing",
        "status --json",
        "status --check",
        "status nobody",
        "plan",
        "plan billing --json",
        "history billing",
        "history billing --json",
        "history mailer",
        "rotate billing",
        "rotate billing --reason moved",
        "hold billing --reason migration",
        "hold billing",
        "hold --all --reason migration --json",
        "resume billing",
        "extend billing --by 24h",
        "revoke SCWNOBODYXXXXXXXXXXX",
        "who SCWNOBODYXXXXXXXXXXX",
        "who SCWNOBODYXXXXXXXXXXX --json",
        "rotate billing --json",
        "rotate billing --compromised --reason leaked",
        "rotate billing --compromised --json",
        "rotate mailer --compromised",
        "rotate mailer --compromised --json",
        "rotate nobody",
        "rotate nobody --json",
        "coverage --created-before 1h",
        "coverage --created-before 0s --json",
        "coverage --created-before 1h --account nobody",
        "waive SCW00001 --reason kept",
        "waive SCW00001 --reason kept --until 3d --json",
        "waive SCW00001 --withdraw",
        "waive SCWNOBODYXXXXXXXXXXX --reason kept",
        "incident list",
        "incident list --json",
        "incident nobody",
        "rotate --all --dry-run",
        "rotate --all --dry-run --compromised --reason breach --json",
        "rotate --all",
        "rotate --match b* --json",
        "rotate --match nobody*",
        "rotate --all --compromised --reason breach",
        "rotate --all --compromised --reason breach --json",
        "rotate --all --created-before 2999-01-01T00:00:00Z",
    ],
)
def test_the_daemon_and_the_command_itself_say_the_same(counter: Counter, words: str) -> None:
    itself = at_work().type(*words.split(), "--direct")
    through_the_daemon = counter.type(*words.split())
    assert said(through_the_daemon) == said(itself)
    assert itself.stdout or itself.stderr


def test_after_a_rotation_the_other_commands_say_the_same_too(counter: Counter) -> None:
    alone = at_work()
    for words in ("rotate billing", "status", "plan", "history billing", "status --json"):
        assert said(counter.type(*words.split())) == said(alone.type(*words.split(), "--direct"))


@pytest.mark.parametrize("more", ["", "--compromised --reason breach"])
def test_a_mass_rotation_says_the_same_both_ways_to_the_incident_report(counter: Counter, more: str) -> None:
    alone = at_work()
    for desk in (alone, counter.desk):
        desk.sim.time.advance(timedelta(hours=1))
    for words in (
        f"rotate --all {more}",
        "coverage --created-before 0s",
        "incident list",
        f"rotate --all {more} --json",
    ):
        assert said(counter.type(*words.split())) == said(alone.type(*words.split(), "--direct"))
    assert set(counter.desk.sim.keys) == set(alone.sim.keys)
    assert len(counter.desk.sim.live_keys()) > 1 or more


def test_a_person_with_credentials_acts_without_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTATOR_CONTROL", str(tmp_path / "nowhere"))
    found = at_work().type("status")
    assert found.exit_code == 0
    assert (
        found.stderr
        == f"rotator: no daemon answers: there is no {tmp_path}/nowhere/control.sock; the ledgers were read directly\n"
    )
    assert at_work().type("status", "--direct").stderr == ""


def test_without_a_daemon_and_without_credentials_one_sentence_says_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROTATOR_CONTROL", str(tmp_path))
    session = Session(config=tmp_path / "rotator.toml", opener=closed)
    found = CliRunner().invoke(root, ["rotate", "billing"], obj=session)
    assert found.exit_code == 3
    (sentence,) = found.stderr.splitlines()
    assert f"no daemon answers: there is no {tmp_path}/control.sock" in sentence
    assert "this user cannot act without it" in sentence
    assert "this user may not read it" in sentence
    assert "start the daemon" in sentence


def test_direct_does_not_even_look_for_a_daemon(counter: Counter) -> None:
    found = counter.type("status", "--direct")
    assert found.exit_code == 2
    assert "this user may not read it" in found.stderr


def test_a_configuration_that_is_not_sound_is_told_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROTATOR_CONTROL", str(tmp_path))

    def unsound(path: Path, sink: EventSink, only: Collection[str] = ()) -> SimApp:
        raise ConfigurationError([ConfigurationProblem(str(path), "vault", "is missing")])

    found = CliRunner().invoke(root, ["status"], obj=Session(config=tmp_path / "rotator.toml", opener=unsound))
    assert (found.exit_code, found.stderr) == (2, f"rotator: {tmp_path}/rotator.toml: vault: is missing\n")


def test_the_daemon_of_another_configuration_is_left_alone(counter: Counter) -> None:
    desk = at_work()
    session = Session(
        counter.config.with_name("other.toml"), opener=desk.open, pause=desk.pause, now=lambda: desk.sim.time.now
    )
    before, theirs = desk.sim.published_key(), counter.desk.sim.published_key()
    assert CliRunner().invoke(root, ["rotate", "billing"], obj=session).exit_code == 0
    assert desk.sim.published_key() != before
    assert counter.desk.sim.published_key() == theirs


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a daemon dies as soon as it has read what is wanted of it."""
    monkeypatch.setenv("ROTATOR_CONTROL", str(tmp_path))
    listeners = [socket.socket(socket.AF_UNIX) for _ in range(2)]

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):  # closed at the end
            while True:
                caller, _ = listener.accept()
                caller.recv(65536)
                caller.close()

    for listener, name in zip(listeners, ("read.sock", "control.sock"), strict=True):
        listener.bind(str(tmp_path / name))
        listener.listen()
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    yield tmp_path
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def beside(desk: Desk, folder: Path, *words: str) -> Result:
    session = Session(folder / "rotator.toml", opener=desk.open, pause=desk.pause, now=lambda: desk.sim.time.now)
    return CliRunner().invoke(root, list(words), obj=session)


@pytest.mark.parametrize(
    "words", ["rotate billing", "rotate --all", "extend billing --by 1h", "hold billing --reason x"]
)
def test_an_order_that_a_dying_daemon_may_have_carried_out_is_not_given_a_second_time(dying: Path, words: str) -> None:
    desk = at_work()
    before = desk.sim.ledger()
    found = beside(desk, dying, *words.split())
    assert found.exit_code == 3
    assert "hung up" in found.stderr
    assert desk.sim.ledger() == before


def test_an_emergency_goes_on_without_the_daemon_that_died_of_it_and_a_question_is_answered(dying: Path) -> None:
    desk = at_work()
    leaked = desk.sim.published_key()
    found = beside(desk, dying, "rotate", "billing", "--compromised", "--reason", "leak")
    assert found.exit_code == 0
    assert "hung up" in found.stderr
    assert "this command goes on by itself" in found.stderr
    assert leaked not in desk.sim.live_keys()
    assert beside(desk, dying, "status").exit_code == 0


@pytest.mark.parametrize("daemon", ["is busy", "is stopping"])
def test_an_emergency_waits_for_no_daemon_that_takes_no_orders_and_an_ordinary_order_is_refused(
    counter: Counter, daemon: str
) -> None:
    desk, over = counter.desk, threading.Event()
    if daemon == "is busy":
        for _ in range(MAX_COMMANDS):
            counter.listeners.executor.carry_out(lambda: over.wait(60), urgent=True)
    else:
        counter.daemon_handle.stopping.set()
    leaked = desk.sim.published_key()
    ordinary = beside(desk, counter.config.parent, "rotate", "billing")
    assert (ordinary.exit_code, desk.sim.published_key()) == (3, leaked)
    found = beside(desk, counter.config.parent, "rotate", "billing", "--compromised", "--reason", "leak")
    assert found.exit_code == 0, found.stderr
    assert "this command goes on by itself" in found.stderr
    assert leaked not in desk.sim.live_keys()
    helpless = counter.type("rotate", "billing", "--compromised", "--reason", "leak")
    assert helpless.exit_code == 3
    assert "this user cannot act without it" in helpless.stderr
    over.set()
