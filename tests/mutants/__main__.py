"""Mutation testing of the core: ``make mutants``.

mutmut changes the core in thousands of small ways, one at a time, and the fast tests of the core must notice each. What they do
not notice has *survived*. A survivor is a missing test, dead code, or a change that makes no difference; the last are listed in
``explained.toml`` with the reason, by function and changed lines, so that the list outlives edits elsewhere.

It can be stopped at any time and goes on where it was: verdicts stay until their function changes, and survivors are tried again,
for there may be new tests. ``--afresh`` begins from nothing. Fails when the score is below the bar or a survivor is unexplained.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

from tests.mutants.tree import CORE, ENVIRONMENT, TREE, prepare

BAR = 90.0
"""Percent of all mutants that must be killed."""

KILLED = {"killed", "timeout", "segfault"}
"""Noticed: a test failed, or the program no longer came to an end."""

EXPLAINED = Path(__file__).with_name("explained.toml")


@dataclass(frozen=True)
class Mutant:
    """One change, and what became of it. ``change`` are the lines that differ, which with the function are its name for people."""

    name: str
    module: str
    status: str

    @property
    def function(self) -> str:
        """The function as its reader knows it, such as ``rotator.decision.state.Case.settled``."""
        return self.name.partition("__mutmut_")[0].replace(".x_", ".").replace(".xǁ", ".").replace("ǁ", ".")

    @property
    def change(self) -> str:
        """The lines that differ, each without its indentation: what was there, then what is there instead."""
        lines = get_diff_for_mutant(self.name, path=self.module).split("\n")[2:]
        return " ".join(f"{line[0]} {line[1:].strip()}" for line in lines if line[:1] in {"-", "+"})


def verdicts() -> list[Mutant]:
    """Every mutant of the core with its status."""
    return [
        Mutant(name, module, status_by_exit_code[code])
        for module in CORE
        for name, code in json.loads(_notes(module).read_text())["exit_code_by_key"].items()
    ]


def _notes(module: str) -> Path:
    return TREE / "mutants" / f"{module}.meta"


def try_survivors_again() -> None:
    """Forget the verdicts that a new test could change, what a killed run has left half written, and which test runs what: mutmut
    would ask new tests only, and miss the old ones that run a new function."""
    (TREE / "mutants" / "mutmut-stats.json").unlink(missing_ok=True)
    for module in CORE:
        notes = _notes(module)
        if not notes.exists():
            continue
        try:
            known = json.loads(notes.read_text())
        except ValueError:
            notes.unlink()
            (TREE / "mutants" / module).unlink(missing_ok=True)
            continue
        codes = known["exit_code_by_key"]
        known["exit_code_by_key"] = {name: code if status_by_exit_code[code] in KILLED else None for name, code in codes.items()}
        notes.write_text(json.dumps(known))


def run() -> int:
    """Let mutmut do its work; its progress is shown."""
    jobs = os.environ.get("JOBS", str(os.cpu_count() or 1))
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", jobs]
    return subprocess.run(command, cwd=TREE, env=ENVIRONMENT, check=False).returncode


def report() -> int:
    """Print the summary; 1 when the score is too low or a survivor is unexplained."""
    explained: dict[str, dict[str, str]] = tomllib.loads(EXPLAINED.read_text()) if EXPLAINED.exists() else {}
    mutants = verdicts()
    counts = Counter(mutant.status for mutant in mutants)
    survivors = [(mutant, mutant.change) for mutant in mutants if mutant.status not in KILLED | {"not checked"}]
    unexplained = [(mutant, change) for mutant, change in survivors if change not in explained.get(mutant.function, {})]
    found = {(mutant.function, change) for mutant, change in survivors}
    needless = [(name, change) for name, table in explained.items() for change in table if (name, change) not in found]
    killed = sum(counts[status] for status in KILLED)
    score = 100 * killed / len(mutants)
    for mutant, change in unexplained:
        print(f"{mutant.status}: {mutant.function}\n    {change}")  # noqa: T201  # what a report is for
    for name, change in needless if not counts["not checked"] else ():
        print(f"explained, but killed or gone: {name}\n    {change}")  # noqa: T201  # what a report is for
    print(f"{len(mutants)} mutants: {', '.join(f'{count} {status}' for status, count in sorted(counts.items()))}")  # noqa: T201  # what a report is for
    print(f"{len(survivors)} survivors, {len(unexplained)} of them unexplained; score {score:.1f} % (at least {BAR:.0f} %)")  # noqa: T201  # what a report is for
    return 1 if score < BAR or unexplained or counts["not checked"] else 0


def main() -> int:
    """Prepare, run, report. ``--report`` only reports."""
    if "--afresh" in sys.argv:
        shutil.rmtree(TREE, ignore_errors=True)
    if "--report" not in sys.argv:
        prepare()
        try_survivors_again()
        if run() != 0:
            return 1
    os.chdir(TREE)  # where mutmut finds its configuration and its notes
    return report()


if __name__ == "__main__":
    sys.exit(main())
