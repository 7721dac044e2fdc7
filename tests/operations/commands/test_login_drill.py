"""The drill of the login: a real rotation of the secret id, timed, that no other machine notices."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from rotator.operations.commands.login_drill import LOGIN_STEPS, LoginDrillResult, drill_login
from tests.vault.test_secret_ids import INITIAL, Host, Role


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(Role(), tmp_path / "secret-id")
    host.daemon().maintain()
    return host


def drilled(host: Host) -> LoginDrillResult:
    return drill_login(host.daemon(), lambda: host.role.now)


def pass_a_second(host: Host) -> None:
    """Every call at Vault takes a second."""

    def hook(name: str, phase: str) -> None:
        host.role.now += timedelta(seconds=phase == "before")

    host.role.hook = hook


def test_a_drill_of_the_login_replaces_the_secret_id_and_destroys_the_former_one_at_once(host: Host) -> None:
    former = host.held.current
    assert former is not None
    done = drilled(host)
    assert (done.rotated, done.destroyed, done.failure) == (True, 1, None)
    assert host.held.current not in (None, former)
    assert host.held.former == ()
    assert former.reveal() not in host.role.valid
    assert host.logs_in()


def test_a_drill_spares_the_configured_secret_id_that_other_machines_log_in_with(host: Host) -> None:
    drilled(host)
    assert INITIAL.reveal() in host.role.valid


def test_every_step_of_the_drill_is_timed_in_its_order(host: Host) -> None:
    pass_a_second(host)
    done = drilled(host)
    assert [(step.what, step.at) for step in done.steps] == [
        ("the file holds a new secret id", 0),
        ("Vault knows it", 1),
        ("it has logged in", 2),
        ("every later login of this machine uses it", 2),
        ("a former secret id is destroyed", 3),
    ]
    assert [step.what for step in done.steps] == [*LOGIN_STEPS.values()]
    assert done.seconds == 3
    assert done.as_json()["steps"][1] == {"seconds": 1.0, "what": "Vault knows it"}


def test_a_drill_that_fails_shows_how_far_it_came_and_leaves_a_login_that_works(host: Host) -> None:
    host.role.denied = frozenset({"destroy"})
    done = drilled(host)
    assert (done.rotated, done.destroyed) == (True, 0)
    assert done.failure is not None
    assert "secret-id/destroy" in done.failure.message
    answer = done.as_json()
    assert answer["error"]["kind"] == done.failure.reason
    assert (answer["reason"], answer["rotated"], answer["destroyed"]) == ("drill", True, 0)
    assert host.logs_in()


def test_a_new_secret_id_that_does_not_log_in_is_not_used(host: Host) -> None:
    before = host.held.current
    host.role.denied = frozenset({"try"})
    done = drilled(host)
    assert not done.rotated
    assert [step.what for step in done.steps] == ["the file holds a new secret id", "Vault knows it"]
    assert host.held.current == before
    assert host.logs_in()
