"""Operations on the simulated world, written down: what was asked, the whole answer, every event, and the ledgers afterwards.

A scenario is a function that prepares a world and runs operations in it. Its transcript stands in the folder `transcripts`, and a test
compares all of it, so that a change of any word or field shows as a difference that a person can read.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from rotator.domain.ledger import Ledger, Problem
from rotator.domain.ports import Clock
from rotator.domain.spec import ApplicationSpec
from rotator.operations.daemon_handle import DaemonHandle, ObservedLedger
from rotator.operations.failures import explain
from rotator.operations.operation import OperationContext
from rotator.operations.registry import OPERATIONS
from rotator.util.formatting import format_rfc3339
from tests.cli.conftest import Desk, SimApp
from tests.support.simulated import Recorder, Sim

TRANSCRIPTS = Path(__file__).with_name("transcripts")
OLD, NEW, NEXT = (f"SCW{number:017d}" for number in (1, 2, 3))
"""The keys of a world in the order in which they were made."""

OF_POLICY = {"application", "account", "bearer", "path", "access_field", "secret_field", "grace"}
OF_POLICY |= {"verification", "emergency_verification", "schema"}
"""Fields of a ledger that repeat the policy of its application."""


def written(value: Any) -> str:
    """A value as a person would note it: what is as usual is left out."""
    if isinstance(value, ApplicationSpec):
        return f"<{value.application}{'' if value.configured else ', removed'}>"
    if is_dataclass(value) and not isinstance(value, type):
        shown = {one.name: getattr(value, one.name) for one in fields(value) if not _usual(value, one)}
        return f"{type(value).__name__}({', '.join(f'{name}={written(one)}' for name, one in shown.items())})"
    if isinstance(value, datetime):
        return format_rfc3339(value)
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{written(name)}: {written(one)}" for name, one in value.items()) + "}"
    if isinstance(value, frozenset | set):
        return "{" + ", ".join(sorted(map(written, value))) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    return repr(value.value if isinstance(value, enum.Enum) else value)


def _usual(value: Any, one: Any) -> bool:
    found = getattr(value, one.name)
    if isinstance(value, Ledger) and one.name in OF_POLICY:
        return True
    if one.default is not MISSING:
        return bool(found == one.default)
    return one.default_factory is not MISSING and bool(found == one.default_factory())


@dataclass
class Daemon:
    """As much of a daemon as operations ask for."""

    problems: dict[str, Problem] = field(default_factory=dict)
    ledgers: dict[str, ObservedLedger] = field(default_factory=dict)
    woken: list[list[str]] = field(default_factory=list)

    def reconcile_now(self, applications: Iterable[str]) -> None:
        self.woken.append(list(applications))

    def observed_problems(self) -> Mapping[str, Problem]:
        return self.problems

    def observed_ledgers(self) -> Mapping[str, ObservedLedger]:
        return self.ledgers


@dataclass
class Stage:
    """A world, and what was written down of it."""

    desk: Desk = field(default_factory=lambda: Desk(Sim()))
    daemon: Daemon | None = None
    by: str = "ann@desk"
    lines: list[str] = field(default_factory=list)
    app: Callable[[SimApp], object] = lambda app: app
    """What the scenario makes of the runtime."""

    @property
    def sim(self) -> Sim:
        return self.desk.sim

    def sleep(self, clock: Clock, until: datetime) -> None:
        self.desk.pause(max((until - self.sim.time.now).total_seconds(), 0.001))

    def run(self, name: str, **arguments: Any) -> Any:
        """One operation, by a person at the desk; it is written down."""
        sink = Recorder()
        app = SimApp(self.sim, self.desk.specs, sink, self.desk.left, self.desk.kept, self.desk.creates)
        app.management_key = self.desk.management_key
        self.app(app)
        self.lines.append(
            f"> {name} {' '.join(f'{key}={written(value)}' for key, value in arguments.items())}".rstrip()
        )
        before = {where: len(versions) for where, versions in self.sim.kv.items()}
        operation, answer = OPERATIONS[name], None
        call = OperationContext(
            runtime=cast("Any", app),
            by=self.by,
            sink=sink,
            sleep=self.sleep,
            now=lambda: self.sim.time.now,
            owner="the-desk",
            daemon_handle=cast("DaemonHandle | None", self.daemon),
        )
        try:
            answer = operation.execute(call, operation.request(arguments))
        except Exception as error:  # noqa: BLE001 - a person sees what becomes of it
            failure = explain(error)
            said = type(error).__name__ if failure.kind == "program" else json.dumps(failure.as_json())
            self.lines.append(f"! {said}")
        else:
            self._note(answer)
        events = sorted(sink.events, key=lambda event: str(event[1].get("application", "")))
        lines = (
            f"* {event} {' '.join(f'{key}={written(one)}' for key, one in said.items())}" for event, said in events
        )
        for line, same in groupby(lines):
            times = len(list(same))
            self.lines.append(line if times == 1 else f"{line} ({times} times)")
        if self.daemon is not None and self.daemon.woken:
            self.lines.append(f"* the daemon looks at once at {self.daemon.woken}")
            self.daemon.woken.clear()
        for where, versions in sorted(self.sim.kv.items()):
            if len(versions) > before.get(where, 0) and where.startswith("ledger:"):
                self.lines.append(f"= {written(self.sim.ledger(where.partition(':')[2]))}")
        return answer

    def _note(self, answer: Any) -> None:
        for one in answer if isinstance(answer, tuple) else (answer,):
            self.lines.append(f"< {written(one)}")
            if hasattr(one, "sentence"):
                self.lines.append(f"  {one.sentence}")
            if hasattr(one, "as_json"):
                self.lines.append(f"  {json.dumps(one.as_json())}")


Scenario = Callable[[Stage], object]


def told(scenario: Scenario) -> str:
    """The transcript of a scenario."""
    stage = Stage()
    scenario(stage)
    # The line of a crash moves with every change above it.
    return re.sub(r"(rotator[.\w]*:)\d+( in )", r"\1LINE\2", "\n".join(stage.lines) + "\n")


@dataclass(frozen=True)
class Scenarios:
    """The scenarios of one file, each under a sentence."""

    name: str
    all: dict[str, Scenario] = field(default_factory=dict)

    def scenario(self, sentence: str) -> Callable[[Scenario], Scenario]:
        """Adds the scenario that the sentence names."""

        def add(scenario: Scenario) -> Scenario:
            assert sentence not in self.all
            self.all[sentence] = scenario
            return scenario

        return add

    @property
    def path(self) -> Path:
        return TRANSCRIPTS / f"{self.name}.txt"

    def kept(self) -> dict[str, str]:
        """The transcripts in the file, by sentence."""
        parts = self.path.read_text().split("\n## ")[1:]
        return {one.partition("\n\n")[0]: one.partition("\n\n")[2].rstrip("\n") + "\n" for one in parts}

    def write(self) -> None:
        """Writes all transcripts anew, after a change that is meant."""
        self.path.parent.mkdir(exist_ok=True)
        parts = "".join(f"\n## {sentence}\n\n{told(scenario)}" for sentence, scenario in self.all.items())
        self.path.write_text(f"What operations answer, as tests/operations/transcript.py writes it down.\n{parts}")
