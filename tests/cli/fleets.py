"""Fleets for pictures: many applications in every state, behind the sockets of a daemon."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rotator.api.listeners import Listeners
from rotator.config import Control
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CompromisedKey, CurrentKey, Hold, Ledger, Problem, RetiringKey, RevokingKey
from rotator.domain.spec import ApplicationSpec
from tests.api.conftest import FakeHouse, Front
from tests.support.daemon_stage import FakeFleet, runtime, settled

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONG = "an-application-with-a-name-that-is-quite-long"
SMALL = ("billing", "mailer", LONG)
QUOTA = "the organisation of account acme has no room for another key, so {} cannot be rotated"


def key(number: int, kind: str = "A") -> str:
    return f"SCW{kind}{number:016d}"


def ledger_of(spec: ApplicationSpec, number: int, now: datetime) -> Ledger:
    """One of ten states, by the number."""
    current = CurrentKey(key(number), 4, now - 10 * DAY, now - 10 * DAY)
    ledger = replace(new_ledger(spec), current=current)
    match number % 25:
        case 0:
            old = RetiringKey(key(number, "B"), 3, now + 5 * HOUR, "replaced")
            return replace(ledger, current=replace(current, since=now - HOUR, created_at=now - HOUR), retiring=(old,))
        case 1:
            return replace(ledger, hold=Hold("migration to the new cluster", "ann@ops", now - 9 * DAY))
        case 2:
            return replace(ledger, current=replace(current, since=now - 29 * DAY, created_at=now - 29 * DAY))
        case 3:
            problem = Problem("quota", QUOTA.format(spec.application), now - 2 * HOUR)
            return replace(ledger, problem=problem, failures=0)
        case 4:
            mark = CompromisedKey(
                key(number, "C"), "found in a public repository", "ann@ops", now - HOUR, incident="i" * 16
            )
            return replace(ledger, compromised=(mark,), revoking=(RevokingKey(key(number, "C"), 3, "compromised"),))
        case 5:
            return replace(ledger, current=replace(current, since=now - 31 * DAY, created_at=now - 31 * DAY))
        case 6:
            return replace(ledger, hold=Hold("audit", "bob@ops", now - DAY, now + 2 * DAY))
        case _:
            return ledger


def fleet(names: tuple[str, ...], source: Path) -> FakeFleet:
    made = runtime(*names, source=str(source))
    now = datetime.now(UTC).replace(microsecond=0)
    for number, name in enumerate(names):
        made.applications[name] = replace(made.applications[name], every=30 * DAY)
        made.vault.write_ledger(ledger_of(made.applications[name], number, now), cas=0)
    return made


@contextmanager
def served(made: FakeFleet, folder: Path) -> Iterator[Front]:
    """The fleet behind the sockets of a daemon."""
    daemon_handle = FakeHouse(made)
    made.sink = daemon_handle.sink
    listeners = Listeners(daemon_handle)
    listeners.maintain(Control(folder))
    yield Front(folder, daemon_handle, listeners)
    daemon_handle.stopping.set()
    listeners.executor.give_up()
    listeners.close()


def at_work(folder: Path) -> FakeFleet:
    """Three applications whose keys are published, for what looks at documents and keys."""
    made = runtime(*SMALL, source=str(folder / "rotator.toml"))
    for name in SMALL:
        settled(name, made)
    return made
