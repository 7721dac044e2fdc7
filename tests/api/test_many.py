"""Orders about whole accounts, given to the daemon."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rotator.api.listeners import Listeners
from rotator.config import Control
from tests.api.conftest import FakeHouse, Front, lines
from tests.support.daemon_stage import eventually, published, runtime, settled

NAMES = [f"app-{number}" for number in range(8)]


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Front]:
    made = runtime(*NAMES, source=str(tmp_path / "rotator.toml"))
    daemon_handle = FakeHouse(made)
    made.sink = daemon_handle.sink
    for name in NAMES:
        settled(name, made)
    listeners = Listeners(daemon_handle)
    listeners.maintain(Control(tmp_path))
    yield Front(tmp_path, daemon_handle, listeners)
    daemon_handle.stopping.set()
    listeners.executor.give_up()
    listeners.close()


def order(front: Front, **more: Any) -> Any:
    return front.ask("POST", "/v1/mass_rotation", json={"compromised": True, "reason": "breach", **more})


def marked(front: Front) -> list[str]:
    return [
        str(fields["application"]) for name, fields in front.daemon_handle.events.events if name == "compromise.marked"
    ]


@pytest.fixture
def stuck(many: Front) -> Iterator[threading.Event]:
    """Creates wait for this event."""
    goes_on = threading.Event()
    many.daemon_handle.runtime.stages["acme"].hook = lambda name, phase: (
        goes_on.wait(60) if name == "create_key" and phase == "before" else None
    )
    yield goes_on
    goes_on.set()


def begin(front: Front, **more: Any) -> tuple[threading.Thread, list[Any]]:
    """Give the order in a thread; its answer will be the only item of the list."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(order(front, **more)))
    thread.start()
    eventually(lambda: marked(front), "somebody is marked")
    return thread, answers


def soon(front: Front) -> None:
    """Keys are old only once the second in which they were made is over."""
    made = front.daemon_handle.runtime.clock.now()
    eventually(lambda: front.daemon_handle.runtime.clock.now().replace(microsecond=0) > made, "the second is over")


def test_the_daemon_replaces_everything_and_ends_with_the_proof(many: Front) -> None:
    soon(many)
    before = {name: published(many.daemon_handle.runtime, name) for name in NAMES}
    answer = many.ask(
        "POST",
        "/v1/mass_rotation",
        json={"compromised": True, "reason": "breach"},
        headers={"accept": "application/x-ndjson"},
    )
    *told, last = lines(answer)
    assert sum(line["event"] == "mass_rotation.application_done" for line in told) == len(NAMES)
    (result,) = last["result"]["accounts"]
    assert result["coverage"]["rows"] == []
    stage = many.daemon_handle.runtime.stages["acme"]
    assert not {key for key in before.values() if key in stage.live_keys()}


def test_the_same_mass_rotation_is_not_taken_twice_at_once(many: Front, stuck: threading.Event) -> None:
    soon(many)
    thread, answers = begin(many)
    again = order(many)
    assert (again.status_code, again.json()["error"]["kind"], again.json()["error"]["exit_code"]) == (
        429,
        "under_way",
        3,
    )
    other = order(many, applications=["nobody"])
    assert other.status_code == 404, "other words are another order"
    stuck.set()
    thread.join()
    assert answers[0].status_code == 200
    assert order(many).status_code == 200


def test_at_the_end_of_the_daemon_nobody_is_let_in_any_more_and_nobody_who_waits_is_marked(
    many: Front, stuck: threading.Event
) -> None:
    soon(many)
    thread, answers = begin(many)
    let_in = many.daemon_handle.runtime.stages["acme"]
    eventually(lambda: let_in.calls.count("create_key") == 4, "as many are under way as may be")
    many.daemon_handle.stopping.set()
    stuck.set()
    thread.join()
    assert (answers[0].status_code, answers[0].json()["error"]["kind"]) == (503, "stopping")
    assert len(marked(many)) == 4
    document, _ = many.daemon_handle.runtime.vault.read_account("acme")
    assert [one.ended_at for one in document.mass_rotations] == [None], "the same order goes on with it"
