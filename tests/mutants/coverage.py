"""Branch coverage of the core by its fast tests: ``make coverage``. Fails below 100 %; a branch that no test can reach is removed."""

from __future__ import annotations

import subprocess
import sys

from tests.mutants.tree import CORE, ENVIRONMENT, ROOT

DATA = ROOT / "build" / "coverage"


def coverage(verb: str, *arguments: str) -> int:
    """Run coverage.py in a process of its own."""
    command = [sys.executable, "-m", "coverage", verb, f"--data-file={DATA}", *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=False).returncode


def main() -> int:
    """Measure, then report."""
    DATA.parent.mkdir(exist_ok=True)
    pytest = ("-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *CORE.tests)
    return coverage("run", "--branch", f"--include={','.join(CORE.modules)}", *pytest) or coverage(
        "report", "--show-missing", "--skip-covered", "--precision=2", "--fail-under=100"
    )


if __name__ == "__main__":
    sys.exit(main())
