"""Commands that people run in the middle of it, and what their answers claim."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import dataclass, field
from typing import Any

from rotator.cli.exit_codes import PROBLEM
from rotator.sandbox.process import Process
from tests.e2e.rig import Rig
from tests.proof.storm.scribe import Scribe

FINE = {0, 1, 3, 4, -signal.SIGKILL}
"""How a command may end in a storm. 2 would be a mistake of the storm's own, anything else one of the program."""


@dataclass
class Command:
    """One command of rotator as a process."""

    rig: Rig
    number: int
    words: tuple[str, ...]
    process: Process = field(init=False)

    def __post_init__(self) -> None:
        command = [
            sys.executable,
            "-m",
            "rotator",
            *self.words,
            "--json",
            "--config",
            str(self.rig.directory / "person.toml"),
        ]
        base = self.rig.directory / f"command-{self.number}"
        self._output, self._complaints = base.with_suffix(".out"), base.with_suffix(".err")
        self.process = Process(command, self._output, complaints=self._complaints)

    def __str__(self) -> str:
        return f"command {self.number} ({' '.join(self.words)})"

    def said(self) -> str:
        """Everything that it printed."""
        return self._output.read_text() + self._complaints.read_text()

    def answers(self) -> list[dict[str, Any]]:
        """What it printed for machines, by application; nothing if it was killed."""
        try:
            return list(json.loads(self._output.read_text())["applications"])
        except (ValueError, KeyError):
            return []

    def violations(self, scribe: Scribe) -> list[str]:
        """What is wrong with a command that has ended: I3 and I8 of what it claims, and its manners."""
        code = self.process.exit_code
        found = []
        fine = FINE | {PROBLEM} if self.words[0] == "status" else FINE
        if code not in fine or "Traceback" in self.said():
            found.append(f"{self} ended with {code}: {self.said()[-2000:]}")
        for answer in self.answers() if self.words[0] == "rotate" else []:
            if answer.get("exit_code") == 0:
                found += [f"{self}: {wrong}" for wrong in self._lies(answer, scribe)]
        return found

    def _lies(self, answer: dict[str, Any], scribe: Scribe) -> list[str]:
        name, key, version = answer["name"], answer["access_key"], answer["version"]
        scribe.collect()
        published = {one.version: one.access_key for one in scribe.published[name]}
        lies = []
        if version in published and published[version] != key:
            lies.append(f"I8: it says that version {version} of {name} holds {key}, which is {published[version]}")
        exist = {key.access_key for key in self.rig.scaleway.keys(self.rig.bearers[name])}
        for dead in answer.get("revoked", ()):
            # Where no readable version holds the secret, "gone" is all that is claimed.
            tried = dead["verification"] == "refused" and self.rig.scaleway.accepts(dead["access_key"])
            if tried or dead["access_key"] in exist:
                lies.append(f"I3: it says that {dead['access_key']} of {name} is dead, and it is not")
            if any(number >= version and holds == dead["access_key"] for number, holds in published.items()):
                lies.append(
                    f"I3: it says that {dead['access_key']} of {name} is dead, and consumers read it after that"
                )
        return lies
