"""``rotator status`` as something that cron and monitoring systems run: exit codes, one line, performance data."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.cli.output.nagios import State, has_problem, line, problem_line
from rotator.decision.status import status_of, unreadable_status
from rotator.decision.transitions.publication import new_ledger
from rotator.domain.ledger import CompromisedKey, CurrentKey, Hold, Ledger, Problem, RetiringKey
from rotator.domain.status import ApplicationStatus
from rotator.errors import PermissionDenied, RotatorError, Unavailable
from tests.cli.conftest import Desk
from tests.support.simulated import EPOCH, Version, spec

DAY = timedelta(days=1)
LINE = re.compile(r"ROTATOR (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \| [^|\n]+)?")
# 'label'=value[UOM];[warn];[crit];[min];[max], as the guidelines of the monitoring plugins have it.
DATUM = re.compile(r"[a-z_]+=(U|\d+(s|c|%|B)?)(;[\d.:~@]*){0,4}")


def of(**changes: object) -> Ledger:
    ledger = replace(new_ledger(spec()), current=CurrentKey("SCW1", 1, EPOCH, EPOCH))
    return replace(ledger, **changes)  # type: ignore[arg-type]  # names are the test's


TROUBLE = Problem("quota", "no | room\nat all", EPOCH)
FAILURE = Problem("verification_failed", "no | answer\nat all", EPOCH)
MARK = CompromisedKey("SCW1", "leak", "ann", EPOCH)
GRACE = RetiringKey("SCW0", 1, EPOCH + DAY, "replaced")

CASES: dict[str, tuple[ApplicationStatus, str, State, bool]] = {
    "at rest": (status_of(spec(), of(), EPOCH), "", State.OK, False),
    "in grace": (status_of(spec(), of(retiring=(GRACE,)), EPOCH), "", State.OK, False),
    "a proof's time late": (status_of(spec(), of(), EPOCH + 30 * DAY + timedelta(minutes=5)), "", State.OK, False),
    "past due": (status_of(spec(), of(), EPOCH + 31 * DAY), "overdue", State.CRITICAL, True),
    "a grace that ended": (status_of(spec(), of(retiring=(GRACE,)), EPOCH + 2 * DAY), "overdue", State.CRITICAL, True),
    "failing in time": (status_of(spec(), of(failures=2, problem=FAILURE), EPOCH), "failing", State.WARNING, True),
    "failing and late, while the next attempt waits": (
        status_of(spec(), of(failures=2, not_before=EPOCH + 32 * DAY), EPOCH + 31 * DAY), "overdue", State.CRITICAL, True,
    ),
    "blocked": (status_of(spec(), of(problem=TROUBLE), EPOCH), "blocked", State.CRITICAL, True),
    "compromised": (status_of(spec(), of(compromised=(MARK,)), EPOCH + DAY), "compromised", State.CRITICAL, True),
    "held": (status_of(spec(), of(hold=Hold("x", "ann", EPOCH)), EPOCH), "held", State.WARNING, False),
    "held for so long that it would be due": (
        status_of(spec(), of(hold=Hold("x", "ann", EPOCH)), EPOCH + 60 * DAY), "held", State.WARNING, False,
    ),
    "never looked at": (status_of(spec(), None, EPOCH), "new", State.WARNING, False),
    "unreadable": (unreadable_status(spec(), "ledger_unreadable", "damaged", EPOCH), "unreadable", State.CRITICAL, True),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_check_says_how_grave_it_is_and_plain_status_whether_it_is_trouble(name: str) -> None:
    seen, what, state, problem = CASES[name]
    assert problem_line(seen) == what
    assert has_problem(seen) == problem
    found, text = line([seen], [], seen.as_of)
    assert found is state
    assert LINE.fullmatch(text)
    assert text.startswith(f"ROTATOR {state.name} - " + (f"{what.replace('_', ' ')}: billing" if what else ""))


@pytest.mark.parametrize("name", CASES)
def test_the_performance_data_is_of_the_form_that_monitoring_systems_read(name: str) -> None:
    seen = CASES[name][0]
    data = line([seen], [], seen.as_of)[1].partition(" | ")[2].split(" ")
    assert [datum.partition("=")[0] for datum in data] == ["applications", "with_problem", "overdue", "grace"]
    assert all(DATUM.fullmatch(datum) for datum in data), data


def test_the_worst_of_many_decides_and_the_latest_are_named_first() -> None:
    views = [replace(CASES["past due"][0], spec=spec(application=f"app{n}"), late=n * DAY) for n in range(1, 8)]
    state, text = line([*views, CASES["failing in time"][0]], [], EPOCH + 31 * DAY)
    assert state is State.CRITICAL
    assert (
        "overdue: app7 (by 7d), app6 (by 6d), app5 (by 5d), app4 (by 4d), app3 (by 3d) and 2 more; failing: billing [verification_failed] (verification_failed: look at"
        in text
    )
    assert "overdue=604800s;;0;0" in text


def test_what_cannot_be_shown_is_a_warning_on_the_same_line() -> None:
    state, text = line([CASES["at rest"][0]], ["applications | that left\nare not shown"], EPOCH)
    assert state is State.WARNING
    assert text.startswith(
        "ROTATOR WARNING - applications / that left are not shown; 1 application, next: billing rotate in 30d | "
    )


def test_all_is_well(desk: Desk) -> None:
    result = desk.type("status", "--check")
    assert result.exit_code == 0
    assert result.stdout == (
        "ROTATOR OK - 1 application, next: billing rotate in 30d"
        " | applications=1;;;0 with_problem=0;0;;0 overdue=0s;;0;0 grace=0;;;0\n"
    )
    assert desk.type("status").exit_code == 0


def test_a6_what_is_past_due_is_critical_and_plain_status_does_not_end_with_0(desk: Desk) -> None:
    desk.sim.time.advance(33 * DAY)
    result = desk.type("status", "--check")
    assert result.exit_code == 2
    assert result.stdout.startswith("ROTATOR CRITICAL - overdue: billing (by 3d); 1 application | ")
    assert desk.type("status").exit_code == 5
    assert desk.type("status", "--json").exit_code == 5


def test_only_the_named_applications_count(desk: Desk) -> None:
    desk.specs["mailer"] = spec(application="mailer", path="secret/apps/mailer", bearer="b")
    desk.sim.kv["ledger:mailer"] = [Version({"schema": 99}, EPOCH)]
    assert desk.type("status", "--check").exit_code == 2
    assert desk.type("status", "--check", "billing").exit_code == 0


@pytest.mark.parametrize(
    ("problem", "code"),
    [(Unavailable("Vault is sealed: unseal it", service="vault", kind="sealed"), 3), (RuntimeError("anything"), 3)],
)
def test_when_it_cannot_be_told_the_line_says_unknown_and_nothing_else_is_printed(
    desk: Desk, problem: Exception, code: int
) -> None:
    def hook(name: str, phase: str) -> None:
        raise problem

    desk.sim.hook = hook
    result = desk.type("status", "--check")
    assert result.exit_code == code
    assert LINE.fullmatch(result.stdout.rstrip("\n"))
    assert result.stdout.startswith("ROTATOR UNKNOWN - ")
    assert result.stderr == ""
    assert isinstance(problem, RotatorError) or "anything" not in result.stdout


def test_a_configuration_that_is_not_sound_is_unknown_in_one_line(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from rotator.cli.main import root

    result = CliRunner().invoke(root, ["status", "--check", "--config", str(tmp_path / "nowhere.toml")])
    assert result.exit_code == 3
    assert LINE.fullmatch(result.stdout.rstrip("\n"))


def test_a_ledger_that_we_may_not_read_is_our_failure_and_not_the_applications(desk: Desk) -> None:
    def hook(name: str, phase: str) -> None:
        raise PermissionDenied("our policy lacks read", service="vault", kind="permission")

    desk.sim.hook = hook
    assert desk.type("status").exit_code == 1
    assert desk.type("status", "--check").exit_code == 2


def test_a_check_is_one_line_and_never_json(desk: Desk) -> None:
    result = desk.type("status", "--check", "--json")
    assert result.exit_code == 2
    assert "leave out --json" in result.stderr


def test_every_state_of_a_check_is_documented() -> None:
    text = Path("docs/cli.md").read_text()
    for state in State:
        assert f"| {state.value} | `{state.name}` |" in text


def test_what_comes_next_after_a_failure_is_the_retry_although_the_rotation_is_past_due_since_long() -> None:
    found = status_of(spec(), of(failures=2, not_before=EPOCH + 31 * DAY + timedelta(hours=1)), EPOCH + 31 * DAY)
    assert found.next.at == EPOCH + 31 * DAY + timedelta(hours=1)
    assert found.late == DAY
