"""Hunt for a bug in the program as it stands: the small explored scenarios first, then random histories, then the stories of
single rules and of bugs once found, then the larger scenarios and more histories, until one check fails.

``python -m tests.proof.hunt TESTS`` runs these tests (files or single ones) and nothing else: for what no scenario and no history runs.

Prints one line of JSON: the ``check`` that failed (null when none did), the ``states`` and ``histories`` tried, and the ``message``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import rotator
from tests.histories import History
from tests.histories.fleet import FleetHistory
from tests.histories.year import HOUR, MINUTE, SPREAD, Year
from tests.proof.explorer import Explorer, Violation
from tests.proof.scenarios import ALL, Scenario

SMALL = 5_000
"""Scenarios of no more states are explored first and whole."""

MOST_STATES = 15_000
"""States of a larger scenario that a hunt explores; the whole is for ``make prove``."""

HISTORIES = (200, 1_500)
"""Histories that are tried before the stories, and in all."""

FLEETS = 8
"""Histories of fleets that are tried after the stories."""


class Hunt:
    """One hunt: what it has been through until something was found."""

    def __init__(self) -> None:
        self.states = 0
        self.histories = 0

    def run(self) -> dict[str, object]:
        """Look until something is found."""
        small = [scenario for scenario in ALL if scenario.least <= SMALL]
        large = [scenario for scenario in ALL if scenario.least > SMALL]
        found = (
            self._explore(small)
            or self._live(History, range(1, HISTORIES[0] + 1))
            or tell_the_stories()
            or play_some_weeks()
            or self._live(FleetHistory, range(1, FLEETS + 1))
            or self._explore(large)
            or self._live(History, range(HISTORIES[0] + 1, HISTORIES[1] + 1))
            or {"check": None, "message": ""}
        )
        return {**found, "states": self.states, "histories": self.histories}

    def _explore(self, scenarios: list[Scenario]) -> dict[str, object] | None:
        for scenario in scenarios:
            try:
                self.states += Explorer(scenario, most=MOST_STATES).run().states
            except Violation as violation:
                self.states += violation.count.states
                return {"check": scenario.name, "message": first_line(violation)}
        return None

    def _live(self, kind: type[History | FleetHistory], seeds: range) -> dict[str, object] | None:
        for seed in seeds:
            self.histories += 1
            try:
                kind(seed).run()
            except AssertionError as error:
                return {"check": f"{kind.__name__} {seed}", "message": first_line(error)}
        return None


def tell_the_stories() -> dict[str, object] | None:
    """Run the tests of single rules and of bugs once found; the name of the first that fails."""
    stories = [
        f"tests/{name}.py"
        for name in (
            "reconciler/test_containment",
            "reconciler/test_protocol",
            "reconciler/test_crashes",
            "reconciler/test_stored_documents",
            "reconciler/test_ownership",
            "reconciler/test_management_key",
            "reconciler/test_wrong_account",
            "histories/test_histories",
            "domain/test_schedule",
            "daemon/test_spread",
        )
    ]
    return run_tests(stories)


def run_tests(tests: Sequence[str]) -> dict[str, object] | None:
    """Run these tests until one fails; its name, or None. Plugins that none of them needs are left out: they take longer to load
    than a test to run."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "pytest_timeout", "-p", "no:cacheprovider", *tests],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    # Tests that could not be collected (2), or that pytest did not understand (3, 4), caught nothing.
    assert done.returncode in (0, 1), f"the tests did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    if not failed:
        return None
    name, _, message = failed[0].partition(" ")[2].partition(" - ")
    return {"check": name, "message": message}


def play_some_weeks() -> dict[str, object] | None:
    """Forty applications with every default under a daemon that is restarted all the time, and under ``run --once``."""
    for name, daemon in (("a daemon restarted every 20 minutes", True), ("run --once every hour", False)):
        year = Year(days=15)
        try:
            if daemon:
                year.daemon(20 * MINUTE)
            else:
                year.rounds(HOUR)
            year.check(SPREAD if daemon else HOUR)
        except AssertionError as error:
            return {"check": name, "message": first_line(error)}
    return None


def first_line(error: BaseException) -> str:
    """What an error says, without its story."""
    return next(iter(str(error).splitlines()), type(error).__name__)


if __name__ == "__main__":
    assert Path(rotator.__file__).is_relative_to(Path.cwd()), "hunt in the copy, not in what is installed"
    named = sys.argv[1:]
    answer = (
        {**(run_tests(named) or {"check": None, "message": ""}), "states": 0, "histories": 0} if named else Hunt().run()
    )
    json.dump(answer, sys.stdout)
    print()  # noqa: T201  # the answer is the last line
