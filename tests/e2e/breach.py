"""A breach: every key of a whole organisation is to die, with little room, answers that go wrong, and whoever carries it out is killed."""

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
"""Calls that the rotation of a compromised key cannot do without: list, create, proof of life, delete, verified revocation."""

MOST_STARTS = 5
"""How often the command is given again: on a machine that is very busy, an application may be given up for a service that stays away."""

SETTINGS = """
every = "1000d"  # nothing but the breach rotates anything
grace = "1h"
resync_interval = "{resync_interval}"
# One answer proves a key of the stand-in, and the machine may be very busy.
verification = {{ successes = 1, interval = "100ms", timeout = "20s" }}
emergency_verification = {{ successes = 1, interval = "100ms", timeout = "20s" }}
publish_timeout = "60s"
stale_claim_timeout = "90s"
"""


@dataclass
class Breach:
    """What is to be rotated, and what was found in the end. ``rate`` is what the stand-in lets through in a second; ``ordered``
    when the daemon is ordered to do it, and killed, instead of a command that acts itself."""

    rig: Rig
    names: list[str]
    rate: float
    ordered: bool = False
    old: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    kills: int = 0
    calls: int = 0
    """Calls that were sent to the provider meanwhile, by whomever."""
    answer: dict[str, Any] = field(default_factory=dict)
    _daemon: Daemon | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return (
            "rotate",
            "--all",
            "--compromised",
            "--reason",
            "breach",
            "--json",
            *(() if self.ordered else ("--direct",)),
        )

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "rotator", *self.words, "--config", str(self.rig.configuration)]

    def settle(self, resync_interval: str = "5s") -> Daemon:
        """A daemon that has taken over all of them, and knows nothing of a breach."""
        self.old = {name: self.rig.published(name) for name in self.names}
        self.rig.configure(
            SETTINGS.format(resync_interval=resync_interval),
            daemon="workers = 16",  # a wave of a hundred applications, with one processor for all
            account=f'access_key = "{self.rig.scaleway.management_access_key}"\n'
            + (f'[control]\ndirectory = "{self.rig.directory}"' if self.ordered else ""),
            applications=self.names,
        )
        limit = self.rate if self.ordered else self.rate / 2  # one half for the daemon, one for the command
        text = self.rig.configuration.read_text().replace("rate_limit = 1000", f"rate_limit = {limit:g}")
        self.rig.configuration.write_text(text)
        self.rig.command("waive", self.rig.scaleway.management_access_key, "--reason", "replaced by hand tonight")
        daemon = self._daemon = self.rig.daemon()
        wait_until(
            lambda: daemon.log.exists() and daemon.log.read_bytes().count(b'"application.adopted"') >= len(self.names),
            "every application was taken over",
            timeout=900,
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
        """The command to its end; whoever carries it out is killed with signal 9 once so many are rotated, and it is given again."""
        began, before = time.monotonic(), sum(self.rig.scaleway.calls().values())
        if kill_at is not None:
            first = Process(self.command, self.rig.directory / "first.out")
            wait_until(lambda: self.rotated() >= kill_at or not first.alive(), f"{kill_at} are rotated", timeout=900)
            assert first.alive(), "it ended before it could be killed"
            self._kill(first)
            self.kills += 1
        for _ in range(MOST_STARTS):
            done = subprocess.run(self.command, capture_output=True, text=True, timeout=3600, check=False)
            assert "Traceback" not in done.stderr
            assert done.stdout, done.stderr
            self.answer = json.loads(done.stdout).get("mass_rotations", [{}])[0]
            if done.returncode == 0:
                break
        self.seconds = time.monotonic() - began
        self.calls = sum(self.rig.scaleway.calls().values()) - before
        assert done.returncode == 0, (done.stderr, self.answer.get("coverage"))

    def _kill(self, first: Process) -> None:
        """The command; if the daemon acts for it, both, as when the machine dies."""
        first.end(signal.SIGKILL)
        if self.ordered and self._daemon:
            lives = self._lives(self._daemon)
            self._daemon.end(signal.SIGKILL)
            self._daemon.start()
            wait_until(lambda: self._lives(self._daemon) > lives, "the daemon takes orders again", timeout=120)

    def _lives(self, daemon: Daemon | None) -> int:
        return sum(line["event"] == "control.listening" for line in daemon.events()) if daemon else 0

    def rotated(self) -> int:
        """How many of the old keys are gone."""
        listed = self.rig.scaleway.keys()
        live = {key.access_key for key in listed}
        return sum(key not in live for key in self.old.values())

    def check(self) -> None:
        """The proof is empty, nothing old is accepted anywhere, the quota was never found used up, and I1 to I8 hold."""
        scaleway = self.rig.scaleway
        coverage = self.answer["coverage"]
        assert coverage["complete"]
        assert [key["kind"] for key in coverage["keys"] if not key["waiver"]] == []
        assert {key["kind"] for key in coverage["keys"]} <= {"management"}
        assert not [name for name, key in self.old.items() if scaleway.accepts(key)], "I3"
        log = scaleway.log
        kinds = Counter(event.kind for event in log)
        assert kinds["quota_exceeded"] == 0, "A5: a create found the quota used up"
        assert kinds["faulted"] > 0, "nothing went wrong, so nothing was shown"
        for name in self.names:
            wait_until(lambda name=name: self.rig.at_rest(name), f"{name} is at rest", timeout=120)  # type: ignore[misc]  # bound on purpose
            self.rig.check_rest(name)
            assert self.rig.check_history(name, 3600, compromised=frozenset({self.old[name]}), events=log) > 0
            incidents = self.rig.ledger(name)["incidents"]
            assert [incident["id"] for incident in incidents] == [self.answer["id"]]
            assert incidents[0]["closed_at"]
        created = Counter(event.access_key for event in log if event.kind == "created")
        assert max(created.values()) == 1
        assert datetime.fromisoformat(self.answer["created_before"]) < datetime.now(UTC)
        self.rig.check_no_secret(json.dumps(self.answer))

    @property
    def ratio(self) -> float:
        """Rotations a second, against what the rate that the stand-in lets through would allow if each took no call in vain."""
        return len(self.names) / self.seconds / (self.rate / MOST_PROBES)


def prepare(rig: Rig, count: int, quota: int, rate: float, *, ordered: bool = False) -> Breach:
    """So many applications, each with a key from yesterday; with the key of the account, that leaves so much room."""
    rig.scaleway.edit_organization(quota=quota)
    rig.scaleway.configure(clock_offset=-86_400.0)
    names = [f"app-{number:04d}" for number in range(count)]
    for name in names:
        bearer = rig.bearers[name] = rig.scaleway.create_application(name)
        rig.publish(name, *rig.scaleway.create_key(bearer))
    rig.scaleway.configure(clock_offset=0.0)
    return Breach(rig, names, rate, ordered)
