"""Which looks this daemon leaves to the others of its installation.

A look is the pass of an application that is well and for which nothing is due: it finds out what
other processes and persons have changed. Rendezvous hashing gives each application to one of the
daemons that can look at it, so that a daemon which comes or goes moves no other share. What is not
known belongs to this daemon.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from rotator.daemon.application_task import ApplicationTask
from rotator.daemon.presence import EXPIRY, DaemonPresence
from rotator.domain.spec import ApplicationSpec
from rotator.util.backoff import fraction

TAKE_BACK_SHARE = 8
"""The looks that were left to a daemon that is gone are spread over this part of an interval."""


@dataclass(frozen=True)
class Shares:
    """The daemons that share their looks: this one, and others of the same digest."""

    own: DaemonPresence
    others: tuple[DaemonPresence, ...] = ()

    def owner(self, spec: ApplicationSpec) -> str:
        """The other daemon that looks at this application; empty if this one does, also where it
        cannot: it goes on as it would alone, and the others, who leave it nothing, do so too."""
        account, application = spec.account, spec.application
        if not self.others or not self.own.looks_at(account, application):
            return ""
        able = [one.daemon for one in self.others if one.looks_at(account, application)]
        first = max((self.own.daemon, *able), key=lambda daemon: _weight(daemon, application))
        return first if first != self.own.daemon else ""


def _weight(daemon: str, application: str) -> bytes:
    return hashlib.sha256(f"{daemon} {application}".encode()).digest()


class LookShares:
    """The shares in force; all looks are this daemon's until ``share`` is called, and again when it
    was not called for a while. Thread-safe: each value is replaced whole. ``clock`` counts
    seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.left = 0
        """How many looks were left to others; one that is counted at the same time by two workers
        may be missing."""
        self._clock = clock
        self._shares: Shares | None = None
        self._present: Collection[str] = ()
        self._until = 0.0

    @property
    def daemons(self) -> int | None:
        """How many daemons share their looks, this one included; None without the option."""
        shares = self._shares
        if shares is None:
            return None
        return 1 + len(shares.others) if self._clock() < self._until else 1

    def remember_daemons(self, daemons: Collection[str]) -> None:
        """Remember which other daemons are there, whether looks are shared with them or not."""
        self._present = frozenset(daemons)

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
        if shares is None or self._clock() >= self._until:
            return None
        owner = shares.owner(task.spec)
        following = task.leave_look(owner, now) if owner else None
        self.left += following is not None
        return following

    def take_back(self, task: ApplicationTask, now: datetime) -> datetime | None:
        """When to look at an application whose look was left to a daemon that is gone: soon, since
        that one may not have looked. None without such a look."""
        if not task.left_to or task.running or task.parked or task.left_to in self._present:
            return None
        task.left_to = ""
        soon = now + task.spec.resync_interval / TAKE_BACK_SHARE * fraction(task.name, "taken back")
        return min(task.due, soon)
