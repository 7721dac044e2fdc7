"""A daemon as a process of its own, on a simulated stage: ``python -m tests.support.play DIRECTORY [--once]``.

The test directs it by files in the directory: ``config.json`` names the applications, and in ``paths`` other documents for them (reload reads it again; anything but sound
JSON is a configuration error), ``sealed`` seals Vault while it exists, ``never-alive`` keeps new keys from working, ``hang``
makes every call wait. What is published is written to ``published-NAME``, and all secrets to ``secrets`` at the end.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rotator import daemon
from rotator.config import Control
from rotator.domain.ports import EventSink
from rotator.domain.spec import VerificationPolicy
from rotator.errors import ConfigurationError, ConfigurationProblem, Indeterminate
from tests.support.daemon_stage import FakeFleet, Now, Stage, application, bearer_of


class DirectedStage(Stage):
    """The stage that looks at the files before every effect."""

    directory: Path

    def effect(self, name: str, execute: Any) -> Any:
        while (self.directory / "hang").exists():
            time.sleep(0.01)
        self.sealed = (self.directory / "sealed").exists()
        if not (self.directory / "never-alive").exists():
            for true in list(self.keys.values()):
                true.alive_from = min(true.alive_from, datetime.now(UTC))
        if (self.directory / "errors").exists() and name in ("create_key", "write_document", "delete_key"):
            (self.directory / "errors").unlink()
            raise Indeterminate("the answer was lost", service="acme", kind="timeout")
        answer = super().effect(name, execute)
        if name == "write_document":
            for path in list(self.kv):
                if path.startswith("doc:"):
                    (self.directory / f"published-{path.rpartition('/')[2]}").write_text("yes")
        (self.directory / "secrets").write_text("\n".join(true.secret for true in list(self.keys.values())))
        return answer


def build(directory: Path, stage: Stage, sink: EventSink) -> FakeFleet:
    """The fleet that ``config.json`` names."""
    try:
        config = json.loads((directory / "config.json").read_text())
        names = config["applications"]
    except (ValueError, KeyError):
        problems = [
            ConfigurationProblem("config.json", "applications", "is wrong; write a list"),
            ConfigurationProblem("config.json", "", "is bad"),
        ]
        raise ConfigurationError(problems) from None
    proof = VerificationPolicy(2, timedelta(seconds=config.get("interval", 0.02)), timedelta(minutes=10))
    paths = config.get("paths", {})
    applications = {
        name: application(name, verification=proof, path=paths.get(name, f"secret/apps/{name}")) for name in names
    }
    stage.bearers |= {bearer_of(name) for name in names}
    return FakeFleet(
        applications,
        {"acme": stage},
        workers=config.get("workers", 2),
        shutdown_timeout=timedelta(seconds=config.get("shutdown_timeout", 30)),
        source=str(directory / "config.json"),
        sink=sink,
        control=Control(directory, **config["control"]) if "control" in config else None,
    )


def main() -> int:
    directory = Path(sys.argv[1])
    stage = DirectedStage(time=Now())  # type: ignore[arg-type]  # the real time in the shape of the simulated one
    stage.directory = directory
    stage.activation = timedelta(days=1)
    if (directory / "log-exceptions").exists():
        stage.hook = lambda name, phase: None
    return daemon.run(lambda sink, _: build(directory, stage, sink), once="--once" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
