"""`rotator demo`: told to the end in a pipe once, and each of its complaints provoked.

The first test takes half a minute; `pytest -k "not whole_story"` leaves it out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from rotator.domain.secret import Secret
from rotator.errors import RotatorError
from rotator.sandbox import demo
from rotator.sandbox.demo import presentation as show
from rotator.sandbox.demo.consumer import Consumer, Finder
from rotator.sandbox.demo.environment import APPLICATIONS, World
from rotator.sandbox.demo.live_view import Picture
from rotator.sandbox.demo.observer import DemoObserver
from rotator.sandbox.demo.recording import Chronicle, Life, Line, Span
from rotator.sandbox.demo.scenario import Drill, Kill, Story, from_the_mark
from rotator.sandbox.demo.verdict import Verdict, judge, look_at_rest, report, summary
from rotator.sandbox.process import wait_until

DEMO = "import sys; from rotator.sandbox.demo import main; sys.exit(main(limit={limit}))"


def run(directory: Path, limit: float) -> subprocess.Popen[str]:
    """The demo in a pipe, with its temporary directory inside of ours."""
    environment = os.environ | {"TMPDIR": str(directory)}
    return subprocess.Popen(
        [sys.executable, "-u", "-c", DEMO.format(limit=limit)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def processes_of(directory: Path) -> list[str]:
    """The command lines of all processes that were started with something in the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(directory) in words:
            found.append(words)
    return found


def test_the_whole_story_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with run(tmp_path, limit=300) as process:
        output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, output + errors
    story, _, end = output.partition("What happened in ")
    for sign in (
        " 0 refused",
        "0 left over",
        "untouched",
        "no secret in them",
        "Nothing was refused and nothing is left over.",
    ):
        assert sign in end
    for application in APPLICATIONS:
        assert f"{application:<8}  SCW…" in story
    assert "killed: SCW…" in story
    assert "and reports: revoked" in story
    assert "it was never published" in story
    assert "ended when it was asked to" in story
    assert errors == ""
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def test_ctrl_c_ends_every_process_and_removes_every_file(tmp_path: Path) -> None:
    with run(tmp_path, limit=300) as process:
        assert process.stdout
        for line in process.stdout:
            if "started: rotator run" in line:
                break
        wait_until(lambda: any("rotator\0run" in words for words in processes_of(tmp_path)), "the daemon runs")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "\nThe demo was interrupted; everything that it had started is gone.\n"
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: processes_of(tmp_path) == [], "all processes are gone")


def test_the_demo_ends_when_nobody_reads_its_pipe_any_more(tmp_path: Path) -> None:
    with run(tmp_path, limit=300) as process:
        assert process.stdout
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 130
        assert process.stderr
        assert "Traceback" not in process.stderr.read()
    assert list(tmp_path.iterdir()) == []


def test_a_story_that_gets_stuck_says_where_and_fails(tmp_path: Path) -> None:
    with run(tmp_path, limit=0.01) as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "This is not how it should have gone:" in output
    assert "the demo still waited until every application has its first key" in output
    assert "billing never worked" in output
    assert "Nothing was refused" not in output
    assert errors == ""
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_one_sentence_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(RotatorError, match=r"pip install '?httptools>="):
        demo.main()


# --- the verdict, each complaint ------------------------------------------------------------------------------------------


