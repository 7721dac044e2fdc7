"""What must always hold (DESIGN.md, section 4), as checks on the ground truth of a simulated world, of all its applications."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rotator.decision.transitions.rotation import BACKOFF
from rotator.domain.ledger import Ledger
from rotator.domain.marker import parse_marker
from tests.support.simulated import Sim, Version

HOUR = timedelta(hours=1)
MOST_CREATES = 8
"""Keys that may be made for one application within an hour, whatever fails, unless people ask for more: twice as many as any usual
history has made."""


@dataclass
class Monitor:
    """Watches every effect on every document, ledger and key. ``strangers`` are keys that nobody may touch; ``outage_allowed`` is an
    operator's revoke-first.

    ``by_people`` are keys that a person deleted, of which nothing can be asked; ``hand_written`` are the versions that a person wrote of
    a document, ``restored`` those of a ledger, each with the name of the place; ``marked`` says since when a ledger calls a key compromised; ``forgotten`` are keys of a name whose ledger was lost before it
    was taken over; ``graces`` are those of single bearers; ``steady`` says that no clock leaps. All times here are true ones, whatever Vault's clock said.
    """

    sim: Sim
    grace: timedelta
    graces: dict[str, timedelta] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)
    outage_allowed: bool = False
    steady: bool = False
    most_creates: int = MOST_CREATES
    by_people: set[str] = field(default_factory=set)
    shortened: set[str] = field(default_factory=set)
    first: set[str] = field(default_factory=set)
    hand_written: set[tuple[str, int]] = field(default_factory=set)
    restored: set[tuple[str, int]] = field(default_factory=set)
    marked: dict[str, datetime] = field(default_factory=dict)
    intents: set[str] = field(default_factory=set)
    condemned: set[str] = field(default_factory=set)
    seen_effects: int = 0
    _deleted: set[str] = field(default_factory=set)
    _versions: dict[str, int] = field(default_factory=dict)
    _ledgers: dict[str, int] = field(default_factory=dict)
    _left: dict[str, datetime] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)
    _rotations: set[str] = field(default_factory=set)
    _births: dict[str, tuple[datetime, ...]] = field(default_factory=dict)
    _failed: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    _ever_published: set[str] = field(default_factory=set)
    _published: dict[str, str | None] = field(default_factory=dict)

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
                assert marker.rotation in self.intents, (
                    f"rule 1: {access_key} was created before any ledger named its rotation"
                )
                bearer, now = true.key.bearer, self.sim.time.now
                born = self._births[bearer] = (*(at for at in self._births.get(bearer, ()) if now - at <= HOUR), now)
                assert len(born) <= self.most_creates, f"{len(born)} keys were made within an hour"
                self._made.add(access_key)  # ours, also if a person edits the marker later
                self._rotations.add(marker.rotation)
            if true.deleted_at is not None and access_key not in self._deleted:
                self._deleted.add(access_key)
                if access_key not in self.by_people:
                    self._check_death(access_key)

    def forget(self, where: str) -> None:
        """What is at this place was removed with all its versions: the next one counts anew."""
        for known in (self._versions, self._ledgers):
            known.pop(where, None)
        self.hand_written = {one for one in self.hand_written if one[0] != where}
        self.restored = {one for one in self.restored if one[0] != where}

    def _read_ledgers(self) -> None:
        for where, versions in self.sim.kv.items():
            read = self._ledgers.get(where, 0)
            if len(versions) == read or not where.startswith("ledger:"):
                continue
            begin = min(read, max(len(versions) - 1, 0))
            for number, version in enumerate(versions[begin:], start=begin):
                data = version.data
                if "schema" not in data:
                    continue  # damaged by hand: it says nothing
                for mark in data["compromised"]:
                    self.marked.setdefault(mark["access_key"], self.sim.time.now)
                self.first |= {mark["access_key"] for mark in data["compromised"] if mark["mode"] == "revoke_first"}
                self.shortened |= {access_key for _, event, access_key, *_ in data["history"] if event == "grace_ended"}
                self.intents |= {data["intent"]["id"]} if data["intent"] else set()
                self.condemned |= {entry["access_key"] for entry in data["revoking"]}
                text = repr(data)
                assert not any(true.secret in text for true in self.sim.keys.values()), (
                    "I6: a secret stands in a ledger"
                )
                if number and (where, number + 1) not in self.restored:
                    self._check_hold(where, versions[number - 1].data, data)
                    self._check_patience(where, versions[number - 1].data, data)
            self._ledgers[where] = len(versions)

    def _check_hold(self, where: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """Under an operator's hold nothing is claimed and no grace is ended. What is compromised, and what this process made and
        dropped, may be entered, for later: a hold keeps it from being deleted. So may what the ledger of an earlier name schedules
        for revocation, which a takeover copies (history 805869)."""
        if not (before.get("hold") and after["hold"]):
            return
        others = [
            versions[-1].data
            for name, versions in self.sim.kv.items()
            if name.startswith("ledger:") and versions and name != where
        ]
        known = {entry["access_key"] for data in (before, *others) for entry in data.get("revoking", ())}
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

    def _check_patience(self, where: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """After a failed attempt nobody tries again at once, but for emergencies and people."""
        if after["failures"] > before.get("failures", 0):
            self._failed[where] = (after["failures"], self.sim.time.now)
        claimed, failed = after["intent"] and after["intent"] != before.get("intent"), self._failed.get(where)
        if self.steady and failed and claimed and after["intent"]["mode"] == "scheduled" and after["failures"]:
            pause = self.sim.time.now - failed[1]
            assert pause >= BACKOFF[0], f"a rotation was claimed {pause} after one had failed"

    def _read_documents(self) -> None:
        """Notes what is published, and when each key left every document; what we publish works."""
        for where in [where for where in self.sim.kv if where.startswith("doc:")]:
            self._read_document(where, self.sim.kv[where])
        for where in self._published:
            if where not in self.sim.kv:
                self._leave(where, None)

    def _read_document(self, where: str, versions: list[Version]) -> None:
        read = self._versions.get(where, 0)
        for number, version in enumerate(versions[read:], start=read + 1):
            access_key = self._readable_key(version.data)
            by_us = (where, number) not in self.hand_written and access_key != self._published.get(where)
            if by_us and access_key in self._deleted and access_key not in self.by_people:
                raise AssertionError(f"I1: {access_key} was published after it had been deleted")
            if by_us and access_key in self._made and access_key not in self.by_people:
                born = self.sim.keys[access_key].alive_from
                assert born <= self.sim.time.now, f"I1: {access_key} was published before it worked"
            self._ever_published.add(str(access_key))
            self._leave(where, access_key)
        self._versions[where] = len(versions)
        readable = bool(versions) and not versions[-1].deleted
        self._leave(where, self._readable_key(versions[-1].data) if readable else None)

    def _check_destroyed(self) -> None:
        """What is destroyed was the secret of a dead key that was compromised, and not what consumers read."""
        for where, versions in self.sim.kv.items():
            for version in versions:
                if not version.destroyed or not where.startswith("doc:"):
                    continue
                access_key = str(version.data.get("access_key"))
                assert version is not versions[-1], "I1: the newest version of the document was destroyed"
                assert access_key in self.marked, (
                    f"the stored secret of {access_key} was destroyed, which nobody marked"
                )
                assert not self.sim.live(access_key), (
                    f"the stored secret of {access_key} was destroyed before the key was dead"
                )

    def _readable_key(self, data: dict[str, Any]) -> str | None:
        """The key whose secret consumers read; a name with somebody else's secret beside it serves nobody."""
        true = self.sim.keys.get(str(data.get("access_key")))
        return true.key.access_key if true and true.secret == data.get("secret_key") else None

    def _leave(self, where: str, access_key: str | None) -> None:
        before = self._published.get(where)
        self._published[where] = access_key
        if before is not None and before != access_key and before not in self._published.values():
            self._left[before] = self.sim.time.now

    def _check_death(self, access_key: str) -> None:
        true = self.sim.keys[access_key]
        assert true.deleted_at is not None
        assert access_key in self.condemned, f"rule 1: {access_key} was deleted before any ledger condemned it"
        published_now = access_key in self._published.values()
        assert not published_now or self.outage_allowed or access_key in self.first, (
            f"I1: {access_key} was deleted while consumers read it"
        )
        if access_key in self._left and access_key not in self.marked.keys() | self.shortened and not published_now:
            out = true.deleted_at - self._left[access_key]
            assert out >= self.graces.get(true.key.bearer, self.grace), (
                f"I2: {access_key} was deleted {out} after it left the document"
            )
        named = access_key in self.marked
        assert named or access_key not in self.strangers, f"I5: the stranger {access_key} was deleted"
        known = named or access_key in self._made or access_key in self._ever_published
        assert known, f"I5: {access_key} was neither made nor published by us"

    def check_rest(self, ledger: Ledger) -> None:
        """To be called when nothing is left to do for the bearer of this ledger."""
        accounted = {entry.access_key for entry in ledger.retiring}
        if ledger.current:
            accounted.add(ledger.current.access_key)
        for access_key, true in self.sim.keys.items():
            ours = true.ours or parse_marker(true.key.description) is not None
            ours = ours and true.key.bearer == ledger.bearer
            if true.deleted_at is None and ours and access_key not in self.forgotten:
                assert access_key in accounted, f"I4: {access_key} is alive and neither current nor in grace"
        version = self.sim.published(ledger.path)
        assert version is not None, "there is no credential document"
        assert self.sim.works(version.data["secret_key"]), "I1: the published secret does not work"
        assert ledger.current is not None
        assert ledger.current.access_key == version.data["access_key"]
        assert ledger.intent is None
        assert not ledger.revoking
        assert not ledger.compromised
        for stranger in self.strangers:
            assert self.sim.live(stranger) or stranger in self.by_people | self.marked.keys(), "I5: a stranger is gone"
