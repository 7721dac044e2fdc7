"""Incidents and coverage: what is answered about worlds in which keys leaked, or were marked as an exercise.

`python -m tests.operations.incidents.test_transcripts` writes the transcripts anew after a change that is meant.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from rotator.decision.transitions.publication import new_ledger
from rotator.domain.account import MassRotation, Waiver
from rotator.domain.audit import AuditEvent
from rotator.domain.ledger import Incident, RevocationRecord
from rotator.domain.marker import Marker
from rotator.errors import PermissionDenied, TooManyKeys
from rotator.operations.incidents.handlers import MOST_TRAILS
from tests.operations.transcript import NEW, NEXT, OLD, Scenarios, Stage, told
from tests.operations.worlds import (
    DAY,
    HOUR,
    MINUTE,
    adopted,
    failing,
    ledger,
    mailer,
    removed,
    renamed,
    rotated,
    stray,
    untracked,
)
from tests.support.simulated import BEARER, EPOCH, Actor, SimProvider, SimVault, spec

DENIED = PermissionDenied("the policy denies it", service="vault", kind="policy", path="secret/x", capability="read")

incidents = Scenarios("incidents")
coverage = Scenarios("coverage")


def contained(stage: Stage) -> str:
    """An emergency of billing that is over; its id."""
    stage.run("rotate", applications=["billing"], compromised=True, reason="leaked")
    (incident,) = stage.sim.ledger().incidents
    stage.lines.clear()
    return incident.id


def mass(stage: Stage, name: str, account: str = "acme", **changes: Any) -> None:
    """The document of the account remembers a mass rotation."""
    order = MassRotation(
        name, "--all", EPOCH - DAY, compromised=True, reason="breach", by="eve@desk", begun_at=EPOCH + MINUTE
    )
    vault = SimVault(stage.sim)
    document, version = vault.read_account(account)
    vault.write_account(document.with_mass_rotation(replace(order, **changes)), cas=version)


def calls(stage: Stage, *at: datetime) -> None:
    """The audit trail has calls of billing at these times."""
    stage.sim.audit_events += [
        (BEARER, AuditEvent(one, "198.51.100.4", "curl/8", "instance", "ListServers", 200)) for one in at
    ]


def globex_is_away(stage: Stage, error: Exception = DENIED) -> None:
    """The second account does not answer."""

    class Away(SimProvider):
        def list_all_keys(self) -> Any:
            raise error

        def trail(self, *_: Any) -> Any:
            raise error

    def change(app: Any) -> None:
        app.provider = lambda account: (Away if account == "globex" else SimProvider)(stage.sim, account)

    stage.app = change


@incidents.scenario("an emergency that is over is listed, and reported in full")
def _(stage: Stage) -> None:
    rotated(stage)
    calls(stage, EPOCH - 22 * HOUR, EPOCH, EPOCH + HOUR, EPOCH + 3 * HOUR)
    name = contained(stage)
    stage.sim.time.advance(HOUR)
    stray(stage)
    stage.run("incidents")
    stage.run("incident", id=name)
    stage.run("incident", id=name, since=EPOCH - 30 * DAY, trail=False)


@incidents.scenario("an incident that no ledger remembers is refused")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.run("incidents")
    stage.run("incident", id="unknown")
    stage.run("incident", id="")


@incidents.scenario("an incident may be in a ledger or an account that could not be read")
def _(stage: Stage) -> None:
    adopted(stage)
    name = contained(stage)
    mailer(stage)
    stage.sim.append("ledger:mailer", {"schema": 99})
    stage.desk.specs["zeta"] = spec(application="zeta", account="globex", path="secret/apps/zeta", bearer="third")
    stage.run("incidents")
    globex_is_away(stage)
    stage.run("incident", id=name)
    stage.run("incident", id="unknown")


@incidents.scenario("without any account that could be read there is no list and no report")
def _(stage: Stage) -> None:
    adopted(stage)
    failing(stage, "read_account", DENIED)
    stage.run("incidents")
    stage.run("incident", id="i1")


@incidents.scenario("an error of the program is not taken for an account that is away")
def _(stage: Stage) -> None:
    adopted(stage)
    stage.desk.specs["zeta"] = spec(application="zeta", account="globex", path="secret/apps/zeta", bearer="third")
    globex_is_away(stage, ZeroDivisionError("a mistake"))
    stage.run("incident", id="i1")


@incidents.scenario("a mass rotation is an incident from its first mark, in each of its accounts")
def _(stage: Stage) -> None:
    adopted(stage)
    mailer(stage, account="globex")
    mass(stage, "m1")
    mass(stage, "m1", "globex", created_before=EPOCH, begun_at=EPOCH)
    mass(stage, "m2", compromised=False)
    stage.run("incidents")
    stage.run("incident", id="m1")
    stage.run("incident", id="m1", trail=True)


@incidents.scenario("a mass rotation of a part covers the bearers of that part")
def _(stage: Stage) -> None:
    adopted(stage)
    name = contained(stage)
    mailer(stage)
    mass(stage, name, selector="--match bill*", ended_at=EPOCH + HOUR)
    theirs, _ = stage.sim.make_key(bearer="another", created=EPOCH - 9 * DAY)
    stray(stage, created_at=EPOCH - 9 * DAY)
    stage.run("incident", id=name)


@incidents.scenario("a mass rotation of everything covers the whole account")
def _(stage: Stage) -> None:
    adopted(stage)
    name = contained(stage)
    mass(stage, name, ended_at=EPOCH + HOUR)
    stage.sim.make_key(bearer="another", created=EPOCH - 9 * DAY)
    stage.run("incident", id=name)


@incidents.scenario("an incident of two applications has the trail of each, and a trail that fails says so")
def _(stage: Stage) -> None:
    adopted(stage)
    mailer(stage, account="globex")
    Actor(stage.sim, stage.desk.specs["mailer"]).run()
    one = Incident("i1", EPOCH + MINUTE, "leaked", "ann@desk", (OLD,), EPOCH + HOUR)
    ledger(stage, incidents=(one,))
    ledger(stage, "mailer", incidents=(replace(one, opened_at=EPOCH, closed_at=None),))
    globex_is_away(stage)
    stage.run("incidents")
    stage.run("incident", id="i1")
    calls(stage, EPOCH)

    class Mute(SimProvider):
        def trail(self, *_: Any) -> Any:
            raise DENIED

    def change(app: Any) -> None:
        app.provider = lambda account: (Mute if account == "globex" else SimProvider)(stage.sim, account)

    stage.app = change
    stage.run("incident", id="i1")


@incidents.scenario("incidents are listed by the time of their reports")
def _(stage: Stage) -> None:
    adopted(stage)
    record = RevocationRecord(OLD, EPOCH + HOUR, "refused", (1,), "a remark")
    first = Incident("i2", EPOCH + MINUTE, "first", "ann@desk", (OLD, NEW), EPOCH + HOUR, revocations=(record,))
    ledger(stage, incidents=(Incident("i1", EPOCH + HOUR, "later", "bob@desk", (NEXT,)), first))
    removed(stage)
    stage.run("incidents")


@coverage.scenario("old keys are listed with what they are, and a waiver exempts one")
def _(stage: Stage) -> None:
    rotated(stage)
    names = [stray(stage), untracked(stage), stray(stage, provider_managed=True), stray(stage, expires_at=EPOCH + HOUR)]
    stage.desk.management_key = stray(stage)
    stage.sim.make_key(bearer="not-ours")
    vault = SimVault(stage.sim)
    document, version = vault.read_account("acme")
    document = document.with_waiver(Waiver(names[0], "of the printer", "ann@desk", EPOCH, EPOCH + DAY))
    vault.write_account(document, cas=version)
    stage.sim.time.advance(HOUR)
    stage.run("coverage", created_before=EPOCH + 2 * HOUR)
    stage.run("coverage", created_before=EPOCH - HOUR)
    stage.run("coverage", account="globex", created_before=EPOCH)


@coverage.scenario(
    "an earlier name belongs to the application, and a ledger that cannot be read leaves its keys unknown"
)
def _(stage: Stage) -> None:
    rotated(stage)
    mailer(stage)
    for description in ("by hand", Marker("1" * 16, "mailer", "e" * 16, 1, "0" * 16).render()):
        stage.sim.make_key(description, bearer="another", created=EPOCH)
    managed, _ = stage.sim.make_key(bearer="another", created=EPOCH)
    stage.sim.keys[managed.access_key].key = replace(managed, provider_managed=True)
    stage.sim.append("ledger:mailer", {"schema": 99})
    renamed(stage)
    stage.run("coverage", account="acme", created_before=EPOCH + HOUR)
    stage.sim.hidden.add(OLD)
    stage.run("coverage", account="acme", created_before=EPOCH + HOUR)


@coverage.scenario("the keys of an incident's bearers are covered, and those of others are counted")
def _(stage: Stage) -> None:
    adopted(stage)
    mailer(stage)
    stage.sim.append("ledger:mailer", {"schema": 99})
    for bearer in (BEARER, "another", "another", "not-ours"):
        stage.sim.make_key(bearer=bearer, created=EPOCH - DAY)
        stage.sim.make_key(bearer=bearer, created=EPOCH - 2 * DAY, expires=EPOCH - DAY)
    one = Incident("i1", EPOCH + MINUTE, "leaked", "ann@desk", (OLD,), EPOCH + HOUR)
    ledger(stage, incidents=(one,))
    stage.run("incident", id="i1", trail=False)


@coverage.scenario("an account with too many keys for one list is covered by its bearers")
def _(stage: Stage) -> None:
    adopted(stage)
    stray(stage)
    failing(stage, "list_all_keys", TooManyKeys("more than 10,000", service="acme", kind="too_many_keys"))
    stage.run("coverage", created_before=EPOCH + HOUR)


AFRESH = "after a change that is meant: python -m tests.operations.incidents.test_transcripts"
ALL = {one.name: one for one in (incidents, coverage)}


@pytest.mark.parametrize(
    ("query", "sentence"), [(name, sentence) for name, scenarios in ALL.items() for sentence in scenarios.all]
)
def test_a_query_answers_what_its_transcript_holds(query: str, sentence: str) -> None:
    assert told(ALL[query].all[sentence]) == ALL[query].kept()[sentence], AFRESH


@pytest.mark.parametrize("name", ALL)
def test_every_transcript_has_its_story(name: str) -> None:
    assert list(ALL[name].kept()) == list(ALL[name].all), AFRESH


@pytest.mark.parametrize(
    ("applications", "wanted", "read"),
    [(MOST_TRAILS, None, 20), (MOST_TRAILS + 1, None, 0), (MOST_TRAILS + 1, True, 21), (1, False, 0)],
)
def test_trails_of_more_than_twenty_applications_are_read_only_on_request(
    applications: int, wanted: bool | None, read: int
) -> None:
    stage, one = Stage(), Incident("i1", EPOCH, "leaked", "ann@desk", (OLD,), EPOCH + HOUR)
    names = [f"app-{number}" for number in range(applications)]
    stage.desk.specs = {name: spec(application=name, path=f"secret/apps/{name}", bearer=name) for name in names}
    for policy in stage.desk.specs.values():
        SimVault(stage.sim).write_ledger(replace(new_ledger(policy), incidents=(one,)), cas=0)
    stage.run("incident", id="i1", **({} if wanted is None else {"trail": wanted}))
    assert stage.sim.calls.count("trail") == read


if __name__ == "__main__":
    for scenarios in ALL.values():
        scenarios.write()
