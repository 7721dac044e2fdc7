"""What must always hold (DESIGN.md, section 4), as checks on the ground truth of a simulated world."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rotator.decision.transitions import BACKOFF
from rotator.domain.ledger import Ledger
from rotator.domain.marker import parse_marker
from tests.support.simulated import PATH, Sim

HOUR = timedelta(hours=1)
MOST_CREATES = 8
"""Keys that may be made for one application within an hour, whatever fails, unless people ask for more: twice as many as any usual
history has made."""


@dataclass
class Monitor:
    """Watches every effect. ``strangers`` are keys that nobody may touch; ``outage_allowed`` is an operator's revoke-first.

    ``by_people`` are keys that a person deleted, of which nothing can be asked; ``hand_written`` are the versions of the
    document that a person wrote, ``restored`` those of the ledger; ``earlier`` are names that the application had, ``forgotten`` keys of
    such a name whose ledger was lost before it was taken over; ``steady`` says that no clock leaps. All times here are true ones, whatever Vault's clock said.
    """

    sim: Sim
    grace: timedelta
    application: str = "billing"
    earlier: tuple[str, ...] = ()
    forgotten: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)
    outage_allowed: bool = False
    steady: bool = False
    most_creates: int = MOST_CREATES
    by_people: set[str] = field(default_factory=set)
    shortened: set[str] = field(default_factory=set)
    first: set[str] = field(default_factory=set)
    hand_written: set[int] = field(default_factory=set)
    restored: set[int] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)
    intents: set[str] = field(default_factory=set)
    condemned: set[str] = field(default_factory=set)
    seen_effects: int = 0
    _deleted: set[str] = field(default_factory=set)
    _versions: int = 0
    _ledgers: dict[str, int] = field(default_factory=dict)
    _left: dict[str, datetime] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)
    _rotations: set[str] = field(default_factory=set)
    _births: tuple[datetime, ...] = ()
    _failed: tuple[int, datetime] | None = None
    _ever_published: set[str] = field(default_factory=set)
    _published: str | None = None

    def check(self) -> None:
        """To be called after every effect."""
        self.seen_effects += 1
        self._read_ledgers()
        self._read_documents()
        self._check_destroyed()
        for access_key, true in self.sim.keys.items():
            marker = parse_marker(true.key.description)
            if marker and access_key not in self._made:
                assert marker.rotation not in self._rotations, f"rule 3: rotation {marker.rotation} created twice"
                assert marker.rotation in self.intents, f"rule 1: {access_key} was created before any ledger named its rotation"
                recent = [born for born in self._births if self.sim.time.now - born <= HOUR]
                self._births = (*recent, self.sim.time.now)
                assert len(self._births) <= self.most_creates, f"{len(self._births)} keys were made within an hour"
                self._made.add(access_key)  # ours, also if a person edits the marker later
                self._rotations.add(marker.rotation)
            if true.deleted_at is not None and access_key not in self._deleted:
                self._deleted.add(access_key)
                if access_key not in self.by_people:
                    self._check_death(access_key)

    def _read_ledgers(self) -> None:
        for application in (self.application, *self.earlier):
            self._read_ledger(application)

    def _read_ledger(self, application: str) -> None:
        versions, read = self.sim.kv.get("ledger:" + application, []), self._ledgers.get(application, 0)
        if len(versions) != read:
            begin = min(read, max(len(versions) - 1, 0))
            for number, version in enumerate(versions[begin:], start=begin):
                data = version.data
                if "schema" not in data:
                    continue  # damaged by hand: it says nothing
                self.marked |= {mark["access_key"] for mark in data["compromised"]}
                self.first |= {mark["access_key"] for mark in data["compromised"] if mark["mode"] == "revoke_first"}
                self.shortened |= {access_key for _, event, access_key, *_ in data["history"] if event == "grace_ended"}
                self.intents |= {data["intent"]["id"]} if data["intent"] else set()
                self.condemned |= {entry["access_key"] for entry in data["revoking"]}
                text = repr(data)
                assert not any(true.secret in text for true in self.sim.keys.values()), "I6: a secret stands in a ledger"
                if number and not (application == self.application and number + 1 in self.restored):
                    self._check_hold(versions[number - 1].data, data)
                    self._check_patience(versions[number - 1].data, data)
            self._ledgers[application] = len(versions)

    @staticmethod
    def _check_hold(before: dict[str, Any], after: dict[str, Any]) -> None:
        """Under an operator's hold nothing is claimed and no grace is ended. What is compromised, and what this process made and
        dropped, may be entered, for later: a hold keeps it from being deleted."""
        if not (before.get("hold") and after["hold"]):
            return
        known = {entry["access_key"] for entry in before["revoking"]}
        ended = [
            entry["access_key"]
            for entry in after["revoking"]
            if entry["access_key"] not in known and entry["reason"] not in {"compromised", "leftover"}
        ]
        assert not ended, f"the grace of {ended} was ended under a hold"
        claimed = after["intent"] and after["intent"] != before["intent"]
        through = any(mark.get("override_hold") for mark in after["compromised"])
        emergency = through and claimed and after["intent"]["mode"] == "compromised"
        assert not claimed or emergency, "a rotation was claimed under a hold"

    def _check_patience(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        """After a failed attempt nobody tries again at once, but for emergencies and people."""
        if after["failures"] > before.get("failures", 0):
            self._failed = (after["failures"], self.sim.time.now)
        claimed = after["intent"] and after["intent"] != before.get("intent")
        if self.steady and self._failed and claimed and after["intent"]["mode"] == "scheduled" and after["failures"]:
            pause = self.sim.time.now - self._failed[1]
            assert pause >= BACKOFF[0], f"a rotation was claimed {pause} after one had failed"

    def _read_documents(self) -> None:
        """Notes what is published, and when each key left the document; what we publish works."""
        versions = self.sim.kv.get("doc:" + PATH, [])
        for number, version in enumerate(versions[self._versions :], start=self._versions + 1):
            access_key = self._readable_key(version.data)
            by_us = number not in self.hand_written and access_key != self._published
            if by_us and access_key in self._deleted and access_key not in self.by_people:
                raise AssertionError(f"I1: {access_key} was published after it had been deleted")
            if by_us and access_key in self._made and access_key not in self.by_people:
                born = self.sim.keys[access_key].alive_from
                assert born <= self.sim.time.now, f"I1: {access_key} was published before it worked"
            self._ever_published.add(str(access_key))
            self._leave(access_key)
        self._versions = len(versions)
        readable = bool(versions) and not versions[-1].deleted
        self._leave(self._readable_key(versions[-1].data) if readable else None)

    def _check_destroyed(self) -> None:
        """What is destroyed was the secret of a dead key that was compromised, and not what consumers read."""
        versions = self.sim.kv.get("doc:" + PATH, [])
        for version in versions:
            if version.destroyed:
                access_key = str(version.data.get("access_key"))
                assert version is not versions[-1], "I1: the newest version of the document was destroyed"
                assert access_key in self.marked, f"the stored secret of {access_key} was destroyed, which nobody marked"
                assert not self.sim.live(access_key), f"the stored secret of {access_key} was destroyed before the key was dead"

    def _readable_key(self, data: dict[str, Any]) -> str | None:
        """The key whose secret consumers read; a name with somebody else's secret beside it serves nobody."""
        true = self.sim.keys.get(str(data.get("access_key")))
        return true.key.access_key if true and true.secret == data.get("secret_key") else None

    def _leave(self, access_key: str | None) -> None:
        if self._published is not None and self._published != access_key:
            self._left[self._published] = self.sim.time.now
        self._published = access_key

    def _check_death(self, access_key: str) -> None:
        true = self.sim.keys[access_key]
        assert true.deleted_at is not None
        assert access_key in self.condemned, f"rule 1: {access_key} was deleted before any ledger condemned it"
        published_now = self._published == access_key
        assert not published_now or self.outage_allowed or access_key in self.first, (
            f"I1: {access_key} was deleted while consumers read it"
        )
        if access_key in self._left and access_key not in self.marked | self.shortened and not published_now:
            out = true.deleted_at - self._left[access_key]
            assert out >= self.grace, f"I2: {access_key} was deleted {out} after it left the document"
        named = access_key in self.marked
        assert named or access_key not in self.strangers, f"I5: the stranger {access_key} was deleted"
        known = named or access_key in self._made or access_key in self._ever_published
        assert known, f"I5: {access_key} was neither made nor published by us"

    def check_rest(self, ledger: Ledger) -> None:
        """To be called when nothing is left to do."""
        accounted = {entry.access_key for entry in ledger.retiring}
        if ledger.current:
            accounted.add(ledger.current.access_key)
        for access_key, true in self.sim.keys.items():
            ours = true.ours or parse_marker(true.key.description) is not None
            if true.deleted_at is None and ours and access_key not in self.forgotten:
                assert access_key in accounted, f"I4: {access_key} is alive and neither current nor in grace"
        version = self.sim.published()
        assert version is not None, "there is no credential document"
        assert self.sim.works(version.data["secret_key"]), "I1: the published secret does not work"
        assert ledger.current is not None
        assert ledger.current.access_key == version.data["access_key"]
        assert ledger.intent is None
        assert not ledger.revoking
        assert not ledger.compromised
        for stranger in self.strangers:
            assert self.sim.live(stranger) or stranger in self.by_people | self.marked, "I5: a stranger is gone"
