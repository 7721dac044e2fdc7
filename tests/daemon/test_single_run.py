"""One round of passes: its exit code is that of the worst outcome."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from rotator import __version__
from rotator.daemon.single_run import SingleRun
from rotator.domain.ledger import Hold, RetiringKey
from rotator.domain.spec import ApplicationSpec, VerificationPolicy
from rotator.errors import ConfigurationProblem, PermissionDenied, Unavailable
from rotator.observability.notifications import Notifier
from rotator.system.process import Signals
from tests.support.daemon_stage import FakeFleet, published, runtime, settled, single_run


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


def events(made: FakeFleet, *names: str) -> list[tuple[str, dict[str, object]]]:
    return [(name, fields) for name, fields in made.sink.events if name in names]


ENDS = ("daemon.started", "run.completed", "heartbeat.unhealthy", "daemon.task_failed", "daemon.stopped")


def test_a_round_reports_its_start_how_each_application_ended_and_its_end() -> None:
    made = runtime("blocked", "billing", "away", accounts={"away": "slow", "blocked": "full"})
    settled("billing", made)
    made.stages["full"].quota = 0
    made.stages["slow"].hook = away
    assert single_run(made) == 4
    assert events(made, *ENDS) == [
        ("daemon.started", {"version": __version__, "applications": 3, "config": "test.toml"}),
        ("run.completed", {"applications": 3, "ok": 1, "unreachable": 1, "refused": 1, "failed": 0}),
        ("daemon.stopped", {"unfinished": []}),
    ]


def away(name: str, phase: str) -> None:
    raise Unavailable("no answer", service="slow", kind="unreachable")


def test_a_round_with_nothing_to_do_ends_with_0_and_the_failed_one_counts_most() -> None:
    assert single_run(runtime()) == 0
    made = runtime("blocked", "away", "odd", accounts={"away": "slow", "odd": "odd", "blocked": "full"})
    made.stages["full"].quota = 0
    made.stages["slow"].hook = away
    short = VerificationPolicy(2, timedelta(milliseconds=10), timedelta(milliseconds=50))
    made.applications["odd"] = replace(made.applications["odd"], verification=short)
    made.stages["odd"].activation = timedelta(days=1)
    assert single_run(made) == 1
    ((_, counts),) = events(made, "run.completed")
    assert counts == {"applications": 3, "ok": 0, "unreachable": 1, "refused": 1, "failed": 1}


def test_c17_a_round_ends_the_graces_of_what_left_the_configuration_too() -> None:
    made = runtime("billing", "gone")
    assert single_run(made) == 0
    store, gone = made.vault, made.applications.pop("gone")
    ledger, version = store.read_ledger("gone")
    assert ledger is not None
    assert ledger.current is not None
    old, _ = made.stages["acme"].make_key(bearer=gone.bearer)
    over = RetiringKey(old.access_key, 0, made.clock.now() - timedelta(hours=1), "rotated")
    store.write_ledger(replace(ledger, retiring=(over,)), cas=version)
    made.sink.events.clear()
    assert single_run(made) == 0
    ((_, counts),) = events(made, "run.completed")
    assert counts["applications"] == 2
    assert not made.stages["acme"].live(old.access_key)


def test_a_round_that_cannot_list_what_left_says_so_and_goes_on() -> None:
    made = runtime("billing")
    plain = made.removed_applications

    def denied(sink: object = None) -> Mapping[str, ApplicationSpec]:
        raise PermissionDenied("the login may not list", service="vault", kind="policy")

    made.removed_applications = denied  # type: ignore[method-assign]  # Vault denies it
    assert plain() == {}
    assert single_run(made) == 0
    assert events(made, "daemon.task_failed") == [
        ("daemon.task_failed", {"chore": "removed applications", "message": "the login may not list"})
    ]
    assert published(made, "billing")


def test_a_round_after_which_something_is_overdue_sends_no_heartbeat_and_says_what() -> None:
    made = runtime("billing")
    assert single_run(made) == 0
    ledger, version = made.vault.read_ledger("billing")
    assert ledger is not None
    now = made.clock.now()
    over = RetiringKey("SCWOLD", 0, now - timedelta(hours=1), "rotated")
    made.vault.write_ledger(replace(ledger, retiring=(over,), hold=Hold("migration", "ann", now)), cas=version)
    assert single_run(made) == 0
    assert events(made, "heartbeat.unhealthy") == [("heartbeat.unhealthy", {"reason": "overdue", "subject": "billing"})]


def test_a_round_that_is_asked_to_stop_ends_what_it_has_begun_and_names_what_is_left() -> None:
    made = runtime("billing", "shop", workers=1, shutdown_timeout=timedelta(seconds=0.3))
    settled("shop", made)
    free = threading.Event()
    with Signals() as signals:

        def hang(name: str, phase: str) -> None:
            if name == "create_key":
                signals.stop = "SIGTERM"
                signals.wake()
                free.wait(60)

        made.stages["acme"].hook = hang
        assert SingleRun(made, Notifier(made.sink, made.alarm), signals).run() in (0, 3)
        free.set()
    assert events(made, "daemon.stopped") == [("daemon.stopped", {"unfinished": ["billing"]})]
