"""Several applications on the simulated world, as one configuration describes them, with those that left it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from rotator.decision.ownership import removed_application
from rotator.domain.spec import ApplicationSpec
from rotator.reconciler.context import LocalState, PassOutcome
from rotator.reconciler.ledger_directory import LedgerDirectory
from tests.support.simulated import Actor, Sim, SimVault


def _ignore(name: str, error: Exception) -> None:
    """A ledger that cannot be read is left out."""


@dataclass
class Fleet:
    """One process and its configuration. ``configure`` is a reload; ``restart`` forgets what was in memory."""

    sim: Sim
    owner: str = "daemon-1"
    specs: dict[str, ApplicationSpec] = field(default_factory=dict)
    actors: dict[str, Actor] = field(default_factory=dict)
    ledgers: LedgerDirectory = field(init=False)

    def __post_init__(self) -> None:
        self.configure()

    def configure(self, *specs: ApplicationSpec) -> None:
        self.specs = {spec.application: spec for spec in specs}
        self.ledgers = LedgerDirectory(SimVault(self.sim), self.specs, lambda: self.sim.time.now)
        for name, spec in self.specs.items():
            self._actor(name, spec)

    def _actor(self, name: str, spec: ApplicationSpec) -> Actor:
        before = self.actors.get(name)
        if before and (before.spec.bearer, before.spec.path) != (spec.bearer, spec.path):
            before = None  # as the daemon does: what was seen elsewhere says nothing here
        actor = Actor(self.sim, spec, owner=self.owner, local_state=before.local_state if before else LocalState())
        actor.sink = before.sink if before else actor.sink
        actor.context = replace(actor.context, sink=actor.sink, related=self.ledgers.related)
        self.actors[name] = actor
        return actor

    def restart(self) -> None:
        for actor in self.actors.values():
            actor.restart()

    def removed(self) -> dict[str, ApplicationSpec]:
        """The applications that left the configuration, as the program finds them."""
        return {
            name: removed_application(
                ledger, self.specs.values(), organization_id="", max_clock_skew=timedelta(seconds=30)
            )
            for name, ledger in self.ledgers.removed(_ignore).items()
        }

    def round(self, *, removed_first: bool = False) -> dict[str, PassOutcome]:
        """A pass for each application of the configuration, and for each that left it."""
        left = [self._actor(name, spec) for name, spec in self.removed().items()]
        configured = [self.actors[name] for name in self.specs]
        actors = [*left, *configured] if removed_first else [*configured, *left]
        return {actor.spec.application: actor.run() for actor in actors}

    def rounds_for(self, span: timedelta, *, step: timedelta = timedelta(minutes=30)) -> dict[str, PassOutcome]:
        """Rounds, until the span is over."""
        end = self.sim.time.now + span
        while True:
            outcomes = self.round()
            if self.sim.time.now >= end:
                return outcomes
            self.sim.time.now = min(end, self.sim.time.now + step)

    def events(self, name: str) -> list[str]:
        return [event for event in self.actors[name].sink.names() if event != "pass.decided"]
