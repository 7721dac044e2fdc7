"""Writes the commit of the sources into the wheel and the sdist, as ``rotator/build``: ``rotator --version`` tells builds apart."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def commit(source: Path) -> str:
    """The commit of a checkout, such as ``g0123456789ab``, with ``.dirty`` when files were changed; empty elsewhere."""
    git = shutil.which("git")
    if not git or not (source / ".git").exists():
        return ""
    command = [git, "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(source)]
    command += ["describe", "--always", "--exclude=*", "--abbrev=12", "--dirty=.dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    return f"g{done.stdout.strip()}" if done.returncode == 0 else ""


class CommitHook(BuildHookInterface[BuilderConfig]):
    """A wheel that is built from an sdist keeps the commit of the sdist; an editable installation has none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the file into what is being built."""
        self.made = tempfile.TemporaryDirectory()
        found = commit(Path(self.root))
        if version != "editable" and found:
            file = Path(self.made.name) / "build"
            file.write_text(found)
            build_data["force_include"][str(file)] = "rotator/build"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling passes them
        """Remove what the build alone needed."""
        self.made.cleanup()
