"""What one look at an account shows: its scope, its document, the ledgers and the keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from rotator.decision.transitions.publication import new_ledger
from rotator.domain.keys import Key
from rotator.domain.ledger import CurrentKey
from rotator.domain.spec import ApplicationSpec
from rotator.errors import TooManyKeys, Unavailable
from rotator.operations.mass_rotation.account_snapshot import AccountScope, account_scopes, take_snapshot
from rotator.operations.mass_rotation.selection import Selection
from rotator.operations.runtime import Runtime
from tests.cli.conftest import SimApp
from tests.support.daemon_stage import SimAccount
from tests.support.simulated import EPOCH, Actor, Recorder, Sim, SimProvider, spec

HOUR = timedelta(hours=1)


def application(name: str, **changes: Any) -> ApplicationSpec:
    return spec(application=name, bearer=f"bearer-of-{name}", path=f"secret/apps/{name}", **changes)


@dataclass
class TwoAccounts(SimApp):
    """A runtime whose accounts have a rate and a management key of their own."""

    def account(self, name: str) -> SimAccount:
        return SimAccount(
            rate_limit={"acme": 50.0, "other": 7.0}[name], access_key={"acme": None, "other": "SCWMANAGER"}[name]
        )


def runtime_of(sim: Sim, *specs: ApplicationSpec, left: tuple[ApplicationSpec, ...] = ()) -> TwoAccounts:
    for one in specs:
        sim.bearers.add(one.bearer)
    return TwoAccounts(
        sim, {one.application: one for one in specs}, Recorder(), left={one.application: one for one in left}
    )


def scopes(runtime: TwoAccounts, *accounts: str) -> list[AccountScope]:
    return account_scopes(cast("Runtime", runtime), accounts, runtime.context, runtime.sink)


def scope_of(sim: Sim, *specs: ApplicationSpec) -> AccountScope:
    (scope,) = scopes(runtime_of(sim, *specs), "acme")
    return scope


def published(sim: Sim, one: ApplicationSpec, age: timedelta = HOUR) -> str:
    """A key of the application that its consumers read."""
    sim.bearers.add(one.bearer)
    key, _ = sim.make_key(bearer=one.bearer, created=sim.time.now - age)
    sim.publish_by_hand(key.access_key, path=one.path)
    return key.access_key


# --- the scope ------------------------------------------------------------------------------------------------------------


def test_each_account_that_is_named_twice_is_one_scope_and_without_a_name_all_are_meant() -> None:
    runtime = runtime_of(Sim(), application("z", account="other"), application("a"))
    assert [scope.account for scope in scopes(runtime, "other", "acme", "other")] == ["other", "acme"]
    assert [scope.account for scope in scopes(runtime)] == ["acme", "other"]


def test_a_scope_has_the_applications_the_provider_the_rate_and_the_management_key_of_its_own_account() -> None:
    runtime = runtime_of(Sim(), application("z", account="other"), application("a"), application("b"))
    acme, other = scopes(runtime)
    assert (set(acme.specs), set(other.specs)) == ({"a", "b"}, {"z"})
    assert acme.specs["a"] is runtime.specs["a"]
    assert ((acme.rate_limit, acme.management_key()), (other.rate_limit, other.management_key())) == (
        (50.0, ""),
        (7.0, "SCWMANAGER"),
    )
    assert acme.provider.name == "acme"
    assert other.provider.name == "other"
    assert (acme.vault, acme.sink) == (runtime.vault, runtime.sink)
    assert acme.clock.now() == EPOCH
    assert acme.context(acme.specs["a"]).owner == "command-line"


def test_c17_a_removed_application_belongs_to_its_account_and_one_that_was_renamed_does_not() -> None:
    kept = application("a")
    removed = application("gone", configured=False)
    renamed = replace(application("a-before", configured=False, owner="a"), bearer=kept.bearer)
    same_document = application("a-copy", configured=False, owner="a")
    (acme,) = scopes(runtime_of(Sim(), kept, left=(removed, renamed, same_document)), "acme")
    assert set(acme.specs) == {"a", "gone", "a-copy"}
    assert not acme.specs["gone"].configured


@pytest.mark.parametrize(
    ("vault", "provider", "behind"),
    [(0, 0, 0), (-90, 0, -90), (0, -60, -60), (-90, -60, -90), (30, 60, 0)],
)
def test_the_earliest_time_is_by_the_clock_that_is_behind_all_others(vault: int, provider: int, behind: int) -> None:
    sim = Sim()
    sim.time.skew_vault, sim.time.skew_provider = timedelta(seconds=vault), timedelta(seconds=provider)
    assert scope_of(sim, application("a")).earliest() == EPOCH + timedelta(seconds=behind)


# --- the snapshot ---------------------------------------------------------------------------------------------------------


def test_a_snapshot_has_the_keys_the_ledgers_and_what_consumers_read_where_there_is_no_ledger() -> None:
    sim = Sim()
    known, untouched, empty = application("known"), application("untouched"), application("empty")
    first, second = published(sim, known), published(sim, untouched)
    Actor(sim, known).run()
    snapshot = take_snapshot(scope_of(sim, known, untouched, empty))
    assert {key.access_key for key in snapshot.survey.keys} == {first, second}
    assert set(snapshot.survey.ledgers) == {"known"}
    current = snapshot.survey.ledgers["known"].current
    assert current is not None
    assert current.access_key == first
    assert snapshot.survey.published == {"known": None, "untouched": second, "empty": None}
    assert snapshot.survey.installation == sim.installation
    assert (snapshot.survey.unlisted, snapshot.survey.unread) == ("", {})
    assert snapshot.document.account == "acme"


def test_without_the_keys_the_provider_is_not_asked() -> None:
    sim = Sim()
    published(sim, application("a"))
    snapshot = take_snapshot(scope_of(sim, application("a")), keys=False)
    assert list(snapshot.survey.keys) == []
    assert "list_all_keys" not in sim.calls


def test_a_key_that_was_revoked_between_the_ledgers_and_the_list_is_looked_for_once_more() -> None:
    sim = Sim()
    one = application("a")
    published(sim, one)
    Actor(sim, one).run()
    sim.calls.clear()
    take_snapshot(scope_of(sim, one))
    assert sim.calls.count("list_all_keys") == 1
    sim.hidden = set(sim.keys)
    sim.calls.clear()
    snapshot = take_snapshot(scope_of(sim, one))
    assert (sim.calls.count("list_all_keys"), sim.calls.count("read_ledger")) == (2, 2)
    assert snapshot.coverage(EPOCH).missing == tuple(sim.keys)


def test_a_ledger_that_cannot_be_read_hides_no_other_and_an_error_of_the_program_is_raised() -> None:
    sim = Sim()
    broken, sound = application("broken"), application("sound")
    old = published(sim, broken), published(sim, sound)
    Actor(sim, sound).run()
    sim.append("ledger:broken", {"schema": 99})
    snapshot = take_snapshot(scope_of(sim, broken, sound))
    assert set(snapshot.survey.ledgers) == {"sound"}
    assert list(snapshot.survey.unread) == ["broken"]
    rows = snapshot.coverage(EPOCH + HOUR).rows
    assert {(row.key.access_key, row.kind) for row in rows} == {(old[0], "unknown"), (old[1], "current")}

    def defect(name: str, phase: str) -> None:
        if name == "read_ledger":
            raise ZeroDivisionError

    sim.hook = defect
    with pytest.raises(ZeroDivisionError):
        take_snapshot(scope_of(sim, broken, sound))


def test_a_vault_without_a_ledger_gets_no_installation_id_from_a_question() -> None:
    sim = Sim(installation="")
    published(sim, application("a"))
    assert take_snapshot(scope_of(sim, application("a"))).survey.installation == ""
    assert sim.installation == ""


class TooMany(SimProvider):
    """An organisation with more keys than are read at once."""

    def list_all_keys(self) -> tuple[Key, ...]:
        raise TooManyKeys("too many keys", service="acme", kind="too_many_keys")


def test_c13_where_there_are_too_many_keys_those_of_every_application_are_listed_oldest_first() -> None:
    sim = Sim()
    one, two = application("one"), application("two")
    younger, older = published(sim, one), published(sim, two, 5 * HOUR)
    same, _ = sim.make_key(bearer=one.bearer, created=sim.time.now - 5 * HOUR)
    sim.make_key(bearer="of no application")
    survey = take_snapshot(replace(scope_of(sim, one, two), provider=TooMany(sim))).survey
    assert [key.access_key for key in survey.keys] == [older, same.access_key, younger]
    assert survey.unlisted == "too many keys: only the keys of the 2 applications of this configuration were listed"

    def away(name: str, phase: str) -> None:
        if name == "list_keys":
            raise Unavailable("acme is away", service="acme", kind="no_answer")

    sim.hook = away
    with pytest.raises(Unavailable, match="acme is away"):
        take_snapshot(replace(scope_of(sim, one, two), provider=TooMany(sim)))


def test_c13_the_coverage_of_a_part_is_about_its_bearers_and_that_of_all_is_about_the_account() -> None:
    sim = Sim()
    one, two = application("one"), application("two")
    first, second = published(sim, one), published(sim, two)
    snapshot = take_snapshot(scope_of(sim, one, two))
    part = snapshot.coverage_of(Selection(names=("one",)), EPOCH)
    assert ([row.key.access_key for row in part.rows], part.part, part.outside) == (
        [first],
        "the 1 chosen application",
        1,
    )
    whole = snapshot.coverage_of(Selection(), EPOCH)
    assert ({row.key.access_key for row in whole.rows}, whole.part, whole.outside) == ({first, second}, "", None)
    assert {row.application for row in whole.rows} == {"one", "two"}


def test_coverage_knows_the_management_key_as_it_is_by_then_and_judges_by_the_clock_that_is_behind() -> None:
    sim = Sim()
    key = published(sim, application("a"))
    sim.time.skew_vault = -HOUR
    snapshot = take_snapshot(replace(scope_of(sim, application("a")), management_key=lambda: key))
    report = snapshot.coverage(EPOCH)
    assert ([row.kind for row in report.rows], report.manager_named, report.as_of) == (
        ["management"],
        True,
        EPOCH - HOUR,
    )


def test_a_ledger_that_names_a_current_key_is_believed_and_its_document_is_not_read() -> None:
    sim = Sim()
    one = application("a")
    ledger = replace(new_ledger(one), current=CurrentKey("SCWCURRENT", 1, EPOCH, EPOCH))
    runtime = runtime_of(sim, one)
    runtime.vault.write_ledger(ledger, cas=0)
    sim.calls.clear()
    assert take_snapshot(scopes(runtime, "acme")[0], keys=False).survey.published == {"a": None}
    assert "read_document" not in sim.calls