class Scene:
    """A world without a daemon in which every application has a published key, and its story as if it had been told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.chronicle = Chronicle(tuple(APPLICATIONS))
        self.observer = DemoObserver(world, self.chronicle)
        self.story = Story(world, self.chronicle, self.observer, limit=300, stopped_well=True)
        for application in APPLICATIONS:
            self.publish(application)
        self.observer.look()

    def publish(self, application: str) -> str:
        """Do what rotator does, by hand."""
        access_key, secret = self.world.scaleway.create_key(self.world.bearers[application])
        path = f"secret/data/apps/{application}/scaleway"
        self.world.vault.admin("POST", path, {"data": {"access_key": access_key, "secret_key": secret}})
        return access_key

    def work(self) -> None:
        """Every application makes a call."""
        for consumer in self.world.consumers:
            consumer.step()

    def judge(self) -> Verdict:
        self.observer.look()
        return judge(self.world, self.chronicle, self.story)


@pytest.fixture
def scene() -> Iterator[Scene]:
    with World() as world:
        world.scaleway.configure(
            instances=1, activation_delay=0, revocation_delay=0, latency_get=0, latency_list_by_bearer=0
        )
        yield Scene(world)


def test_a_world_in_order_is_judged_good(scene: Scene) -> None:
    scene.work()
    verdict = scene.judge()
    assert verdict.problems == ()
    assert verdict.good
    assert len(verdict.rest.published) == 3
    assert verdict.rest.strangers == (scene.world.stranger,)
    assert json.loads(json.dumps(verdict.as_json()))["ok"] is True


def test_an_application_that_is_given_a_dead_key_is_refused_and_the_verdict_says_so(scene: Scene) -> None:
    scene.work()
    dead = look_at_rest(scene.world).published
    for access_key in dead:
        scene.world.scaleway.delete_key(access_key)
    scene.work()
    verdict = scene.judge()
    assert not verdict.good
    assert [entry["refused"] for entry in verdict.consumers] == [1, 1, 1]
    assert sum(problem.startswith("1 calls of ") for problem in verdict.problems) == 3
    assert verdict.rest.dead_but_published == dead
    assert any(problem.startswith("revoked but published: ") for problem in verdict.problems)


def test_a_key_that_nobody_knows_is_left_over(scene: Scene) -> None:
    scene.work()
    leftover, _ = scene.world.scaleway.create_key(scene.world.bearers["shop"])
    verdict = scene.judge()
    assert verdict.rest.left_over == (leftover,)
    assert verdict.problems == (f"left over: {leftover} is valid and no document or ledger knows it",)


def test_a_key_in_grace_with_a_deadline_is_not_left_over(scene: Scene) -> None:
    scene.work()
    old = look_at_rest(scene.world).published
    for application in APPLICATIONS:
        scene.publish(application)
        retiring = [{"access_key": key, "revoke_after": "2030-01-01T00:00:00Z"} for key in old]
        path = f"secret/data/rotator/applications/{application}"
        scene.world.vault.admin("POST", path, {"data": {"retiring": retiring}})
    verdict = scene.judge()
    assert verdict.rest.in_grace == old
    assert verdict.good


@pytest.mark.parametrize("touch", ["edited", "deleted"])
def test_a_touched_stranger_spoils_the_verdict(scene: Scene, touch: str) -> None:
    scene.work()
    if touch == "edited":
        scene.world.scaleway.edit_key(scene.world.stranger, description="ours now")
    else:
        scene.world.scaleway.delete_key(scene.world.stranger)
    assert scene.judge().problems == ("the key that a person made by hand was touched",)


@pytest.mark.parametrize("place", ["log", "command"])
def test_a_secret_in_a_log_or_an_output_spoils_the_verdict_and_is_not_repeated(scene: Scene, place: str) -> None:
    scene.work()
    secret = scene.world.scaleway.secret_of(scene.publish("billing"))
    scene.world.scaleway.delete_key(look_at_rest(scene.world).left_over[0])
    scene.world.log.write_text(json.dumps({"level": "error", "event": secret}) if place == "log" else "")
    scene.story.command_output = secret if place == "command" else ""
    verdict = judge(scene.world, scene.chronicle, scene.story, "stuck")
    assert verdict.secrets_in_logs == 1
    assert "1 secrets are in the daemon's log or in the output of the command" in verdict.problems
    assert secret not in repr(verdict)


def test_a_stuck_story_shows_what_the_daemon_complained_of(scene: Scene) -> None:
    scene.work()
    lines = [json.dumps({"level": level, "event": f"{level}.line"}) for level in ("info", "warning", "debug", "error")]
    scene.world.log.write_text("\n".join([*lines, "Traceback (most recent call last):"]))
    verdict = judge(scene.world, scene.chronicle, scene.story, "stuck")
    assert verdict.problems == ("stuck",)
    assert verdict.log_tail == (lines[1], lines[3], "Traceback (most recent call last):")


# --- those who use keys ---------------------------------------------------------------------------------------------------


def test_being_refused_with_a_compromised_key_is_no_outage_but_with_any_other_it_is(scene: Scene) -> None:
    consumer = scene.world.consumers[0]
    consumer.step()
    (first,) = consumer.served
    marked = {"compromised": [{"access_key": first}]}
    scene.world.vault.admin("POST", f"secret/data/rotator/applications/{consumer.application}", {"data": marked})
    scene.observer.look()
    second = scene.publish(consumer.application)
    scene.world.scaleway.delete_key(first)
    consumer.step()
    assert (consumer.turned_away[first], consumer.refused.total()) == (1, 0)
    consumer.step()
    assert consumer.served[second] == 1, "it read Vault at once"
    assert consumer.back_at > consumer.cut_off_at > 0
    scene.world.scaleway.delete_key(second)
    consumer.step()
    assert consumer.refused == {second: 1}
    assert report(consumer)["refused"] == 1
    assert report(consumer)["refused_with_a_compromised_key"] == 1


def test_an_application_keeps_its_key_while_vault_is_away(scene: Scene) -> None:
    early, late, _ = scene.world.consumers
    early.step()
    scene.world.vault.kill()
    early.read()
    early.step()
    late.step()
    assert (early.served.total(), late.calls) == (2, 0)


def test_an_api_that_does_not_answer_is_no_refusal(scene: Scene) -> None:
    document = "secret/data/apps/shop/scaleway"
    assert scene.world.vault.root_token
    consumer = Consumer("shop", scene.world.vault.address, document, scene.world.vault.root_token, "http://127.0.0.1:1")
    consumer.step()
    consumer.close()
    assert (consumer.calls, consumer.unanswered) == (0, 1)


def test_the_finder_tells_when_a_key_began_to_be_refused_for_good(scene: Scene) -> None:
    access_key = look_at_rest(scene.world).published[0]
    secret = Secret(scene.world.scaleway.secret_of(access_key))
    ticks = iter(range(1000))
    finder = Finder(scene.world.scaleway.url, access_key, secret)

    def clock() -> float:
        return float(next(ticks))

    thread = scene.world.run_thread(finder.work, scene.world.stop, clock)
    wait_until(lambda: finder.accepted > 3, "the finder calls")
    scene.world.scaleway.delete_key(access_key)
    thread.join(60)
    assert finder.dead_at == 0.0


# --- what is shown --------------------------------------------------------------------------------------------------------


def told() -> Chronicle:
    """A chronicle with everything in it that the picture can draw."""
    chronicle = Chronicle(tuple(APPLICATIONS))
    chronicle.phase = (
        "A sentence that is far too long for a narrow terminal, because it goes on and on and on and on and on"
    )
    chronicle.lives = {
        "SCWOLD": Life("SCWAAAAAAAAAAAAA0LD01", "billing", 1.0, 0, 2.0, 8.0, 11.0, 12.0),
        "SCWNOW": Life("SCWAAAAAAAAAAAAAN0W02", "billing", 7.0, 1, 8.0, leaked=20.0),
        "SCWLOST": Life("SCWAAAAAAAAAAAAAL0ST3", "shop", 9.0, 0, died=15.0),
        "SCWHAND": Life("SCWAAAAAAAAAAAAAHAND4", "reports", 0.0, 0, stranger=True),
    }
    chronicle.lines = [
        Line(float(at), "billing", "something happened that takes many words to say " * 3) for at in range(25)
    ]
    chronicle.daemons = [Span(0.5, 10.0, killed=True), Span(12.0)]
    chronicle.marks = [(10.0, "kill -9"), (20.0, "leak")]
    return chronicle


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (60, 20), (20, 8)])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    chronicle = told()
    chronicle.began -= 25.0
    consumers = [Consumer(name, "http://127.0.0.1:1", "", Secret("t"), "http://127.0.0.1:1") for name in APPLICATIONS]
    consumers[2].turned_away["SCWX"] = 7
    console = Console(width=width, height=height, legacy_windows=False, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(Picture(chronicle, consumers))
    lines = capture.get().splitlines()
    assert len(lines) < height
    assert max(len(line.rstrip()) for line in lines) <= width
    if width >= 80:
        picture = "\n".join(lines)
        for sign in (
            "0LD01",
            "▒▒▒▒▒▒✕",
            "░░░░░░░░░░░░✕",
            "made by hand",
            "━━━✖",
            "▲ kill -9",
            "7 refused",
            "24.0 s  billing",
        ):
            assert sign in picture


def test_the_picture_moves_on_when_there_is_no_more_room() -> None:
    chronicle = told()
    consumers = [Consumer(name, "http://127.0.0.1:1", "", Secret("t"), "http://127.0.0.1:1") for name in APPLICATIONS]
    console = Console(width=80, height=24, legacy_windows=False, color_system=None, force_terminal=True)
    chronicle.began -= 60.0
    with console.capture() as capture:
        console.print(Picture(chronicle, consumers))
    assert "0LD01" not in capture.get()
    assert "50 s" in capture.get()


def test_the_lanes_of_the_living_are_their_own() -> None:
    chronicle = Chronicle(("billing",))
    first = chronicle.born("A", "billing", 1.0)
    second = chronicle.born("B", "billing", 2.0)
    first.died = 3.0
    third = chronicle.born("C", "billing", 4.0)
    assert (first.lane, second.lane, third.lane) == (0, 1, 0)


def test_the_summary_is_made_of_sentences_for_a_stranger(capsys: pytest.CaptureFixture[str], scene: Scene) -> None:
    scene.work()
    verdict = replace(
        scene.judge(),
        kill=Kill(10.0, {"SCWAAAAAAAAAAAAAL0ST3": "shop"}),
        leftover_dead_after=5.5,
        drill=Drill("shop", "SCWX", 2.9, 4.0, 3.4, 12, 0.2),
    )
    words = dict(summary(verdict))
    assert list(words) == ["rotation", "applications", "kill -9", "compromise", "at rest", "logs"]
    assert words["kill -9"] == (
        "The daemon was killed when SCW…L0ST3 for shop was made and not yet published. "
        "The next one found and revoked what was left over, 5.5 s after the kill."
    )
    assert words["compromise"] == (
        "`rotator rotate shop --compromised`: the leaked key was refused 2.9 s after the command began, and verified as revoked after 4.0 s "
        "(3.4 s after the mark in the ledger). shop noticed, and went on with the next key after 0.2 s."
    )
    show.Lines().conclude(verdict)
    assert "Nothing was refused and nothing is left over." in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer", ["", "[]", "{}", '{"applications": []}', '{"applications": [{"seconds_from_mark": null}]}']
)
def test_an_answer_without_the_time_from_the_mark_has_none(answer: str) -> None:
    assert from_the_mark(answer) is None


def test_the_time_from_the_mark_is_what_the_command_says() -> None:
    assert from_the_mark('{"applications": [{"seconds_from_mark": 3.25}]}') == 3.25


def test_the_temporary_directory_is_private() -> None:
    with World() as world:
        assert world.directory.stat().st_mode & 0o777 == 0o700
        assert world.directory.parent == Path(tempfile.gettempdir())
        for name in ("role-id", "secret-id", "management-key"):
            assert (world.directory / name).stat().st_mode & 0o777 == 0o600
    assert not world.directory.exists()
