"""An observation written by hand, for tests of the decision: an application at rest, of which a test says what is different."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from rotator.decision.decide import decide
from rotator.decision.observation import Clocks, InFlightRotation, Observation, Presence
from rotator.decision.steps import Step, Wait, WriteLedger
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.document import CredentialDocument, DocumentState
from rotator.domain.keys import Key
from rotator.domain.ledger import CompromisedKey, CurrentKey, Intent, Ledger, RetiringKey, RevokingKey, RotationMode
from rotator.domain.marker import Marker, incarnation_of
from rotator.domain.secret import Secret
from rotator.domain.spec import ApplicationSpec
from tests.support.simulated import BEARER, EPOCH, PATH, spec

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = EPOCH
BORN = NOW - 10 * DAY
"""When the published key was made."""

WRITTEN = NOW - 9 * DAY
"""When version 3 of the document was written, which publishes it."""

PUBLISHED, OTHER, THIRD, FOURTH = "SCWPUBLISHED", "SCWOTHER", "SCWTHIRD", "SCWFOURTH"
VERSION = 3
CURRENT = CurrentKey(PUBLISHED, VERSION, WRITTEN, BORN, None, WRITTEN)


def key(name: str = PUBLISHED, **changes: Any) -> Key:
    return replace(Key(name, BEARER, "made by hand", BORN, default_project_id="the-project"), **changes)


def marker(base: int = VERSION, rotation: str = "e" * 16, fits: bool = True) -> Marker:
    written = {1: WRITTEN - 2 * DAY, 2: WRITTEN - DAY, 3: WRITTEN}.get(base)
    return Marker("1" * 16, "billing", rotation, base, incarnation_of(PATH, written) if fits else "0" * 16)


def marked(name: str, base: int = VERSION, rotation: str = "e" * 16, *, fits: bool = True, **changes: Any) -> Key:
    """A key of ours, made for a rotation that was claimed on that version of the document."""
    return key(name, description=marker(base, rotation, fits).render(), **changes)


def document(access_key: str | None = PUBLISHED, version: int = VERSION, **changes: Any) -> CredentialDocument:
    fields = {"access_key": access_key, "database": "kept"}
    return replace(
        CredentialDocument(version, DocumentState.LIVE, WRITTEN, access_key, Secret("the-secret"), fields), **changes
    )


def ledger(**changes: Any) -> Ledger:
    return replace(new_ledger(spec()), **{"current": CURRENT, **changes})


def intent(owner: str = "daemon-2", **changes: Any) -> Intent:
    values = Intent(
        "d" * 16, VERSION, incarnation_of(PATH, WRITTEN), "every 30d", RotationMode.SCHEDULED, owner, NOW - MINUTE
    )
    return replace(values, **changes)


def in_flight(**changes: Any) -> InFlightRotation:
    """A rotation of this very process."""
    return replace(InFlightRotation(intent("daemon-1")), **changes)


def retiring(name: str = OTHER, after: timedelta = HOUR, version: int = 2) -> RetiringKey:
    return RetiringKey(name, version, NOW + after, "replaced")


def revoking(name: str = OTHER, version: int = 2, reason: str = "replaced", **changes: Any) -> RevokingKey:
    return replace(RevokingKey(name, version, reason), **changes)


def mark(name: str = OTHER, mode: str = "replace_first") -> CompromisedKey:
    return CompromisedKey(name, "leaked", "ops", NOW - MINUTE, mode, "i1")


def clocks(**off: timedelta) -> Clocks:
    return Clocks(NOW, NOW + off.get("vault", timedelta(0)), NOW + off.get("provider", timedelta(0)))


def observe(**changes: Any) -> Observation:
    """What was seen: at rest unless told otherwise. Fields of the ledger may be given as ``ledger={...}``."""
    if isinstance(changes.get("ledger"), dict):
        changes["ledger"] = ledger(**changes["ledger"])
    values: dict[str, Any] = {
        "clocks": clocks(),
        "installation": "1" * 16,
        "owner": "daemon-1",
        "next_rotation_id": "5" * 16,
        "ledger": ledger(),
        "ledger_version": 7,
        "document": document(),
        "keys": (key(),),
        "presence": Presence.LISTED,
    }
    return Observation(**{**values, **changes})


def decided(observation: Observation, wanted: ApplicationSpec | None = None) -> Step:
    return decide(wanted or spec(), observation)


def waits(observation: Observation, wanted: ApplicationSpec | None = None) -> Wait:
    step = decided(observation, wanted)
    assert isinstance(step, Wait), step
    return replace(step, next=None)  # the next action has tests of its own


def records(observation: Observation, wanted: ApplicationSpec | None = None) -> WriteLedger:
    step = decided(observation, wanted)
    assert isinstance(step, WriteLedger), step
    return step
