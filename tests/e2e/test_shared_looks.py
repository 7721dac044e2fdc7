"""Three daemons as real processes that share their looks, over a real OpenBao: how often they list keys, each with a management key of
its own so that its calls can be told from the others', and who looks when one is killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.domain.secret import Secret
from rotator.sandbox.process import wait_until
from tests.e2e.rig import FAST, Daemon, Rig

INTERVAL = 2.0
"""Seconds from one look at an application to the next, as in ``FAST``."""

NAMES = [f"app-{number:02d}" for number in range(30)]
WINDOW = 6 * INTERVAL
LONG = FAST.format(every="1000d", grace="24h")


class Installation:
    """The applications, and daemons that can be told apart."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.managers: list[str] = []
        for name in NAMES:
            rig.application(name)

    def start(self, *, share: bool) -> Daemon:
        """One more daemon, with a management key of its own."""
        number = len(self.managers)
        manager = self.rig.scaleway.create_application(f"manager-{number}", manager=True)
        _, secret = self.rig.scaleway.create_key(manager, description="management")
        self.rig.keep(f"management-key-{number}", Secret(secret))
        self.managers.append(manager)
        path = self.rig.directory / f"rotator-{number}.toml"
        self.rig.configure(LONG, daemon=f"share_looks = {str(share).lower()}", to=path)
        path.write_text(path.read_text().replace('"file:management-key"', f'"file:management-key-{number}"'))
        program = ("-m", "tests.support.quick_presence")
        daemon = self.rig.daemon(f"daemon-{number}", configuration=path, program=program)
        wait_until(lambda: daemon.said("daemon.ready"), f"daemon {number} is ready", timeout=120)
        return daemon

    def lists(self) -> list[int]:
        """How often each daemon has listed the keys of an application."""
        calls = [self.rig.scaleway.calls(manager) for manager in self.managers]
        return [
            sum(n for (method, route), n in one.items() if method == "GET" and route.endswith("api-keys"))
            for one in calls
        ]

    def looks(self) -> tuple[list[float], float]:
        """The looks of each daemon in a window, and for how many looks of one daemon there was time: a slow machine makes fewer."""
        before, began = self.lists(), time.monotonic()
        time.sleep(WINDOW)
        after, seconds = self.lists(), time.monotonic() - began
        return [b - a for a, b in zip(before, after, strict=True)], len(NAMES) * (seconds / INTERVAL + 1)

    def shared(self, count: int) -> None:
        """Wait until so many daemons share the looks at every application."""

        def every() -> bool:
            found = [self._presence(place) for place in range(1, 5)]
            return sum(said.get("accounts") == ["acme"] and said.get("failing") == [] for said in found) == count

        wait_until(every, f"{count} daemons look at everything that they shall", timeout=120)
        time.sleep(4 * INTERVAL)  # two renewals, until all have read that

    def _presence(self, place: int) -> dict[str, object]:
        answer = self.rig.vault.call("GET", f"secret/data/rotator/daemons/{place}", token=self.rig.vault.root_token)
        found: dict[str, object] = answer.data["data"] if answer.status == 200 else {}
        return found


@pytest.fixture
def installation() -> Iterator[Installation]:
    with Rig() as rig:
        yield Installation(rig)


def changed_by_hand(installation: Installation) -> set[tuple[str, str]]:
    """A person publishes another key of each application; application and key."""
    made = set()
    for name in NAMES:
        access_key, secret = installation.rig.scaleway.create_key(installation.rig.bearers[name], description="by hand")
        installation.rig.publish(name, access_key, secret)
        made.add((name, access_key))
    return made


def noticed(daemons: list[Daemon]) -> set[tuple[str, str]]:
    return {
        (line["application"], line["access_key"])
        for daemon in daemons
        for line in daemon.events()
        if line.get("event") == "document.changed_externally"
    }


def test_three_daemons_look_as_often_in_sum_as_one_and_the_applications_of_one_that_is_killed_fall_to_the_others(
    installation: Installation,
) -> None:
    daemons = [installation.start(share=True)]
    installation.shared(1)
    (alone,), time_for = installation.looks()
    assert 0 < alone <= time_for
    daemons += [installation.start(share=True), installation.start(share=True)]
    installation.shared(3)
    looks, time_for = installation.looks()
    assert all(looks), looks
    assert sum(looks) <= 1.2 * time_for, (looks, time_for)
    wait_until(lambda: all(daemon.said("looks.shared", daemons=3) for daemon in daemons), "each says so")
    written = installation.rig.vault.call(
        "LIST", "secret/metadata/rotator/daemons", token=installation.rig.vault.root_token
    )
    assert sorted(written.data["keys"]) == ["1", "2", "3"]
    assert not any(daemon.said("daemon.application_removed") for daemon in daemons)

    daemons[1].end(signal.SIGKILL)
    changed = changed_by_hand(installation)
    left = [daemons[0], daemons[2]]
    wait_until(lambda: changed <= noticed(left), "the others look at every application", timeout=120)
    wait_until(lambda: all(daemon.said("looks.shared", daemons=2) for daemon in left), "they are two", timeout=120)

    for daemon in left:
        daemon.end()
    assert all(daemon.said("daemon.stopped", unfinished=[]) for daemon in left)


def test_daemons_without_the_option_look_each_for_itself_and_write_no_presence(installation: Installation) -> None:
    for _ in range(2):
        installation.start(share=False)
    before = installation.lists()
    wait_until(
        lambda: all(b - a > 2 * len(NAMES) for a, b in zip(before, installation.lists(), strict=True)),
        "both look at everything",
        timeout=120,
    )
    rig = installation.rig
    assert rig.vault.call("LIST", "secret/metadata/rotator/daemons", token=rig.vault.root_token).status == 404
    assert Path(rig.directory / "rotator-0.toml").read_text().count("share_looks = false") == 1
