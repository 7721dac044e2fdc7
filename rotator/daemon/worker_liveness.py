"""Sends heartbeats through the workers of every account. Each is progress, as every pass is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial

from rotator.daemon.periodic import PeriodicTasks
from rotator.daemon.pools import pass_workers


class WorkerLiveness:
    """The heartbeats of one daemon; none are sent before ``start``."""

    def __init__(self, periodic: PeriodicTasks, workers: int, progressed: Callable[[], None]) -> None:
        self._periodic = periodic
        self._workers = workers
        self._progressed = progressed
        self._interval: timedelta | None = None
        self._accounts: Collection[str] = ()

    def start(self, interval: timedelta, accounts: Collection[str]) -> None:
        """Send heartbeats at this interval."""
        self._interval = interval
        self.follow(accounts)

    def follow(self, accounts: Collection[str]) -> None:
        """Send heartbeats through the workers of these accounts and of no others."""
        self._accounts = accounts
        if self._interval is None:
            return
        for account in accounts:
            self._periodic.add(
                f"heartbeat {account}",
                partial(self._again, account, self._interval),
                pool=pass_workers(account, self._workers),
                delay=self._interval,
                ended=self._progressed,
            )

    def _again(self, account: str, interval: timedelta) -> timedelta | None:
        return interval if account in self._accounts else None
