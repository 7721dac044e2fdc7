"""What every operation has in common: its arguments, what it runs with, and what a daemon hears of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest

from rotator import __version__
from rotator.errors import ConfigurationError, ConfigurationProblem, Unavailable
from rotator.operations.daemon_handle import DaemonHandle, HealthCause, HealthReport, ReloadResult
from rotator.operations.operation import Operation, OperationContext, each
from rotator.operations.refusal import OperationError
from rotator.operations.registry import OPERATIONS
from rotator.operations.result import OperationResult, failed, short_of
from rotator.operations.signatures import SIGNATURES
from tests.cli.conftest import Desk, SimApp
from tests.operations.transcript import OLD, Daemon, Stage
from tests.operations.worlds import adopted, failing, mailer
from tests.support.simulated import EPOCH, ActorClock, Recorder, Sim

HOUR = timedelta(hours=1)


@dataclass
class Healthy(Daemon):
    """A daemon whose causes a test names."""

    alive: Sequence[tuple[str, bool, str]] = ()
    ready: Sequence[tuple[str, bool, str]] = ()
    source: str = "/etc/rotator.toml"
    reloads: list[str] = field(default_factory=list)

    @property
    def runtime(self) -> Healthy:
        return self

    def health(self) -> Sequence[tuple[str, bool, str]]:
        return self.alive

    def readiness(self) -> Sequence[tuple[str, bool, str]]:
        return self.ready

    def reload(self) -> Any:
        self.reloads.append("reload")
        return ReloadResult(3)


def context(app: SimApp, **changes: Any) -> OperationContext:
    values: dict[str, Any] = {
        "runtime": app,
        "by": "ann",
        "sink": Recorder(),
        "sleep": lambda clock, until: None,
        "now": lambda: EPOCH,
    }
    return OperationContext(**{**values, **changes})


def app(desk: Desk | None = None) -> SimApp:
    desk = desk or Desk(Sim())
    return SimApp(desk.sim, desk.specs, Recorder(), desk.left)


# --- the arguments ----------------------------------------------------------------------------------------------------

COMPLAINTS: dict[str, tuple[str, Mapping[str, Any] | bytes, str]] = {
    "a field that is missing": ("history", {}, "application: field required"),
    "a field of another type": ("rotate", {"applications": "billing"}, "applications: input should be a valid list"),
    "a field within a list": ("rotate", {"applications": [7]}, "applications.0: input should be a valid string"),
    "a field that no operation has": ("health", {"a-secret": "x", "b": 1}, "unknown field; see /openapi.json"),
    "a body that is no JSON": (
        "health",
        b"{",
        "the body: invalid JSON: EOF while parsing an object at line 1 column 1",
    ),
    "two complaints": (
        "hold",
        {"reason": 7, "everything": []},
        "everything: input should be a valid boolean; reason: input should be a valid string",
    ),
    "a time that is none": (
        "hold",
        {"reason": "x", "applications": ["billing"], "until": "yesterday"},
        "until: input should be a valid datetime or date, input is too short",
    ),
    "a time without a zone": (
        "coverage",
        {"created_before": "2026-01-01T00:00:00"},
        "created_before: input should have timezone info",
    ),
}


@pytest.mark.parametrize(("name", "given", "complaint"), COMPLAINTS.values(), ids=COMPLAINTS)
def test_arguments_that_do_not_fit_are_refused_with_their_place_and_without_what_was_given(
    name: str, given: Mapping[str, Any] | bytes, complaint: str
) -> None:
    with pytest.raises(OperationError) as caught:
        OPERATIONS[name].request(given)
    assert str(caught.value) == complaint
    assert caught.value.failure.kind == "usage"


def test_no_more_than_ten_complaints_are_made() -> None:
    with pytest.raises(OperationError) as caught:
        OPERATIONS["rotate"].request({"applications": list(range(12))})
    assert str(caught.value) == "; ".join(f"applications.{n}: input should be a valid string" for n in range(10))


def test_arguments_come_as_values_or_as_json() -> None:
    assert OPERATIONS["history"].request(b'{"application": "billing"}') == OPERATIONS["history"].request(
        {"application": "billing"}
    )


@pytest.mark.parametrize(
    ("given", "moment"),
    [
        (datetime(2026, 1, 1, 2, tzinfo=timezone(2 * HOUR)), EPOCH),
        (datetime(1999, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)),
        (datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC), datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_in_utc_and_not_before_the_first_key(given: datetime, moment: datetime) -> None:
    request: Any = OPERATIONS["coverage"].request({"created_before": given})
    assert (request.created_before, request.created_before.utcoffset()) == (moment, timedelta(0))


def test_a_reason_has_no_characters_that_control_a_terminal() -> None:
    request: Any = OPERATIONS["hold"].request({"applications": ["billing"], "reason": "a\x1b[31mb\nc"})
    assert request.reason == "a[31mbc"


# --- what each is -----------------------------------------------------------------------------------------------------

EMERGENCIES: dict[str, tuple[dict[str, Any], bool]] = {
    "reload": ({}, True),
    "rotate": ({"applications": ["billing"]}, False),
    "revoke": ({"access_keys": [OLD]}, True),
    "status": ({}, False),
}


def test_each_operation_is_what_its_signature_says() -> None:
    assert set(OPERATIONS) == set(SIGNATURES)
    for name, operation in OPERATIONS.items():
        signature = SIGNATURES[name]
        assert (operation.signature, operation.name, operation.path) == (signature, name, f"/v1/{name}")
        assert (operation.method, operation.changes) == (signature.method, signature.changes)
        assert (operation.immediate, operation.gives) == (signature.immediate, signature.gives)
    assert {name for name, one in SIGNATURES.items() if one.method == "POST"} == {
        name for name, one in SIGNATURES.items() if one.changes
    }
    assert {name for name, one in SIGNATURES.items() if one.immediate} == {"health"}
    assert SIGNATURES["health"].gives is HealthReport
    assert SIGNATURES["rotate"].gives == tuple[OperationResult, ...]


def test_an_emergency_is_a_reload_a_revocation_and_a_rotation_of_what_is_compromised() -> None:
    for name, (arguments, urgent) in EMERGENCIES.items():
        assert OPERATIONS[name].urgent(OPERATIONS[name].request(arguments)) is urgent, name
    compromised = OPERATIONS["rotate"].request({"applications": ["billing"], "compromised": True})
    assert OPERATIONS["rotate"].urgent(compromised)


APART = {
    "status": ((404, 409), True),
    "plan": ((404, 409), True),
    "history": ((404, 409), True),
    "coverage": ((404, 409), False),
    "preview": ((404, 409), False),
    "health": ((), False),
    "doctor": ((), False),
    "lookup": ((409,), False),
    "incidents": ((409,), False),
    "incident": ((409,), False),
    "reload": ((422, 429), False),
    "rotate": ((404, 408, 409, 429), True),
    "hold": ((404, 408, 409, 429), True),
    "resume": ((404, 408, 409, 429), True),
    "extend": ((404, 408, 409, 429), True),
    "drill": ((404, 408, 409, 429), True),
    "revoke": ((404, 408, 409, 429), False),
    "waive": ((404, 408, 409, 429), False),
    "mass_rotation": ((404, 408, 409, 429), False),
}


def test_each_operation_says_how_it_refuses_and_whether_it_needs_other_applications() -> None:
    assert {name: (one.refuses, one.per_application) for name, one in OPERATIONS.items()} == APART
    assert all(one.summary.endswith(".") for one in OPERATIONS.values())
    exclusive = {name for name, one in OPERATIONS.items() if name != "mass_rotation" and one.exclusive_key(None)}
    assert exclusive == set()


# --- what it runs with ------------------------------------------------------------------------------------------------


def test_a_pass_of_an_operation_signs_with_its_owner_and_tells_its_own_sink() -> None:
    runtime = app()
    (spec,) = runtime.specs.values()
    call = context(runtime, owner="the-desk")
    assert (call.context(spec).owner, call.context(spec).sink) == ("the-desk", call.sink)
    assert replace(call, owner="").context(spec).owner == "command-line"
    other = app()
    assert replace(call, passes=other).context(spec).vault is other.vault
    assert call.context(spec).vault is runtime.vault


def test_a_pass_sleeps_on_its_own_clock() -> None:
    runtime, slept = app(), list[tuple[object, datetime]]()
    (spec,) = runtime.specs.values()
    call = context(runtime, sleep=lambda clock, until: slept.append((clock, until)))
    found, sleep = call.execution(spec)
    sleep(EPOCH + HOUR)
    assert slept == [(found.clock, EPOCH + HOUR)]
    assert isinstance(found.clock, ActorClock)


def test_what_exists_only_in_a_daemon_needs_one() -> None:
    with pytest.raises(AssertionError, match="the operation needs a daemon"):
        OPERATIONS["health"].execute(context(app()), OPERATIONS["health"].request({}))
    daemon = Healthy()
    assert context(app(), daemon_handle=daemon).daemon is cast("DaemonHandle", daemon)


WELL, ILL = ("main loop", True, "turns"), ("vault", False, "sealed")


@pytest.mark.parametrize(
    ("alive", "ready", "verdict"),
    [
        ((WELL,), (WELL,), (True, True)),
        ((WELL, ILL), (WELL,), (False, True)),
        ((WELL,), (ILL, WELL), (True, False)),
        ((), (), (True, True)),
    ],
)
def test_the_health_of_a_daemon_is_that_of_all_its_causes(
    alive: Sequence[tuple[str, bool, str]], ready: Sequence[tuple[str, bool, str]], verdict: tuple[bool, bool]
) -> None:
    call = context(app(), daemon_handle=Healthy(alive=alive, ready=ready))
    causes = tuple(HealthCause(*one) for one in (*alive, *ready))
    found = OPERATIONS["health"].execute(call, OPERATIONS["health"].request({}))
    assert found == HealthReport(__version__, "/etc/rotator.toml", *verdict, causes)


def test_a_reload_is_the_daemons() -> None:
    daemon = Healthy()
    found = OPERATIONS["reload"].execute(context(app(), daemon_handle=daemon), OPERATIONS["reload"].request({}))
    assert (found, daemon.reloads) == (ReloadResult(3), ["reload"])


def test_reads_are_repeated_around_passes_and_passes_see_them_fail() -> None:
    runtime = app()
    seen: list[OperationContext] = []
    operation = Operation(SIGNATURES["status"], "", OPERATIONS["status"].takes, lambda call, _: seen.append(call))
    call = context(runtime)
    operation.execute(call, None)
    (inner,) = seen
    assert (inner.passes, inner.by) == (runtime, "ann")
    assert inner.runtime is not runtime


def test_each_application_has_a_result_in_the_order_of_their_names_and_a_daemon_looks_at_all() -> None:
    stage = Stage()
    mailer(stage)
    daemon = Daemon()
    call = context(app(stage.desk), daemon_handle=daemon)
    specs = list(stage.desk.specs.values())
    done = OperationResult("billing", "rotated", 0, "done")

    def work(spec: Any) -> OperationResult:
        if spec.application == "mailer":
            raise ZeroDivisionError
        return done

    found = each(call, specs, work)
    assert found[0] is done
    assert (found[1].application, found[1].outcome, found[1].exit_code) == ("mailer", "failed", 1)
    assert found[1].message.startswith("an error of the program: ZeroDivisionError at ")
    assert daemon.woken == [["billing", "mailer"]]
    assert each(replace(call, daemon_handle=None), specs[:1], work) == (done,)


# --- a result ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "outcome"), [(1, "failed"), (2, "failed"), (3, "unreachable"), (4, "refused"), (5, "failed")]
)
def test_the_outcome_of_a_failure_is_that_of_its_exit_code(code: int, outcome: str) -> None:
    assert short_of("billing", code, "a message", "a reason") == OperationResult(
        "billing", outcome, code, "a message", "a reason"
    )


def test_a_failure_has_all_its_sentences_and_a_remark() -> None:
    error = ConfigurationError([ConfigurationProblem("a", "", "one"), ConfigurationProblem("b", "", "two")])
    assert failed("billing", error, "nothing was done").message == "a: one; b: two; nothing was done"
    assert failed("billing", error) == OperationResult("billing", "failed", 2, "a: one; b: two", "configuration")


RESULTS: dict[str, tuple[OperationResult, dict[str, Any]]] = {
    "times are to the second and spans to the millisecond": (
        OperationResult(
            "billing",
            "contained",
            0,
            "contained",
            access_key="SCWNEW",
            version=2,
            revoked={"SCWOLD": "refused"},
            marked_at=EPOCH,
            contained_at=EPOCH + timedelta(seconds=1.23456),
            outage_seconds=0.98765,
        ),
        {
            "name": "billing",
            "outcome": "contained",
            "exit_code": 0,
            "access_key": "SCWNEW",
            "version": 2,
            "outage_seconds": 0.988,
            "revoked": [{"access_key": "SCWOLD", "verification": "refused"}],
            "marked_at": "2026-01-01T00:00:00Z",
            "seconds_from_mark": 1.235,
        },
    ),
    "without a mark there is no time since it": (
        OperationResult("billing", "revoked", 0, "revoked", contained_at=EPOCH),
        {"name": "billing", "outcome": "revoked", "exit_code": 0, "revoked": []},
    ),
    "an open containment has no end": (
        OperationResult("billing", "contained", 0, "contained", marked_at=EPOCH),
        {
            "name": "billing",
            "outcome": "contained",
            "exit_code": 0,
            "access_key": "",
            "version": 0,
            "revoked": [],
        },
    ),
}


@pytest.mark.parametrize(("result", "said"), RESULTS.values(), ids=RESULTS)
def test_machines_get_a_result(result: OperationResult, said: dict[str, Any]) -> None:
    assert result.as_json() == said


def test_an_operation_waits_for_a_read_that_fails_for_a_moment() -> None:
    stage = Stage()
    adopted(stage)
    failing(stage, "read_ledger", Unavailable("away", service="vault", kind="sealed"), times=2)
    assert stage.run("status").exit_code == 0
