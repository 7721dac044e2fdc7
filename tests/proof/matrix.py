"""The fault matrix: every call that a rotation, a revocation or an emergency makes, times everything that can go wrong with it.

``python -m tests.proof.matrix`` runs all of it and draws it, with calls as lines and accidents as columns; the exit code is 1 when
one cell is violated. The calls are not listed anywhere: a run without faults is recorded at the proxies. The accidents are in
``tests.proof.faults``, and what must hold after each is in ``tests.proof.cell``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import NamedTuple

from tests.e2e.rig import Rig
from tests.proof.cell import DEADLINE, Bound, Cell
from tests.proof.faults import ROWS, Call, Plan
from tests.proof.passes import Compromise, FirstKey, Rotation
from tests.proof.processes import KilledCommand, KilledDaemon

SCENARIOS: dict[str, type[Cell]] = {
    "rotation": Rotation,
    "first key": FirstKey,
    "compromise": Compromise,
    "killed daemon": KilledDaemon,
    "killed command": KilledCommand,
}

FLOOR = 2_950
"""The least number of cells of the whole: there were 89 calls with 33 accidents each, and some with real processes. Fewer calls are
good news for the speed, and to be looked at: perhaps the recording has lost some."""

SHARE = 11
"""`make test` runs one cell of so many: of every call three accidents, of every accident eight calls."""

SHARE_FLOOR = 265
"""The least number of cells of that share: a part of so many of the floor."""

SHORTEST_DEADLINE = timedelta(seconds=1)
"""What the configuration allows at the least. Where a call is to be slow, this is how long the client waits for it."""

THREADS = 4
"""Cells that one process runs at once. Of a slow call one waits a second and does nothing."""

BATCH = 240
"""Cells for which one Vault and one stand-in are started."""

MOST_TRIES = 5
"""How often a cell is run anew, with twice the patience, because the machine was slower than the deadline of its calls."""

_numbers = count()


def fresh_name() -> str:
    """The name of a cell that is like no other of this process, and is recognised as one in routes."""
    return f"cell{next(_numbers)}"


class Task(NamedTuple):
    """A cell to be run: the scenario by its name, the accident, and how many keys may be made."""

    scenario: str
    plan: Plan
    allowed: int

    def __str__(self) -> str:
        return f"{self.scenario}: {self.plan.call}: {self.plan.row}"


class Finding(NamedTuple):
    """What became of a cell; ``violation`` is empty when everything held."""

    task: Task
    violation: str
    story: tuple[str, ...] = ()


@contextmanager
def stage() -> Iterator[Rig]:
    """A Vault and a stand-in for many cells."""
    with Rig() as rig:
        rig.scaleway.edit_organization(quota=1_000_000)
        yield rig


def lines(rig: Rig) -> list[list[Task]]:
    """Every cell that there is, call by call, from a recording of each scenario without faults."""
    found = []
    for name, scenario in SCENARIOS.items():
        cell = scenario(rig, fresh_name())
        cell.run()
        latest: dict[str, Call] = {}
        for call in cell.director.calls:
            if scenario.concerns(call):
                plans = [Plan(call, latest.get(call.service), row) for row in scenario.rows if row.fits(call)]
                found.append([Task(name, plan, cell.keys_made + 1) for plan in plans])
            latest[call.service] = call
    return found


def share(found: list[list[Task]]) -> list[Task]:
    """A part of the cells in which every call and every accident has its turn."""
    return [task for x, line in enumerate(found) for y, task in enumerate(line) if (5 * x + y) % SHARE == 0]


def run(rig: Rig, task: Task) -> Finding:
    """Run one cell, again with more patience where the machine was too slow to tell."""
    deadline = SHORTEST_DEADLINE if task.plan.row.fault.slow else DEADLINE
    for attempt in range(1, MOST_TRIES + 1):
        cell = SCENARIOS[task.scenario](rig, fresh_name(), task.plan, task.allowed, deadline)
        try:
            cell.run()
        except AssertionError as error:
            if isinstance(error, Bound) and cell.disturbed and attempt < MOST_TRIES:
                deadline *= 2
                continue
            return Finding(task, str(error).splitlines()[0], cell.story())
        return Finding(task, "")
    raise AssertionError("unreachable")


def run_all(rig: Rig, wanted: Iterable[Task]) -> list[Finding]:
    """Run cells on a few threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda task: run(rig, task), wanted))


