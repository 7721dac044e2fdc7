"""The document of an account: waivers and mass rotations.

One for each account, next to the ledgers, written with check-and-set. It names keys and holds no
secret.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from rotator.errors import Refused

ACCOUNT_SCHEMA = 3
"""The schema that this program writes. It also reads older ones."""

MAX_WAIVERS = 100
"""Maximum of waivers in an account document."""

KEPT = 20
"""How many finished and how many unfinished mass rotations are kept. Vault's versions keep older
ones."""


@dataclass(frozen=True)
class Waiver:
    """Exempts an old key from coverage, with a reason; forever if ``until`` is None."""

    access_key: str
    reason: str
    by: str
    at: datetime
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether the waiver is in force."""
        return self.until is None or now < self.until


@dataclass(frozen=True)
class MassRotation:
    """One command for many applications: its ``selector``, and the time that was fixed at its
    start.

    ``id`` is also the incident of each mark that it writes. It is unfinished until each of its
    applications is done.
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
    """The document of one account."""

    account: str
    waivers: tuple[Waiver, ...] = ()
    mass_rotations: tuple[MassRotation, ...] = ()
    schema: int = ACCOUNT_SCHEMA

    def waiver(self, access_key: str, now: datetime) -> Waiver | None:
        """The waiver of this key that is in force."""
        return next((waiver for waiver in self.waivers if waiver.access_key == access_key and waiver.holds(now)), None)

    def with_waiver(self, waiver: Waiver) -> AccountDocument:
        """This document with the waiver, which replaces the key's earlier one. Drops expired
        waivers if it is full. Raises ``Refused`` if it stays full."""
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
        """This document without a waiver for the key."""
        return replace(self, waivers=tuple(waiver for waiver in self.waivers if waiver.access_key != access_key))

    def unfinished(self, selector: str, since: datetime) -> MassRotation | None:
        """The latest unfinished mass rotation with this selector, started at ``since`` or later."""
        return next(
            (
                one
                for one in reversed(self.mass_rotations)
                if one.selector == selector and one.ended_at is None and one.begun_at >= since
            ),
            None,
        )

    def with_mass_rotation(self, begun: MassRotation) -> AccountDocument:
        """This document with the mass rotation added or replaced. Drops the oldest ones beyond
        ``KEPT``."""
        others = [one for one in self.mass_rotations if one.id != begun.id]
        ended = [one for one in others if one.ended_at is not None]
        left = [one for one in others if one.ended_at is None]
        dropped = {one.id for kind in (ended, left) for one in kind[: max(0, len(kind) - KEPT)]}
        return replace(self, mass_rotations=(*(one for one in others if one.id not in dropped), begun))
