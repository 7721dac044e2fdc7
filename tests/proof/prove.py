"""The whole proof: explored scenarios, random histories, planted bugs, the fuzz, the fault matrix, the storm and an account that hangs for
ten minutes, with progress and a summary.

``python -m tests.proof`` (or ``make prove``) runs everything from a fresh seed; ``--seed N`` chooses the histories and the storm. What was
finished is kept in ``build/prove``, by seed and by the sources' digest, so that the same call goes on where it was interrupted.
``--only WORD`` runs the parts whose name contains it. Exit code 1 on any violation, and when fewer states were found than there were.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import secrets
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tests.histories import History
from tests.histories.fleet import FleetHistory
from tests.proof.explorer import Explorer, Violation
from tests.proof.planted import BUGS, hunt_in_a_copy, line
from tests.proof.scenarios import ALL

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "verification"
MOST_STATES = 300_000
"""States after which the exploration of a scenario ends that is too large to be walked whole (docs/verification.md says which). ``--most``
changes it."""

HISTORIES, FOCUSED, FLEETS, CHUNK = 20_000, 2_000, 200, 500
"""Histories of each kind; a fleet counts as ten, so a chunk has fewer of them."""

CASES, CASES_AT_ONCE = 1_000_000, 250_000
"""Cases of the fuzz, and of each part of it."""


@dataclass(frozen=True)
class Part:
    """One part of the proof, which a process of its own can run, and how it ended: None as long as it did not."""

    name: str
    kind: str
    argument: int

    def run(self, seed: int, most: int) -> dict[str, object]:
        """Run it to its end; what it found as JSON values, ``failure`` being the story of a violation."""
        begun = time.monotonic()
        try:
            found = KINDS[self.kind](self.argument, seed, most)
        except Exception:  # noqa: BLE001  # whatever it is, the other parts go on, and it is told with them
            found = {"failure": traceback.format_exc()}
        return {
            "failure": "",
            "states": 0,
            "histories": 0,
            "faults": 0,
            **found,
            "seconds": round(time.monotonic() - begun),
        }


def explore(number: int, seed: int, most: int) -> dict[str, object]:
    """Explore one scenario."""
    scenario = ALL[number]
    try:
        count = Explorer(scenario, most=None if scenario.whole else most).run()
    except Violation as violation:
        return {"failure": str(violation), "states": violation.count.states}
    found: dict[str, object] = {
        "states": count.states,
        "faults": sum(count.faults.values()),
        "whole": scenario.whole or count.states < most,
    }
    least = scenario.least if scenario.whole else min(scenario.least, most)
    if count.states < least:
        found["failure"] = f"{count.states:,} states, where there were {least:,}: something is no longer tried"
    return found


def live(chunk: int, seed: int, most: int) -> dict[str, object]:
    """Live through some histories of one application."""
    return _live(History, chunk, seed, CHUNK)


def live_focused(chunk: int, seed: int, most: int) -> dict[str, object]:
    """The same with first keys and more emergencies."""
    return _live(lambda number: History(number, focused=True), chunk, seed, CHUNK)


def live_in_fleets(chunk: int, seed: int, most: int) -> dict[str, object]:
    """The same with several accounts and applications."""
    return _live(FleetHistory, chunk, seed, CHUNK // 10)


def _live(make: Callable[[int], History | FleetHistory], chunk: int, seed: int, count: int) -> dict[str, object]:
    first = seed + chunk * count
    for number in range(first, first + count):
        try:
            make(number).run()
        except AssertionError as error:
            notes = "\n".join(getattr(error, "__notes__", []))
            return {"failure": f"history {number}: {error}\n{notes}", "histories": number - first + 1}
    return {"histories": count}


def plant(number: int, seed: int, most: int) -> dict[str, object]:
    """Hunt one planted bug."""
    found = hunt_in_a_copy(BUGS[number])
    return {
        "failure": "" if found.check else line(found),
        "found": f"{found.check}: {found.message}",
        "after": [found.states, found.histories],
    }


def matrix(_: int, seed: int, most: int) -> dict[str, object]:
    """Run every cell of the fault matrix."""
    return _elsewhere("tests.proof.matrix")


def storm(minutes: int, seed: int, most: int) -> dict[str, object]:
    """Let the storm rage."""
    return _elsewhere("tests.proof.storm", "--minutes", str(minutes), "--seed", str(seed))


def fuzz(chunk: int, seed: int, most: int) -> dict[str, object]:
    """Whatever comes from outside is hostile."""
    return _elsewhere("tests.fuzz", "--cases", str(CASES_AT_ONCE), "--seed", str(seed + chunk))


def hang(seconds: int, seed: int, most: int) -> dict[str, object]:
    """One of three accounts hangs in one route after the other, with the shipped timeouts."""
    return _elsewhere("tests.e2e.hanging", str(seconds))


def _elsewhere(module: str, *arguments: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    said = (done.stdout + done.stderr).strip()
    return {"failure": said if done.returncode else "", "said": said.splitlines()[-12:]}


KINDS: dict[str, Callable[[int, int, int], dict[str, object]]] = {
    "explore": explore,
    "live": live,
    "live_focused": live_focused,
    "live_in_fleets": live_in_fleets,
    "fuzz": fuzz,
    "hang": hang,
    "plant": plant,
    "matrix": matrix,
    "storm": storm,
}

TOGETHER: tuple[Part, ...] = (
    *(Part(f"explore: {scenario.name}", "explore", number) for number, scenario in enumerate(ALL)),
    *(
        Part(f"histories: {chunk * CHUNK:,} to {(chunk + 1) * CHUNK - 1:,}", "live", chunk)
        for chunk in range(HISTORIES // CHUNK)
    ),
    *(Part(f"focused histories: chunk {chunk}", "live_focused", chunk) for chunk in range(FOCUSED // CHUNK)),
    *(Part(f"histories of fleets: chunk {chunk}", "live_in_fleets", chunk) for chunk in range(FLEETS * 10 // CHUNK)),
    *(Part(f"planted: {planted.name}", "plant", number) for number, planted in enumerate(BUGS)),
    *(Part(f"the fuzz: chunk {chunk}", "fuzz", chunk) for chunk in range(CASES // CASES_AT_ONCE)),
)
"""Parts that run beside each other."""

ALONE: tuple[Part, ...] = (
    Part("the fault matrix", "matrix", 0),
    Part("the storm", "storm", 5),
    Part("an account that hangs", "hang", 600),
)
"""Parts of many processes, one after the other."""


def digest() -> str:
    """What is proved: every source of the program and of its proof."""
    found = hashlib.sha256()
    for file in sorted([*ROOT.glob("rotator/**/*.py"), *ROOT.glob("tests/**/*.py")]):
        found.update(file.read_bytes())
    return found.hexdigest()[:12]


class Book:
    """What was finished, kept in a file for each seed."""

    def __init__(self, seed: int, most: int) -> None:
        self.path = KEPT / f"{seed}.json"
        self.head = {"digest": digest(), "most": most}
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        self.parts: dict[str, dict[str, object]] = kept.get("parts", {}) if kept.get("head") == self.head else {}

    def enter(self, part: Part, found: dict[str, object]) -> None:
        """Keep what a part found. A failure is not kept: it is tried again."""
        if not found["failure"]:
            self.parts[part.name] = found
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({"head": self.head, "parts": self.parts}, indent=1))


def prove(seed: int, most: int, only: str) -> int:
    """Run all parts that are not finished yet; 1 when one failed."""
    book, begun = Book(seed, most), time.monotonic()
    chosen = [part for part in (*TOGETHER, *ALONE) if only in part.name]
    say(f"seed {seed}: {len(chosen)} parts, {sum(part.name in book.parts for part in chosen)} finished before")
    found = {part.name: book.parts[part.name] for part in chosen if part.name in book.parts}
    for part, result in _results([part for part in chosen if part.name not in found], seed, most):
        found[part.name] = result
        book.enter(part, result)
        say(f"[{len(found)}/{len(chosen)}] {time.monotonic() - begun:5.0f} s  {describe(part, result)}")
    failed = [name for name, result in found.items() if result["failure"]]
    states, histories = (sum(int(str(result[what])) for result in found.values()) for what in ("states", "histories"))
    planted = [result for name, result in found.items() if name.startswith("planted: ")]
    say(
        f"\n{states:,} states explored, {histories:,} histories lived, {sum(int(str(r['faults'])) for r in found.values()):,} faults tried in the"
        f" explored states,\n{sum(not r['failure'] for r in planted)} of {len(planted)} planted bugs caught, {len(failed)} failed"
    )
    for name in failed:
        say(f"\nFAILED {name}\n{found[name]['failure']}")
    if failed:
        say(f"\ngo on with: make prove SEED={seed}")
    return int(bool(failed))


def _results(parts: list[Part], seed: int, most: int) -> Iterator[tuple[Part, dict[str, object]]]:
    with ProcessPoolExecutor(
        max_workers=int(os.environ.get("ROTATOR_PROVE_WORKERS", "2")), max_tasks_per_child=1
    ) as pool:
        running = {pool.submit(part.run, seed, most): part for part in parts if part in TOGETHER}
        for done in as_completed(running):
            yield running[done], done.result()
    for part in parts:
        if part in ALONE:
            yield part, part.run(seed, most)


def describe(part: Part, result: dict[str, object]) -> str:
    """One line of progress."""
    about = "FAILED " if result["failure"] else ""
    if result["states"]:
        about += f"{result['states']:,} states" + ("" if result.get("whole", True) else ", and there are more")
    elif "found" in result:
        about += f"caught by {str(result['found'])[:200]}"
    return f"{part.name}: {about or 'sound'} ({result['seconds']} s)"


def say(text: str) -> None:
    """Progress and summary are what this program is for."""
    print(text, flush=True)  # noqa: T201  # see above


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description="Run the whole proof.")
    parser.add_argument(
        "--seed", type=int, default=None, help="the first history, and the storm (default: a fresh one)"
    )
    parser.add_argument(
        "--most",
        type=int,
        default=MOST_STATES,
        help=f"states of a scenario that is too large to be walked whole (default: {MOST_STATES:,})",
    )
    parser.add_argument("--only", default="", help="run the parts whose name contains this")
    arguments = parser.parse_args()
    seed = secrets.randbelow(10**9) if arguments.seed is None else arguments.seed
    return prove(seed, arguments.most, arguments.only)
