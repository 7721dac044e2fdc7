"""A plugin of pytest that judges mutants: it runs the tests once, and then for each mutant those that run the changed function.

Tests are collected and modules imported once; each mutant has a fork of that process, so a killed one costs some hundredths of a second.
The quickest tests come first, and no mutant costs more than ``MUTANTS_BUDGET`` seconds of tests. No fixture outlives the first run, so
that a fork inherits no server and no thread.

The job is read from ``MUTANTS_JOB``: the names to try. Each verdict is one line of JSON in the file that it names.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

MIN_CPU_LIMIT = 10
"""Seconds of CPU that a test of a mutant may use, at least; beyond ``LIMIT_FACTOR`` times what it took without the mutant it is taken for one
that never ends."""

LIMIT_FACTOR = 15
WALL_FACTOR = 20
"""How much longer than the CPU limits of its tests a mutant may take by the clock on the wall, on a machine that is busy with other things."""


IDLE_LIMIT = 30.0
"""Seconds without any use of the processor after which a mutant waits for what never comes."""


class Judge:
    """One run: which tests run which function, and what each mutant did to them."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.names: list[str] = job["names"]
        self.verdicts = Path(job["verdicts"])
        self.budget = float(job["budget"])
        self.jobs = int(job["jobs"])
        self._looked_at = 0.0
        """When the processor time of the running mutants was last looked at."""
        self._moved: dict[int, tuple[int, float]] = {}
        """By process, the processor time that it had used, and when it was last seen to use some."""
        self.tests: dict[str, list[tuple[float, int]]] = defaultdict(list)
        """By function, the tests that run it: how long each takes, and its place."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run all tests as they are; where these are green, judge every mutant."""
        set_mutant_under_test("stats")
        for number, item in enumerate(session.items):
            began = time.process_time()
            following = session.items[number + 1] if number + 1 < len(session.items) else None
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            for function in state()._stats:
                self.tests[function].append((time.process_time() - began, number))
            state()._stats.clear()
            if session.testsfailed:
                session._setupstate.teardown_exact(None)
                break
        set_mutant_under_test("")
        if not session.testsfailed:
            self._judge(session)
        return True

    def _judge(self, session: pytest.Session) -> None:
        running: dict[int, tuple[str, float]] = {}
        gc.collect()
        gc.freeze()  # what is shared with the forks is not written to by a collection in one of them
        with self.verdicts.open("a") as file:

            def note(name: str, status: str) -> None:
                file.write(json.dumps([name, status]) + "\n")
                file.flush()

            for name in self.names:
                tests = list(self._tests_of(name, session))
                if not tests:
                    note(name, "no tests")
                    continue
                while len(running) >= self.jobs:
                    self._reap(running, note)
                limit = MIN_CPU_LIMIT + LIMIT_FACTOR * sum(seconds for seconds, _ in tests)
                running[_fork(session, name, tests)] = (name, time.monotonic() + WALL_FACTOR * limit)
            while running:
                self._reap(running, note)

    def _tests_of(self, name: str, session: pytest.Session) -> Iterator[tuple[float, pytest.Item]]:
        spent = 0.0
        for seconds, number in sorted(self.tests[mangled_name_from_mutant_name(name)]):
            spent += seconds
            if spent > self.budget and spent > seconds:
                return
            yield seconds, session.items[number]

    def _reap(self, running: dict[int, tuple[str, float]], note: Any) -> None:
        """Wait until a mutant is judged."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                name, _ = running.pop(pid)
                self._moved.pop(pid, None)
                code = os.waitstatus_to_exitcode(status)
                note(
                    name,
                    "survived" if code == 0 else "killed" if code > 0 else "timeout" if -code in _LIMITS else "crashed",
                )
                return
            if time.monotonic() - self._looked_at >= 1:
                self._looked_at = time.monotonic()
                for late, (_, deadline) in running.items():
                    if time.monotonic() > deadline or self._is_idle(late):
                        os.kill(late, signal.SIGKILL)
            if pid == 0:
                time.sleep(0.002)

    def _is_idle(self, pid: int) -> bool:
        """Whether the process has used no processor time for a while: it waits for a lock or a thread for ever."""
        now = time.monotonic()
        used, since = self._moved.get(pid, (-1, now))
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return False  # it has just ended
        ticks = int(fields[11]) + int(fields[12])
        if ticks != used:
            self._moved[pid] = (ticks, now)
            return False
        return now - since > IDLE_LIMIT


_LIMITS = {signal.SIGXCPU, signal.SIGKILL}


def _fork(session: pytest.Session, name: str, tests: list[tuple[float, pytest.Item]]) -> int:
    """Run the tests with the mutant in a process of its own, which ends with 1 as soon as one of them fails."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    with contextlib.suppress(BaseException):
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        set_mutant_under_test(name)
        items = [item for _, item in tests]
        for number, item in enumerate(items):
            following = items[number + 1] if number + 1 < len(items) else None
            limit = time.process_time() + MIN_CPU_LIMIT + LIMIT_FACTOR * tests[number][0]
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit), resource.getrlimit(resource.RLIMIT_CPU)[1]))
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                break
        code = int(bool(session.testsfailed))
    with contextlib.suppress(BaseException):
        session._setupstate.teardown_exact(None)  # a server that a fixture has started ends with it
    os._exit(code)


def pytest_configure(config: pytest.Config) -> None:
    """Judge, where there is a job."""
    if job := os.environ.get("MUTANTS_JOB"):
        config.pluginmanager.register(Judge(json.loads(Path(job).read_text())), "judge")
