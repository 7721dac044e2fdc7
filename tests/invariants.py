"""What must always hold (DESIGN.md, section 4), as checks on the ground truth of a simulated world."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from rotator.marker import parse
from rotator.model import Ledger
from tests.simulated import PATH, Sim


@dataclass
class Monitor:
    """Watches every effect. ``hand_made`` are keys made by people; ``outage_allowed`` is an operator's revoke-first."""

    sim: Sim
    grace: timedelta
    application: str = "billing"
    strangers: set[str] = field(default_factory=set)
    outage_allowed: bool = False
    seen_effects: int = 0
    _deleted: set[str] = field(default_factory=set)
    _marked: set[str] = field(default_factory=set)

    def check(self) -> None:
        """To be called after every effect."""
        self.seen_effects += 1
        ledgers = self.sim.kv.get("ledger:" + self.application, [])
        if ledgers:
            self._marked |= {mark["access_key"] for mark in ledgers[-1].data["compromised"]}
        for access_key, true in self.sim.keys.items():
            if true.deleted_at is not None and access_key not in self._deleted:
                self._deleted.add(access_key)
                self._check_death(access_key)
        self._check_no_secret_in_ledgers()

    def _check_death(self, access_key: str) -> None:
        true = self.sim.keys[access_key]
        assert true.deleted_at is not None
        versions = self.sim.kv.get("doc:" + PATH, [])
        holding = [n for n, version in enumerate(versions) if version.data.get("access_key") == access_key]
        published_now = bool(versions) and not versions[-1].deleted and versions[-1].data.get("access_key") == access_key
        assert not published_now or self.outage_allowed, f"I1: {access_key} was deleted while consumers read it"
        if holding and access_key not in self._marked and not published_now:
            left = versions[holding[-1] + 1].created
            assert true.deleted_at - left >= self.grace, (
                f"I2: {access_key} was deleted {true.deleted_at - left} after it left the document"
            )
        assert access_key not in self.strangers, f"I5: the stranger {access_key} was deleted"
        ours = parse(true.key.description) is not None
        assert ours or holding or access_key in self._marked, f"I5: {access_key} was neither made nor published by us"

    def _check_no_secret_in_ledgers(self) -> None:
        for name, versions in self.sim.kv.items():
            if name.startswith("ledger:") and versions:
                text = repr(versions[-1].data)
                assert not any(true.secret in text for true in self.sim.keys.values()), "I6: a secret stands in a ledger"

    def check_rest(self, ledger: Ledger) -> None:
        """To be called when nothing is left to do."""
        accounted = {entry.access_key for entry in ledger.retiring}
        if ledger.current:
            accounted.add(ledger.current.access_key)
        for access_key, true in self.sim.keys.items():
            if true.deleted_at is None and parse(true.key.description) is not None:
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
            assert self.sim.live(stranger), "I5: a stranger is gone"
