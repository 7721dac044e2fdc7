"""Which looks this daemon leaves to the others of its installation.

A look is the pass of an application that is well and for which nothing is due: it finds out what
other processes and persons have changed. Rendezvous hashing gives each application to one of the
daemons that can look at it, so that a daemon which comes or goes moves no other share. What is not
known belongs to this daemon.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rotator.daemon.application_task import ApplicationTask
from rotator.daemon.presence import EXPIRY, DaemonPresence
from rotator.domain.spec import ApplicationSpec


@dataclass(frozen=True)
class Shares:
    """The daemons that share their looks: this one, and others of the same digest."""

    own: DaemonPresence
    others: tuple[DaemonPresence, ...] = ()

    def leaves(self, spec: ApplicationSpec) -> bool:
        """Whether another daemon looks at this application. Never where this daemon cannot: it goes
        on as it would alone, and the others, who leave it nothing, do so too."""
        account, application = spec.account, spec.application
        if not self.others or not self.own.looks_at(account, application):
            return False
        own = _weight(self.own.daemon, application)
        return any(_weight(one.daemon, application) > own for one in self.others if one.looks_at(account, application))


def _weight(daemon: str, application: str) -> bytes:
    return hashlib.sha256(f"{daemon} {application}".encode()).digest()


class LookShares:
    """The shares in force; all looks are this daemon's until ``share`` is called, and again when it
    was not called for a while. Thread-safe: each value is replaced whole. ``clock`` counts
    seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.left = 0
        """How many looks were left to others."""
        self._clock = clock
        self._shares: Shares | None = None
        self._until = 0.0

    @property
    def daemons(self) -> int | None:
        """How many daemons share their looks, this one included; None without the option."""
        shares = self._shares
        if shares is None:
            return None
        return 1 + len(shares.others) if self._clock() < self._until else 1

    def share(self, shares: Shares, since: float) -> None:
        """Leave looks to these daemons, which were read at that time of the clock."""
        self._shares, self._until = shares, since + EXPIRY.total_seconds()

    def look_alone(self, own: DaemonPresence | None = None) -> None:
        """Leave no look to others: with ``own``, because there is none to leave it to, else because
        that is the configuration."""
        self._shares = Shares(own) if own else None

    def leave(self, task: ApplicationTask, now: datetime) -> datetime | None:
        """Leave the pass that is due to another daemon; returns when the next one is. None if it is
        this daemon's, or more than a look."""
        shares = self._shares
        if shares is None or self._clock() >= self._until or not shares.leaves(task.spec):
            return None
        following = task.leave_look(now)
        self.left += following is not None
        return following
