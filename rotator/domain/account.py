"""What is remembered of an account and of no application: which old keys may stay, which mass
rotations were begun.

One document per account, beside the ledgers, written with check-and-set like them. It names keys
and never holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from rotator.errors import Refused

ACCOUNT_SCHEMA = 3
"""The schema of the account document that this program writes. It reads this one and older ones."""

MAX_WAIVERS = 100
"""Waivers that an account document has room for."""

KEPT = 20
"""Mass rotations kept that have ended, and as many that have not; older ones are dropped, Vault's
own versions remain."""


@dataclass(frozen=True)
class Waiver:
    """A person's word that an old key may stay, in spite of everything, and why; without ``until``,
    for good."""

    access_key: str
    reason: str
    by: str
    at: datetime
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether the word still counts."""
        return self.until is None or now < self.until


@dataclass(frozen=True)
class MassRotation:
    """One command about many applications: what was asked for, in its own ``selector``, and the
    time that was fixed when it began.

    ``id`` is also the incident of every mark that it sets. It is open until every application that
    it was about is done.
    """

    id: str
    selector: str
    created_before: datetime
    compromised: bool
    reason: str
    by: str
    begun_at: datetime
    ended_at: datetime | None = None


@dataclass(frozen=True)
class AccountDocument:
    """Everything that is remembered of one account."""

    account: str
    waivers: tuple[Waiver, ...] = ()
    mass_rotations: tuple[MassRotation, ...] = ()
    schema: int = ACCOUNT_SCHEMA

    def waiver(self, access_key: str, now: datetime) -> Waiver | None:
        """The word that counts now for this key."""
        return next((waiver for waiver in self.waivers if waiver.access_key == access_key and waiver.holds(now)), None)

    def with_waiver(self, waiver: Waiver) -> AccountDocument:
        """This document with the waiver in place of any that the key had. Expired waivers make
        room; raises ``Refused`` when there is none."""
        others = self.without_waiver(waiver.access_key).waivers
        if len(others) >= MAX_WAIVERS:
            others = tuple(other for other in others if other.holds(waiver.at))
        if len(others) >= MAX_WAIVERS:
            raise Refused(
                f"account {self.account} has {len(others)} waivers, as many as its document has room for: "
                f"{waiver.access_key} is not waived; revoke keys that are not needed, or withdraw a waiver with "
                "`rotator waive ACCESS_KEY --withdraw`"
            )
        return replace(self, waivers=(*others, waiver))

    def without_waiver(self, access_key: str) -> AccountDocument:
        """This document with no waiver for the key."""
        return replace(self, waivers=tuple(waiver for waiver in self.waivers if waiver.access_key != access_key))

    def unfinished(self, selector: str, since: datetime) -> MassRotation | None:
        """The latest mass rotation that was begun with the same words, not before that time, and
        has not ended."""
        return next(
            (
                one
                for one in reversed(self.mass_rotations)
                if one.selector == selector and one.ended_at is None and one.begun_at >= since
            ),
            None,
        )

    def with_mass_rotation(self, begun: MassRotation) -> AccountDocument:
        """This document with one more mass rotation, or with a known one as it is now; the oldest
        are dropped."""
        others = [one for one in self.mass_rotations if one.id != begun.id]
        ended = [one for one in others if one.ended_at is not None]
        left = [one for one in others if one.ended_at is None]
        dropped = {one.id for kind in (ended, left) for one in kind[: max(0, len(kind) - KEPT)]}
        return replace(self, mass_rotations=(*(one for one in others if one.id not in dropped), begun))
