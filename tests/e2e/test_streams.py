"""C7: every command with closed, full and broken streams, on a real Vault and the stand-in of Scaleway: it does what it does with
sound ones, and its exit code tells what became of the work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest

from rotator.cli.main import COMMANDS, root
from rotator.domain.secret import Secret
from rotator.sandbox.process import wait_until
from rotator.vault.policy import policy_text, required_rights
from rotator.vault.secret_ids import SecretIdFile
from tests.e2e.rig import FAST, Daemon, Rig
from tests.support.listener import Listener

KINDS = ("closed", "full", "broken")
STREAMS: dict[str, dict[str, str]] = {
    "sound": {},
    **{f"all {kind}": {"input": kind, "output": kind, "error": kind} for kind in KINDS},
    **{f"{stream} {kind}": {stream: kind} for stream in ("input", "output", "error") for kind in KINDS},
}
"""What is wrong with which standard stream. A broken one is a pipe whose other end is closed."""

LOST = {"closed", "full"}
"""A question whose answer was lost has failed; where the reader ended by itself, it has not."""

BY_ITSELF = {"run", "init", "check", "upgrade-config", "policy", "notify", "rotate-login"}
"""Commands that no daemon is asked for."""

NEVER = ("an error of the program", "Traceback", "Exception ignored", "never retrieved", "ResourceWarning")


@dataclass
class Done:
    code: int
    output: str
    error: str


def execute(words: Sequence[str], streams: Mapping[str, str], folder: Path, **environment: str) -> Done:
    """A process with these streams, run to its end; what it wrote on its sound ones."""
    files = {name: folder / f"{threading.get_ident()}.{name}" for name in ("output", "error")}
    with contextlib.ExitStack() as stack:

        def opened(name: str) -> int:
            if streams.get(name) == "broken":
                ours, theirs = os.pipe() if name != "input" else os.pipe()[::-1]
                os.close(ours)
                stack.callback(os.close, theirs)
                return theirs
            path = Path("/dev/full") if streams.get(name) == "full" else files.get(name, Path("/dev/null"))
            return stack.enter_context(path.open("rb" if name == "input" else "wb")).fileno()

        numbers = {name: number for number, name in enumerate(("input", "output", "error"))}
        closed = " ".join(f"{numbers[name]}>&-" for name, kind in streams.items() if kind == "closed")
        process = subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *words],
            stdin=opened("input"),
            stdout=opened("output"),
            stderr=opened("error"),
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
            timeout=300,
            check=False,
        )
    written = {name: path.read_text() if name not in streams else "" for name, path in files.items()}
    return Done(process.returncode, written["output"], written["error"])


@dataclass
class Story:
    """One application that every command is used on, one after the other, with the same streams."""

    rig: Rig
    chat: Listener
    streams: str
    name: str
    folder: Path
    daemon: Daemon | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def configuration(self) -> Path:
        return self.folder / "rotator.toml"

    @property
    def ledger(self) -> dict[str, Any]:
        return self.rig.ledger(self.name)

    @property
    def published(self) -> str:
        return self.rig.published(self.name)

    def run(self, *words: str) -> Done:
        config = () if "--config" in words else ("--config", str(self.configuration))
        command = [sys.executable, "-m", "rotator", *words, *config]
        return execute(command, STREAMS[self.streams], self.folder)

    def new_application(self) -> str:
        """A file of answers for `rotator init`."""
        path = self.folder / "answers.toml"
        path.write_text(
            f'[vault]\naddress = "{self.rig.vault.address}"\n[accounts.acme]\n'
            f'organization_id = "{self.rig.scaleway.organization_id}"\naccess_key = "{self.rig.scaleway.management_access_key}"\n'
            f'api_url = "{self.rig.scaleway.url}"\ndiscover_with = "file:../management-key"\napplications = ["*"]\n'
            'path = "secret/apps/{name}"\n[defaults]\nevery = "90d"\ngrace = "36h"\n'
        )
        return str(path)

    def hand_made_key(self) -> str:
        self.kept["unmanaged"], _ = self.rig.scaleway.create_key(
            self.rig.bearers[self.name], description="made by hand"
        )
        return str(self.kept["unmanaged"])

    def waived(self) -> bool:
        path = "secret/data/rotator/accounts/acme"
        answer = self.rig.vault.call("GET", path, token=self.rig.vault.root_token)
        return self.kept["unmanaged"] in json.dumps(answer.data)

    def secret_id(self) -> str:
        current = SecretIdFile(self.folder / "own-secret-id").read().current
        return current.reveal() if current else ""

    def reloads(self) -> int:
        return sum(line.get("event") == "daemon.reloaded" for line in self.daemon.events()) if self.daemon else 0


@dataclass(frozen=True)
class Row:
    """A command, the words that are given to it, and what shows that it was carried out. One without such a sign is a question."""

    command: str
    words: Callable[[Story], Sequence[str]] = lambda story: ()
    done: Callable[[Story], bool] | None = None
    before: Callable[[Story], object] = lambda story: None
    code: int = 0
    alone: int | None = 0
    """Its exit code where no daemon runs, if it works there."""


def of_the_application(story: Story) -> Sequence[str]:
    return (story.name,)


def keep_published(story: Story) -> None:
    story.kept["former"] = story.published


def former_is_revoked(story: Story) -> bool:
    return story.published != story.kept["former"] and not story.rig.scaleway.accepts(story.kept["former"])


ROWS = [
    Row("init", lambda story: ("--from-answers", story.new_application(), "--config", str(story.folder / "new.toml")),
        lambda story: "[applications." in (story.folder / "new.toml").read_text()),
    Row("check"),
    Row("upgrade-config"),
    Row("policy"),
    Row("run", lambda story: ("--once",), lambda story: story.ledger["current"]["access_key"] == story.published),
    Row("doctor", code=5, alone=1),
    Row("plan", of_the_application),
    Row("status", of_the_application),
    Row("agenda", of_the_application),
    Row("lookup", lambda story: (story.published,)),
    Row("lookup", lambda story: ("--secret",), code=2, alone=2),
    Row("coverage", lambda story: ("--created-before", "1h")),
    Row("rotate", lambda story: (story.name, "--dry-run")),
    Row("hold", lambda story: (story.name, "--reason", story.streams), lambda story: story.ledger["hold"]["reason"] == story.streams),
    Row("resume", of_the_application, lambda story: not story.ledger["hold"]),
    Row("rotate", of_the_application, lambda story: story.published != story.kept["former"], keep_published),
    Row("extend", lambda story: (story.name, "--by", "1h"),
        lambda story: story.ledger["retiring"][0]["revoke_after"] != story.kept["until"],
        lambda story: story.kept.update(until=story.ledger["retiring"][0]["revoke_after"])),
    Row("revoke", lambda story: (story.kept["former"], "--confirm", story.kept["former"]), former_is_revoked),
    Row("waive", lambda story: (story.hand_made_key(), "--reason", "a test"), Story.waived),
    Row("rotate", lambda story: (story.name, "--compromised", "--reason", "a test"), former_is_revoked, keep_published),
    Row("incident list"),
    Row("incident show", lambda story: (story.ledger["incidents"][0]["id"],)),
    Row("drill", lambda story: (story.name, "--yes"), former_is_revoked, keep_published),
    Row("history", of_the_application),
    Row("notify", lambda story: ("--test",), lambda story: story.chat.count > story.kept["messages"],
        lambda story: story.kept.update(messages=story.chat.count)),
    Row("rotate-login", lambda story: (), lambda story: story.secret_id() != story.kept["secret id"],
        lambda story: story.kept.update({"secret id": story.secret_id()})),
    Row("reload", lambda story: (), lambda story: story.reloads() > story.kept["reloads"],
        lambda story: story.kept.update(reloads=story.reloads()), alone=None),
]  # fmt: skip

ELSEWHERE = {"demo", "events", *(f"sandbox {verb}" for verb in ("start", "status", "break", "mend", "stop"))}
"""Commands that start services of their own, or that end by themselves never, and have tests of their own below."""


def leaves() -> set[str]:
    """Every command, with the first word after it where that says what it does."""
    found = set()
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        first = next((one for one in command.params if isinstance(one, click.Argument)), None)
        choices = (first.metavar or "").strip("[]").split("|") if first else []
        found |= {f"{name} {choice.split()[0]}" for choice in choices} if len(choices) > 1 else {name}
    return found


def test_every_command_is_in_the_table() -> None:
    assert {row.command for row in ROWS} | ELSEWHERE == leaves()


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with Rig() as found:
        rights = required_rights("secret/rotator", ["secret/apps/*"], role="auth/approle/role/rotator")
        found.vault.policy("rotator", policy_text(rights))
        yield found


@pytest.fixture(scope="module")
def chat() -> Iterator[Listener]:
    with Listener() as found:
        yield found


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future[Done]]]:
    """`rotator demo` with each kind of streams. It mostly waits, so it runs while the next tests do."""
    command = [sys.executable, "-m", "rotator", "demo"]
    with ThreadPoolExecutor(len(KINDS)) as pool:
        folder = tmp_path_factory.mktemp
        yield {kind: pool.submit(execute, command, STREAMS[f"all {kind}"], folder(f"demo-{kind}")) for kind in KINDS}


def story_of(rig: Rig, chat: Listener, streams: str, where: str) -> Story:
    """An application with a configuration and a secret id of its own."""
    name = f"{streams.replace(' ', '-')}-{where}"
    folder = rig.directory / name
    (folder / "sockets").mkdir(parents=True, mode=0o755)
    rig.application(name)
    path = folder / "rotator.toml"
    rig.configure(
        FAST.format(every="30d", grace="3600s"),
        applications=[name],
        account=f'[control]\ndirectory = "{folder}/sockets"\n[notifications]\ntargets = ["file:../chat-{name}"]',
        to=path,
    )
    text = path.read_text().replace('"file:', '"file:../').replace("../../", "../")
    path.write_text(
        text.replace(
            '"file:../secret-id" }',
            '"file:../secret-id", own_secret_id = { role = "rotator", file = "own-secret-id" } }',
        )
    )
    rig.keep(f"chat-{name}", Secret(f"json://127.0.0.1:{chat.port}/{name}"))
    return Story(rig, chat, streams, name, folder)


def faults(story: Story, rows: Sequence[Row]) -> list[str]:
    """What a command did not do, or said otherwise than with sound streams."""
    found = []
    wrong = STREAMS[story.streams]
    for row in rows:
        row.before(story)
        words = [*row.command.split(), *row.words(story)]
        done = story.run(*words)
        usual = row.code if story.daemon else row.alone
        answers = row.done is None and usual == 0
        lost = answers and wrong.get("output") in LOST
        expected = 1 if lost else usual
        line = f"{' '.join(words)} with {story.streams} streams{' beside a daemon' if story.daemon else ''}"
        if done.code != expected:
            found.append(f"{line} ended with {done.code} instead of {expected}: {done.error}")
        if row.done is not None and not row.done(story):
            found.append(f"{line} did not do it: {done.error}")
        if any(sign in done.output + done.error for sign in NEVER):
            found.append(f"{line} said {done.output}{done.error}")
        if lost and "error" not in wrong and "the answer could not be written to standard output" not in done.error:
            found.append(f"{line} did not say that its answer is lost: {done.error}")
        if answers and "output" not in wrong and not done.output:
            found.append(f"{line} did not answer")
    return found


WHOLE = [f"all {kind}" for kind in KINDS]

BESIDE = ["sound", *(f"{stream} {kind}" for stream in ("output", "error") for kind in KINDS), "input closed"]

ALONE = ["sound", *WHOLE, "output full"]
"""Where a command does everything itself, it takes most of a second; the other streams are tried beside a daemon."""


def test_c7_every_command_does_its_work_and_says_so_without_a_daemon(rig: Rig, chat: Listener) -> None:
    rows = [row for row in ROWS if row.alone is not None]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda streams: faults(story_of(rig, chat, streams, "alone"), rows), ALONE))
    assert [line for lines in found for line in lines] == []


def test_c7_every_command_does_its_work_and_says_so_beside_a_daemon(rig: Rig, chat: Listener) -> None:
    def play(streams: str) -> list[str]:
        story = story_of(rig, chat, streams, "beside")
        daemon = story.daemon = rig.daemon(story.name, configuration=story.configuration)
        wait_until(lambda: daemon.said("control.listening", orders=True), "it listens")
        wait_until(lambda: rig.at_rest(story.name), "it took over what consumers use")
        try:
            return faults(story, [row for row in ROWS if row.command not in BY_ITSELF])
        finally:
            daemon.end()

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(play, BESIDE))
    assert [line for lines in found for line in lines] == []


@pytest.mark.usefixtures("demonstrations")  # they begin now
@pytest.mark.parametrize("streams", WHOLE)
def test_c7_a_daemon_works_whatever_becomes_of_its_log(rig: Rig, chat: Listener, streams: str) -> None:
    story = story_of(rig, chat, streams, "daemon")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(story.run, "run")
        wait_until((story.folder / "sockets" / "control.sock").exists, "it listens")
        leaked = story.published
        done = rig.command("rotate", story.name, "--compromised", "--reason", "leak", configuration=story.configuration)
        assert "goes on by itself" not in done.stderr
        assert not rig.scaleway.accepts(leaked)
        for pid in pids_of("-m rotator run", str(story.configuration)):
            os.kill(pid, signal.SIGTERM)
        assert running.result(60).code == 0


def test_c7_following_events_ends_when_nothing_can_be_written_any_more(rig: Rig, chat: Listener) -> None:
    story = story_of(rig, chat, "sound", "events")
    daemon = rig.daemon(story.name, configuration=story.configuration)
    wait_until(lambda: daemon.said("control.listening", orders=True), "it listens")
    command = [sys.executable, "-m", "rotator", "events", "--follow", "--config", str(story.configuration)]

    def goes_on_until_it_ends(kind: str) -> Done:
        running = pool.submit(execute, command, STREAMS[f"output {kind}"], story.folder)
        wait_until(lambda: (story.run("reload"), running.done())[1], f"it ends with its output {kind}")
        return running.result()

    try:
        with ThreadPoolExecutor(1) as pool:
            ended = {kind: goes_on_until_it_ends(kind) for kind in KINDS}
    finally:
        daemon.end()
    assert {kind: done.code for kind, done in ended.items()} == {kind: answered(kind) for kind in KINDS}
    assert not any(sign in done.error for done in ended.values() for sign in NEVER)


def pids_of(*words: str) -> list[int]:
    """The processes in whose command line all of these words stand."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [int(place.name)] if all(word in line for word in words) else []
    return found


