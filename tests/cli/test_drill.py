"""``rotator drill``: the emergency for practice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rotator.errors import Unavailable
from tests.cli.conftest import Desk
from tests.cli.test_rotate import fail
from tests.vault.test_secret_ids import Host, Role

OLD = "SCW00000000000000001"
NEW = "SCW00000000000000002"
ROOT = Path(__file__).parents[2]


def test_a_drill_is_a_real_emergency_with_the_reason_drill(desk: Desk) -> None:
    result = desk.type("drill", "billing", "--yes")
    assert result.exit_code == 0, result.stderr
    assert desk.sim.live_keys() == [NEW]
    assert [incident.reason for incident in desk.sim.ledger().incidents] == ["drill"]


def test_every_step_is_timed_in_its_order(desk: Desk) -> None:
    done = desk.json("drill", "billing", "--yes")
    assert [step["what"] for step in done["steps"]] == [
        "the mark is in the ledger: from here on every actor acts on it",
        "a rotation is claimed",
        "the provider has made the new key",
        "the new key works",
        "consumers can read it",
        "the old key is deleted",
        "the ledger follows",
        "the old key is verified as revoked",
        "contained",
    ]
    times = [step["seconds"] for step in done["steps"]]
    assert times == sorted(times)
    assert done["seconds"] >= times[-1] > 0
    assert set(done["calls"]) == {"create_key", "write_document", "delete_key"}


def test_the_whole_is_compared_with_its_bare_calls(desk: Desk) -> None:
    def slow(name: str, phase: str) -> None:
        if phase == "before" and name in {"create_key", "write_document", "delete_key"}:
            desk.pause(1)

    desk.sim.hook = slow
    result = desk.type("drill", "billing", "--yes")
    assert "times what its calls take by themselves (create 1.00 s, write 1.00 s, delete 1.00 s)" in result.stdout
    assert desk.json("drill", "billing", "--yes")["multiple"] >= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("drill",), "name an application, or say --sandbox"),
        (("drill", "billing", "--sandbox"), "name an application, or say --sandbox"),
        (("drill", "billing", "--login"), "name an application, or say --sandbox or --login"),
        (("drill", "--sandbox", "--login"), "name an application, or say --sandbox or --login"),
        (("drill", "billing"), "say --yes if that is what you want"),
        (("drill", "--login"), "the configured one stays valid; say --yes if that is what you want"),
    ],
)
def test_nobody_drills_by_accident(desk: Desk, words: tuple[str, ...], said: str) -> None:
    desk.sim.calls.clear()
    result = desk.type(*words)
    assert (result.exit_code, said in result.stderr) == (2, True)
    assert desk.sim.calls == []


def test_a_drill_on_a_held_application_is_refused(desk: Desk) -> None:
    desk.type("hold", "billing", "--reason", "migration")
    result = desk.type("drill", "billing", "--yes")
    assert (result.exit_code, "is held by" in result.stderr) == (4, True)


def test_a_drill_that_fails_says_what_was_in_the_way_and_shows_how_far_it_came(desk: Desk) -> None:
    fail(desk, "list_keys", Unavailable("acme cannot be reached", service="acme", kind="unreachable"))
    result = desk.type("drill", "billing", "--yes")
    assert result.exit_code == 3
    assert "the mark is in the ledger" in result.stdout
    assert "acme cannot be reached" in result.stderr


def test_the_sandbox_needs_no_configuration(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rotator", "drill", "--sandbox", "--json"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["result"]["outcome"] == "contained"
    assert answer["multiple"] > 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("typed", "done"), [("y\n", True), ("n\n", False)])
def test_at_a_terminal_it_says_what_it_means_and_asks(desk: Desk, typed: str, done: bool) -> None:
    result = desk.answer(typed, "drill", "billing")
    assert result.exit_code == 0
    assert "its consumers are refused until they have read the new one" in result.stderr
    assert desk.sim.live(OLD) != done


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The secret id of this machine's login, where commands find it."""
    host = Host(Role(), tmp_path / "secret-id")
    host.daemon().maintain()
    runtime = SimpleNamespace(vault=SimpleNamespace(secret_ids=host.daemon()), close=lambda: None)
    monkeypatch.setattr("rotator.app.open_runtime", lambda path: runtime)
    return host


def test_a_drill_of_the_login_rotates_its_secret_id_and_times_the_steps(desk: Desk, login: Host) -> None:
    former = login.held.current
    result = desk.type("drill", "--login", "--yes")
    assert result.exit_code == 0, result.stderr
    assert "login: drill" in result.stdout
    assert "+0.00 s  every later login of this machine uses it" in result.stdout
    assert "in all 0.00 s; destroyed: 1" in result.stdout
    assert login.held.current not in (None, former)


def test_the_json_of_a_drill_of_the_login_names_its_steps_and_the_reason(desk: Desk, login: Host) -> None:
    done = desk.json("drill", "--login", "--yes")
    assert [step.keys() for step in done["steps"]] == [{"seconds": None, "what": None}.keys()] * 5
    del done["steps"]
    assert done == {"reason": "drill", "rotated": True, "destroyed": 1, "seconds": 0.0, "error": None}


@pytest.mark.parametrize(("typed", "done"), [("y\n", True), ("n\n", False)])
def test_a_drill_of_the_login_asks_at_a_terminal(desk: Desk, login: Host, typed: str, done: bool) -> None:
    before = login.held.current
    result = desk.answer(typed, "drill", "--login")
    assert result.exit_code == 0
    assert "destroys the former ones that this machine made at once" in result.stderr
    assert (login.held.current != before) is done


def test_a_drill_of_the_login_that_fails_ends_with_the_exit_code_of_its_error(desk: Desk, login: Host) -> None:
    login.role.denied = frozenset({"destroy"})
    result = desk.type("drill", "--login", "--yes")
    assert result.exit_code == 1
    assert "every later login of this machine uses it" in result.stdout
    assert "rotator: login: " in result.stderr
    assert "secret-id/destroy" in result.stderr


def test_without_a_secret_id_of_its_own_there_is_no_login_to_drill(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = SimpleNamespace(vault=SimpleNamespace(secret_ids=None), close=lambda: None)
    monkeypatch.setattr("rotator.app.open_runtime", lambda path: runtime)
    result = desk.type("drill", "--login", "--yes")
    assert (result.exit_code, "set own_secret_id in [vault.auth]" in result.stderr) == (4, True)
