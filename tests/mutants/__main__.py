"""Mutation testing: ``make mutants``.

mutmut changes an area of the program in thousands of small ways, one at a time, and the fast tests of the area must notice each.
What they do not notice has *survived*. A survivor is a missing test, code that does nothing, or a change that makes no difference; the last are
listed in ``explained.toml`` with the reason, by function and changed lines, so that the list outlives edits elsewhere.

All mutants of the core are tried. Of the other packages a sample is tried (``--packages vault,api --sample 40``): which mutants belong to it
depends on ``--seed`` and on the names of the mutants alone.

A run can be stopped at any time and goes on where it was: verdicts stay until their function changes, and survivors are tried again,
for there may be new tests. ``--afresh`` begins from nothing. A run fails when the score is below the bar or, in the core, a survivor is unexplained.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant

from tests.mutants.tree import AREAS, CORE, ENVIRONMENT, PACKAGES, ROOT, Area, prepare

KILLED = {"killed", "timeout", "crashed"}
"""Noticed: a test failed, or the program no longer came to an end."""

EXPLAINED = Path(__file__).with_name("explained.toml")

GENERATE = (
    "from mutmut.__main__ import *; from mutmut.mutation.trampoline import set_mutant_under_test as of;"
    " of('mutant_generation'); Path('mutants').mkdir(exist_ok=True); copy_src_dir(); copy_also_copy_files(); setup_source_paths(); create_mutants({jobs})"
)
"""The part of ``mutmut run`` that is used here."""


@dataclass(frozen=True)
class Mutant:
    """One change, and what became of it. ``change`` are the lines that differ, which with the function are its name for people."""

    name: str
    module: str
    status: str

    @property
    def function(self) -> str:
        """The function as its reader knows it, such as ``rotator.decision.state.ApplicationState.published``."""
        return self.name.partition("__mutmut_")[0].replace(".x_", ".").replace(".xǁ", ".").replace("ǁ", ".")

    @property
    def change(self) -> str:
        """The lines that differ, each without its indentation: what was there, then what is there instead."""
        lines = get_diff_for_mutant(self.name, path=self.module).split("\n")[2:]
        return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines if line[:1] in {"-", "+"})


def explanations() -> dict[str, dict[str, str]]:
    """Survivors that make no difference: by function, the changed lines with the reason."""
    return tomllib.loads(EXPLAINED.read_text()) if EXPLAINED.exists() else {}


class Run:
    """One area and the part of its mutants that is tried."""

    def __init__(self, area: Area, options: argparse.Namespace) -> None:
        self.area = area
        self.only: list[str] = options.only
        self.sample: int | None = options.sample
        self.seed: str = options.seed
        self.budget: float = options.budget
        self.tests: list[str] = options.tests or list(area.tests)
        self.home = area.tree / "mutants"
        self.verdicts_file = area.tree / "verdicts.jsonl"

    def modules(self) -> dict[str, str]:
        """The mutants to try, each with its module: those of the modules asked for, of these as many as asked for."""
        chosen = [
            module for module in self.area.modules if not self.only or any(fnmatch(module, name) for name in self.only)
        ]
        of = {name: module for module in chosen for name in self._notes(module)["exit_code_by_key"]}
        if self.sample is None or self.sample >= len(of):
            return of
        return {
            name: of[name] for name in random.Random(self.seed).sample(sorted(of), self.sample)
        }  # a sample, not a secret

    def known(self) -> dict[str, str]:
        """The verdicts of earlier runs on functions that have not changed since."""
        lines = self.verdicts_file.read_text().splitlines() if self.verdicts_file.exists() else []
        found = {}
        for line in lines:
            with contextlib.suppress(ValueError):  # a killed run has left it half written
                name, status = json.loads(line)
                found[name] = status
        return found

    def mutants(self) -> list[Mutant]:
        """Every mutant that was to be tried, with its status."""
        known, fingerprints = self.known(), self._fingerprints()
        return [
            Mutant(name, module, known.get(fingerprints[name], "not checked"))
            for name, module in self.modules().items()
        ]

    def generate(self, jobs: str) -> None:
        """Write all mutants. What a killed run has left half written is written anew."""
        prepare(self.area)
        for module in self.area.modules:
            try:
                self._notes(module)
            except ValueError:
                self._path(module).unlink()
                (self.home / module).unlink(missing_ok=True)
        command = [sys.executable, "-c", GENERATE.format(jobs=jobs)]
        subprocess.run(command, cwd=self.area.tree, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)

    def run(self, jobs: str) -> int:
        """Judge what is not known to be killed; survivors are tried again, for there may be new tests."""
        known, fingerprints = self.known(), self._fingerprints()
        names = [name for name in self.modules() if known.get(fingerprints[name]) not in KILLED]
        if not names:
            return 0
        fresh = self.area.tree / "fresh.jsonl"
        fresh.unlink(missing_ok=True)
        job = self.area.tree / "job.json"
        job.write_text(json.dumps({"names": names, "verdicts": str(fresh), "budget": self.budget, "jobs": jobs}))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.mutants.judge",
            "-q",
            "-x",
            "--capture=sys",
            "--assert=plain",
            "--tb=no",
            *self.area.options,
            *self.tests,
        ]
        environment = {**ENVIRONMENT, "MUTANTS_JOB": str(job), "PYTHONPATH": str(self.home)}
        judged: dict[str, str] = {}
        try:
            subprocess.run(command, cwd=self.home, env=environment, check=False)
        finally:
            judged = dict(map(json.loads, fresh.read_text().splitlines())) if fresh.exists() else {}
            with self.verdicts_file.open("a") as file:
                for name, status in judged.items():
                    file.write(json.dumps([fingerprints[name], status]) + "\n")
        return int(judged.keys() != set(names))  # pytest's own code speaks of its end too, when everything is judged

    def report(self) -> bool:
        """Print the summary; whether all is well."""
        os.chdir(self.area.tree)  # where mutmut finds its configuration and its notes
        explained = explanations()
        mutants = self.mutants()
        counts = Counter(mutant.status for mutant in mutants)
        survivors = [(mutant, mutant.change) for mutant in mutants if mutant.status not in KILLED | {"not checked"}]
        unexplained = [
            (mutant, change) for mutant, change in survivors if change not in explained.get(mutant.function, {})
        ]
        found = {(mutant.function, change) for mutant, change in survivors}
        whole = self.area == CORE and not self.only and self.sample is None and not counts["not checked"]
        needless = [
            (name, change) for name, table in explained.items() for change in table if (name, change) not in found
        ]
        killed = sum(counts[status] for status in KILLED)
        score = 100 * killed / max(1, len(mutants) - counts["not checked"])
        for mutant, change in unexplained:
            print(f"{mutant.status}: {mutant.function}\n    {change}")  # noqa: T201  # what a report is for
        for name, change in needless if whole else ():
            print(f"explained, but killed or gone: {name}\n    {change}")  # noqa: T201  # what a report is for
        counted = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        print(f"{self.area.name}: {len(mutants)} mutants: {counted}")  # noqa: T201  # what a report is for
        print(  # noqa: T201  # what a report is for
            f"{self.area.name}: {len(survivors)} survivors, {len(unexplained)} of them unexplained;"
            f" score {score:.1f} % (at least {self.area.bar:.0f} %)"
        )
        os.chdir(ROOT)
        return score >= self.area.bar and not counts["not checked"] and not (self.area == CORE and unexplained)

    def _path(self, module: str) -> Path:
        return self.home / f"{module}.meta"

    def _notes(self, module: str) -> dict[str, dict[str, str]]:
        path = self._path(module)
        empty: dict[str, dict[str, str]] = {"exit_code_by_key": {}, "hash_by_function_name": {}}
        notes: dict[str, dict[str, str]] = json.loads(path.read_text()) if path.exists() else empty
        return notes

    def _fingerprints(self) -> dict[str, str]:
        """By mutant, its name and what its function looks like."""
        found = {}
        for module in self.area.modules:
            notes = self._notes(module)
            for name in notes["exit_code_by_key"]:
                function = name.rpartition(".")[2].partition("__mutmut_")[0]
                found[name] = f"{name} {notes['hash_by_function_name'].get(function, '')}"
        return found


def main() -> int:
    """Prepare, run, report, area by area. ``--report`` only reports."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Mutation testing.")
    parser.add_argument("--packages", default="core", help=f"areas, separated by commas, or all: {', '.join(AREAS)}")
    parser.add_argument(
        "--only", action="append", default=[], help="only the modules that match, such as 'rotator/decision/rules/*'"
    )
    parser.add_argument("--sample", type=int, help="try so many mutants of each area (default: all)")
    parser.add_argument("--seed", default="rotator", help="another seed draws another sample")
    parser.add_argument(
        "--budget", type=float, default=20, help="seconds of tests that one mutant may cost (default: 20)"
    )
    parser.add_argument(
        "--tests", action="append", help="judge by these tests alone, as a sieve: what they do not kill is tried again"
    )
    parser.add_argument("--afresh", action="store_true", help="forget earlier verdicts")
    parser.add_argument("--report", action="store_true", help="run nothing, print what is known")
    options = parser.parse_args()
    names = [area.name for area in PACKAGES] if options.packages == "all" else options.packages.split(",")
    jobs = os.environ.get("JOBS", str(os.cpu_count() or 1))
    good = True
    for name in names:
        run = Run(AREAS[name], options)
        if options.afresh:
            shutil.rmtree(run.area.tree, ignore_errors=True)
        if not options.report:
            run.generate(jobs)
            if run.run(jobs) != 0:
                good = False
                continue
        good = run.report() and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
