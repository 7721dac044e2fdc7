"""What a benchmark stands on: a rig whose stand-in is a process of its own, fleets, and the lines that it prints."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rotator.sandbox.process import Process, wait_until
from rotator.sandbox.scaleway import REAL_LATENCY, SandboxClient
from tests.e2e.rig import Rig

NO_LATENCY = dict.fromkeys(REAL_LATENCY, 0.0)
OLD = 40 * 86_400
"""Seconds by which the first keys are older than now, so that every one of them is due."""

ONE_SUCCESS = 'verification = { successes = 1, interval = "1s", timeout = "30s" }\nemergency_verification = { successes = 1, interval = "500ms", timeout = "30s" }\n'
BUSY = 'workers = 64\nstartup_spread = "0s"'
"""What is late is to begin at once and beside each other: the speed is measured, not the spreading. The rest is as shipped, but
for one success as a proof, since the stand-in has no gateways that differ, and a rate limit that is no limit."""


class Bench(Rig):
    """A rig whose stand-in is a process of its own, so that it shares no interpreter with what is measured."""

    def __enter__(self) -> Self:
        super().__enter__()
        log = self.directory / "scaleway.log"
        process = Process([sys.executable, "-m", "rotator.sandbox.scaleway"], log)
        self._stack.callback(process.end, signal.SIGKILL)
        wait_until(lambda: log.exists() and log.read_text().endswith("}\n"), "the stand-in listens")
        self.scaleway = SandboxClient(json.loads(log.read_text())["url"])  # type: ignore[assignment]  # the same methods, elsewhere
        (self.directory / "management-key").write_text(self.scaleway.management_secret)
        self.scaleway.edit_organization(quota=100_000)
        return self

    def fleet(self, count: int, prefix: str = "app") -> list[str]:
        """So many applications with an old key each."""
        self.scaleway.configure(clock_offset=-OLD)
        names = [f"{prefix}-{n:05d}" for n in range(count)]
        with ThreadPoolExecutor(4) as several:
            list(several.map(self._furnish, names))
        self.scaleway.configure(clock_offset=0.0)
        return names

    def _furnish(self, name: str) -> None:
        bearer = self.bearers[name] = self.scaleway.create_application(name)
        self.publish(name, *self.scaleway.create_key(bearer))

    def set_up(self, defaults: str, applications: list[str], daemon: str = BUSY, rate_limit: float = 10_000) -> None:
        self.configure(f'consumer_refresh = "1s"\n{defaults}', daemon=daemon, applications=applications)
        text = self.configuration.read_text().replace("rate_limit = 1000", f"rate_limit = {rate_limit:g}")
        self.configuration.write_text(text)


def say(text: str = "") -> None:
    print(text, flush=True)  # noqa: T201  # what a benchmark is for


def row(what: str, value: str, aim: str = "") -> None:
    say(f"  {what:<62} {value:>14}{'   aim: ' + aim if aim else ''}")


@contextmanager
def bench() -> Iterator[Bench]:
    with Bench() as found:
        yield found


def adopted(log: Path) -> int:
    """How many applications the daemon has taken over."""
    return log.read_bytes().count(b'"application.adopted"') if log.exists() else 0


def processor_seconds(pid: int) -> float:
    """What the process has used of the processors so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """Resident bytes of the process."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
