"""The command line. Every command is an actor under the same protocol as the daemon, with or
without one beside it.

What a command needs is imported when it runs: in an emergency the first thing to happen is the
rotation, not imports.
"""

from __future__ import annotations

import gc
import sys
import time

from rotator import __version__

STARTED = time.monotonic()
"""When the command began, for "so many seconds after the start"."""


def main() -> None:
    """The console script ``rotator``: runs one command and ends the process with its exit code."""
    from rotator.cli.streams import protect  # noqa: PLC0415 - so that this module alone costs nothing

    protect()
    if sys.argv[1:] == ["--version"]:
        # T201: the library of the command line takes longer to import than this whole answer
        print(f"rotator {__version__}")  # noqa: T201
        return
    from rotator.system.environment import ignore_connection_settings  # noqa: PLC0415 - see above
    from rotator.system.private_memory import keep_memory_private  # noqa: PLC0415 - same

    ignore_connection_settings()
    keep_memory_private()
    # httpx imports its own command line where it finds what that needs: a tenth of the start time.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # marks the module as absent
    from rotator.cli.main import root  # noqa: PLC0415 - so that this module alone costs nothing

    try:
        root()
    finally:
        gc.freeze()  # nothing is left to be collected: without it, the end of a command takes a tenth of its time