def run_batch(wanted: list[Task]) -> list[Finding]:
    """Run cells on a stage of their own."""
    with stage() as rig:
        return run_all(rig, wanted)


def run_batches(wanted: list[Task], processes: int, progress: Callable[[list[Finding]], None]) -> list[Finding]:
    """Run cells in several processes."""
    batches = [wanted[start : start + BATCH] for start in range(0, len(wanted), BATCH)]
    findings: list[Finding] = []
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(run_batch, batch) for batch in batches]):
            findings += done.result()
            progress(findings)
    return findings


# --- for people -----------------------------------------------------------------------------------------------------------------


def drawn(findings: list[Finding]) -> str:
    """The matrix: a dot for a cell in which everything held, an X for one in which it did not, a space for one that was not run."""
    cells = {(found.task.scenario, found.task.plan.call, found.task.plan.row): found for found in findings}
    calls = list(dict.fromkeys((found.task.scenario, found.task.plan.call) for found in findings))
    calls.sort(key=lambda line: list(SCENARIOS).index(line[0]))  # stable, so that calls stay in their order
    rows = [row for row in ROWS if any(found.task.plan.row == row for found in findings)]
    width = max((len(str(call)) for _, call in calls), default=0)
    text = [f"{row.sign:3}{row}" for row in rows] + [""]
    text += [" " * width + "  " + "".join(f"{row.sign:2}"[place] for row in rows) for place in (0, 1)]
    latest = ""
    for scenario, call in calls:
        if scenario != latest:
            text.append(f"{scenario}: {SCENARIOS[scenario].__doc__}")
        latest = scenario
        signs = [cells.get((scenario, call, row)) for row in rows]
        text.append(
            f"{call!s:{width}}  " + "".join(" " if one is None else "X" if one.violation else "·" for one in signs)
        )
    return "\n".join(text)


def told(findings: list[Finding], *, stories: int = 3) -> str:
    """The violations, the first few with their story."""
    broken = [found for found in findings if found.violation]
    text = [f"{found.task}: {found.violation}" for found in broken]
    for found in broken[:stories]:
        text += ["", f"--- {found.task}: {found.violation}", *found.story]
    return "\n".join(text)


def main(arguments: list[str]) -> int:
    """Run the matrix, or a part of it; the exit code is 1 when a cell is violated, or when there are fewer than there were."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.matrix", description=main.__doc__)
    parser.add_argument("--scenario", choices=list(SCENARIOS), help="only this one")
    parser.add_argument("--call", default="", help="only calls whose name contains this, such as 'POST api-keys'")
    parser.add_argument("--row", default="", help="only accidents of this sign, such as Lk")
    parser.add_argument("--share", action="store_true", help="only what `make test` runs")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    with stage() as rig:
        every = lines(rig)
    total = sum(map(len, every))
    wanted = [
        task
        for task in (share(every) if chosen.share else [task for line in every for task in line])
        if chosen.scenario in (None, task.scenario)
        and chosen.call in str(task.plan.call)
        and chosen.row in ("", task.plan.row.sign)
    ]

    def progress(findings: list[Finding]) -> None:
        broken = sum(bool(found.violation) for found in findings)
        print(f"{len(findings)} of {len(wanted)} cells, {broken} violated", file=sys.stderr, flush=True)  # noqa: T201  # for people

    findings = run_batches(wanted, chosen.processes, progress)
    broken = sum(bool(found.violation) for found in findings)
    summary = f"{len(findings)} of {total} cells in {time.monotonic() - began:.0f} s, {broken} violated"
    if total < FLOOR:
        summary += f"; there were at least {FLOOR} once: what became of the others?"
    print(drawn(findings), told(findings), summary, sep="\n\n")  # noqa: T201  # a tool that people run
    return int(broken > 0 or total < FLOOR or not findings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
