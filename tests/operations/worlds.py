"""What the scenarios about operations begin with, and what befalls them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from rotator.decision.observation import RotationRequest
from rotator.decision.ownership import removed_application
from rotator.domain.marker import Marker
from tests.operations.transcript import Stage
from tests.support.simulated import Actor, SimVault, spec

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def adopted(stage: Stage) -> Actor:
    """A key that a person made is published, and billing's ledger has it; the daemon that did it."""
    key, _ = stage.sim.make_key()
    stage.sim.publish_by_hand(key.access_key, database="kept")
    daemon = Actor(stage.sim, stage.desk.specs["billing"])
    daemon.run()
    return daemon


def rotated(stage: Stage) -> Actor:
    """The same after a rotation an hour ago: one key is in grace."""
    daemon = adopted(stage)
    daemon.run(RotationRequest("asked", stage.sim.published_key()))
    stage.sim.time.advance(HOUR)
    return daemon


def ledger(stage: Stage, application: str = "billing", **changes: Any) -> None:
    """Another process writes the ledger."""
    vault = SimVault(stage.sim)
    found, version = vault.read_ledger(application)
    assert found is not None
    vault.write_ledger(replace(found, **changes), cas=version)


def mailer(stage: Stage, **changes: Any) -> None:
    """A second application beside billing, of the same account unless the changes say otherwise."""
    other = spec(application="mailer", path="secret/apps/mailer", bearer="another", **changes)
    stage.desk.specs["mailer"] = other
    stage.sim.bearers.add("another")


def removed(stage: Stage, name: str = "billing") -> None:
    """The application leaves the configuration; its ledger stays."""
    stage.desk.specs.pop(name)
    stage.desk.left[name] = removed_application(
        stage.sim.ledger(name), stage.desk.specs.values(), organization_id="", max_clock_skew=30 * SECOND
    )


def renamed(stage: Stage, name: str = "payments") -> None:
    """Billing is called otherwise in the configuration; no pass was made since."""
    stage.desk.specs[name] = replace(stage.desk.specs["billing"], application=name)
    removed(stage)


def stray(stage: Stage, **changes: Any) -> str:
    """A key of billing's bearer that no ledger knows."""
    key, _ = stage.sim.make_key("of the printer")
    stage.sim.keys[key.access_key].key = replace(key, **changes)
    return key.access_key


def untracked(stage: Stage) -> str:
    """A key that another process of this installation made just now."""
    key, _ = stage.sim.make_key(Marker("1" * 16, "billing", "e" * 16, 1, "0" * 16).render())
    return key.access_key


def failing(
    stage: Stage, name: str, error: Exception, *, phase: str = "before", times: int = 1_000_000, after: int = 0
) -> None:
    """From now on, or after so many, such calls fail."""
    passed = 0

    def hook(effect: str, when: str) -> None:
        nonlocal passed
        if (effect, when) == (name, phase):
            passed += 1
            if after < passed <= after + times:
                raise error

    stage.sim.hook = hook
