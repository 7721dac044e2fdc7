"""``rotator reload`` against a daemon in a process of its own: it returns when the new configuration is in force, or says why not."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rotator.cli.main import root
from rotator.cli.session import Session
from tests.daemon.test_process import Play
from tests.support.daemon_stage import eventually


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    stage = Play(tmp_path)
    stage.configure("billing", control={})
    monkeypatch.setenv("ROTATOR_CONTROL", str(tmp_path))
    yield stage
    stage.close()


def reload(play: Play, *options: str) -> Result:
    session = Session(config=play.directory / "config.json")
    return CliRunner().invoke(root, ["reload", *options], obj=session)


def status(play: Play, *options: str) -> Result:
    session = Session(config=play.directory / "config.json")
    return CliRunner().invoke(root, ["status", *options], obj=session)


def listening(play: Play) -> bool:
    return len(play.events("control.listening")) == 2


def test_it_returns_when_the_new_configuration_is_in_force(play: Play) -> None:
    play.start()
    eventually(lambda: listening(play))
    play.configure("billing", "reports", control={})
    found = reload(play)
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout == "the new configuration is in force: 2 applications; new: reports\n"
    eventually(lambda: play.events("daemon.reloaded"))
    assert play.events("daemon.reloaded")[0]["added"] == ["reports"]
    (order,) = play.events("control.command")
    assert (order["operation"], order["by"].partition("@")[0].partition(" ")[2]) == ("reload", "via control socket")


def test_with_json_it_says_what_came_and_what_left(play: Play) -> None:
    play.start()
    eventually(lambda: listening(play))
    play.configure("reports", workers=3, control={})
    answer: Any = json.loads(reload(play, "--json").stdout)
    assert answer == {
        "applications": 1,
        "added": ["reports"],
        "removed": ["billing"],
        "restart_needed": ["daemon.workers"],
        "blocked": [],
    }


def test_a_configuration_that_is_not_sound_is_refused_with_all_problems_and_the_old_one_stays(play: Play) -> None:
    play.start()
    eventually(lambda: listening(play))
    (play.directory / "config.json").write_text("{")
    found = reload(play)
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.splitlines() == [
        "rotator: config.json: applications: is wrong; write a list",
        "rotator: config.json: is bad",
    ]
    answer: Any = json.loads(reload(play, "--json").stdout)
    assert [problem["path"] for problem in answer["error"]["problems"]] == ["applications", ""]
    assert not play.events("daemon.reloaded")
    play.configure("billing", control={})
    assert reload(play).exit_code == 0


def test_without_a_daemon_the_exit_code_is_3(play: Play) -> None:
    found = reload(play)
    assert found.exit_code == 3
    assert found.stderr == (
        f"rotator: no daemon answers: there is no {play.directory}/control.sock; start the daemon, or see docs/control.md\n"
    )


def test_a_socket_that_a_killed_daemon_left_is_no_daemon_and_the_next_one_takes_its_place(play: Play) -> None:
    play.start()
    eventually(lambda: listening(play))
    play.signal(signal.SIGKILL)
    play.close_process()
    found = reload(play)
    assert (found.exit_code, "it is not running any more" in found.stderr) == (3, True)
    play.output.clear()
    play.start()
    eventually(lambda: listening(play))
    assert reload(play).exit_code == 0


def test_a_daemon_that_ends_takes_its_sockets_with_it(play: Play) -> None:
    play.start()
    eventually(lambda: listening(play))
    play.signal(signal.SIGTERM)
    assert play.end() == 0
    assert not list(play.directory.glob("*.sock"))


def test_the_reload_of_another_configuration_is_not_ours_to_order(play: Play) -> None:
    play.start()
    eventually(lambda: listening(play))
    found = CliRunner().invoke(root, ["reload", "--config", str(play.directory / "another.toml")], obj=Session())
    assert found.exit_code == 3
    assert f"works for {play.directory}/config.json" in found.stderr
    assert not play.events("daemon.reloaded")


def test_a_reload_may_take_the_sockets_elsewhere_and_is_still_answered(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    play.start()
    eventually(lambda: listening(play))
    play.configure("billing")
    assert reload(play).exit_code == 0
    eventually(lambda: not list(play.directory.glob("*.sock")))


def test_a_socket_that_cannot_be_opened_stops_no_rotation_and_the_status_says_so(play: Play) -> None:
    (play.directory / "control.sock").write_text("something else")
    play.configure("billing", control={})
    play.start()
    eventually(lambda: play.events("rotation.committed"))
    eventually(lambda: "cannot listen at" in play.status())
    (complaint,) = play.events("control.unavailable")
    assert complaint["listen"] == str(play.directory / "control.sock")
    assert (play.directory / "control.sock").read_text() == "something else"


def test_a_group_that_does_not_exist_is_said(play: Play) -> None:
    play.configure("billing", control={"control_group": "no-such-group"})
    play.start()
    eventually(lambda: play.events("control.unavailable"))
    assert play.events("control.unavailable")[0]["message"] == "there is no group no-such-group on this machine"
    eventually((play.directory / "read.sock").exists)


def test_c2_a_reload_that_contradicts_a_ledger_says_what_it_stops_and_so_does_status(play: Play) -> None:
    play.start()
    eventually(lambda: listening(play) and play.events("rotation.committed"))
    eventually(lambda: status(play).exit_code == 0)
    play.configure("billing", control={}, paths={"billing": "secret/elsewhere"})
    found = reload(play)
    assert found.exit_code == 4
    assert "the new configuration is in force" in found.stdout
    assert "billing: stopped: the path of billing was secret/apps/billing and is now secret/elsewhere" in found.stderr
    assert "put the old value back" in found.stderr
    eventually(lambda: play.events("application.blocked"))
    check = status(play, "--check")
    assert check.exit_code == 2
    assert "blocked: billing [configuration_moved]" in check.stdout
    (blocked,) = json.loads(status(play, "--json").stdout)["applications"]
    assert (blocked["phase"], blocked["problem"]["reason"]) == ("blocked", "configuration_moved")
    play.configure("billing", control={})
    assert reload(play).exit_code == 0
    eventually(lambda: play.events("application.recovered"))
    assert [event["reason"] for event in play.events("application.blocked")] == ["configuration_moved"]
    assert status(play, "--check").exit_code == 0
