"""The events of the daemon as they come, across its restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rotator.cli.session import TAKES_NO_COMMAND, Session
from rotator.operations.failures import ReportedError

RETRY_INTERVAL = 1.0
"""Seconds between two attempts to reach a daemon that was there."""


def follow(session: Session, remark: Callable[[str], None]) -> Iterator[Mapping[str, Any]]:
    """Every event from now on, and an empty one at least every few seconds.

    Raises what keeps it from the daemon at first. Later it waits until the daemon is there again,
    and ``remark`` gets a sentence at both ends of the gap.
    """
    from rotator.api.client import DaemonUnavailable  # noqa: PLC0415 - not for help

    reached = lost = False
    while True:
        why = "the daemon has ended the stream of events"
        try:
            with session.daemon(commands=False) as daemon:
                for event in daemon.events():
                    if lost:
                        remark("the daemon answers again; events in between are not shown")
                    reached, lost = True, False
                    yield event
        except DaemonUnavailable as error:
            if not reached:
                raise
            why = error.why
        except ReportedError as error:
            if not reached or error.failure.kind not in TAKES_NO_COMMAND:
                raise
            why = error.failure.sentences[0]
        if not lost:
            remark(f"{why}; waiting until it answers")
        lost = True
        yield {}
        session.pause(RETRY_INTERVAL)
