"""Runs cases: each is drawn from the seed and its number alone, bounded in time and memory, and repeatable by its number."""

from __future__ import annotations

import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from random import Random
from types import FrameType
from typing import TextIO

from tests.fuzz import outputs, requests, services, settings, worlds

BOUND = 20.0
"""Seconds of work for one case; usual ones take a millisecond."""

PATIENCE = 600.0
"""Seconds for one case, also where it only waits: the machine may be busy, or stand still for a while."""

MEMORY = 512 * 1024
"""KiB that all cases together may add to the memory of this process."""

TARGETS: dict[str, tuple[Callable[[Random], None], int]] = {
    "vault": (services.vault, 300),
    "provider": (services.provider, 220),
    "ledger": (worlds.ledger, 150),
    "account": (worlds.account, 60),
    "pass": (worlds.a_pass, 3),
    "command": (worlds.command, 20),
    "configuration": (settings.configuration, 30),
    "files": (settings.files, 8),
    "environment": (settings.variables, 30),
    "request": (requests.request, 120),
    "webhook": (requests.webhook, 60),
    "daemon": (requests.daemon_answer, 15),
    "log": (outputs.log, 110),
    "metrics": (outputs.metrics, 3),
    "notification": (outputs.notification, 40),
}
"""What is fuzzed, and how many of a thousand or so cases are its."""


class Endless(BaseException):
    """A case that does not end. Not an ``Exception``: nothing may take it for an error of a service."""


@dataclass(frozen=True)
class Broken:
    """A case that broke the promise: no crash, no hang, no error of the program, no secret, no raw escape, no unbounded memory."""

    number: int
    target: str
    trace: str


def run(
    cases: int, seed: int, *, only: str | None = None, first: int = 0, tell: TextIO | None = None, stop_after: int = 20
) -> list[Broken]:
    """The cases that broke, at most ``stop_after`` of them, each cause once."""
    names = [only] if only else list(TARGETS)
    weights = [TARGETS[name][1] for name in names]
    begun, counts = time.monotonic(), Counter[str]()
    spent: dict[str, float] = dict.fromkeys(names, 0.0)
    broken: dict[str, Broken] = {}
    before = memory()
    told = begun
    for number in range(first, first + cases):
        rng = Random(f"{seed}:{number}")
        name = rng.choices(names, weights)[0]
        at = time.monotonic()
        try:
            with bounded(), quiet():
                TARGETS[name][0](rng)
        except (Exception, Endless) as error:  # noqa: BLE001 - each is a finding
            where = traceback.extract_tb(error.__traceback__)[-1]
            cause = f"{name} {type(error).__name__} {where.filename}:{where.lineno}"
            if cause not in broken:
                broken[cause] = Broken(number, name, traceback.format_exc(limit=-12)[-3000:])
                if tell:
                    print(f"\ncase {number} ({name}), seed {seed}:\n{broken[cause].trace}", file=tell, flush=True)
        now = time.monotonic()
        counts[name] += 1
        spent[name] += now - at
        if len(broken) >= stop_after:
            break
        if tell and now - told > 5:
            told = now
            share = (number - first + 1) / cases
            left = (now - begun) / share * (1 - share)
            print(
                f"{number - first + 1:,} of {cases:,} cases, {len(broken)} broken, {left:,.0f} s left",
                file=tell,
                flush=True,
            )
    if (grown := memory() - before) > MEMORY:
        broken["memory"] = Broken(-1, "memory", f"{grown} KiB more after {sum(counts.values())} cases")
    if tell:
        for name in names:
            each = spent[name] / counts[name] * 1000 if counts[name] else 0
            print(f"{name:15} {counts[name]:>9,} cases {each:8.2f} ms each", file=tell)
        print(
            f"{sum(counts.values()):,} cases from seed {seed} in {time.monotonic() - begun:,.0f} s, {len(broken)} broken, "
            f"{max(0, memory() - before) // 1024} MiB more than at the start",
            file=tell,
        )
    return list(broken.values())


def memory() -> int:
    """The most memory that this process ever had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def quiet() -> Iterator[None]:
    """What a target prints is no part of the report."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


@contextmanager
def bounded() -> Iterator[None]:
    """``Endless`` where it works or waits for too long."""

    def over(number: int, _frame: FrameType | None) -> None:
        spent = (
            f"more than {BOUND:g} seconds of work" if number == signal.SIGPROF else f"more than {PATIENCE:g} seconds"
        )
        raise Endless(spent)

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, BOUND), (signal.SIGALRM, signal.ITIMER_REAL, PATIENCE))
    before = [signal.signal(number, over) for number, _, _ in timers]
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit("python -m tests.fuzz")
