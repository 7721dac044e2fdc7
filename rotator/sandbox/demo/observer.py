"""Observes Vault and the provider all the time, and records what truly happened; it does not ask
rotator."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from rotator.errors import Unavailable
from rotator.sandbox.demo.environment import World
from rotator.sandbox.demo.recording import Chronicle, Life

EVERY = 0.1
"""Seconds between two looks."""


class DemoObserver:
    """``ledgers`` and ``published`` are what the latest look saw, by application; ``looks`` counts
    the finished ones."""

    def __init__(self, world: World, chronicle: Chronicle) -> None:
        self.ledgers: dict[str, dict[str, Any]] = {}
        self.published: dict[str, str] = {}
        self.looks = 0
        self._world = world
        self._chronicle = chronicle
        self._names = {bearer: name for name, bearer in world.bearers.items()}
        self._seen_events = 0
        self._seen_versions = dict.fromkeys(chronicle.applications, 0)

    def work(self, stop: threading.Event) -> None:
        """Look until asked to stop."""
        while not stop.wait(EVERY):
            try:
                self.look()
                self.looks += 1
            except (Unavailable, OSError):
                continue  # the services are being ended, or are busy: the next look sees it all

    def look(self) -> None:
        """Catch up with everything that happened since the last look."""
        self._see_keys()
        for application in self._chronicle.applications:
            self._see_document(application)
            self._see_ledger(application)
        self._see_deaths()

    def _see_keys(self) -> None:
        chronicle = self._chronicle
        for event in self._world.scaleway.events(self._seen_events):
            self._seen_events = event.index + 1
            at = event.at.timestamp() - chronicle.began
            if event.kind == "created" and event.bearer in self._names:
                stranger = event.access_key == self._world.stranger
                life = chronicle.born(event.access_key, self._names[event.bearer], at, stranger=stranger)
                made = (
                    "was made by hand; it is not managed by rotator"
                    if stranger
                    else "is created, and is verified before it is published"
                )
                chronicle.say(life.application, f"{life.short} {made}", at=at)
            elif event.kind == "deleted" and event.access_key in chronicle.lives:
                chronicle.lives[event.access_key].died = at

    def _see_ledger(self, application: str) -> None:
        self.ledgers[application] = ledger = self._world.ledger(application) or {}
        marked = {str(mark["access_key"]) for mark in ledger.get("compromised", ())}
        next(consumer for consumer in self._world.consumers if consumer.application == application).compromised.update(
            marked
        )

    def _see_document(self, application: str) -> None:
        document = self._world.document(application)
        if document is None:
            return
        newest = document["metadata"]["version"]
        for version in range(self._seen_versions[application] + 1, newest + 1):
            one = document if version == newest else self._world.document(application, version)
            if one:
                self._published(application, one)
        self._seen_versions[application] = newest

    def _published(self, application: str, document: dict[str, Any]) -> None:
        chronicle = self._chronicle
        access_key, version = document["data"]["access_key"], document["metadata"]["version"]
        at = datetime.fromisoformat(document["metadata"]["created_time"]).timestamp() - chronicle.began
        old = chronicle.lives.get(self.published.get(application, ""))
        self.published[application] = access_key
        life = chronicle.lives.get(access_key)
        if life is None or life is old:
            return
        life.published = at
        text = f"{life.short} is published (version {version})"
        if old:
            old.left = at
            text += f"; {old.short} " + ("has 3 s of grace" if old.leaked is None else "is revoked at once")
        chronicle.say(application, text, at=at)

    def _see_deaths(self) -> None:
        for life in list(self._chronicle.lives.values()):
            if life.died is not None and life.proven_dead is None and not self._named(life):
                life.proven_dead = self._chronicle.now()
                self._chronicle.say(life.application, f"{life.short} {_obituary(life)}")

    def _named(self, life: Life) -> bool:
        """Whether the ledger still has something to do for the key."""
        ledger = self.ledgers[life.application]
        return any(
            entry["access_key"] == life.access_key
            for name in ("revoking", "compromised")
            for entry in ledger.get(name, ())
        )

    def quiet(self) -> bool:
        """Whether nothing is under way and no old key is left, according to every ledger."""
        open_ends = ("intent", "retiring", "revoking", "compromised")
        return all(
            ledger.get("current") and not any(ledger.get(name) for name in open_ends)
            for ledger in (self.ledgers.get(application, {}) for application in self._chronicle.applications)
        )


def _obituary(life: Life) -> str:
    if life.leaked is not None:
        return "is revoked at once, and that is verified"
    if life.published is None:
        return "is revoked, and that is verified: it was never published"
    return "is revoked after its grace, and that is verified"
