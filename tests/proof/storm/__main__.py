"""The long storm: ``python -m tests.proof.storm --minutes 10 --seed 42``. The exit code is 1 when anything was violated."""

from __future__ import annotations

import argparse
import sys
import time

from tests.proof.storm.storm import Storm, Violation

QUIET_SECONDS = 30.0
"""Between two lines of progress where nobody watches; on a terminal one line is rewritten every second."""


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a tool that people run


class Progress:
    """How far the storm is."""

    def __init__(self, storm: Storm, seconds: float) -> None:
        self._storm, self._seconds = storm, seconds
        self._begun = self._told = time.monotonic()
        self._terminal = sys.stdout.isatty()

    def over(self) -> bool:
        """Whether the time is up; tells how far it is once in a while."""
        now = time.monotonic()
        if now - self._told >= (1 if self._terminal else QUIET_SECONDS):
            self._told = now
            line = f"{(now - self._begun) / 60:5.1f} min: {self._storm.glance()}"
            if self._terminal:
                sys.stdout.write(f"\r\x1b[K{line}")
                sys.stdout.flush()
            else:
                say(line)
        return now - self._begun >= self._seconds

    def end(self) -> None:
        """Leave the line of progress."""
        if self._terminal:
            say("")


def main() -> int:
    """Run one storm and say what happened in it."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.storm", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=5, help="how long it rages; the calm comes on top (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=None, help="where all chance comes from (default: a new one)")
    asked = parser.parse_args()
    seed = time.time_ns() % 1_000_000 if asked.seed is None else asked.seed
    say(f"storm: seed {seed}, {asked.minutes:g} minutes")
    try:
        with Storm(seed) as storm:
            progress = Progress(storm, asked.minutes * 60)
            try:
                storm.rage(progress.over)
            finally:
                progress.end()
            say("calm")
            storm.settle()
    except Violation as violation:
        say(f"VIOLATION {violation}")
        return 1
    for name, text in storm.figures.lines():
        say(f"{name:>13}  {text}")
    say(f"storm: seed {seed}: no violation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
