"""A breach: every key of a whole organisation is to die, with little room, answers that go wrong, and a command that is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rotator.sandbox.process import Process, wait_until
from tests.e2e.rig import Daemon, Rig

MOST_PROBES = 5
"""Calls that the rotation of a compromised key cannot do without: list, create, proof of life, delete, proof of death."""

MOST_STARTS = 5
"""How often the command is given again: on a machine that is very busy, an application may be given up for a service that stays away."""

SETTINGS = """
every = "1000d"
grace = "1h"
refresh = "1s"
observe_every = "{observe_every}"
jitter = "0s"
prove = {{ successes = 1, interval = "100ms", timeout = "20s" }}
prove_emergency = {{ successes = 1, interval = "100ms", timeout = "20s" }}
publish_timeout = "60s"
takeover_after = "90s"
"""


@dataclass
class Breach:
    """What is to be rotated, and what was found in the end. ``rate`` is what the stand-in lets through in a second."""

    rig: Rig
    names: list[str]
    rate: float
    old: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    kills: int = 0
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        return ("rotate", "--all", "--compromised", "--reason", "breach", "--json")

    def settle(self, observe_every: str = "5s") -> Daemon:
        """A daemon that has taken over all of them, and knows nothing of a breach."""
        self.old = {name: self.rig.published(name) for name in self.names}
        self.rig.configure(
            SETTINGS.format(observe_every=observe_every),
            daemon='workers = 16\ncatch_up = "0s"',
            account=f'access_key = "{self.rig.scaleway.management_access_key}"',
            applications=self.names,
        )
        text = self.rig.configuration.read_text().replace("rate_limit = 1000", f"rate_limit = {self.rate / 2:g}")
        self.rig.configuration.write_text(text)  # one half for the daemon, one for the command
        self.rig.command("waive", self.rig.scaleway.management_access_key, "--reason", "replaced by hand tonight")
        daemon = self.rig.daemon()
        wait_until(
            lambda: daemon.log.exists() and daemon.log.read_bytes().count(b'"application.adopted"') >= len(self.names),
            "every application was taken over",
            patience=900,
        )
        return daemon

    def misbehave(self, share: float) -> None:
        """From now on so many of the answers go wrong: too many requests, failures of the server, lost ones."""
        faults = self.rig.scaleway.faults
        faults.add("status", status=429, times=None, probability=share, seed=1)
        faults.add("status", status=500, times=None, probability=share / 2, seed=2)
        faults.add("reset", method="DELETE", times=None, probability=share / 2, seed=3, executed=True)
        faults.add("reset", method="POST", times=None, probability=share / 2, seed=4, executed=True)
        self.rig.scaleway.configure(rate_limit=self.rate, rate_burst=max(1.0, self.rate))

    def run(self, kill_at: int | None) -> None:
        """The command to its end; killed with signal 9 once so many are rotated, and then given again."""
        began = time.monotonic()
        if kill_at is not None:
            doomed = Process(
                [sys.executable, "-m", "rotator", *self.words, "--config", str(self.rig.configuration)],
                self.rig.directory / "first.out",
            )
            wait_until(lambda: self.rotated() >= kill_at or not doomed.alive(), f"{kill_at} are rotated", patience=900)
            assert doomed.alive(), "it ended before it could be killed"
            doomed.end(signal.SIGKILL)
            self.kills += 1
        for _ in range(MOST_STARTS):
            done = subprocess.run(
                [sys.executable, "-m", "rotator", *self.words, "--config", str(self.rig.configuration)],
                capture_output=True,
                text=True,
                timeout=3600,
                check=False,
            )
            assert "Traceback" not in done.stderr
            assert done.stdout, done.stderr
            self.answer = json.loads(done.stdout)["mass_rotations"][0]
            if done.returncode == 0:
                break
        self.seconds = time.monotonic() - began
        assert done.returncode == 0, (done.stderr, self.answer["coverage"])

    def rotated(self) -> int:
        """How many of the old keys are gone."""
        listed = self.rig.scaleway.keys()
        live = {key.access_key for key in listed}
        return sum(key not in live for key in self.old.values())

    def check(self) -> None:
        """The proof is empty, nothing old is accepted anywhere, the quota was never found used up, and I1 to I8 hold."""
        scaleway = self.rig.scaleway
        coverage = self.answer["coverage"]
        assert coverage["proven"]
        assert [key["kind"] for key in coverage["keys"] if not key["waiver"]] == []
        assert {key["kind"] for key in coverage["keys"]} <= {"management"}
        assert not [name for name, key in self.old.items() if scaleway.accepts(key)], "I3"
        kinds = Counter(event.kind for event in scaleway.log)
        assert kinds["quota_exceeded"] == 0, "A5: a create found the quota used up"
        assert kinds["faulted"] > 0, "nothing went wrong, so nothing was shown"
        for name in self.names:
            wait_until(lambda name=name: self.rig.at_rest(name), f"{name} is at rest", patience=120)  # type: ignore[misc]  # bound on purpose
            self.rig.check_rest(name)
            assert self.rig.check_history(name, 3600, compromised=frozenset({self.old[name]})) > 0
            incidents = self.rig.ledger(name)["incidents"]
            assert [incident["id"] for incident in incidents] == [self.answer["id"]]
            assert incidents[0]["closed_at"]
        created = Counter(event.access_key for event in scaleway.log if event.kind == "created")
        assert max(created.values()) == 1
        assert datetime.fromisoformat(self.answer["created_before"]) < datetime.now(UTC)
        self.rig.check_no_secret(json.dumps(self.answer))

    @property
    def ratio(self) -> float:
        """Rotations a second, against what the rate that the stand-in lets through would allow if each took no call in vain."""
        return len(self.names) / self.seconds / (self.rate / MOST_PROBES)


def prepare(rig: Rig, count: int, quota: int, rate: float) -> Breach:
    """So many applications, each with a key from yesterday; with the key of the account, that leaves so much room."""
    rig.scaleway.edit_organization(quota=quota)
    rig.scaleway.configure(clock_offset=-86_400.0)
    names = [f"app-{number:04d}" for number in range(count)]
    for name in names:
        bearer = rig.bearers[name] = rig.scaleway.create_application(name)
        rig.publish(name, *rig.scaleway.create_key(bearer))
    rig.scaleway.configure(clock_offset=0.0)
    return Breach(rig, names, rate)
