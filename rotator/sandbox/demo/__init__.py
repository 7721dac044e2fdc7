"""``rotator demo``: the whole life cycle of keys on this machine, in under a minute, with a verdict
at the end.

A real OpenBao, a stand-in of Scaleway's API as its own process, the real daemon and the real
command line; three applications that work all the time; a kill -9 in the middle; a compromise. What
is printed was observed at Vault and at the provider, not reported from rotator.
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from rotator.sandbox import require_sandbox

LIMIT = 55.0
"""Seconds that the scenario may take. It usually takes about half of that."""


def main(*, as_json: bool = False, limit: float = LIMIT) -> int:
    """Run the demo and print what it shows; 0 only if nothing was refused and nothing is left over.

    On a terminal a live picture, otherwise plain lines as things happen; ``as_json`` prints the
    summary alone, for machines. Raises ``RotatorError`` when the packages of the extra ``sandbox``
    are missing.
    """
    # PLC0415: rich and the sandbox are loaded for this command only
    from rotator.sandbox.demo import presentation as show  # noqa: PLC0415
    from rotator.sandbox.demo.environment import APPLICATIONS, World  # noqa: PLC0415 - same
    from rotator.sandbox.demo.recording import Chronicle  # noqa: PLC0415 - same

    require_sandbox("demo")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot write an ellipsis is no reason to fail
    stage = show.stage(as_json=as_json)
    try:
        chronicle = Chronicle(tuple(APPLICATIONS), stage.hear)
        chronicle.enter("A real OpenBao and a stand-in of Scaleway's API start on this machine")
        with _ended_by_signals(), World() as world:
            verdict = show.perform(world, stage, chronicle, limit)
    except KeyboardInterrupt:
        # T201: its output
        print("\nThe demo was interrupted; everything that it had started is gone.", file=sys.stderr)  # noqa: T201
        return 130
    if as_json:
        print(json.dumps(verdict.as_json(), indent=2))  # noqa: T201 - same
    else:
        stage.conclude(verdict)
    return 0 if verdict.good else 1


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does, so that nothing is left running or lying
    about."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