def answered(kind: str) -> int:
    """The exit code of a question that was answered into nowhere."""
    return 1 if kind in LOST else 0


def test_c7_a_demonstration_ends_well_whatever_becomes_of_its_report(
    demonstrations: Mapping[str, Future[Done]],
) -> None:
    assert {kind: done.result().code for kind, done in demonstrations.items()} == {
        kind: answered(kind) for kind in KINDS
    }


def practise(folder: Path, kind: str) -> list[str]:
    """What went wrong in a place to practise with such streams."""
    found = []
    command = [sys.executable, "-m", "rotator", "sandbox"]

    def expect(code: int, *words: str) -> None:
        done = execute([*command, *words], STREAMS[f"all {kind}"], folder)
        found.extend([f"{' '.join(words)} with all streams {kind} ended with {done.code}"] if done.code != code else [])

    def broken() -> list[str]:
        status: dict[str, list[str]] = json.loads(execute([*command, "status", "--json"], {}, folder).output)
        return status["broken"]

    expect(0, "start")
    try:
        expect(answered(kind), "status")
        expect(0, "break", "vault")
        found += [] if broken() == ["vault"] else ["vault is not broken"]
        expect(0, "mend")
        found += [] if broken() == [] else ["vault is not mended"]
    finally:
        expect(0, "stop")
    return [*found, *(["it is not stopped"] if (folder / ".rotator-sandbox" / "sandbox.sock").exists() else [])]


def test_c7_a_place_to_practise_starts_and_stops_whatever_becomes_of_the_report() -> None:
    pytest.importorskip("uvicorn", reason="the stand-in is made with it: the extra sandbox")
    with tempfile.TemporaryDirectory(prefix="rotator-") as short, ThreadPoolExecutor(3) as pool:  # for its sockets
        for kind in KINDS:
            Path(short, kind).mkdir()
        found = list(pool.map(lambda kind: practise(Path(short, kind), kind), KINDS))
    assert [line for lines in found for line in lines] == []
