"""The verdict on the keys of one application, from the ground truth alone: Vault's versions and the provider's own log.

Pure, and exact whatever the speed of the machine: every time in it was taken where the thing happened, and all clocks of the
rig are the clock of this machine.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise


@dataclass(frozen=True)
class Published:
    """One version of a credential document: which key it offered to consumers, and from when on."""

    version: int
    at: datetime
    access_key: str


@dataclass(frozen=True)
class Death:
    """A deletion that the provider carried out for somebody who asked it over its API."""

    access_key: str
    at: datetime


@dataclass(frozen=True)
class Refusal:
    """A consumer's call that was answered 401: with which key, when that key was read, and when the answer was there."""

    access_key: str
    read_at: datetime
    refused_at: datetime


@dataclass(frozen=True)
class Truth:
    """What happened to the keys of one application. ``marked`` says since when a key has been marked compromised, ``ours``
    which keys bear our marker."""

    grace: timedelta
    published: Sequence[Published]
    revocations: Sequence[Death]
    marked: Mapping[str, datetime]
    ours: Collection[str]

    def violations(self) -> list[str]:
        """I1, I2 and I5 of every deletion there was."""
        return [found for revocation in self.revocations if (found := self._wrong_with(revocation))]

    def blame(self, refusal: Refusal) -> str:
        """I1: why a consumer's refusal is our doing; empty when the consumer was too late with a key that had its due.

        A consumer may have read from a node of Vault that was behind. Such a read is older than the grace at times, and then the
        key may be dead. What we promise is that a key works from its publication to the end of its grace.
        """
        key, at = refusal.access_key, refusal.refused_at
        died = min((revocation.at for revocation in self.revocations if revocation.access_key == key), default=None)
        told = f"{key}, read at {refusal.read_at:%H:%M:%S.%f}, was refused at {at:%H:%M:%S.%f}"
        spans = self._spans(key)
        if died is None or died > at:
            return f"I1: {told}, and nobody had deleted it"
        for since, until in spans:
            if since <= at and (until is None or at < until):
                return f"I1: {told}, while it was published"
            if until is not None and key not in self.marked and until <= at < until + self.grace:
                return f"I1: {told}, within its grace"
        return "" if spans else f"I1: {told}, and was never published"

    def _wrong_with(self, revocation: Death) -> str:
        key, at = revocation.access_key, revocation.at
        spans = self._spans(key)
        marked = key in self.marked and self.marked[key] <= at
        if not spans:
            return "" if key in self.ours or marked else f"I5: the stranger {key} was deleted"
        for since, until in spans:
            if since > at:
                return f"I1: {key} was published {since - at} after it had been deleted"
            if until is None or at < until:
                return f"I1: {key} was deleted while it was published"
        out = at - max(until for _, until in spans if until is not None)
        return (
            ""
            if marked or out >= self.grace
            else f"I2: {key} was deleted {out.total_seconds():.2f} s after it left the document"
        )

    def _spans(self, access_key: str) -> list[tuple[datetime, datetime | None]]:
        """From when to when consumers could read the key; a last one that goes on has no end."""
        ends = [(one, later.at) for one, later in pairwise(self.published)]
        spans: list[tuple[datetime, datetime | None]] = [
            (one.at, end) for one, end in ends if one.access_key == access_key
        ]
        if self.published and self.published[-1].access_key == access_key:
            spans.append((self.published[-1].at, None))
        return spans
