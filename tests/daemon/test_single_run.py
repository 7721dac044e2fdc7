"""One round of passes: its exit code is that of the worst outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from rotator.domain.spec import VerificationPolicy
from rotator.errors import ConfigurationProblem, Unavailable
from tests.support.daemon_stage import published, runtime, settled, single_run


def test_a_round_of_sound_applications_ends_with_0() -> None:
    made = runtime("one", "two", workers=1)
    settled("one", made)
    assert single_run(made) == 0
    assert published(made, "two")
    assert made.closed


def test_a_round_with_an_account_that_is_away_ends_with_3_and_the_others_were_done() -> None:
    made = runtime("away", "billing", accounts={"away": "slow"})

    def refuse(name: str, phase: str) -> None:
        raise Unavailable("nobody there", service="slow", kind="unreachable")

    made.stages["slow"].hook = refuse
    assert single_run(made) == 3
    assert published(made, "billing")
    assert published(made, "away") is None


def test_a_round_with_an_application_that_is_blocked_ends_with_4() -> None:
    made = runtime("billing", "other")
    settled("other", made)
    made.stages["acme"].quota = 0
    assert single_run(made) == 4


def test_a_round_with_a_key_that_never_comes_alive_ends_with_1() -> None:
    made = runtime("billing")
    made.stages["acme"].activation = timedelta(days=1)
    short = VerificationPolicy(2, timedelta(milliseconds=10), timedelta(milliseconds=50))
    made.applications["billing"] = replace(made.applications["billing"], verification=short)
    assert single_run(made) == 1


def test_a_round_in_which_a_pass_crashes_ends_with_1() -> None:
    made = runtime("billing", "broken", accounts={"broken": "odd"})
    settled("broken", made)
    calls: list[str] = []

    def crash(name: str, phase: str) -> None:
        calls.append(name)
        if len(calls) > 2:  # the probe of the first look is let through
            raise KeyError("odd")

    made.stages["odd"].hook = crash
    assert single_run(made) == 1
    assert published(made, "billing")


def test_an_option_by_its_former_name_is_an_event() -> None:
    made = runtime("one", workers=1)
    made.warnings = (ConfigurationProblem("rotator.toml", "daemon.catch_up", "is now called daemon.startup_spread"),)
    assert single_run(made) == 0
    told = [fields for event, fields in made.sink.events if event == "daemon.deprecated_option"]
    assert told == [{"path": "daemon.catch_up", "message": "is now called daemon.startup_spread"}]
