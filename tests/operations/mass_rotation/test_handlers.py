"""Questions and orders about accounts as the API and the command line give them: what is refused, and with which words."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rotator.domain.account import Waiver
from rotator.errors import Refused, RotatorError, Unavailable
from rotator.operations.daemon_handle import DaemonHandle
from rotator.operations.mass_rotation.handlers import (
    CoverageRequest,
    MassRotationCommand,
    PreviewRequest,
    WaiveRequest,
    handle_coverage,
    handle_mass_rotation,
    handle_preview,
    handle_waive,
)
from rotator.operations.mass_rotation.preview import Preview
from rotator.operations.operation import OperationContext
from rotator.operations.refusal import OperationError
from rotator.operations.runtime import Runtime
from tests.cli.conftest import SimApp
from tests.support.simulated import EPOCH, Actor, ActorClock, Recorder, Sim, SimProvider, SimVault, spec

DAY = timedelta(days=1)
NOW = EPOCH + DAY
KEY = "SCW00000000000000001"


@dataclass
class TwoAccounts(SimApp):
    """``away`` are accounts whose provider does not answer from some call on."""

    away: tuple[str, ...] = ()

    def provider(self, account: str) -> SimProvider:
        if account in self.away:
            return Away(self.sim, account)
        return SimProvider(self.sim, account)


class Away(SimProvider):
    """An account that does not answer."""

    def list_all_keys(self) -> Any:
        raise Unavailable(f"{self.name} is away", service=self.name, kind="no_answer")


@dataclass
class Desk:
    """Who asks, and what is there: each application with a published key that is days old."""

    sim: Sim
    runtime: TwoAccounts
    sink: Recorder
    woken: list[list[str]]

    def call(self, **changes: Any) -> OperationContext:
        values: dict[str, Any] = {
            "runtime": cast("Runtime", self.runtime),
            "by": "ops@desk",
            "sink": self.sink,
            "sleep": self.sleep,
            "now": lambda: self.sim.time.now,
        }
        return OperationContext(**{**values, **changes})

    def sleep(self, clock: Any, until: datetime) -> None:
        assert isinstance(clock, ActorClock)
        self.sim.time.now = max(self.sim.time.now, until)

    def daemon(self, *, stopping: bool = False) -> DaemonHandle:
        flag = threading.Event()
        if stopping:
            flag.set()
        return cast(
            "DaemonHandle", SimpleNamespace(stopping=flag, reconcile_now=lambda names: self.woken.append(list(names)))
        )

    def mass_rotation(self, call: OperationContext | None = None, **asked: Any) -> Any:
        return handle_mass_rotation(call or self.call(), MassRotationCommand.model_validate(asked))


def previews(desk: Desk, **asked: Any) -> tuple[Preview, ...]:
    return handle_preview(desk.call(), PreviewRequest.model_validate(asked))


def desk_of(**accounts: str) -> Desk:
    """A desk for these applications, each with its account."""
    sim, sink = Sim(), Recorder()
    sim.time.now = NOW
    specs = {}
    for number, (name, account) in enumerate(accounts.items()):
        one = spec(application=name, account=account, bearer=f"bearer-{name}", path=f"secret/{name}")
        specs[name] = one
        sim.bearers.add(one.bearer)
        key, _ = sim.make_key(bearer=one.bearer, created=NOW - DAY * (9 - number))
        sim.publish_by_hand(key.access_key, path=one.path)
        Actor(sim, one).run()
    return Desk(sim, TwoAccounts(sim, specs, sink), sink, [])


@pytest.fixture
def desk() -> Desk:
    return desk_of(a="acme", b="acme")


def refused(raised: pytest.ExceptionInfo[OperationError]) -> tuple[str, int, str]:
    failure = raised.value.failure
    return failure.kind, failure.exit_code, str(raised.value)


# --- which account --------------------------------------------------------------------------------------------------------


def test_the_only_account_need_not_be_named_and_of_several_one_must(desk: Desk) -> None:
    assert handle_coverage(desk.call(), CoverageRequest(created_before=NOW)).account == "acme"
    two = desk_of(a="acme", z="other")
    assert handle_coverage(two.call(), CoverageRequest(created_before=NOW, account="other")).account == "other"
    with pytest.raises(OperationError) as raised:
        handle_coverage(two.call(), CoverageRequest(created_before=NOW))
    assert refused(raised) == ("usage", 2, "there are several accounts: select one with --account (acme, other)")


def test_coverage_names_every_key_from_before_that_time(desk: Desk) -> None:
    report = handle_coverage(desk.call(), CoverageRequest(created_before=NOW - DAY * 8.5))
    assert [row.application for row in report.rows] == ["a"]


@pytest.mark.parametrize("year", [1, 1999])
def test_a_time_before_any_key_is_as_good_as_the_year_2000(year: int) -> None:
    asked = CoverageRequest(created_before=datetime(year, 1, 2, tzinfo=UTC))
    assert asked.created_before == datetime(2000, 1, 1, tzinfo=UTC)
    assert CoverageRequest(created_before=NOW).created_before == NOW


# --- waivers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"access_key": "SCW123"}, "SCW123 is no access key: it has 6 characters, 14 are missing"),
        ({"access_key": "billing"}, "that is no access key: one is SCW and 17 capital letters and digits"),
        (
            {"access_key": KEY, "withdraw": True, "reason": "x"},
            "withdrawing a waiver takes neither a reason nor a time",
        ),
        (
            {"access_key": KEY, "withdraw": True, "until": NOW + DAY},
            "withdrawing a waiver takes neither a reason nor a time",
        ),
        ({"access_key": KEY}, "a waiver needs a reason"),
        ({"access_key": KEY, "reason": "  "}, "a waiver needs a reason"),
        (
            {"access_key": KEY, "reason": "x", "until": NOW},
            "the time until which the key may stay has passed: give a future time",
        ),
    ],
)
def test_a_waiver_that_cannot_be_meant_is_refused(desk: Desk, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(OperationError) as raised:
        handle_waive(desk.call(), WaiveRequest(**asked))
    assert refused(raised) == ("usage", 2, said)
    assert SimVault(desk.sim).read_account("acme")[0].waivers == ()


def test_a_waiver_holds_who_gave_it_when_and_why_and_can_be_withdrawn(desk: Desk) -> None:
    given = handle_waive(desk.call(), WaiveRequest(access_key=KEY, reason=" break glass ", until=NOW + DAY))
    word = Waiver(KEY, "break glass", "ops@desk", desk.sim.time.now, NOW + DAY)
    assert (given.account, given.waivers) == ("acme", (word,))
    assert SimVault(desk.sim).read_account("acme")[0].waivers == (word,)
    assert handle_waive(desk.call(), WaiveRequest(access_key=KEY, withdraw=True)).waivers == ()


def test_a_key_that_is_not_there_needs_no_waiver(desk: Desk) -> None:
    gone = "SCW00000000000000999"
    with pytest.raises(Refused, match=f"account acme has no key {gone}: a revoked key needs no waiver"):
        handle_waive(desk.call(), WaiveRequest(access_key=gone, reason="x"))
    assert handle_waive(desk.call(), WaiveRequest(access_key=gone, withdraw=True)).waivers == ()


def test_a_waiver_rides_out_a_vault_that_is_away_for_a_moment(desk: Desk) -> None:
    begun = desk.sim.time.now

    def away(name: str, phase: str) -> None:
        if name == "write_account" and desk.sim.time.now < begun + timedelta(seconds=30):
            raise Unavailable("Vault is sealed", service="vault", kind="sealed")

    desk.sim.hook = away
    assert handle_waive(desk.call(), WaiveRequest(access_key=KEY, reason="x")).waivers


# --- which applications ---------------------------------------------------------------------------------------------------


def test_a_preview_is_one_for_each_account_that_has_an_application_of_that_name() -> None:
    desk = desk_of(a="acme", z="other", shop="other")

    def accounts(**asked: Any) -> list[tuple[str, list[str]]]:
        found = previews(desk, **asked)
        return [(one.account, [turn.name for turn in one.turns]) for one in found]

    assert accounts() == [("acme", ["a"]), ("other", ["z", "shop"])]
    assert accounts(accounts=["other"]) == [("other", ["z", "shop"])]
    assert accounts(globs=["s*"]) == [("other", ["shop"])]
    assert accounts(applications=["a"]) == [("acme", ["a"])]


def test_what_no_application_is_and_an_unknown_name_are_refused(desk: Desk) -> None:
    with pytest.raises(OperationError) as raised:
        previews(desk, globs=["nothing-*"])
    assert refused(raised) == (
        "usage",
        2,
        "no configured application matches: see rotator status",
    )
    with pytest.raises(RotatorError, match="there is no application c"):
        previews(desk, applications=["c"])


def test_a_time_to_come_is_refused_and_the_present_is_none(desk: Desk) -> None:
    with pytest.raises(OperationError) as raised:
        previews(desk, created_before=desk.sim.time.now + timedelta(seconds=1))
    assert refused(raised) == (
        "usage",
        2,
        "--created-before is in the future: keys created now would be replaced again",
    )
    assert previews(desk, created_before=desk.sim.time.now)


def test_what_is_printed_is_what_is_meant_so_a_time_has_whole_seconds(desk: Desk) -> None:
    asked = NOW - DAY + timedelta(milliseconds=700)
    (found,) = previews(desk, created_before=asked)
    assert found.order.created_before == NOW - DAY


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "mass rotation"),
        ({"compromised": True}, "suspected compromise"),
        ({"reason": " leaked "}, "leaked"),
        ({"reason": "leaked", "compromised": True}, "leaked"),
    ],
)
def test_a_mass_rotation_without_a_reason_has_that_of_its_kind(desk: Desk, asked: dict[str, Any], reason: str) -> None:
    (found,) = previews(desk, **asked)
    assert (found.order.reason, found.order.by) == (reason, "ops@desk")


@pytest.mark.parametrize(
    ("asked", "selector"),
    [
        ({}, "--all"),
        ({"created_before": NOW - DAY}, "--created-before 2026-01-01T00:00:00Z"),
        ({"created_before": NOW - DAY, "selector": "24h"}, "--created-before 24h"),
        ({"applications": ["b", "a"], "compromised": True, "reason": "x"}, "a b --compromised --reason x"),
    ],
)
def test_a_mass_rotation_is_known_by_its_words(desk: Desk, asked: dict[str, Any], selector: str) -> None:
    (found,) = previews(desk, **asked)
    assert found.order.selector == selector
    command = MassRotationCommand.model_validate(asked)
    assert command.same == selector, "two commands with the same words do the same work one after the other"


def test_a4_words_with_an_absolute_time_go_on_for_ever_and_those_with_a_duration_for_a_week(desk: Desk) -> None:
    desk.sim.quota = 2
    absolute: dict[str, Any] = {"created_before": NOW - DAY, "selector": "2026-01-01T00:00:00Z"}
    relative: dict[str, Any] = {"created_before": NOW - DAY, "selector": "24h"}
    first = [desk.mass_rotation(**asked).accounts[0].order.id for asked in (absolute, relative)]
    desk.sim.time.advance(8 * DAY)
    again = [desk.mass_rotation(**asked).accounts[0].order.id for asked in (absolute, relative)]
    assert again[0] == first[0]
    assert again[1] != first[1]


# --- the mass rotation ----------------------------------------------------------------------------------------------------


def test_a_breach_without_a_reason_is_refused_before_anything_is_marked(desk: Desk) -> None:
    with pytest.raises(OperationError) as raised:
        desk.mass_rotation(compromised=True, reason=" ")
    assert refused(raised) == (
        "usage",
        2,
        "a compromise needs a reason, which goes into the ledger and the incident report",
    )
    assert desk.sim.ledger("a").incidents == ()


def test_every_account_is_rotated_to_its_own_proof() -> None:
    desk = desk_of(a="acme", z="other")
    report = desk.mass_rotation(compromised=True, reason="leaked")
    assert [(one.coverage.account, one.done) for one in report.accounts] == [("acme", 1), ("other", 1)]
    assert report.failed == ()
    assert len({one.order.id for one in report.accounts}) == 1
    assert [fields["again"] for name, fields in desk.sink.events if name == "mass_rotation.started"] == [False, False]


def test_an_account_that_is_away_is_named_and_stops_no_other_and_alone_it_is_the_error() -> None:
    desk = desk_of(a="acme", z="other")
    desk.runtime.away = ("other",)
    report = desk.mass_rotation(compromised=True, reason="leaked")
    assert [one.coverage.account for one in report.accounts] == ["acme"]
    assert [(one.application, one.exit_code, one.message) for one in report.failed] == [
        ("account other", 3, "other is away")
    ]
    with pytest.raises(Unavailable, match="other is away"):
        desk.mass_rotation(compromised=True, reason="leaked", accounts=["other"])


def test_an_account_whose_document_cannot_be_written_stops_all_before_anything_happens() -> None:
    desk = desk_of(a="acme", z="other")
    desk.sim.append("account:other", {"schema": 99})
    with pytest.raises(RotatorError):
        desk.mass_rotation(compromised=True, reason="leaked")
    assert desk.sim.ledger("a").incidents == ()


def test_an_account_that_waits_for_room_keeps_no_other_waiting() -> None:
    desk = desk_of(a="acme", z="other")
    desk.sim.quota = 4
    report = desk.mass_rotation(compromised=True, reason="leaked", wait=True)
    assert [one.rest for one in report.accounts] == [(), ()]


def test_without_wait_who_finds_no_room_is_left_and_with_it_the_grace_is_waited_for(desk: Desk) -> None:
    desk.sim.quota = 3
    (result,) = desk.mass_rotation().accounts
    assert result.rest == ("b",)
    begun = desk.sim.time.now
    (result,) = desk.mass_rotation(wait=True).accounts
    assert (result.rest, result.done) == ((), 1)
    assert desk.sim.time.now - begun > timedelta(hours=23)


def test_the_same_words_are_told_as_going_on(desk: Desk) -> None:
    desk.sim.quota = 3
    desk.mass_rotation()
    desk.mass_rotation()
    assert [fields["again"] for name, fields in desk.sink.events if name == "mass_rotation.started"] == [False, True]


def test_a7_a_daemon_that_stops_begins_no_more_rotations(desk: Desk) -> None:
    with pytest.raises(OperationError) as raised:
        desk.mass_rotation(desk.call(daemon_handle=desk.daemon(stopping=True)), compromised=True, reason="leaked")
    assert refused(raised) == (
        "stopping",
        3,
        "the daemon is stopping and starts no more rotations; repeat the command to continue",
    )
    assert desk.sim.ledger("a").incidents == ()


def test_the_daemon_looks_at_once_at_what_could_not_be_rotated(desk: Desk) -> None:
    desk.sim.append("ledger:b", {"schema": 99})
    desk.mass_rotation(desk.call(daemon_handle=desk.daemon()), compromised=True, reason="leaked")
    assert desk.woken == [["b"]]


def test_the_daemon_is_not_asked_for_what_left_the_configuration() -> None:
    desk = desk_of(a="acme", gone="acme")
    left = replace(desk.runtime.specs.pop("gone"), configured=False)
    desk.runtime.left = {"gone": left}
    desk.sim.append("ledger:gone", {"schema": 99})
    desk.mass_rotation(desk.call(daemon_handle=desk.daemon()), compromised=True, reason="leaked")
    assert desk.woken == [[]]
