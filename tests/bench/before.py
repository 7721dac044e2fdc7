"""The program as it was before the work on its cost: its tree beside this one, so that both are measured in one run.

The tree is made from the history with ``git worktree`` and removed afterwards. It runs with the libraries of this environment, on the
same stand-in and the same OpenBao. Without the history (a tree from an archive) the figures of before are left out.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMIT = "8bb0b97"

FORMER_OPTIONS = {
    "emergency_verification": "prove_emergency",
    "verification": "prove",
    "consumer_refresh": "refresh",
    "resync_interval": "observe_every",
    "startup_spread": "catch_up",
}
"""The options of the configurations of this bench by the names that they had."""

_RUN = (
    "import runpy, sys; sys.path.insert(0, {tree!r}); runpy.run_module('rotator', run_name='__main__', alter_sys=True)"
)


@contextmanager
def commit_before() -> Iterator[Path | None]:
    """The tree of that commit; None where there is no history to make it from."""
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(prefix="rotator-before-") as folder:
        tree = Path(folder) / "tree"
        made = subprocess.run(
            ["git", "-C", str(root), "worktree", "add", "--quiet", "--detach", str(tree), COMMIT],
            capture_output=True,
            check=False,
        )
        if made.returncode:
            yield None
            return
        try:
            yield tree
        finally:
            subprocess.run(
                ["git", "-C", str(root), "worktree", "remove", "--force", str(tree)], capture_output=True, check=False
            )


def program(tree: Path) -> tuple[str, ...]:
    """The words after the interpreter that run the program of that tree."""
    return ("-c", _RUN.format(tree=str(tree)))


def with_former_names(configuration: str) -> str:
    """The configuration as the program of before reads it."""
    for name, former in FORMER_OPTIONS.items():
        configuration = configuration.replace(name, former)
    return configuration
