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
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

from tests.e2e.rig import Rig
from tests.proof.cell import DEADLINE, SCENARIOS, SHORTEST_DEADLINE, Bound, Cell
from tests.proof.faults import ROWS, Call, Plan, Row

FLOOR = 2_800
"""The least number of cells of the whole. There are 89 calls and 33 accidents, less what a service cannot do; fewer calls are
good news for the speed, and to be looked at: perhaps the recording has lost some."""

SHARE = 11
"""`make test` runs one cell of so many: of every call three accidents, of every accident eight calls."""

THREADS = 4
"""Cells that one process runs at once. Of a slow call one waits a second and does nothing."""

BATCH = 240
"""Cells for which one Vault and one stand-in are started."""

MOST_TRIES = 5
"""How often a cell is run anew, with twice the patience, because the machine was slower than the deadline of its calls."""

_names = count()


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


def tasks(rig: Rig) -> list[Task]:
    """Every cell that there is, by a recording of each scenario without faults."""
    found = []
    for name, scenario in SCENARIOS.items():
        cell = Cell(rig, f"cell{next(_names)}", scenario)
        cell.run()
        latest: dict[str, Call] = {}
        for call in cell.director.calls:
            plans = [Plan(call, latest.get(call.service), row) for row in ROWS]
            found += [Task(name, plan, cell.keys_made + 1) for plan in plans]
            latest[call.service] = call
    return found


def share(found: list[Task]) -> list[Task]:
    """A part of the cells in which every call and every accident has its turn."""
    return [task for number, task in enumerate(found) if (number // len(ROWS) * 5 + number % len(ROWS)) % SHARE == 0]


def run(rig: Rig, task: Task) -> Finding:
    """Run one cell, again with more patience where the machine was too slow to tell."""
    deadline = SHORTEST_DEADLINE if task.plan.row.fault.slow else DEADLINE
    for attempt in range(1, MOST_TRIES + 1):
        cell = Cell(rig, f"cell{next(_names)}", SCENARIOS[task.scenario], task.plan, task.allowed, deadline)
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
    calls.sort(key=lambda line: (list(SCENARIOS).index(line[0])))
    rows: list[Row] = [row for row in ROWS if any(found.task.plan.row == row for found in findings)]
    width = max((len(str(call)) for _, call in calls), default=0)
    lines = [f"{row.sign:3}{row}" for row in rows] + [""]
    lines += [" " * width + "  " + "".join(f"{row.sign:2}"[place] for row in rows) for place in (0, 1)]
    last = ""
    for scenario, call in calls:
        if scenario != last:
            lines.append(f"{scenario}: {SCENARIOS[scenario].__doc__}")
        last = scenario
        signs = ""
        for row in rows:
            found = cells.get((scenario, call, row))
            signs += " " if found is None else "X" if found.violation else "·"
        lines.append(f"{call!s:{width}}  {signs}")
    return "\n".join(lines)


def told(findings: list[Finding], *, stories: int = 3) -> str:
    """The violations, the first few with their story."""
    broken = [found for found in findings if found.violation]
    lines = [f"{found.task}: {found.violation}" for found in broken]
    for found in broken[:stories]:
        lines += ["", f"--- {found.task}: {found.violation}", *found.story]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run the matrix, or a part of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof.matrix", description=main.__doc__)
    parser.add_argument("--scenario", choices=list(SCENARIOS), help="only this one")
    parser.add_argument("--call", default="", help="only calls whose name contains this, such as 'POST api-keys'")
    parser.add_argument("--row", default="", help="only accidents of this sign, such as Lk")
    parser.add_argument("--share", action="store_true", help="only what `make test` runs")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    with stage() as rig:
        every = tasks(rig)
    wanted = share(every) if chosen.share else every
    wanted = [
        task
        for task in wanted
        if chosen.scenario in (None, task.scenario)
        and chosen.call in str(task.plan.call)
        and chosen.row in ("", task.plan.row.sign)
    ]

    def progress(findings: list[Finding]) -> None:
        broken = sum(bool(found.violation) for found in findings)
        print(f"{len(findings)} of {len(wanted)} cells, {broken} violated", file=sys.stderr, flush=True)

    findings = run_batches(wanted, chosen.processes, progress)
    broken = [found for found in findings if found.violation]
    print(drawn(findings))
    print(f"\n{len(findings)} cells in {time.monotonic() - began:.0f} s, {len(broken)} violated")
    print(told(findings))
    if len(every) < FLOOR:
        print(f"there are {len(every)} cells in all, and there were {FLOOR}: what became of the others?")
    return int(bool(broken) or len(every) < FLOOR)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
