"""A soak: a real daemon, OpenBao and the stand-in of Scaleway at work for hours, with faults; ends with 1 when the daemon grows.

``make soak HOURS=2``, or ``python -m tests.soak --hours 0.2 --keep FOLDER``. The schedule is accelerated: each application rotates
every 8 seconds and its old key is revoked 2 seconds later. Answers of the provider go wrong, the configuration is read again every minute,
and a command asks for the status every 10 seconds.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rotator.sandbox.process import wait_until
from tests.bench.stand import BUSY, ONE_SUCCESS, Bench
from tests.e2e.rig import Daemon
from tests.soak.growth import Sample, growth
from tests.soak.picture import picture

APPLICATIONS = 16
SAMPLES = 240
"""Samples of a run, spread evenly."""

SCHEDULE = f'every = "8s"\ngrace = "2s"\nresync_interval = "5s"\n{ONE_SUCCESS}'


def main() -> int:
    """Run for so long; 0 when nothing grew."""
    arguments = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    arguments.add_argument("--hours", type=float, default=2.0)
    arguments.add_argument("--keep", type=Path, help="a folder for the samples and the picture")
    given = arguments.parse_args()
    samples = _soak(given.hours * 3600)
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
        (given.keep / "soak.jsonl").write_text("".join(json.dumps(vars(sample)) + "\n" for sample in samples))
        (given.keep / "soak.svg").write_text(picture(samples))
    grew = growth(samples)
    for sentence in grew or [f"nothing grew in {len(samples)} samples and {samples[-1].rotations} rotations"]:
        print(sentence, flush=True)  # noqa: T201 - what it is for
    return 1 if grew else 0


def _soak(seconds: float) -> list[Sample]:
    with Bench() as rig:
        names = rig.fleet(APPLICATIONS, "soak")
        rig.set_up(SCHEDULE, names, daemon=BUSY)
        with rig.configuration.open("a") as file:
            file.write(f'[control]\ndirectory = "{rig.directory}"\n')
        _misbehave(rig)
        daemon = rig.daemon()
        wait_until(lambda: daemon.said("daemon.ready"), "the daemon is ready")
        return _watch(rig, daemon, names, seconds)


def _misbehave(rig: Bench) -> None:
    """Let some answers of the provider go wrong, for as long as it runs."""
    faults = rig.scaleway.faults
    faults.add("status", status=429, times=None, probability=0.02, seed=1)
    faults.add("status", status=500, times=None, probability=0.02, seed=2)
    faults.add("reset", method="POST", times=None, probability=0.01, seed=3, executed=True)
    faults.add("reset", method="DELETE", times=None, probability=0.01, seed=4, executed=True)
    faults.add("drop", method="GET", times=None, probability=0.01, seed=5)


def _watch(rig: Bench, daemon: Daemon, names: list[str], seconds: float) -> list[Sample]:
    begun, samples, pause = time.monotonic(), list[Sample](), seconds / SAMPLES
    log = _Log(daemon.log)
    turns = (_Turn(10, lambda: rig.command("status", check=False)), _Turn(60, lambda: daemon.send(signal.SIGHUP)))
    while (at := time.monotonic() - begun) < seconds:
        if not daemon.alive():
            raise SystemExit(f"the daemon ended: {daemon.log}")
        for turn in turns:
            turn.take(at)
        if at >= len(samples) * pause:
            samples.append(_sample(rig, daemon, names, at, log))
        time.sleep(0.2)
    return samples


class _Turn:
    """Something that is done every so many seconds."""

    def __init__(self, every: float, act: Callable[[], object]) -> None:
        self._every = every
        self._act = act
        self._next = every

    def take(self, at: float) -> None:
        """Do it if it is time."""
        if at >= self._next:
            self._next = at + self._every
            self._act()


class _Log:
    """A log that is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.length = 0
        self.rotations = 0

    def read_on(self) -> None:
        """Count what was written since."""
        with self._path.open("rb") as file:
            file.seek(self.length)
            new = file.read()
        self.length += len(new)
        self.rotations += new.count(b'"rotation.committed"')


def _sample(rig: Bench, daemon: Daemon, names: list[str], at: float, log: _Log) -> Sample:
    log.read_on()
    status = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
        if line.count(":") == 1
    )
    ledgers = [len(json.dumps(rig.ledger(name))) for name in names]
    versions = [
        len(rig.vault.admin("GET", f"secret/metadata/rotator/applications/{name}").data["versions"])
        for name in names[:2]
    ]
    return Sample(
        at=round(at, 1),
        memory=int(status["VmRSS"].split()[0]) * 1024,
        threads=int(status["Threads"]),
        descriptors=len(list(Path(f"/proc/{daemon.pid}/fd").iterdir())),
        rotations=log.rotations,
        log_bytes=log.length,
        ledger_bytes=max(ledgers),
        versions=max(versions),
    )


if __name__ == "__main__":
    sys.exit(main())
